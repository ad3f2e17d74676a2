import contextlib
import os
import warnings

# Set before NumPy is imported: the folds are small, and pytest-xdist uses the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from pathlib import Path

# Before any test imports TensorFlow, after which a plain import of it aborts: see
# hubclean/_compat.py.
with contextlib.suppress(ImportError):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deeplake 3 says that there is a newer one
        import deeplake  # noqa: F401

import numpy as np
import pytest
from sklearn.datasets import load_digits

# For `counting`, which worker processes import as well.
sys.path.insert(0, str(Path(__file__).parent))


def plant_errors(y, frac, seed):
    """Change exactly this share of the labels; returns labels and mask."""
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(y, return_inverse=True)
    wrong = rng.choice(len(y), size=round(frac * len(y)), replace=False)
    shift = rng.integers(1, len(classes), size=len(wrong))
    codes[wrong] = (codes[wrong] + shift) % len(classes)
    mask = np.zeros(len(y), dtype=bool)
    mask[wrong] = True
    return classes[codes], mask


@pytest.fixture(scope="session")
def digits():
    """Digits in [0, 1] with 10 % planted errors: X, given, true, mask."""
    X, y = load_digits(return_X_y=True)
    given, mask = plant_errors(y, 0.1, seed=0)
    return X / 16, given, y, mask


@pytest.fixture(scope="session")
def small():
    """Four hundred rows of three overlapping classes, 10 % errors."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 3, size=400)
    X = rng.normal(size=(400, 4))
    X[:, 0] += 3 * (y == 1)
    X[:, 1] += 3 * (y == 2)
    given, mask = plant_errors(y, 0.1, seed=1)
    return X, given, y, mask
