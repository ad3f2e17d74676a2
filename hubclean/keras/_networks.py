"""The networks used when no model is given, sized from the data."""

import importlib
import re

import keras
import numpy as np

from hubclean.exceptions import EstimatorError

_SMALLEST_IMAGE = 8


def default_network(rows, n_classes, width=32):
    """Network for rows like these: residual for images, else a perceptron.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features), (n, h, w) or (n, h, w, channels)
        Some rows of the training data; means and deviations are taken from them.
    n_classes : int
        Number of outputs, which are logits.
    width : int
        Channels of the first block; a perceptron has four times as many units.

    Returns
    -------
    network : keras.Model
        Uncompiled, with fresh weights.

    Examples
    --------
    >>> default_network(np.zeros((4, 28, 28)), 10).output_shape
    (None, 10)
    """
    if rows.dtype.kind not in "biuf":
        raise EstimatorError(
            f"KerasClassifier: there is no default network for rows of type "
            f"{rows.dtype}. Pass a model that takes them, one that starts with "
            "keras.layers.TextVectorization for text."
        )
    inputs = keras.Input(rows.shape[1:], dtype="float32")
    if is_image(rows.shape[1:]):
        return keras.Model(inputs, _residual(inputs, rows, n_classes, width))
    return keras.Model(inputs, _perceptron(inputs, rows, n_classes, 4 * width))


def is_image(shape):
    """Whether rows of this shape are taken for images.

    Examples
    --------
    >>> is_image((28, 28)), is_image((32, 32, 3)), is_image((784,))
    (True, True, False)
    """
    if len(shape) not in (2, 3) or None in shape:
        return False
    return min(shape[:2]) >= _SMALLEST_IMAGE and (len(shape) == 2 or shape[2] <= 4)


def _standardised(x, rows):
    """Subtract the mean of the last axis and divide by its deviation."""
    rows = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    variance = np.where(variance > 1e-12, variance, 1.0)
    return keras.layers.Normalization(mean=mean, variance=variance)(x)


def _perceptron(inputs, rows, n_classes, units):
    """Two hidden layers."""
    x = keras.layers.Flatten()(inputs) if rows.ndim > 2 else inputs
    x = _standardised(x, rows.reshape(len(rows), -1))
    for _ in range(2):
        x = keras.layers.Dense(units, activation="relu")(x)
    return keras.layers.Dense(n_classes)(x)


def _residual(inputs, rows, n_classes, width):
    """Two residual blocks, after halving the image to about 16 pixels."""
    x = inputs
    if rows.ndim == 3:
        rows = rows[..., None]
        x = keras.layers.Reshape(rows.shape[1:])(x)
    x = _standardised(x, rows)
    halvings = max(0, (max(rows.shape[1:3]) - 1).bit_length() - 4)
    for _ in range(max(1, halvings)):
        x = _convolution(x, width, stride=2 if halvings else 1)
    x = _block(x, width)
    x = _convolution(x, 2 * width, stride=2)
    x = _block(x, 2 * width)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.layers.Dense(n_classes)(x)


def _convolution(x, width, stride=1, activation="relu"):
    """3 x 3 convolution, batch normalisation, activation."""
    x = keras.layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.layers.Activation(activation)(x) if activation else x


def _block(x, width):
    """Two convolutions around a shortcut, as in He et al., CVPR 2016."""
    y = _convolution(x, width)
    y = _convolution(y, width, activation=None)
    return keras.layers.Activation("relu")(keras.layers.Add()([x, y]))


def application(name, rows, n_classes, weights=None, **parameters):
    """Network of `keras.applications`, by name, with a new head.

    Parameters
    ----------
    name : str
        Name of the network, "MobileNetV2" or "mobilenet_v2" for example.
    rows : ndarray of shape (n, h, w) or (n, h, w, channels)
        Some images, from 0 to 255 as pixels are; grey ones are given three channels.
    n_classes : int
        Number of outputs, which are logits.
    weights : {None, "imagenet"} or path
        Where the network starts.
    **parameters : dict
        Further parameters of the network.

    Returns
    -------
    network : keras.Model
        Uncompiled.

    Raises
    ------
    EstimatorError
        If there is no such network, or it cannot take such images.
    """
    build = _find_application(name)
    shape = rows.shape[1:]
    if not is_image(shape):
        raise EstimatorError(
            f"KerasClassifier: {name!r} takes images, shape (n, height, width) or "
            f"(n, height, width, channels); got rows of shape {shape}."
        )
    inputs = x = keras.Input(shape, dtype="float32")
    if len(shape) == 2:
        x = keras.layers.Reshape((*shape, 1))(x)
    if x.shape[-1] == 1:
        x = keras.layers.Concatenate()([x, x, x])
    x = _preprocessing(build)(x)
    try:
        body = build(
            include_top=False,
            weights=weights,
            input_shape=tuple(x.shape[1:]),
            pooling="avg",
            **parameters,
        )
    except ValueError as exc:
        raise EstimatorError(
            f"KerasClassifier: {name!r} cannot be built for images of shape {shape} "
            f"({exc}). Resize them, transform=keras.layers.Resizing(224, 224) for "
            "example."
        ) from exc
    return keras.Model(inputs, keras.layers.Dense(n_classes)(body(x)))


def _find_application(name):
    """Function of keras.applications by its name, however it is spelt."""
    wanted = re.sub("[^a-z0-9]", "", name.lower())
    found = {
        key.lower(): value
        for key, value in vars(keras.applications).items()
        if key[0].isupper() and callable(value)
    }
    if wanted in found:
        return found[wanted]
    raise EstimatorError(
        f"KerasClassifier: keras.applications has no network {name!r}. It has "
        f"{', '.join(sorted(f.__name__ for f in found.values()))}."
    )


def _preprocessing(build):
    """Layers' way to scale pixels as the network's own authors did."""
    module = importlib.import_module(build.__module__)
    return module.preprocess_input
