"""Find wrong labels in classification datasets, and help people fix them.

Public names only. Importing hubclean imports no optional package: the names of the
PyTorch, Keras and Hub workflows are loaded when they are first used, and left out of
``from hubclean import *``.
"""

import importlib

from hubclean._cleaner import HubLabelCleaner
from hubclean._decisions import apply_decisions_to_arrays
from hubclean._label_issues import find_label_issues
from hubclean._model_store import forget_models
from hubclean._sampler import LabelCleaningSampler

__version__ = "0.1.0.dev0"

#: Public names that need an optional package -> the module that holds them.
_LAZY = {
    "skorch": "hubclean.pytorch",
    "scikeras": "hubclean.keras",
    "clean_labels": "hubclean.hub",
    "create_tensors": "hubclean.hub",
    "clean_view": "hubclean.hub",
    "apply_decisions": "hubclean.hub",
}

__all__ = [
    "HubLabelCleaner",
    "LabelCleaningSampler",
    "__version__",
    "apply_decisions_to_arrays",
    "find_label_issues",
    "forget_models",
]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_LAZY])
