import pickle

import numpy as np
import pytest
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hubclean import HubLabelCleaner, hub
from hubclean.exceptions import EstimatorError, ParameterError
from tests.hub.conftest import CLASS_NAMES, encode

WRONG = [3, 50, 77]


def flatten(X):
    return np.asarray(X).reshape(len(X), -1) / 255.0


def model():
    return make_pipeline(
        FunctionTransformer(flatten), LogisticRegression(max_iter=500, C=0.1)
    )


def coloured_images(n=96, seed=0):
    """Four classes of noisy grey levels, and three wrong labels."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % 4
    levels = 30 + 60 * true[:, np.newaxis, np.newaxis, np.newaxis]
    pixels = levels + rng.integers(-25, 26, (n, 4, 4, 3))
    labels = true.copy()
    labels[WRONG] = (labels[WRONG] + 2) % 4
    return pixels.clip(0, 255).astype(np.uint8), true, labels


@pytest.fixture
def columns():
    pixels, _, labels = coloured_images()
    return {"images": [encode(image) for image in pixels], "labels": labels}


@pytest.fixture
def noisy(make, columns):
    return make(columns, class_names={"labels": CLASS_NAMES})


def test_wrong_labels_are_found_written_viewed_and_corrected(noisy):
    pixels, true, labels = coloured_images()
    table = hub.clean_labels(noisy, model(), folds=3, verbose=False)
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG
    assert table["predicted_labels"].tolist() == true.tolist()
    assert table["label_quality"].nsmallest(3).index.sort_values().tolist() == WRONG
    hub.create_tensors(noisy, table)
    provenance = hub.read_label_issues(noisy)[1]
    assert provenance["parameters"]["folds"] == 3
    assert provenance["parameters"]["pretrained"] is False
    assert "LogisticRegression" in provenance["parameters"]["model"]
    assert len(hub.clean_view(noisy)) == 93
    decisions = table[table["is_label_issue"]].reset_index(names="row")
    decisions = decisions.assign(decision="relabel")[
        ["row", "decision", "predicted_labels"]
    ].rename(columns={"predicted_labels": "new_label"})
    hub.apply_decisions(noisy, decisions, "clean")
    assert np.asarray(hub.open(noisy, branch="clean").y).tolist() == true.tolist()


def test_it_is_reproducible_and_changes_nothing(noisy):
    given = model()
    before = pickle.dumps(given)
    state = np.random.get_state()[1].copy()
    tables = [hub.clean_labels(noisy, given, verbose=False) for _ in range(2)]
    assert tables[0].equals(tables[1])
    assert pickle.dumps(given) == before
    assert (np.random.get_state()[1] == state).all()


def test_soft_labels_read_a_row_once_for_each_label(make):
    pixels, labels, _ = coloured_images()
    brighter = np.random.default_rng(1).integers(-50, 51, (96, 1, 1, 1))
    pixels = (pixels + brighter).clip(0, 255).astype(np.uint8)
    path = make({"images": [encode(image) for image in pixels], "labels": labels})
    source, rows = hub.open(path), []
    settings = {"correction": "auto", "random_state": 0}

    class Counting(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            rows.append(len(X))
            return super().fit(X, y, sample_weight)

    counting = make_pipeline(FunctionTransformer(flatten), Counting(C=0.1))
    lazy = HubLabelCleaner(counting, **settings).fit(source.X, source.y)
    arrays = HubLabelCleaner(counting, **settings).fit(pixels, labels)
    assert rows[5] == rows[11] > 96
    probs = arrays.predict_proba(pixels)
    np.testing.assert_allclose(lazy.predict_proba(source.X), probs, rtol=1e-6)


def test_it_equals_the_cleaner_on_arrays(noisy):
    pixels, _, labels = coloured_images()
    table = hub.clean_labels(noisy, model(), verbose=False)
    cleaner = HubLabelCleaner(model(), random_state=0).fit(pixels, labels)
    assert table.equals(cleaner.label_issues_)


def test_a_pretrained_model_is_used_as_it_is(noisy):
    pixels, true, _ = coloured_images(seed=1)
    fitted = model().fit(pixels, true)
    before = pickle.dumps(fitted)
    rule = {"filter_by": "predicted_neq_given"}
    table = hub.clean_labels(
        noisy, fitted, pretrained=True, verbose=False, label_issues_kwargs=rule
    )
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG
    assert table.attrs["hubclean"]["parameters"]["folds"] is None
    assert pickle.dumps(fitted) == before


def level_weights():
    """Weights of a linear model on the mean grey level: the class nearest to it."""
    levels = 30 + 60 * np.arange(4)
    return np.tile(levels / 48, (48, 1)), -0.5 * levels**2


RULE = {"filter_by": "predicted_neq_given"}


def test_a_torch_module_keeps_its_weights(make, columns):
    torch = pytest.importorskip("torch")
    pixels, _, labels = coloured_images()
    source = hub.open(make({"images": pixels.astype(np.float32), "labels": labels}))
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))
    weights, bias = level_weights()
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor(weights.T))
        module[1].bias.copy_(torch.tensor(bias))
    table = hub.clean_labels(
        source, module, pretrained=True, verbose=False, label_issues_kwargs=RULE
    )
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG


def test_a_keras_model_keeps_its_weights(make, columns):
    keras = pytest.importorskip("keras")
    pixels, _, labels = coloured_images()
    source = hub.open(make({"images": pixels.astype(np.float32), "labels": labels}))
    layers = [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]
    given = keras.Sequential(layers)
    given.layers[-1].set_weights(list(level_weights()))
    table = hub.clean_labels(
        source, given, pretrained=True, verbose=False, label_issues_kwargs=RULE
    )
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG


def test_a_pretrained_model_needs_probabilities(noisy):
    with pytest.raises(EstimatorError, match="must have predict_proba; got FunctionTr"):
        transformer = FunctionTransformer(flatten)
        hub.clean_labels(noisy, transformer, pretrained=True, verbose=False)


def test_parameters_reach_the_rule_and_the_score(noisy):
    table = hub.clean_labels(
        noisy,
        model(),
        verbose=False,
        label_issues_kwargs={"filter_by": "predicted_neq_given", "n_jobs": 1},
        label_quality_kwargs={"method": "normalized_margin"},
    )
    cleaner = HubLabelCleaner(
        model(),
        random_state=0,
        filter_by="predicted_neq_given",
        score_by="normalized_margin",
    ).fit(hub.open(noisy).X, hub.open(noisy).y)
    assert table.equals(cleaner.label_issues_)
    again = hub.clean_labels(
        noisy,
        model(),
        verbose=False,
        label_issues_kwargs={"filter_by": "both", "min_examples_per_class": 2},
        label_quality_kwargs={"adjust_pred_probs": True, "method": "self_confidence"},
    )
    assert not again["label_quality"].equals(table["label_quality"])


@pytest.mark.parametrize("where", ["label_issues_kwargs", "label_quality_kwargs"])
def test_unknown_parameters_are_named(noisy, where):
    with pytest.raises(ParameterError, match=f"`{where}` may have .*got 'nonsense'"):
        hub.clean_labels(noisy, model(), **{where: {"nonsense": 1}})


def test_rows_left_out_are_named_in_the_result(make, columns):
    columns["images"][10] = b"no image"
    dataset = make(columns, class_names={"labels": CLASS_NAMES})
    source = hub.open(dataset, on_bad_rows="skip")
    table = hub.clean_labels(source, model(), verbose=False)
    assert len(table) == 96
    assert table.attrs["hubclean"]["bad_rows"] == [10]
    assert np.flatnonzero(table["label_quality"].isna()).tolist() == [10]
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG
    assert table["predicted_labels"].dtype == np.int64
    hub.create_tensors(source, table)
    assert hub.read_label_issues(dataset)[1]["bad_rows"] == [10]


def test_other_tensors_go_through_a_source(make):
    pixels, _, labels = coloured_images()
    dataset = make({"pictures": pixels, "classes": labels})
    source = hub.open(dataset, images="pictures", labels="classes")
    table = hub.clean_labels(source, model(), verbose=False)
    assert np.flatnonzero(table["is_label_issue"]).tolist() == WRONG
    hub.create_tensors(source, table)
    assert hub.read_label_issues(source)[1]["labels"] == "classes"


def test_text_is_judged_too(make):
    from sklearn.feature_extraction.text import CountVectorizer

    words = ["good fine nice", "bad awful poor"]
    labels = np.arange(40) % 2
    texts = [f"{words[label]} {row}" for row, label in enumerate(labels)]
    labels[7] = 0
    source = hub.open(make({"texts": texts, "labels": labels}), images="texts")
    classifier = make_pipeline(CountVectorizer(), LogisticRegression())
    table = hub.clean_labels(source, classifier, verbose=False)
    assert np.flatnonzero(table["is_label_issue"]).tolist() == [7]


def test_grid_search_and_cross_validation_take_the_columns(noisy):
    source = hub.open(noisy, cache=1 << 20)
    pipe = make_pipeline(
        FunctionTransformer(flatten), PCA(2), HubLabelCleaner(LogisticRegression())
    )
    search = GridSearchCV(pipe, {"hublabelcleaner__cv": [2, 3]}, cv=2)
    search.fit(source.X, source.y)
    assert search.best_score_ > 0.9
    probs = cross_val_predict(model(), source.X, source.y, cv=3, method="predict_proba")
    assert probs.shape == (96, 4)
    assert source._images_reader.decoded_rows == 96  # once, over all folds


def test_the_cleaner_answers_subsets_in_any_order(noisy):
    source = hub.open(noisy)
    cleaner = HubLabelCleaner(model(), random_state=0).fit(source.X, source.y)
    order = np.random.default_rng(0).permutation(96)[:20]
    whole = cleaner.transform(source.X)
    np.testing.assert_array_equal(
        cleaner.transform(source.X[order]), np.asarray(whole)[order]
    )


def total(column):
    return int(column.read().sum())


def test_joblib_workers_open_it_by_themselves(noisy):
    # Workers of other tests, some of which were killed, are not to be met here.
    get_reusable_executor().shutdown(wait=True, kill_workers=True)
    X = hub.open(noisy).X
    pixels = coloured_images()[0]
    parts = np.array_split(np.arange(96), 3)
    sums = Parallel(n_jobs=2)(delayed(total)(X[part]) for part in parts)
    assert sums == [int(pixels[part].sum()) for part in parts]


def test_clones_and_pickles_of_a_fitted_cleaner(noisy):
    source = hub.open(noisy)
    cleaner = clone(HubLabelCleaner(model(), random_state=0)).fit(source.X, source.y)
    again = pickle.loads(pickle.dumps(cleaner))
    np.testing.assert_array_equal(again.predict(source.X), cleaner.predict(source.X))
