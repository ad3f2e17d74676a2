"""Models of other frameworks, handed straight in, become scikit-learn classifiers.

A model is recognised by the names of its base classes, so nothing is imported for
users who have none of these frameworks. The adapter is then loaded by name.
"""

import copy
import importlib

from sklearn.base import clone

#: Base class of a framework's models -> module of hubclean that adapts them.
_ADAPTERS = {
    "torch.nn.modules.module.Module": "hubclean.pytorch",
    "keras.src.models.model.Model": "hubclean.keras",
}


def as_classifier(estimator, *, by):
    """Wrap a PyTorch module or a Keras model; anything else comes back as it is.

    Parameters
    ----------
    estimator : object
        A classifier, a `torch.nn.Module` class or instance, or a Keras model.
    by : str
        Who asks, named in messages.

    Returns
    -------
    classifier : object
        A scikit-learn classifier where `estimator` was a model.

    Raises
    ------
    MissingPackageError
        If the adapter's package (skorch or scikeras) is not installed.

    Examples
    --------
    >>> as_classifier("anything else", by="example")
    'anything else'
    """
    adapter = _adapter_of(estimator)
    if adapter is None:
        return estimator
    return importlib.import_module(adapter).as_estimator(estimator)


def _adapter_of(estimator):
    """Module of hubclean that adapts a model or class of models, or None."""
    cls = estimator if isinstance(estimator, type) else type(estimator)
    names = (f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__)
    return next((_ADAPTERS[name] for name in names if name in _ADAPTERS), None)


class HoldsBareModel:
    """Clones and pickles an `estimator` that is a Keras model, which Keras may not.

    Keras copies and pickles by config, and finds no class or function of the user in
    one. The adapter has its own pickles. Clones share the model: `fit` takes no more
    than its config.
    """

    def _holds_keras_model(self):
        estimator = self.estimator
        is_model = not isinstance(estimator, type)
        return is_model and _adapter_of(estimator) == "hubclean.keras"

    def __sklearn_clone__(self):
        """Unfitted twin."""
        if not self._holds_keras_model():
            return super().__sklearn_clone__()
        without = copy.copy(self)
        without.estimator = None
        twin = clone(without)
        twin.estimator = self.estimator
        return twin

    def __getstate__(self):
        """State in which a classifier of the adapter holds the model."""
        state = super().__getstate__()
        if self._holds_keras_model():
            classifier = as_classifier(self.estimator, by=type(self).__name__)
            state = {**state, "estimator": classifier, "_is_bare": True}
        return state

    def __setstate__(self, state):
        """Take the model out again."""
        is_bare = state.pop("_is_bare", False)
        super().__setstate__(state)
        if is_bare:
            self.estimator = self.estimator.model
