"""What every adapter must do, whatever the framework."""

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hubclean.exceptions import LabelsError
from tests.adapters.conftest import CountingColumn

NAMES = np.array(["cat", "dog", "zebra"])


def test_it_learns_from_bytes_and_from_numbers(make_classifier, images, table):
    for X, y in (images, table):
        net = make_classifier(epochs=8).fit(X, y)
        assert net.score(X, y) > 0.9


def test_probabilities_are_rows_of_floats_that_sum_to_one(make_classifier, images):
    X, y = images
    proba = make_classifier().fit(X, y).predict_proba(X)
    assert proba.shape == (120, 3)
    assert (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: NAMES[y],
        lambda y: NAMES[y].astype(object),
        lambda y: y.astype(np.int32) * 10 - 5,
        lambda y: y.astype(np.float64),
        lambda y: y == 1,
    ],
    ids=["strings", "objects", "gaps", "floats", "booleans"],
)
def test_labels_of_any_kind_come_back_as_they_were(make_classifier, table, labels):
    X, y = table[0], labels(table[1])
    net = make_classifier(epochs=8).fit(X, y)
    np.testing.assert_array_equal(net.classes_, np.unique(y))
    predicted = net.predict(X)
    assert predicted.dtype == net.classes_.dtype
    assert (predicted == y).mean() > 0.85


@pytest.mark.parametrize(
    "shape",
    [(120, 8, 8, 1), (120, 1, 8, 8), (120, 8, 8)],
    ids=["channels last", "channels first", "grey"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_in_every_layout(make_classifier, images, shape, dtype):
    X, y = images
    net = make_classifier(epochs=8).fit(X.reshape(shape).astype(dtype), y)
    assert net.score(X.reshape(shape).astype(dtype), y) > 0.8


def test_it_is_a_classifier_so_that_sorted_labels_are_stratified(
    make_classifier, images
):
    order = np.argsort(images[1], kind="stable")
    X, y = images[0][order], NAMES[images[1]][order]
    net = make_classifier(epochs=8)
    assert is_classifier(net)
    proba = cross_val_predict(net, X, y, cv=3, method="predict_proba")
    assert (NAMES[proba.argmax(1)] == y).mean() > 0.8


def test_the_same_seed_gives_the_same_answer(make_classifier, images):
    X, y = images
    first = make_classifier(random_state=3).fit(X, y).predict_proba(X)
    again = make_classifier(random_state=3).fit(X, y).predict_proba(X)
    other = make_classifier(random_state=4).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_fitting_twice_starts_afresh(make_classifier, images):
    X, y = images
    net = make_classifier().fit(X, y)
    first = net.predict_proba(X)
    np.testing.assert_array_equal(net.fit(X, y).predict_proba(X), first)


def test_the_callers_random_numbers_are_left_alone(make_classifier, images):
    np.random.seed(7)
    expected = np.random.RandomState(7).random(3)
    make_classifier().fit(*images)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_it_clones_with_its_parameters_and_without_its_weights(
    make_classifier, images, lr
):
    net = make_classifier(lr=0.02, fold=2).fit(*images)
    twin = clone(net)
    assert twin.get_params()[lr] == 0.02
    assert twin.get_params()["fold"] == 2
    assert not hasattr(twin, "classes_")


def test_it_pickles_fitted_and_not(make_classifier, images):
    X, y = images
    net = pickle.loads(pickle.dumps(make_classifier())).fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))


def test_pipeline_and_grid_search(make_classifier, table, lr):
    pipe = make_pipeline(StandardScaler(), make_classifier(epochs=2))
    step = pipe.steps[-1][0]
    search = GridSearchCV(pipe, {f"{step}__{lr}": [1e-5, 0.02]}, cv=2, n_jobs=1)
    search.fit(*table)
    assert search.best_params_[f"{step}__{lr}"] == 0.02


def test_it_says_nothing(make_classifier, images, capfd):
    X, y = images
    make_classifier().fit(X, y).predict_proba(X)
    assert capfd.readouterr() == ("", "")


def test_a_lazy_column_is_read_in_batches(make_classifier, images, lazy):
    X, y = lazy(images[0]), images[1]
    pipe = make_pipeline(FunctionTransformer(), make_classifier(epochs=2))
    proba = cross_val_predict(pipe, X, y, cv=3, method="predict_proba")
    assert proba.shape == (120, 3)
    assert max(map(len, X.reads)) <= 64
    plain = cross_val_predict(pipe, images[0], y, cv=3, method="predict_proba")
    np.testing.assert_array_equal(proba, plain)


def test_held_out_rows_are_predicted_while_training(make_classifier, images):
    X, y = images
    last = make_classifier(average_epochs=0).fit(X[:90], y[:90], evaluate=X[90:])
    np.testing.assert_allclose(
        last.evaluated_proba_, last.predict_proba(X[90:]), atol=1e-6
    )
    every = make_classifier(average_epochs=1).fit(X[:90], y[:90], evaluate=X[90:])
    assert every.evaluated_proba_.shape == (30, 3)
    np.testing.assert_allclose(every.evaluated_proba_.sum(1), 1, atol=1e-6)
    assert not np.allclose(every.evaluated_proba_, last.evaluated_proba_)
    # Predicting the held-out rows changes nothing in the training itself.
    np.testing.assert_array_equal(every.predict_proba(X), last.predict_proba(X))


def test_margins_are_recorded_row_by_row(make_classifier, images):
    X, y = images
    wrong = np.zeros(len(y), dtype=bool)
    wrong[::10] = True
    given = np.where(wrong, (y + 1) % 3, y)
    net = make_classifier(epochs=6, record_margins=True).fit(X, given)
    assert net.margin_history_.shape == (6, 120)
    np.testing.assert_allclose(net.margins_, net.margin_history_.mean(0), rtol=1e-4)
    assert np.median(net.margins_[wrong]) < np.median(net.margins_[~wrong])
    plain = make_classifier(epochs=6).fit(X, given)
    np.testing.assert_array_equal(plain.predict_proba(X), net.predict_proba(X))


def test_epochs_move_the_progress_bar(make_classifier, images):
    from hubclean._progress import progress

    with progress(4) as bar:
        make_classifier(epochs=4).fit(*images)
        assert bar.n == 4


def test_one_class_is_an_error(make_classifier, images):
    with pytest.raises(LabelsError, match="at least 2 classes; got 1 class"):
        make_classifier().fit(images[0], np.zeros(120))


def test_a_label_for_every_row(make_classifier, images):
    with pytest.raises(LabelsError, match="120 rows; got 119 labels"):
        make_classifier().fit(images[0], images[1][1:])


class TiledColumn(CountingColumn):
    """Lazy column of many rows that repeat a few: large only if it is read whole."""

    def read(self, indices=None):
        rows = self.row_ids if indices is None else self.row_ids[indices]
        self.reads.append(rows)
        return self.array[rows % len(self.array)]


def pooling_model(framework):
    """A model small enough that its memory and time do not count."""
    if framework == "keras":
        from keras import Sequential, layers

        return {
            "model": Sequential(
                [
                    layers.Input((96, 96, 3)),
                    layers.AveragePooling2D(32),
                    layers.Flatten(),
                    layers.Dense(3),
                ]
            )
        }
    from torch import nn

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.AvgPool2d(32), nn.Flatten(), nn.Linear(27, 3)
            )

        def forward(self, x):
            return self.layers(x)

    return {"module": Pooled}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_dataset(make_classifier, framework):
    rng = np.random.default_rng(0)
    few = rng.integers(0, 255, (60, 96, 96, 3), dtype=np.uint8)
    y = np.arange(20_000) % 3
    model = make_classifier(epochs=1, batch_size=128, **pooling_model(framework))
    model.fit(few, y[:60]).predict_proba(few)  # what is loaded and traced once
    X = TiledColumn(few, row_ids=np.arange(len(y)))
    whole = few[0].nbytes * len(y)
    assert whole > 500 << 20
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    proba = model.fit(X, y).predict_proba(X)
    assert memory("VmHWM") - before < whole / 2
    assert proba.shape == (20_000, 3)
    assert max(map(len, X.reads)) <= 2048


def memory(kind):
    """Bytes of this process: VmRSS now, VmHWM at the peak."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) << 10
