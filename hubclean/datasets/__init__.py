"""Seeded generators of wrong labels, and the demo dataset."""

from hubclean.datasets._digits import write_digits
from hubclean.datasets._noise import (
    class_conditional_noise,
    instance_dependent_noise,
    pair_flip_noise,
    symmetric_noise,
)

__all__ = [
    "class_conditional_noise",
    "instance_dependent_noise",
    "pair_flip_noise",
    "symmetric_noise",
    "write_digits",
]
