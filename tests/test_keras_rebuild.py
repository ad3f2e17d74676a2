"""Fresh models from config: nothing learned from labels comes along."""

import pickle

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("scikeras")

from hubclean.exceptions import EstimatorError  # noqa: E402
from hubclean.keras._pickling import PackedModel  # noqa: E402
from hubclean.keras._rebuild import compile_arguments, fresh_model  # noqa: E402

layers = keras.layers
ROWS = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


class Subclassed(keras.Model):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(units)
        self.out = layers.Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))


class Described(Subclassed):
    def __init__(self, units=5, **kwargs):
        super().__init__(units, **kwargs)
        self.units = units

    def get_config(self):
        return {"units": self.units}


class Scaled(keras.Model):
    """What tells two of them apart is a number, not a layer."""

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.scale * self.dense(x)


class Doubling(layers.Layer):
    """A layer of the user, not registered with Keras."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x):
        return 2 * x @ self.kernel


def sequential():
    return keras.Sequential([layers.Dense(5), Doubling(), layers.Dense(3)])


def functional():
    inputs = keras.Input((4,))
    x = layers.Lambda(lambda t: t * 2)(inputs)
    x = layers.concatenate([layers.Dense(3)(x), Doubling()(x)])
    return keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.2)(x)))


def nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    return keras.Sequential([inner, layers.BatchNormalization(), layers.Dense(3)])


@pytest.mark.parametrize(
    "make", [sequential, functional, nested, Subclassed, lambda: Described(7)]
)
@pytest.mark.parametrize("built", [True, False])
def test_weights_are_fresh_and_structure_is_kept(make, built):
    model = make()
    if built:
        model(ROWS)
        model.set_weights([np.full(w.shape, 7.0) for w in model.get_weights()])
    fresh = fresh_model(model)
    fresh(ROWS)
    model(ROWS)
    assert [w.shape for w in fresh.weights] == [w.shape for w in model.weights]
    assert not {id(v) for v in fresh.variables} & {id(v) for v in model.variables}
    if built:
        assert all((w == 7).all() for w in model.get_weights())
        assert not any((w == 7).any() for w in fresh.get_weights())


class Sharing(keras.Model):
    """Its config hands the live layer over."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def call(self, x):
        return self.backbone(x)

    def get_config(self):
        return {"backbone": self.backbone}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class NoConfig(keras.Model):
    def __init__(self, function):
        super().__init__()
        self.dense = layers.Dense(3)
        self.function = function

    def call(self, x):
        return self.dense(self.function(x))


def frozen():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(3)])
    model.layers[0].trainable = False
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Sharing(layers.Dense(3)), "shares 'dense.*would leak"),
        (lambda: NoConfig(len), "cannot be rebuilt .* Pass a function"),
        (lambda: Subclassed(7), "gives another model. Give Subclassed a get_config"),
        (lambda: Scaled(0.5), "gives another model. Give Scaled a get_config"),
        (frozen, "has frozen layers .* whose weights would be lost"),
    ],
)
def test_models_that_cannot_be_rebuilt_say_so(model, message):
    with pytest.raises(EstimatorError, match=message):
        fresh_model(model())


def test_what_layers_learned_from_rows_alone_is_kept():
    scale = layers.Normalization()
    scale.adapt(ROWS * 3 + 1)
    model = keras.Sequential([keras.Input((4,)), scale, layers.Dense(3)])
    fresh = fresh_model(model)
    np.testing.assert_array_equal(fresh.layers[0](ROWS), scale(ROWS))


def test_a_vocabulary_is_kept():
    words = layers.TextVectorization(output_mode="multi_hot")
    words.adapt(np.array(["good film", "bad film"]))
    model = keras.Sequential([words, layers.Dense(2)])
    fresh = fresh_model(model)
    assert fresh.layers[0].get_vocabulary() == words.get_vocabulary()


def my_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_pred), axis=-1)


def test_compilation_is_repeated_with_objects_of_its_own():
    model = sequential()
    model.compile(
        keras.optimizers.SGD(0.125, momentum=0.5),
        loss=my_loss,
        metrics=["accuracy", keras.metrics.KLDivergence(name="kl")],
        steps_per_execution=2,
    )
    arguments = compile_arguments(model)
    assert arguments["loss"] is my_loss
    assert arguments["optimizer"] is not model.optimizer
    assert arguments["optimizer"].get_config() == model.optimizer.get_config()
    assert arguments["steps_per_execution"] == 2
    assert [getattr(m, "name", m) for m in arguments["metrics"]] == ["accuracy", "kl"]
    assert compile_arguments(sequential()) == {}


@pytest.mark.parametrize("make", [sequential, functional, Described])
@pytest.mark.parametrize("built", [True, False])
def test_models_given_as_parameters_pickle(make, built):
    model = make()
    model.compile("sgd", my_loss)
    if built:
        expected = np.asarray(model(ROWS))
    if make is functional:  # its lambda makes it impossible for pickle itself
        again = PackedModel(model).model()
    else:
        again = pickle.loads(pickle.dumps(PackedModel(model))).model()
    assert type(again) is type(model)
    if built:
        np.testing.assert_allclose(np.asarray(again(ROWS)), expected, rtol=1e-6)
