"""The classifier around Keras models, trained on very little."""

import copy
import gc
import pickle
import random
import weakref

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.utils import get_tags

keras = pytest.importorskip("keras")
pytest.importorskip("scikeras")

from scikeras.wrappers import KerasClassifier as Original  # noqa: E402

from hubclean import HubLabelCleaner, LabelCleaningSampler  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    EstimatorError,
    LabelsError,
    ParameterError,
    TrainingError,
    ValidationError,
)
from hubclean.keras import KerasClassifier, as_estimator, scikeras  # noqa: E402

layers = keras.layers


@pytest.fixture(scope="module")
def rows():
    """Ninety rows of four numbers; the largest of three tells the class."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 30)
    X = rng.normal(size=(90, 4)).astype("float32")
    X[np.arange(90), y] += 4
    return X, y


def small(units=3, activation="softmax", **compiled):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(units, activation=activation)]
    )
    if compiled:
        model.compile(**compiled)
    return model


def build(meta, hidden=8):
    return keras.Sequential(
        [
            keras.Input(meta["X_shape_"][1:]),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(meta["n_classes_"]),
        ]
    )


def quick(model=None, **params):
    """Few rows are done before TensorFlow has traced a step, so run eagerly."""
    settings = {"epochs": 3, "batch_size": 16, "random_state": 0, "run_eagerly": True}
    return scikeras(model, **{**settings, "optimizer__learning_rate": 0.1, **params})


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (small(), "categorical_crossentropy"),
        (small(), None),
        (small(activation=None), None),
        (small(loss="sparse_categorical_crossentropy", optimizer="sgd"), None),
        (small(activation="sigmoid"), None),
        (build, None),
    ],
    ids=["one-hot", "softmax", "logits", "compiled", "sigmoids", "function"],
)
def test_every_way_to_end_a_model_gives_probabilities(rows, model, loss):
    X, y = rows
    names = np.array(["b", "c", "a"])[y]
    fitted = quick(model, loss=loss).fit(X, names)
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
    assert fitted.classes_.tolist() == ["a", "b", "c"]
    assert (fitted.predict(X) == names).mean() > 0.9


def test_a_loss_of_your_own_gets_the_targets_that_it_can_take(rows):
    def own(y_true, y_pred):
        return -keras.ops.sum(y_true * keras.ops.log(y_pred), -1)

    fitted = quick(small(), loss=own).fit(*rows)
    assert fitted.targets_.form == "one_hot"
    assert fitted.score(*rows) > 0.9
    with pytest.raises(EstimatorError, match="the loss own cannot be computed"):
        quick(small(), loss=own, one_hot=False).fit(*rows)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_serves_two_classes(rows, activation):
    X, y = rows
    y = np.where(y == 0, "no", "yes")
    model = small(units=1, activation=activation)
    fitted = quick(model, epochs=6).fit(X, y)
    assert fitted.predict_proba(X).shape == (90, 2)
    assert fitted.score(X, y) > 0.9


def test_scikit_learn_stratifies_sorted_labels(rows):
    X, y = rows
    proba = cross_val_predict(quick(small()), X, y, cv=3, method="predict_proba")
    assert (proba.argmax(axis=1) == y).mean() > 0.9


def test_the_given_model_is_never_trained_and_leaks_nothing(rows):
    X, y = rows
    model = small(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.set_weights([w * 0 + 1000 for w in model.get_weights()])
    fitted = quick(model, epochs=1).fit(X, y)
    assert all((w == 1000).all() for w in model.get_weights())
    assert model.optimizer.iterations == 0
    assert all((np.abs(w) < 10).all() for w in fitted.model_.get_weights())
    assert type(fitted.model_.optimizer) is keras.optimizers.SGD
    assert fitted.model_.optimizer.learning_rate.numpy() == pytest.approx(0.1)


def test_a_function_that_returns_a_trained_model_is_refused(rows):
    X, y = rows
    one = small()
    quick(lambda: one, epochs=1).fit(X, y)
    with pytest.raises(EstimatorError, match="has been trained before.*would leak"):
        quick(lambda: one, epochs=1).fit(X, y)


def test_functions_get_what_scikeras_gives_them(rows):
    seen = {}

    def model(meta, compile_kwargs, params, hidden):
        seen.update(meta=meta, params=params, hidden=hidden)
        built = build(meta, hidden)
        built.compile(**compile_kwargs)
        return built

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted = quick(model, model__hidden=5, loss=loss, optimizer="sgd").fit(*rows)
    assert seen["hidden"] == 5
    assert seen["meta"]["n_classes_"] == 3
    assert seen["meta"]["n_features_in_"] == 4
    assert seen["params"]["optimizer__learning_rate"] == 0.1
    assert type(fitted.model_.optimizer) is keras.optimizers.SGD
    assert fitted.model_.layers[0].units == 5


@pytest.mark.parametrize(
    ("model", "params", "message"),
    [
        (small(units=5), {}, "labels have 3 classes, but the model has 5"),
        (small(activation=None), {"loss": "categorical_crossentropy"}, "expects proba"),
        (lambda: "model", {}, "must return a keras.Model; got builtins.str"),
        (3, {}, "must be a function that builds a Keras model"),
        ("no_such_net", {}, "keras.applications has no network 'no_such_net'"),
        ("MobileNetV2", {}, "takes images"),
    ],
)
def test_what_cannot_work_is_refused_before_training(rows, model, params, message):
    with pytest.raises(EstimatorError, match=message):
        quick(model, **params).fit(*rows)


def test_bad_rows_and_labels(rows):
    X, y = rows
    with pytest.raises(LabelsError, match="Unknown label type: continuous"):
        quick().fit(X, X[:, 0])
    with pytest.raises(ParameterError, match="fit needs X and y"):
        quick().fit(X)
    with pytest.raises(ParameterError, match="`batch_size` must be a whole number"):
        quick(batch_size=0).fit(X, y)
    with pytest.raises(ParameterError, match="`epochs` must be a whole number from 1"):
        quick(epochs=0).fit(X, y)
    with pytest.raises(ParameterError, match="must be a whole number .* got 1.5"):
        quick().fit(X, y, epochs=1.5)
    with pytest.raises(ValidationError, match=r"got a dict with the keys \['a'\]"):
        quick().fit({"a": X}, y)
    with pytest.raises(ValidationError, match="an array-like of rows; got one int"):
        quick().fit(3, y)
    fitted = quick(small(), epochs=1).fit(X, y)
    with pytest.raises(ValidationError, match=r"rows of shape \(3,\), but was fitted"):
        fitted.predict(X[:, :3])
    assert fitted.predict_proba(X[:0]).shape == (0, 3)


def test_a_loss_that_is_no_number_stops_the_training(rows):
    X, y = rows
    X = np.where(X > 5, np.nan, X)
    with pytest.raises(TrainingError, match="became nan in epoch 1 of 3 of fold 2"):
        quick(small(), fold=1).fit(X, y)


def test_clones_keep_every_parameter_and_share_no_weights(rows):
    stop = keras.callbacks.EarlyStopping(monitor="loss")
    loss = keras.losses.CategoricalCrossentropy()
    params = {
        "callbacks": [stop],
        "loss": loss,
        "metrics": ["accuracy"],
        "class_weight": {0: 2.0, 1: 1.0, 2: 1.0},
        "validation_split": 0.2,
        "record_margins": True,
        "transform": layers.Rescaling(0.5),
        "fit__validation_freq": 2,
        "compile__jit_compile": False,
    }
    classifier = quick(small(), **params).fit(*rows)
    twin = clone(clone(classifier))
    assert twin.get_params() == classifier.get_params()
    assert not hasattr(twin, "classes_")
    assert stop.model is None  # what trained was a copy
    assert classifier.callbacks_[0].model is classifier.model_
    assert np.isnan(classifier.margins_).sum() == 18
    assert np.isnan(classifier.training_proba_).sum() == 18 * 3
    assert "val_loss" in classifier.history_


def test_parameters_are_searched(rows):
    grid = {"optimizer__learning_rate": [1e-6, 0.1], "epochs": [2]}
    search = GridSearchCV(quick(small()), grid, cv=2).fit(*rows)
    assert search.best_params_["optimizer__learning_rate"] == 0.1


def test_seeds_decide_and_no_global_generator_moves(rows):
    X, y = rows
    model = keras.Sequential([layers.Dropout(0.5), layers.Dense(3)])
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].copy()
    results = [
        quick(model, random_state=seed, epochs=1).fit(X, y).predict_proba(X)
        for seed in (1, 1, 2, None, None)
    ]
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[1], results[2])
    assert not np.allclose(results[3], results[4])


def test_pickles_and_copies_predict_the_same_and_train_on(rows):
    X, y = rows
    fitted = quick(build, run_eagerly=False).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    copied = copy.deepcopy(fitted)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(copied.predict_proba(X), expected)
    fitted.partial_fit(X, y)
    again.partial_fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), fitted.predict_proba(X))
    assert len(again.history_["loss"]) == 4


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_pickles_in_half_precision_predict_the_same(rows, policy):
    X, y = rows
    keras.config.set_dtype_policy(policy)
    try:
        fitted = quick(build, optimizer__learning_rate=0.01).fit(X, y)
    finally:
        keras.config.set_dtype_policy("float32")
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.model_.dtype_policy.name == policy
    assert keras.config.dtype_policy().name == "float32"
    again.partial_fit(X, y)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"model__hidden": 5}, {"model__hidden": 6}),
        ({}, {"model__hidden": 6}),
        ({}, {"optimizer": "sgd"}),
        ({}, {"model": small()}),
        ({"model": small(activation=None)}, {"model": small(), "epochs": 1}),
        ({"model": small(activation=None)}, {"epochs": 1}),
    ],
)
def test_pickles_keep_the_network_when_parameters_are_set_afterwards(
    rows, before, after
):
    X, y = rows
    fitted = quick(**{"model": build, **before}).fit(X, y)
    fitted.set_params(**after)
    expected = fitted.predict_proba(X)
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        assert again.get_params().keys() == fitted.get_params().keys()
        for name in after.keys() - {"model"}:
            assert again.get_params()[name] == after[name]
        same = again._built_with["model"] is again.model
        assert same == (fitted._built_with["model"] is fitted.model)
        again.fit(X, y)


def test_partial_fit_goes_on(rows):
    X, y = rows
    classifier = quick(build).partial_fit(X[:60], y[:60], classes=[0, 1, 2])
    network = classifier.model_
    classifier.partial_fit(X, y)
    assert classifier.model_ is network
    assert classifier.current_epoch == 2
    with pytest.raises(LabelsError, match="one of the 3 classes.*got 3 in row"):
        classifier.partial_fit(X, y + 1)


def test_margins_are_those_of_the_training_passes(rows):
    X, y = rows
    y = y[::-1].copy()
    # Without any learning, the outputs while training are those afterwards.
    classifier = quick(
        small(), optimizer__learning_rate=0.0, record_margins=True, run_eagerly=False
    ).fit(X, y)
    logits = classifier.targets_.logits(classifier.model_.predict(X, verbose=0))
    others = np.where(np.eye(3, dtype=bool)[y], -np.inf, logits).max(axis=1)
    expected = logits[np.arange(90), y] - others
    for epoch in classifier.margin_history_:
        np.testing.assert_allclose(epoch, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        classifier.training_proba_, classifier.predict_proba(X), rtol=1e-3, atol=1e-5
    )


def test_recording_margins_changes_nothing_and_costs_no_pass(rows):
    X, y = rows
    calls = []

    class Counting(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(3)

        def call(self, x, training=False):
            if training:
                calls.append(len(x))
            return self.dense(x)

    results, counts = [], []
    for record in (False, True):
        classifier = quick(Counting, record_margins=record)
        results.append(classifier.fit(X, y).predict_proba(X))
        counts.append(sum(calls))
        calls.clear()
    np.testing.assert_array_equal(*results)
    assert counts == [270, 270]


def test_margins_need_metrics_to_be_computed(rows):
    class OwnStep(keras.Sequential):
        def train_step(self, data):
            return {"loss": self.compute_loss(*data, self(data[0], training=True))}

    model = OwnStep([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(EstimatorError, match="0 of 90 rows did. Call self.compute_met"):
        quick(lambda: model, record_margins=True).fit(*rows)


def test_validation_rows_are_of_every_class_and_callbacks_see_them(rows):
    class Seen(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.stopped = 0

        def on_epoch_end(self, epoch, logs=None):
            self.stopped = epoch
            assert logs["val_accuracy"] >= 0

    stop = keras.callbacks.EarlyStopping(monitor="val_accuracy", baseline=2.0)
    classifier = quick(
        small(),
        epochs=30,
        metrics=["accuracy"],
        validation_split=0.1,
        callbacks=[Seen(), stop],
    ).fit(*rows)
    assert classifier.callbacks_[0].stopped < 29
    assert len(classifier.history_["val_loss"]) == classifier.callbacks_[0].stopped + 1


@pytest.mark.parametrize("names", [[10, 20, 30], ["b", "c", "a"]])
@pytest.mark.parametrize("loss", [None, "categorical_crossentropy"])
def test_validation_rows_of_your_own_have_labels_as_the_others(rows, names, loss):
    X, y = rows
    labels = np.array(names)[y]
    made = small(activation="softmax")
    # Nothing is learned, so the loss of the same rows is the same.
    fitted = quick(made, loss=loss, optimizer__learning_rate=0.0, batch_size=-1)
    fitted.set_params(validation_split=0.5).fit(X, labels, validation_data=(X, labels))
    history = fitted.history_
    np.testing.assert_allclose(history["val_loss"], history["loss"], rtol=1e-5)
    weights = np.where(y == 0, 1.0, 0.0)
    fitted.fit(X, labels, validation_data=(X, labels, weights))
    first = fitted.fit(X, labels, validation_data=(X[y == 0], labels[y == 0]))
    assert not np.allclose(first.history_["val_loss"], history["loss"])
    routed = quick(made, fit__validation_data=(X, labels)).fit(X, labels)
    assert "val_loss" in routed.history_
    with pytest.raises(LabelsError, match="one of the 3 classes in `classes_`"):
        fitted.fit(X, labels, validation_data=(X, np.full(90, type(names[0])(9))))
    with pytest.raises(ParameterError, match=r"must be \(X, y\), .* got ndarray"):
        fitted.fit(X, labels, validation_data=X)
    with pytest.raises(ValidationError, match=r"rows of shape \(3,\), but was fitted"):
        fitted.fit(X, labels, validation_data=(X[:, :3], labels))


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_predicting_takes_a_fit_before(rows, method):
    with pytest.raises(NotFittedError):
        getattr(quick(small()), method)(rows[0])


def test_weights_of_rows_and_classes_count(rows):
    X, y = rows
    mixed = np.where(np.arange(90) % 2, 0, y)
    weight = np.where(np.arange(90) % 2, 0.0, 1.0)
    fitted = quick(small()).fit(X, mixed, sample_weight=weight)
    assert fitted.score(X, y) > 0.9
    heavy = quick(small(), class_weight={0: 50.0, 1: 0.001, 2: 0.001}).fit(X, mixed)
    assert (heavy.predict(X) == 0).mean() > 0.9


def test_classes_that_the_rows_lack_are_named(rows):
    X, y = rows
    names = np.array(["b", "c", "a"])[y]
    some = names != "a"
    with pytest.raises(EstimatorError, match="name all of them with `classes`"):
        quick(small()).fit(X[some], names[some])
    fitted = quick(small(), classes=["c", "b", "a"]).fit(X[some], names[some])
    assert fitted.classes_.tolist() == ["a", "b", "c"]
    assert fitted.score(X[some], names[some]) > 0.9
    assert fitted.predict_proba(X).shape == (90, 3)
    assert clone(fitted).classes == ["c", "b", "a"]
    with pytest.raises(LabelsError, match="one of the 3 classes"):
        quick(small(), classes=["x", "y", "z"]).fit(X, names)


@pytest.mark.filterwarnings("ignore::hubclean.exceptions.LabelQualityWarning")
@pytest.mark.parametrize("names", [[7, 8, 9], ["cat", "dog", "eel"]])
def test_folds_may_lack_a_class_that_the_model_knows(rows, names):
    X, y = rows
    y = np.where(y == 1, 2, y)
    y[45] = 1  # the only one: a fold trains without it
    labels = np.array(names)[y]
    cleaner = HubLabelCleaner(
        quick(small()), cv=2, correction="weight", random_state=0
    ).fit(X, labels)
    assert cleaner.pred_probs_.shape == (90, 3)
    np.testing.assert_allclose(cleaner.pred_probs_.sum(axis=1), 1)
    groups = np.where(y == 2, 0, np.arange(90) % 4)
    cleaner.fit(X, labels, groups=groups)
    assert (cleaner.predict(X[y == 0]) == names[0]).mean() > 0.7


def test_soft_labels_are_the_correction_of_its_own_accord(rows):
    X, y = rows
    mixed = np.where(np.arange(90) % 7, y, (y + 1) % 3)
    told = []
    for correction in ("auto", "soft_labels", "prune"):
        cleaner = HubLabelCleaner(
            quick(small()), correction=correction, cv=3, random_state=0
        )
        told.append(cleaner.fit(X, mixed).predict_proba(X))
        assert cleaner.score(X, y) > 0.9
    np.testing.assert_array_equal(told[0], told[1])
    assert not np.allclose(told[0], told[2])


def test_networks_of_earlier_fits_are_freed_and_the_users_own_live_on(rows):
    X, y = rows
    own = small(optimizer="sgd", loss="sparse_categorical_crossentropy")
    own.fit(X, y, epochs=1, verbose=0)
    expected, names = own.predict(X, verbose=0), [v.path for v in own.variables]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        gone = []
        for seed in range(8):
            fitted = quick(small(), epochs=1, run_eagerly=seed < 6).fit(X, y)
            gone.append(weakref.ref(fitted.model_))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert sum(ref() is not None for ref in gone) <= 5
    gc.collect()
    assert sum(ref() is not None for ref in gone) == 1
    np.testing.assert_array_equal(own.predict(X, verbose=0), expected)
    assert [v.path for v in own.variables] == names
    own.fit(X, y, epochs=1, verbose=0)


def test_a_model_handed_straight_to_the_cleaner(rows):
    X, y = rows
    given = y.copy()
    given[[5, 40, 80]] = [2, 0, 1]
    model = small(
        optimizer=keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy"
    )
    cleaner = HubLabelCleaner(model, cv=3, random_state=0).fit(X, given)
    issues = cleaner.label_issues_
    assert issues.sort_values("label_quality").index[:3].sort_values().tolist() == [
        5,
        40,
        80,
    ]
    assert isinstance(cleaner.estimator_, KerasClassifier)


class Doubled(layers.Layer):
    """A layer of the user, not registered with Keras."""

    def call(self, x):
        return x * 2


@pytest.mark.parametrize(
    "layer", [Doubled, lambda: layers.Lambda(lambda x: x * 2)], ids=["layer", "lambda"]
)
@pytest.mark.parametrize("kind", [HubLabelCleaner, LabelCleaningSampler])
def test_what_holds_a_model_of_your_own_is_cloned_and_pickled(rows, layer, kind):
    X, y = rows
    model = keras.Sequential([keras.Input((4,)), layer(), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    cleaner = kind(model, cv=2, random_state=0)
    cleaner.fit(X, y)
    twin = clone(cleaner)
    assert twin.estimator is model
    assert not hasattr(twin, "label_issues_")
    shallow, again = copy.copy(cleaner), pickle.loads(pickle.dumps(cleaner))
    assert shallow.estimator is model
    assert cleaner.estimator is model
    for other in (copy.deepcopy(cleaner), again):
        assert [type(part) for part in other.estimator.layers] == [
            type(part) for part in model.layers
        ]
        assert other.label_issues_.equals(cleaner.label_issues_)
    if kind is HubLabelCleaner:
        np.testing.assert_array_equal(again.predict(X), cleaner.predict(X))
        assert len(cross_val_score(cleaner, X, y, cv=2, error_score="raise")) == 2


def test_scikit_learn_knows_a_classifier_without_a_warning():
    assert is_classifier(KerasClassifier())
    tags = get_tags(KerasClassifier())
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert issubclass(KerasClassifier, Original)


def test_estimators_from_models():
    original = Original(small(), loss="mse", epochs=7, optimizer__learning_rate=0.5)
    adapted = as_estimator(original)
    assert isinstance(adapted, KerasClassifier)
    assert adapted.get_params() == {**adapted.get_params(), **original.get_params()}
    assert as_estimator(adapted) is adapted
    with pytest.raises(EstimatorError, match="expected a Keras model"):
        as_estimator(object())
