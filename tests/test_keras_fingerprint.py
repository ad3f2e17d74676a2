"""Names of Keras models: what changes a training changes the name, and no more."""

import pickle

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("scikeras")

from hubclean._fingerprint import fingerprint  # noqa: E402
from hubclean.keras import scikeras  # noqa: E402

layers = keras.layers
ROWS = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
LABELS = np.tile([0, 1], 10)


def edited(code, *settings):
    """What a cell of a notebook defines as ``made``, before and after an edit."""
    versions = []
    for setting in settings:
        names = {"__name__": "__main__", "keras": keras, "layers": layers}
        exec(code.replace("SETTING", setting), names)
        versions.append(names["made"])
    return versions


def sequential(*parts):
    return keras.Sequential([keras.Input((3,)), *parts, layers.Dense(2)])


def compiled(**arguments):
    model = sequential()
    model.compile(**arguments)
    return model


def normalized(rows):
    layer = layers.Normalization()
    layer.adapt(rows)
    return sequential(layer)


def binned(rows):
    layer = layers.Discretization(num_bins=2)
    layer.adapt(rows)
    return sequential(layer)


def words(text):
    layer = layers.TextVectorization(output_mode="multi_hot")
    layer.adapt(np.array(text))
    return layer


FUNCTION = "def made(x): return x * SETTING"
GLOBAL = "scale = SETTING\nmade = lambda x: x * scale"
LAYER = """
class made(layers.Layer):
    def call(self, x): return x * SETTING
"""
INITIALIZER = """
class made(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None): return keras.ops.full(shape, SETTING)
    def get_config(self): return {}
"""
LOSS = """
class made(keras.losses.Loss):
    def call(self, y_true, y_pred): return keras.ops.sum(y_pred, -1) * SETTING
"""
SCHEDULE = """
class made(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step): return SETTING
    def get_config(self): return {}
"""


def versions_of(code, make):
    return [make(version) for version in edited(code, "1.", "2.")]


def inside(layer):
    return sequential(keras.Sequential([layer, layers.Dense(4)]))


DIFFERENT = {
    "normalized": (normalized(ROWS), normalized(ROWS * 50)),
    "binned": (binned(ROWS), binned(ROWS * 50)),
    "words": (sequential(words(["a b"])), sequential(words(["a c"]))),
    "words of a transform": (words(["a b"]), words(["a c"])),
    "function": versions_of(FUNCTION, lambda f: sequential(layers.Lambda(f))),
    "global": versions_of(GLOBAL, lambda f: sequential(layers.Lambda(f))),
    "transform": versions_of(FUNCTION, layers.Lambda),
    "activation": versions_of(FUNCTION, lambda f: sequential(layers.Dense(2, f))),
    "layer": versions_of(LAYER, lambda kind: sequential(kind())),
    "layer inside": versions_of(LAYER, lambda kind: inside(kind())),
    "lambda inside": versions_of(GLOBAL, lambda f: inside(layers.Lambda(f))),
    "initializer": versions_of(
        INITIALIZER, lambda kind: sequential(layers.Dense(2, kernel_initializer=kind()))
    ),
    "loss function": versions_of(
        FUNCTION.replace("(x)", "(x, y)"), lambda f: compiled(loss=f)
    ),
    "loss": versions_of(LOSS, lambda kind: compiled(loss=kind())),
    "schedule": versions_of(
        SCHEDULE, lambda kind: compiled(optimizer=keras.optimizers.SGD(kind()))
    ),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_tells_models_apart(pair):
    named = [scikeras(part) for part in pair]
    if not isinstance(pair[0], keras.Model):
        named = [scikeras(transform=part) for part in pair]
    assert fingerprint(named[0]) != fingerprint(named[1])
    assert fingerprint(named[0]) == fingerprint(named[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: sequential(layers.Lambda(edited(GLOBAL, "1.")[0])),
        lambda: sequential(layers.Dense(2, edited(FUNCTION, "1.")[0])),
        lambda: inside(edited(LAYER, "1.")[0]()),
        lambda: normalized(ROWS),
    ],
    ids=["global", "activation", "layer", "normalized"],
)
def test_the_same_model_made_and_trained_again_has_one_name(make):
    one, other = make(), make()
    other.compile("sgd", "sparse_categorical_crossentropy")
    other.fit(ROWS, LABELS, verbose=0)
    one.compile("sgd", "sparse_categorical_crossentropy")
    assert fingerprint(scikeras(one)) == fingerprint(scikeras(other))


def test_a_pickle_of_an_adapted_model_has_its_name():
    one = scikeras(normalized(ROWS))
    assert fingerprint(one) == fingerprint(pickle.loads(pickle.dumps(one)))
