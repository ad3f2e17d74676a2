"""What the tests of every framework adapter share.

A framework takes part with one function that makes its classifier from the common
parameters: epochs, batch_size, lr, random_state, record_margins, average_epochs, fold.
"""

import numpy as np
import pytest


def _torch(**params):
    pytest.importorskip("skorch")
    from hubclean.pytorch import skorch

    return skorch(**params)


def small_keras_network(meta):
    """Quick to trace: the network by default has a test of its own."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Flatten(),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(32, activation="relu"),
            layers.Dense(meta["n_classes_"]),
        ]
    )


def _keras(lr=None, **params):
    pytest.importorskip("scikeras")
    from hubclean.keras import scikeras

    params.setdefault("model", small_keras_network)
    params.setdefault(LEARNING_RATE["keras"], 0.01)
    if lr is not None:
        params[LEARNING_RATE["keras"]] = lr
    return scikeras(**params)


FRAMEWORKS = {"torch": _torch, "keras": _keras}
LEARNING_RATE = {"torch": "lr", "keras": "optimizer__learning_rate"}


@pytest.fixture(params=list(FRAMEWORKS))
def framework(request):
    return request.param


@pytest.fixture
def lr(framework):
    """Name of the learning rate among the parameters."""
    return LEARNING_RATE[framework]


@pytest.fixture
def make_classifier(framework):
    """Make a classifier of one framework, quick to train unless asked otherwise."""

    def make(**params):
        settings = {"epochs": 4, "batch_size": 16, "random_state": 0}
        return FRAMEWORKS[framework](**{**settings, **params})

    return make


@pytest.fixture
def images():
    """120 grey images of 8 x 8 bytes; the bright corner tells the class of three."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    X = rng.integers(0, 120, (120, 8, 8), dtype=np.uint8)
    corners = [(slice(0, 4), slice(0, 4)), (slice(4, 8), slice(0, 4))]
    corners.append((slice(0, 4), slice(4, 8)))
    for row, k in zip(X, y, strict=True):
        row[corners[k]] += 130
    return X, y


@pytest.fixture
def table():
    """120 rows of six float64 columns, three classes."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 120)
    X = rng.normal(size=(120, 6))
    X[np.arange(120), y] += 3.0
    return X, y


class CountingColumn:
    """Lazy column over an array that notes the positions of every read."""

    def __init__(self, array, row_ids=None, reads=None):
        self.array = array
        self.row_ids = np.arange(len(array)) if row_ids is None else row_ids
        self.reads = [] if reads is None else reads
        self.identity = ("counting", id(array))
        self.dtype = array.dtype

    @property
    def shape(self):
        return (len(self.row_ids), *self.array.shape[1:])

    @property
    def ndim(self):
        return self.array.ndim

    def __len__(self):
        return len(self.row_ids)

    def __getitem__(self, index):
        index = index[0] if isinstance(index, tuple) else index
        return type(self)(self.array, self.row_ids[index], self.reads)

    def read(self, indices=None):
        rows = self.row_ids if indices is None else self.row_ids[indices]
        self.reads.append(rows)
        return self.array[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("a lazy column was read whole")


@pytest.fixture
def lazy():
    """Turn an array into a lazy column that must not be read whole."""
    return CountingColumn
