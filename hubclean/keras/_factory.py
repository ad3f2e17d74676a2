"""The two doors to the adapter: `scikeras` and `as_estimator`."""

import keras
from scikeras.wrappers import KerasClassifier as ScikerasClassifier

from hubclean.exceptions import EstimatorError
from hubclean.keras._classifier import KerasClassifier


def scikeras(
    model=None,
    *,
    epochs=10,
    batch_size=64,
    optimizer=None,
    loss=None,
    transform=None,
    dataset=None,
    **scikeras_params,
):
    """Make a classifier of a Keras model, for `HubLabelCleaner` and scikit-learn.

    Parameters
    ----------
    model : callable, keras.Model, str or None
        A function that builds a model, with scikeras's arguments ``meta``,
        ``compile_kwargs``, ``params`` and parameters ``model__...``; a Keras model,
        compiled or not, which is rebuilt from its config with fresh weights for every
        `fit` and is itself never trained; the name of a network of
        `keras.applications`; or None for a small network sized from the data.
    epochs : int
        Times the network goes through the rows.
    batch_size : int
        Rows of a batch; -1 takes all in one.
    optimizer : str, class or keras.optimizers.Optimizer, or None
        None takes what the model is compiled with, or Adam. Its parameters can be set
        and searched as ``optimizer__learning_rate`` and so on.
    loss : str, callable, class or keras.losses.Loss, or None
        None takes what the model is compiled with, or the cross-entropy that fits
        its outputs.
    transform : callable, keras.layers.Layer, dict or None
        Makes a batch of rows ready, while training and, unless `transform_valid` is
        given, while predicting; a layer is also applied to images of varying size, one
        by one. A dict gives it under the key ``"images"``.
    dataset : tf.data.Dataset, source or pair of (X, y), or None
        What `fit` trains on when it is called without X and y.
    **scikeras_params : dict
        Further parameters, those of `scikeras.wrappers.KerasClassifier` and these:
        ``metrics``, ``callbacks``, ``validation_split`` (of every class its share, at
        random), ``class_weight``, ``shuffle``, ``random_state``, ``verbose``;
        ``transform_valid``; ``one_hot`` (whether a loss of your own wants one-hot
        rows; None tries it); ``average_epochs`` (share of the last epochs whose
        probabilities are averaged, in [0, 1]); ``record_margins`` (True keeps how the
        margin of every given label moved, in ``margin_history_``); ``classes`` (all
        labels there are, for rows that may lack some; set by the cleaner where the
        rows of a fold do); ``fold`` (a number, set by the cleaner).

    Returns
    -------
    classifier : KerasClassifier
        Unfitted.

    Examples
    --------
    >>> import numpy as np
    >>> classifier = scikeras(epochs=5, random_state=0)
    >>> X = np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0)
    >>> y = np.repeat(["cat", "dog"], 20)
    >>> classifier.fit(X, y).predict(X[[0, -1]])
    array(['cat', 'dog'], dtype=object)
    """
    return KerasClassifier(
        model,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        loss=loss,
        transform=transform,
        dataset=dataset,
        **scikeras_params,
    )


def as_estimator(model):
    """Classifier around what was handed to a cleaner as its estimator.

    Parameters
    ----------
    model : keras.Model, class of models, or scikeras.wrappers.KerasClassifier
        A classifier of scikeras's own keeps its parameters.

    Returns
    -------
    classifier : KerasClassifier
        Unfitted.

    Raises
    ------
    EstimatorError
        If it is none of them.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> as_estimator(model).model is model
    True
    """
    if isinstance(model, KerasClassifier):
        return model
    if isinstance(model, ScikerasClassifier):
        return KerasClassifier(**model.get_params(deep=False))
    if isinstance(model, keras.Model) or (
        isinstance(model, type) and issubclass(model, keras.Model)
    ):
        return KerasClassifier(model)
    raise EstimatorError(
        "hubclean.keras: expected a Keras model or a KerasClassifier of scikeras; got "
        f"{type(model).__module__}.{type(model).__name__}. Models of the package "
        "tf_keras (Keras 2) cannot be used."
    )
