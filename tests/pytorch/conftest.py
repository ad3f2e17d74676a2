"""Data, nets and modules that the tests of the PyTorch adapter share."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_classification

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

from hubclean import pytorch as hp  # noqa: E402

_OWN_PROCESS = "HUBCLEAN_TEST_OWN_PROCESS"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run tests that fork where Deep Lake has opened nothing.

    Its replacement of os.fork crashes processes in which it was at work.
    """
    if pyfuncitem.get_closest_marker("forks") is None or _OWN_PROCESS in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-p", "no:xdist", pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, _OWN_PROCESS: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    return True


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        160, 6, n_informative=4, n_classes=3, class_sep=2, random_state=0
    )
    return X, y


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.integers(0, 120, (60, 12, 12), dtype=np.uint8)
    for row, k in zip(X, y, strict=True):
        row[4 * k : 4 * k + 4] += 130
    return X, y


def net(**params):
    return hp.skorch(**{"epochs": 3, "batch_size": 16, "random_state": 0, **params})


def linear(n_outputs=3, n_inputs=6):
    return nn.Linear(n_inputs, n_outputs)


class Hidden(nn.Module):
    def __init__(self, hidden, n_classes=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, n_classes)
        )

    def forward(self, x):
        return self.body(x)


class WithBody(nn.Module):
    def __init__(self, body, others=()):
        super().__init__()
        self.body = body
        self.head = linear(n_inputs=8)

    def forward(self, x):
        return self.head(self.body(x))


class Probabilities(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = linear()

    def forward(self, x):
        return torch.softmax(self.body(x), 1)


def accuracy_of(fitted, dataset, y=None):
    """Score without what EpochScoring keeps: it is handed the dataset."""
    codes = np.array([int(code) for _, code in dataset])
    return (fitted.predict(dataset) == codes).mean()
