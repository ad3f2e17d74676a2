"""Models of other frameworks, handed straight in, become scikit-learn classifiers.

A model is recognised by the names of its base classes, so nothing is imported for
users who have none of these frameworks. The adapter is then loaded by name.
"""

import importlib

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
    cls = estimator if isinstance(estimator, type) else type(estimator)
    for base in cls.__mro__:
        adapter = _ADAPTERS.get(f"{base.__module__}.{base.__qualname__}")
        if adapter is not None:
            return importlib.import_module(adapter).as_estimator(estimator)
    return estimator
