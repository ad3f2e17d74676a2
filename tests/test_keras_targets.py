"""Losses, outputs and labels that fit, and those that do not; without training."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("scikeras")

from hubclean.exceptions import EstimatorError  # noqa: E402
from hubclean.keras._outputs import (  # noqa: E402
    Outputs,
    last_activation,
    probe_outputs,
)
from hubclean.keras._targets import (  # noqa: E402
    Targets,
    default_loss,
    plan_targets,
    tried_targets,
)
from hubclean.keras._training import given_margins  # noqa: E402

losses = keras.losses
tensor, numpy = keras.ops.convert_to_tensor, keras.ops.convert_to_numpy
layers = keras.layers


class Softened(losses.CategoricalCrossentropy):
    """A user's own loss, derived from Keras's."""


def own_loss(y_true, y_pred):
    return keras.ops.mean(y_pred)


FITTING = [
    ("sparse_categorical_crossentropy", "softmax", 3, "codes", "probabilities"),
    (losses.SparseCategoricalCrossentropy(), "softmax", 3, "codes", "probabilities"),
    (
        losses.SparseCategoricalCrossentropy(from_logits=True),
        "linear",
        3,
        "codes",
        "logits",
    ),
    ("categorical_crossentropy", "softmax", 3, "one_hot", "probabilities"),
    (losses.CategoricalCrossentropy(from_logits=True), None, 3, "one_hot", "logits"),
    (Softened(), "softmax", 3, "one_hot", "probabilities"),
    ("binary_crossentropy", "sigmoid", 1, "column", "probabilities"),
    (losses.BinaryCrossentropy(from_logits=True), "linear", 1, "column", "logits"),
    ("binary_crossentropy", "sigmoid", 3, "one_hot", "probabilities"),
    (losses.BinaryFocalCrossentropy(), "sigmoid", 1, "column", "probabilities"),
    (losses.CategoricalFocalCrossentropy(), "softmax", 3, "one_hot", "probabilities"),
    ("kl_divergence", "softmax", 3, "one_hot", "probabilities"),
    (losses.KLDivergence(), "softmax", 3, "one_hot", "probabilities"),
    ("mse", "softmax", 3, "one_hot", "probabilities"),
    ("mse", "linear", 3, "one_hot", "scores"),
    ("hinge", "linear", 1, "column", "logits"),
    (losses.CategoricalHinge(), "linear", 3, "one_hot", "scores"),
    (own_loss, "softmax", 3, "codes", "probabilities"),
    (own_loss, "linear", 3, "codes", "logits"),
    (["sparse_categorical_crossentropy"], "softmax", 3, "codes", "probabilities"),
]


@pytest.mark.parametrize(("loss", "activation", "units", "form", "scale"), FITTING)
def test_losses_that_fit(loss, activation, units, form, scale):
    n_classes = 2 if units == 1 else units
    plan = plan_targets(loss, Outputs(units, activation), n_classes)
    assert plan == Targets(n_classes, form, scale)


def test_a_loss_of_your_own_may_want_one_hot_rows():
    plan = plan_targets(own_loss, Outputs(3, "softmax"), 3, one_hot=True)
    assert plan.form == "one_hot"


def of_one_hot_rows(y_true, y_pred):
    return keras.ops.categorical_crossentropy(y_true, y_pred, from_logits=True)


def of_class_numbers(y_true, y_pred):
    return keras.ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def of_products(y_true, y_pred):
    return keras.ops.sum(y_true * y_pred, -1)


def broken(y_true, y_pred):
    raise ZeroDivisionError("by your leave")


@pytest.mark.parametrize("units", [1, 3, 7, 8])
@pytest.mark.parametrize(
    ("loss", "form"),
    [
        (of_one_hot_rows, "one_hot"),
        (of_class_numbers, "codes"),
        (of_products, "one_hot"),
        (losses.Dice(), "one_hot"),
        ("CategoricalGeneralizedCrossEntropy", "codes"),
    ],
)
def test_a_loss_of_your_own_is_tried(loss, form, units):
    if isinstance(loss, str):
        if not hasattr(losses, loss):
            pytest.skip(f"this Keras has no {loss}")
        loss = getattr(losses, loss)()
    form, planned = ("column", "column") if units == 1 else (form, "codes")
    if units == 1 and loss is of_class_numbers:
        return
    plan = Targets(max(units, 2), planned, "logits")
    values = np.random.default_rng(0).normal(size=(4, units)).astype("float32")
    assert tried_targets(plan, loss, values).form == form


def test_a_loss_that_cannot_be_computed_is_refused():
    plan, values = Targets(3, "codes", "logits"), np.zeros((4, 3), "float32")
    with pytest.raises(EstimatorError, match="loss broken cannot be .*by your leave"):
        tried_targets(plan, broken, values)
    with pytest.raises(EstimatorError, match="from targets of shape .7,. .*one_hot=Tr"):
        tried_targets(plan, of_products, values, one_hot=False)


@pytest.mark.parametrize(
    ("loss", "outputs", "n_classes", "message"),
    [
        ("mse", Outputs(4, "softmax"), 3, "labels have 3 classes, but the model has 4"),
        ("mse", Outputs(1, "sigmoid"), 3, "labels have 3 classes, but the model has 1"),
        (
            "sparse_categorical_crossentropy",
            Outputs(1, "sigmoid"),
            2,
            "expects one output for each class",
        ),
        ("hinge", Outputs(3, "linear"), 3, "for a single output"),
        (
            "sparse_categorical_crossentropy",
            Outputs(3, "linear"),
            3,
            "expects probabilities, but the model ends in 'linear'",
        ),
        ("binary_crossentropy", Outputs(1, "relu"), 2, "Give the last layer a sigmoid"),
        (
            "sparse_categorical_crossentropy",
            Outputs(3, "out of range"),
            3,
            "outputs of the model are not between 0 and 1. Give the last layer a soft",
        ),
        (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            Outputs(3, "softmax"),
            3,
            "from_logits=True, but the model ends in a softmax",
        ),
        (
            "categorical_crossentropy",
            Outputs(3, "sigmoid"),
            3,
            "expects outputs that sum to 1",
        ),
        (["mse", "mse"], Outputs(3, "softmax"), 3, "compiled with 2 losses"),
    ],
)
def test_losses_that_do_not_fit_are_refused(loss, outputs, n_classes, message):
    with pytest.raises(EstimatorError, match=message):
        plan_targets(loss, outputs, n_classes)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("codes", [0, 2, 1]),
        ("one_hot", [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ],
)
def test_targets_are_encoded(form, expected):
    codes = np.array([0, 2, 1])
    assert Targets(3, form, "logits").encode(codes).tolist() == expected


def test_two_classes_fit_into_one_column():
    encoded = Targets(2, "column", "logits").encode(np.array([0, 1]))
    assert encoded.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize("scale", ["probabilities", "logits", "scores"])
@pytest.mark.parametrize("units", [1, 2, 5])
def test_rows_sum_to_one_whatever_comes_out(scale, units):
    outputs = np.random.default_rng(0).normal(scale=200, size=(50, units))
    outputs[0] = 0
    proba = Targets(max(units, 2), "codes", scale).probabilities(outputs)
    assert proba.shape == (50, max(units, 2))
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)


def test_one_sigmoid_is_the_probability_of_the_second_class():
    proba = Targets(2, "column", "probabilities").probabilities([[0.75]])
    np.testing.assert_allclose(proba, [[0.25, 0.75]])
    proba = Targets(2, "column", "logits").probabilities([[np.log(3)]])
    np.testing.assert_allclose(proba, [[0.25, 0.75]])


@pytest.mark.parametrize("form", ["codes", "one_hot"])
@pytest.mark.parametrize("scale", ["probabilities", "logits"])
def test_margins_are_differences_of_logits(form, scale):
    rng = np.random.default_rng(1)
    logits, codes = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    others = np.where(np.eye(4, dtype=bool)[codes], -np.inf, logits)
    expected = logits[np.arange(20), codes] - others.max(axis=1)
    plan = Targets(4, form, scale)
    outputs = logits
    if scale == "probabilities":
        outputs = Targets(4, form, "logits").probabilities(logits)
    found = given_margins(
        plan, plan.encode(codes), keras.ops.convert_to_tensor(outputs)
    )
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-4)


@pytest.mark.parametrize("scale", ["probabilities", "logits"])
def test_the_margin_of_one_output_is_its_logit(scale):
    logits, codes = np.array([[2.0], [-1.0], [0.5]]), np.array([1, 1, 0])
    outputs = logits if scale == "logits" else 1 / (1 + np.exp(-logits))
    plan = Targets(2, "column", scale)
    found = given_margins(
        plan, plan.encode(codes), keras.ops.convert_to_tensor(outputs)
    )
    np.testing.assert_allclose(numpy(found), [2, -1, -0.5], rtol=1e-4)


def functional(*last):
    x = inputs = keras.Input((4,))
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


def test_the_last_activation_is_found():
    def dense(activation=None):
        return layers.Dense(3, activation=activation)

    assert last_activation(functional(dense("softmax"))) == "softmax"
    assert last_activation(functional(dense(), layers.Activation("sigmoid"))) == (
        "sigmoid"
    )
    assert last_activation(functional(dense(), layers.Softmax())) == "softmax"
    assert last_activation(functional(dense())) == "linear"
    nested = keras.Sequential([functional(dense("softmax")), layers.Dropout(0.1)])
    assert last_activation(nested) == "softmax"


class Soft(keras.Model):
    def __init__(self, units, soft=True, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)
        self.soft = soft

    def call(self, x):
        x = self.dense(x)
        return keras.ops.softmax(x) if self.soft else x


def test_a_softmax_inside_call_shows_in_the_outputs():
    rows = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    assert probe_outputs(Soft(3), rows) == Outputs(3, "softmax")
    assert probe_outputs(Soft(3, soft=False), rows) == Outputs(3, "out of range")


class Ending(keras.Model):
    """Ends in a function, which nothing but the numbers can tell."""

    def __init__(self, end, units=1, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(8, activation="relu")
        self.dense = layers.Dense(units)
        self.end = end

    def call(self, x):
        return self.end(self.dense(self.hidden(x)))


ENDS = {
    "sigmoid": (keras.ops.sigmoid, "sigmoid"),
    "hard sigmoid": (keras.ops.hard_sigmoid, "sigmoid"),
    "softmax": (keras.ops.softmax, "softmax"),
    "nothing": (lambda x: x, "out of range"),
    "tanh": (keras.ops.tanh, "out of range"),
    "relu": (keras.ops.relu, "out of range"),
    # The first weights alone would look like probabilities.
    "hardly anything": (lambda x: 0.5 + 1e-2 * x, "out of range"),
    "no number": (lambda x: x * np.nan, None),
}


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize(("end", "activation"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_activations_nobody_names_show_in_the_outputs(end, activation, units, policy):
    rows = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    if (end, units) == (keras.ops.softmax, 1):
        return
    with_policy = {"dtype": keras.dtype_policies.get(policy)}
    x = inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu", **with_policy)(x)
    x = layers.Dense(units, **with_policy)(x)
    for model in (Ending(end, units), keras.Model(inputs, layers.Lambda(end)(x))):
        assert probe_outputs(model, rows) == Outputs(units, activation)


class Within(keras.constraints.Constraint):
    """Weights from 0 to 1."""

    def __call__(self, w):
        return keras.ops.clip(w, 0, 1)


def test_weights_that_are_held_in_bounds_stay_there():
    share = layers.Dense(
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(0, 1),
        kernel_constraint=Within(),
    )
    model = functional(share, layers.Lambda(lambda x: x))
    assert probe_outputs(model, np.eye(4, dtype="float32")) == Outputs(1, "sigmoid")


def test_probing_leaves_the_weights_as_they_are():
    model, rows = Ending(keras.ops.sigmoid), np.ones((8, 4), "float32")
    model(rows)
    before = model.get_weights()
    probe_outputs(model, rows)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("activation", ["sigmoid", keras.ops.sigmoid])
def test_a_sigmoid_inside_call_gets_a_loss_of_probabilities(activation):
    class Ends(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1, activation=activation)

        def call(self, x):
            return self.dense(x)

    rows = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    loss = default_loss(probe_outputs(Ends(), rows), 2)
    assert loss.get_config()["from_logits"] is False


def test_a_function_of_your_own_as_activation_is_told_by_its_numbers():
    own = layers.Dense(3, activation=lambda x: keras.ops.softmax(x / 2))
    rows = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    assert probe_outputs(functional(own), rows) == Outputs(3, "softmax")


def test_models_that_cannot_take_the_rows_are_refused():
    rows = np.zeros((2, 5), "float32")
    with pytest.raises(EstimatorError, match=r"cannot take rows of shape \(5,\)"):
        probe_outputs(functional(layers.Dense(3)), rows)
    inputs = keras.Input((5,))
    two = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(2)(inputs)])
    with pytest.raises(EstimatorError, match="one row of class outputs"):
        probe_outputs(two, rows)
    image = keras.Sequential([layers.Reshape((5, 1)), layers.Conv1D(3, 2)])
    with pytest.raises(EstimatorError, match=r"one row .* got \(2, 4, 3\)"):
        probe_outputs(image, rows)
