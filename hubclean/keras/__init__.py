"""Keras models as scikit-learn classifiers, through scikeras.

Needs ``pip install 'hubclean[tensorflow]'``, or Keras on another backend. It imports
inwards only: nothing of hubclean's other leaves.
"""

from hubclean._compat import load_deeplake_first, require

load_deeplake_first()  # afterwards it would end the process

for _package in ("keras", "scikeras.wrappers"):
    require(_package, extra="tensorflow", by="hubclean.keras")

from hubclean.keras._classifier import KerasClassifier  # noqa: E402
from hubclean.keras._datasets import from_dataset  # noqa: E402
from hubclean.keras._factory import as_estimator, scikeras  # noqa: E402
from hubclean.keras._networks import default_network  # noqa: E402

__all__ = [
    "KerasClassifier",
    "as_estimator",
    "default_network",
    "from_dataset",
    "scikeras",
]
