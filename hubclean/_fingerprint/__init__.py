"""Name what a training depends on: the estimator, its code, its parameters, its data.

Two fingerprints are equal when a training would give the same model. It imports
nothing from hubclean.
"""

from hubclean._fingerprint._namer import fingerprint, is_how
from hubclean._fingerprint._networks import is_torch_tensor

__all__ = ["fingerprint", "is_how", "is_torch_tensor"]
