"""What a network gives for a row: how many numbers, and of which kind.

The last layer tells where it is one of Keras's own. Where it does not, in a model that
ends inside of `call`, the numbers themselves do, by several draws of the weights: only
a softmax sums to 1 and only a sigmoid stays between 0 and 1 whatever the weights are.
"""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np

from hubclean.exceptions import EstimatorError

#: Activation of outputs that were seen outside of [0, 1]: those of logits.
OUT_OF_RANGE = "out of range"
_BOUNDED = {"hard_sigmoid", "sparsemax"}  # told by their numbers
_TOLERANCE, _TOLERANCE_OF_HALVES = 1e-3, 2e-2
_DRAWN_SCALES = (1.0, 1.0, 8.0, 64.0)


@dataclass(frozen=True)
class Outputs:
    """What a network gives for a row.

    Attributes
    ----------
    units : int
        Length of a row of outputs.
    activation : str or None
        Name of the last activation, or the one that the numbers look like; None when
        it cannot be told.
    """

    units: int
    activation: str | None


def outputs_of(model, rows):
    """Outputs for some rows as numbers, shape (n, n_units)."""
    values = keras.ops.convert_to_numpy(model(_tensor(rows), training=False))
    return np.asarray(values, dtype=keras.config.floatx())


def probe_outputs(model, rows):
    """Run a few rows through a model, which builds it, and tell what comes out.

    Parameters
    ----------
    model : keras.Model
        Built or not; its weights are as they were afterwards.
    rows : ndarray of shape (n, ...)
        Some rows as the model takes them.

    Returns
    -------
    outputs : Outputs
        Number of units and last activation.

    Raises
    ------
    EstimatorError
        If the model cannot take the rows, or does not give one row of outputs each.
    """
    try:
        values = model(_tensor(rows), training=False)
    except Exception as exc:  # Keras lets errors of every backend through
        raise EstimatorError(
            f"KerasClassifier: the model cannot take rows of shape {rows.shape[1:]} "
            f"and type {rows.dtype}: {exc}"
        ) from exc
    if isinstance(values, (dict, list, tuple)) or len(values.shape) != 2:
        got = getattr(values, "shape", type(values).__name__)
        raise EstimatorError(
            "KerasClassifier: the model must give one row of class outputs for each "
            f"row, shape (n, n_classes); got {got}. Use the output that tells the "
            "classes alone."
        )
    activation = last_activation(model) or _seen_activation(model, rows, values)
    return Outputs(int(values.shape[1]), activation)


def _tensor(rows):
    """Text as a tensor; older versions of Keras take objects for numbers."""
    return (
        keras.ops.convert_to_tensor(rows.astype(str)) if rows.dtype == object else rows
    )


def _seen_activation(model, rows, values):
    """Name of the activation that the numbers look like; None for NaN.

    Rows that sum to 1 do so by no chance; numbers between 0 and 1 are there by other
    weights too when a sigmoid made them.
    """
    activation = _activation_of(values)
    if activation == "sigmoid":
        drawn = map(_activation_of, _drawn_outputs(model, rows))
        return OUT_OF_RANGE if OUT_OF_RANGE in drawn else activation
    return activation


def _activation_of(values):
    """Softmax, sigmoid or neither, by the numbers of one draw of the weights."""
    halves = keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
    tolerance = _TOLERANCE_OF_HALVES if halves else _TOLERANCE
    values = np.asarray(keras.ops.convert_to_numpy(values), dtype=np.float64)
    values = values[~np.isnan(values).any(axis=1)]
    if not len(values):
        return None
    if values.min() < -tolerance or values.max() > 1 + tolerance:
        return OUT_OF_RANGE
    sums = np.abs(values.sum(axis=1) - 1) < tolerance
    return "softmax" if values.shape[1] > 1 and sums.all() else "sigmoid"


def _drawn_outputs(model, rows):
    """Outputs by other weights: other signs, then larger and larger ones."""
    rng = np.random.default_rng(0)
    for scale in _DRAWN_SCALES:
        with _other_weights(model, rng, scale):
            try:
                values = model(_tensor(rows), training=False)
            except Exception:  # anyone's code, by weights that it does not expect
                return
        yield values


@contextlib.contextmanager
def _other_weights(model, rng, scale):
    """Trainable weights are others inside of the block."""
    kept = [
        (variable, np.array(keras.ops.convert_to_numpy(variable)))
        for variable in model.trainable_variables
    ]
    try:
        for variable, value in kept:
            other = np.where(value == 0, 0.1 * _normal(rng, value.shape), value)
            other = np.where(_normal(rng, value.shape) < 0, -scale, scale) * other
            other = other.astype(value.dtype)
            constraint = getattr(variable, "constraint", None)
            variable.assign(other if constraint is None else constraint(other))
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _normal(rng, shape):
    return rng.standard_normal(shape, dtype=np.float32)


def last_activation(model):
    """Name of the activation a model ends in; None when it cannot be told.

    Examples
    --------
    >>> layers = [keras.layers.Dense(3), keras.layers.Softmax()]
    >>> last_activation(keras.Sequential(layers))
    'softmax'
    """
    layer = _last_layer(model)
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", None) or type(activation).__name__
    name = name.lower()
    is_told = hasattr(keras.activations, name) and name not in _BOUNDED
    return name if is_told else None


def _last_layer(model):
    """Layer that makes the output; None for models that do not tell."""
    if isinstance(model, keras.Sequential):
        layers = [layer for layer in model.layers if not _changes_nothing(layer)]
        layer = layers[-1] if layers else None
    elif getattr(model, "outputs", None) and len(model.outputs) == 1:
        layer = getattr(model.outputs[0], "_keras_history", (None,))[0]
    else:
        return None
    return _last_layer(layer) if isinstance(layer, keras.Model) else layer


def _changes_nothing(layer):
    """Whether a layer at the end leaves the outputs what they are."""
    kinds = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape)
    return isinstance(layer, kinds)
