"""HubLabelCleaner as a transformer and a classifier, in scikit-learn's tools."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from hubclean import HubLabelCleaner, LabelCleaningSampler, find_label_issues
from hubclean._confident_learning import FILTERS
from hubclean._label_quality import SCORES
from hubclean.exceptions import EstimatorError, LabelQualityWarning
from tests.conftest import plant_errors

COLUMNS = ["is_label_issue", "label_quality", "predicted_labels"]


def fitted(X, y, **params):
    params = {"estimator": GaussianNB(), "random_state": 0} | params
    return HubLabelCleaner(**params).fit(X, y)


# ---------------------------------------------------------------- what it finds


@pytest.mark.parametrize("seed", range(5))
def test_finds_planted_errors_in_digits(digits, seed):
    X, _, y, _ = digits
    given, wrong = plant_errors(y, 0.1, seed)
    issues = fitted(
        X, given, estimator=LogisticRegression(max_iter=500), random_state=seed
    ).label_issues_
    assert average_precision_score(wrong, 1 - issues["label_quality"]) >= 0.97


def test_the_final_model_is_trained_without_the_issues(small):
    X, given, _, _ = small
    tree = DecisionTreeClassifier(random_state=0)
    cleaner = fitted(X, given, estimator=tree)
    kept = ~cleaner.label_issues_["is_label_issue"].to_numpy()
    expected = clone(tree).fit(X[kept], given[kept])
    np.testing.assert_array_equal(cleaner.predict(X), expected.predict(X))


def test_cleaning_helps_on_held_out_digits(digits):
    X, given, true, _ = digits
    neighbours = KNeighborsClassifier(3)
    plain = clone(neighbours).fit(X[:1200], given[:1200])
    cleaner = fitted(X[:1200], given[:1200], estimator=neighbours)
    assert cleaner.score(X[1200:], true[1200:]) > plain.score(X[1200:], true[1200:])


def test_prune_fraction_relabels_the_rest(small):
    X, given, _, _ = small
    cleaner = fitted(X, given, prune_fraction=0.0)
    issues = cleaner.label_issues_
    corrected = np.where(issues["is_label_issue"], issues["predicted_labels"], given)
    expected = GaussianNB().fit(X, corrected)
    np.testing.assert_allclose(cleaner.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("score_by", SCORES)
def test_table_is_that_of_find_label_issues(small, filter_by, score_by):
    X, given, _, _ = small
    cleaner = fitted(X, given, filter_by=filter_by, score_by=score_by)
    expected = find_label_issues(
        given, cleaner.pred_probs_, filter_by=filter_by, score_by=score_by
    )
    pd.testing.assert_frame_equal(cleaner.label_issues_, expected)


def test_threshold_replaces_the_rule(small):
    X, given, _, _ = small
    issues = fitted(X, given, threshold=0.3).label_issues_
    np.testing.assert_array_equal(
        issues["is_label_issue"], issues["label_quality"] < 0.3
    )
    assert issues["is_label_issue"].any()


def test_frac_noise_flags_a_share(small):
    X, given, _, _ = small
    rule = {"filter_by": "prune_by_noise_rate"}
    every = fitted(X, given, **rule).label_issues_["is_label_issue"]
    half = fitted(X, given, **rule, frac_noise=0.5).label_issues_["is_label_issue"]
    assert 0.3 < half.sum() / every.sum() < 0.7
    assert (every | ~half).all()
    with pytest.warns(LabelQualityWarning, match="'auto' does not use frac_noise"):
        fitted(X, given, frac_noise=0.5)


def test_learned_attributes(small):
    X, given, _, _ = small
    cleaner = fitted(X, given)
    assert cleaner.pred_probs_.shape == (400, 3)
    np.testing.assert_allclose(cleaner.pred_probs_.sum(axis=1), 1)
    assert cleaner.confident_joint_.shape == cleaner.noise_matrix_.shape == (3, 3)
    assert cleaner.confident_joint_.sum() == 400
    np.testing.assert_allclose(cleaner.noise_matrix_.sum(axis=0), 1)
    assert cleaner.n_features_in_ == 4
    assert is_classifier(cleaner)


def test_no_row_is_judged_by_a_model_that_saw_its_label():
    """A model that memorises its training rows knows nothing of a held-out row."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.integers(0, 2, size=300)
    cleaner = fitted(X, y, estimator=DecisionTreeClassifier(random_state=0))
    agreement = (cleaner.label_issues_["predicted_labels"] == y).mean()
    assert abs(agreement - 0.5) < 0.12


def test_check_labels_judges_a_new_batch(digits):
    X, given, true, wrong = digits
    cleaner = fitted(X[:1200], given[:1200], estimator=LogisticRegression())
    table = cleaner.check_labels(X[1200:], given[1200:])
    assert list(table.columns) == COLUMNS
    flagged = table["is_label_issue"].to_numpy()
    assert wrong[1200:][flagged].mean() > 0.7
    assert flagged[wrong[1200:]].mean() > 0.7
    with_cut = clone(cleaner).set_params(threshold=0.1).fit(X[:1200], given[:1200])
    table = with_cut.check_labels(X[1200:], given[1200:])
    np.testing.assert_array_equal(table["is_label_issue"], table["label_quality"] < 0.1)


# ------------------------------------------------------------- transform's rows


def test_fit_then_transform_equals_fit_transform(small):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(GaussianNB(), random_state=0)
    at_once = cleaner.fit_transform(X, given)
    np.testing.assert_array_equal(cleaner.transform(X), at_once)
    order = np.random.default_rng(0).permutation(400)[:57]
    np.testing.assert_array_equal(cleaner.transform(X[order]), at_once[order])
    assert at_once.dtype == np.float64
    assert at_once.shape == (400, 3)


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_repeated_rows_keep_their_own_answers():
    X = np.repeat(np.arange(20.0)[:, None], 3, axis=0)
    y = np.tile([0, 0, 1], 20)
    cleaner = fitted(X, y, cv=3)
    np.testing.assert_array_equal(
        cleaner.transform(X)[:, 1], cleaner.label_issues_["label_quality"]
    )


def test_one_row_of_a_mixed_frame_is_known_again(small):
    X, given, _, _ = small
    member = np.where(X[:, 0] > 0, True, None)  # no missing one among a few rows
    frame = pd.DataFrame(X, columns=list("abcd")).assign(member=member)
    kept = ColumnTransformer([("numbers", "passthrough", list("abcd"))])
    cleaner = fitted(frame, given, estimator=make_pipeline(kept, GaussianNB()))
    found = cleaner.transform(frame)
    for row in np.flatnonzero(found[:, 0]):
        np.testing.assert_array_equal(
            cleaner.transform(frame[row : row + 1])[0], found[row]
        )


def test_an_unseen_row_gets_its_prediction(small):
    X, given, _, _ = small
    cleaner = fitted(X[:300], given[:300])
    out = cleaner.transform(X[290:310])
    np.testing.assert_array_equal(out[:10], cleaner.transform(X[:300])[290:])
    new = out[10:]
    assert not new[:, 0].any()
    np.testing.assert_allclose(new[:, 1], cleaner.predict_proba(X[300:310]).max(axis=1))
    np.testing.assert_array_equal(new[:, 2], cleaner.predict(X[300:310]))


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["cat", "dog", "owl"], [0, 1, 2]),
        ([-5, 10, 1000], [-5, 10, 1000]),
        ([0.0, 1.0, 7.0], [0, 1, 7]),
        ([2**53, 2**53 + 1, 2**60], [0, 1, 2]),  # float64 has two of them only
    ],
)
def test_plain_output_holds_numbers(small, names, numbers):
    X, given, _, _ = small
    y = np.array(names)[given]
    cleaner = HubLabelCleaner(GaussianNB(), random_state=0)
    out = cleaner.fit_transform(X, y)
    assert set(out[:, 2]) == set(numbers)
    assert set(cleaner.label_issues_["predicted_labels"]) == set(names)
    np.testing.assert_array_equal(cleaner.transform(X), out)


@pytest.mark.parametrize("dtype", [">i4", ">f8", np.float16, np.longdouble])
def test_labels_in_types_that_pandas_has_no_index_of(small, dtype):
    X, given, _, _ = small
    labels = given.astype(dtype)
    cleaner, plain = fitted(X, labels), fitted(X, given)
    np.testing.assert_array_equal(cleaner.transform(X), plain.transform(X))
    checked = cleaner.check_labels(X, labels)
    assert checked.equals(plain.check_labels(X, given).astype(checked.dtypes))
    table = find_label_issues(labels, cleaner.pred_probs_, classes=cleaner.classes_)
    assert table["is_label_issue"].equals(cleaner.label_issues_["is_label_issue"])
    assert cleaner.label_issues_["predicted_labels"].dtype.isnative


def test_booleans_stay_booleans(small):
    X, given, _, _ = small
    cleaner = fitted(X, given == 0)
    assert cleaner.label_issues_["predicted_labels"].dtype == bool
    assert cleaner.predict(X).dtype == bool


def test_set_output(small):
    X, given, _, _ = small
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(400) + 1000)
    labels = pd.Series(np.array(["x", "y", "z"])[given], index=frame.index)
    cleaner = HubLabelCleaner(GaussianNB(), random_state=0)
    cleaner.set_output(transform="pandas")
    out = cleaner.fit_transform(frame, labels)
    pd.testing.assert_frame_equal(out, cleaner.label_issues_)
    pd.testing.assert_frame_equal(cleaner.transform(frame[::-1]), out[::-1])
    assert list(out.columns) == list(cleaner.get_feature_names_out()) == COLUMNS
    assert out["is_label_issue"].dtype == bool
    assert out["predicted_labels"].dtype == labels.dtype
    np.testing.assert_array_equal(out.index, frame.index)
    cleaner.set_output(transform="polars")
    out = cleaner.transform(frame)
    assert isinstance(out, pl.DataFrame)
    assert out.columns == COLUMNS
    assert out["is_label_issue"].dtype == pl.Boolean
    assert cleaner.feature_names_in_.tolist() == list("abcd")


def test_what_is_done_to_the_output_leaves_the_table_alone(small):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(GaussianNB(), cv=3, random_state=0)
    out = cleaner.set_output(transform="pandas").fit_transform(X, given)
    found = out.copy()
    out["label_quality"] = 0.0
    pd.testing.assert_frame_equal(cleaner.label_issues_, found)
    pd.testing.assert_frame_equal(cleaner.transform(X), found)


def test_categorical_labels_stay_categorical(small):
    X, given, _, _ = small
    labels = pd.Series(pd.Categorical.from_codes(given, ["x", "y", "z"]))
    issues = fitted(X, labels).label_issues_
    assert issues["predicted_labels"].dtype == labels.dtype


def test_a_categorical_batch_need_not_hold_every_class(small):
    X, given, _, _ = small
    names = np.array(["x", "y", "z"])[given]
    cleaner = fitted(X, pd.Series(names, dtype="category"))
    rows = np.flatnonzero(given != 0)[:40]
    expected = cleaner.check_labels(X[rows], ["x"] * 40)["predicted_labels"]
    batch = pd.Series(["x"] * 40, dtype="category")
    predicted = cleaner.check_labels(X[rows], batch)["predicted_labels"]
    assert predicted.dtype == "category"
    assert predicted.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", [int, bool])
def test_labels_of_a_mixed_data_frame(small, kind):
    """A column of numbers is one of objects there."""
    X, given, _, _ = small
    labels = (given > 0).astype(kind)
    mixed = pd.DataFrame({"name": "row", "label": labels}).to_numpy()[:, 1]
    assert mixed.dtype == object
    found = fitted(X, mixed).label_issues_
    pd.testing.assert_frame_equal(
        found, fitted(X, labels).label_issues_, check_dtype=False
    )
    assert found["predicted_labels"].dtype.kind == np.dtype(kind).kind


def test_text_of_numpy_and_of_python_may_be_mixed(small):
    X, given, _, _ = small
    names = np.array(["x", "y", "z"])[given]
    mixed = [name if i % 2 else str(name) for i, name in enumerate(names)]
    found = fitted(X, mixed).label_issues_
    pd.testing.assert_frame_equal(found, fitted(X, names).label_issues_)


def test_features_are_forgotten_where_rows_have_none_any_more(small):
    X, given, _, _ = small
    cleaner = fitted(pd.DataFrame(X, columns=list("abcd")), given)
    assert cleaner.n_features_in_ == 4
    words = make_pipeline(TfidfVectorizer(), LogisticRegression())
    texts = np.array(["red", "green", "blue"])[given]
    cleaner.set_params(estimator=words).fit(texts, given)
    assert not hasattr(cleaner, "n_features_in_")
    assert not hasattr(cleaner, "feature_names_in_")


def test_a_model_that_learns_nothing_is_told(small):
    _, given, _, _ = small
    nothing = np.zeros((len(given), 1))
    with pytest.warns(LabelQualityWarning, match="nearly all labels of 3 of 3 classes"):
        HubLabelCleaner(threshold=1.0, random_state=0).fit(nothing, given)
    with pytest.warns(LabelQualityWarning, match="3 of 400 rows are left"):
        LabelCleaningSampler(threshold=1.0, random_state=0).fit(nothing, given)


# --------------------------------------------------------------- kinds of rows


class MeanColour:
    """Looks at images of any shape, as a network would."""

    def __new__(cls):
        from sklearn.preprocessing import FunctionTransformer

        flatten = FunctionTransformer(lambda X: np.asarray(X).reshape(len(X), -1))
        return make_pipeline(flatten, GaussianNB())


@pytest.mark.parametrize("kind", ["dok_array", "dok_matrix", "lil_array", "bsr_array"])
def test_sparse_matrices_of_any_format(small, kind):
    X, given, _, _ = small
    params = {"estimator": LogisticRegression(), "cv": 3}
    rows = getattr(sparse, kind)(X)
    found = fitted(rows, given, **params).transform(rows)
    csr = sparse.csr_array(X)
    np.testing.assert_array_equal(fitted(csr, given, **params).transform(csr), found)


@pytest.mark.parametrize("container", ["images", "list", "sparse", "frame", "text"])
def test_any_rows_pass_through(small, container):
    X, given, _, _ = small
    estimator = GaussianNB()
    if container == "images":
        X, estimator = X.reshape(400, 2, 2, 1), MeanColour()
    elif container == "list":
        X = X.tolist()
    elif container == "sparse":
        X, estimator = sparse.coo_array(X), LogisticRegression()
    elif container == "frame":
        X = pd.DataFrame(X, columns=list("abcd"))
    else:
        words = np.array(["red rose", "green grass", "blue sea"], dtype=object)
        X = [f"{words[k]} {i % 7}" for i, k in enumerate(given)]
        estimator = make_pipeline(TfidfVectorizer(), LogisticRegression())
    cleaner = HubLabelCleaner(estimator, random_state=0)
    out = cleaner.fit_transform(X, given)
    np.testing.assert_array_equal(cleaner.transform(X), out)
    assert cleaner.predict(X).shape == (400,)


# ------------------------------------------------------------ scikit-learn tools


def test_grid_search_in_a_pipeline(small):
    X, given, true, _ = small
    pipe = Pipeline(
        [("scale", StandardScaler()), ("clean", HubLabelCleaner(LogisticRegression()))]
    )
    grid = {
        "clean__cv": [2, 3],
        "clean__threshold": [None, 0.2],
        "clean__prune_fraction": [0.5, 1.0],
        "clean__estimator__C": [0.1, 1.0],
    }
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, given)
    assert len(search.cv_results_["params"]) == 16
    assert search.best_estimator_.score(X, true) > 0.9
    assert search.best_estimator_.transform(X).shape == (400, 3)
    assert cross_val_score(pipe, X, given, cv=3).mean() > 0.7


def test_text_in_a_pipeline():
    texts = [f"{word} number {i}" for i in range(60) for word in ("cat", "dog")]
    labels = np.tile(["feline", "canine"], 60)
    labels[:6] = labels[:6][::-1]  # six wrong ones
    pipe = make_pipeline(
        TfidfVectorizer(), HubLabelCleaner(LogisticRegression(), random_state=0)
    )
    issues = pipe.fit(texts, labels)[-1].label_issues_
    assert issues["is_label_issue"].to_numpy().nonzero()[0].tolist() == [*range(6)]


def test_clone_pickle_and_joblib(small):
    X, given, _, _ = small
    cleaner = fitted(X, given)
    assert clone(cleaner).get_params().keys() == cleaner.get_params().keys()
    dumped = io.BytesIO()
    joblib.dump(cleaner, dumped)
    dumped.seek(0)
    for copy in (pickle.loads(pickle.dumps(cleaner)), joblib.load(dumped)):
        np.testing.assert_array_equal(copy.transform(X), cleaner.transform(X))
        np.testing.assert_array_equal(copy.predict(X), cleaner.predict(X))


def test_html_representation_shows_the_estimator_inside():
    html = HubLabelCleaner(LogisticRegression(C=3))._repr_html_()
    assert "HubLabelCleaner" in html
    assert "LogisticRegression" in html


def test_decision_function_only_where_the_estimator_has_one(small):
    X, given, _, _ = small
    assert not hasattr(HubLabelCleaner(GaussianNB()), "decision_function")
    cleaner = fitted(X, given, estimator=LogisticRegression())
    assert cleaner.decision_function(X).shape == (400, 3)


# ----------------------------------------------------------------- folds, seeds


@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5)])
def test_same_seed_same_answer_whatever_n_jobs(small, estimator):
    X, given, _, _ = small
    before = np.random.get_state()[1].copy()
    one, again, two = (
        fitted(X, given, estimator=estimator, random_state=3, n_jobs=n_jobs)
        for n_jobs in (None, None, 2)
    )
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    for other in (again, two):
        np.testing.assert_array_equal(one.pred_probs_, other.pred_probs_)
        pd.testing.assert_frame_equal(one.label_issues_, other.label_issues_)
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_without_a_seed_the_global_generator_is_untouched(small):
    X, given, _, _ = small
    before = np.random.get_state()[1].copy()
    forest = RandomForestClassifier(5)
    first = fitted(X, given, estimator=forest, random_state=None)
    fitted(X, given, cv=KFold(3, shuffle=True), random_state=None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    second = fitted(X, given, estimator=forest, random_state=None)
    assert (first.pred_probs_ != second.pred_probs_).any()
    assert forest.random_state is None


def test_permuting_rows_permutes_the_answers(small):
    X, given, _, _ = small
    folds = np.arange(400) % 5
    splits = [
        (np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)
    ]
    order = np.random.default_rng(0).permutation(400)
    back = np.argsort(order)
    moved = [(back[train], back[test]) for train, test in splits]
    one = fitted(X, given, cv=splits).label_issues_
    other = fitted(X[order], given[order], cv=moved).label_issues_
    np.testing.assert_array_equal(
        other["is_label_issue"], one["is_label_issue"].to_numpy()[order]
    )
    np.testing.assert_allclose(
        other["label_quality"], one["label_quality"].to_numpy()[order]
    )


def test_renaming_classes_changes_nothing_else(small):
    X, given, _, _ = small
    names = np.array(["Aachen", "Köln", "東京"])  # sorted like 0, 1, 2
    one, other = fitted(X, given), fitted(X, names[given])
    for column in ("is_label_issue", "label_quality"):
        np.testing.assert_array_equal(
            one.label_issues_[column], other.label_issues_[column]
        )
    renamed = names[one.label_issues_["predicted_labels"]]
    assert renamed.tolist() == other.label_issues_["predicted_labels"].tolist()


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("seed", range(3))
def test_permuting_classes_changes_nothing_else(small, seed, filter_by):
    """cleanlab rounds the joint to whole rows, ties in the order of the classes.

    So the pruning rules, whose masks equal cleanlab's, may differ by the row that a
    tie gave to one class or another; nothing else may.
    """
    X, given, _, _ = small
    names = np.random.default_rng(seed).permutation(["b", "zz", "a"]).astype(object)
    one = fitted(X, given, filter_by=filter_by)
    other = fitted(X, names[given], filter_by=filter_by)
    np.testing.assert_allclose(
        one.pred_probs_[:, np.argsort(names)], other.pred_probs_, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        one.label_issues_["label_quality"], other.label_issues_["label_quality"]
    )
    renamed = names[one.label_issues_["predicted_labels"]]
    assert renamed.tolist() == other.label_issues_["predicted_labels"].tolist()
    differing = (
        one.label_issues_["is_label_issue"] != (other.label_issues_["is_label_issue"])
    )
    rounds = filter_by in ("prune_by_noise_rate", "prune_by_class", "both")
    assert differing.sum() <= (len(names) if rounds else 0)


@pytest.mark.parametrize(
    "cv", [3, KFold(4), RepeatedStratifiedKFold(n_splits=3, n_repeats=2), "iterable"]
)
def test_every_kind_of_cv(small, cv):
    X, given, _, _ = small
    if cv == "iterable":
        cv = list(KFold(4).split(X))
    cleaner = fitted(X, given, cv=cv)
    np.testing.assert_allclose(cleaner.pred_probs_.sum(axis=1), 1)
    assert cleaner.label_issues_["label_quality"].notna().all()


class Recorder(GaussianNB):
    """Remembers what each fold was trained on."""

    seen = []

    def fit(self, X, y, sample_weight=None):
        weights = None if sample_weight is None else np.array(sample_weight)
        Recorder.seen.append((np.array(X), np.array(y), weights))
        return super().fit(X, y, sample_weight)


def test_groups_stay_together_and_weights_are_cut(small):
    X, given, _, _ = small
    Recorder.seen = []
    X = np.column_stack([X, np.arange(400)])
    groups = np.arange(400) // 4
    weights = 1.0 + np.arange(400)
    cleaner = HubLabelCleaner(Recorder(), random_state=0)
    cleaner.fit(X, given, groups=groups, sample_weight=weights)
    assert len(Recorder.seen) == 6  # five folds and the final one
    for rows, _, given_weights in Recorder.seen:
        np.testing.assert_array_equal(given_weights, rows[:, -1] + 1)
    for rows, _, _ in Recorder.seen[:5]:
        counts = np.bincount(rows[:, -1].astype(int) // 4, minlength=100)
        assert set(counts) == {0, 4}


def test_groups_may_have_names_of_several_types(small):
    X, given, _, _ = small
    numbers = np.arange(400) // 4
    names = [f"g{group}" if group % 2 else int(group) for group in numbers]
    cleaner = HubLabelCleaner(GaussianNB(), random_state=0)
    found = cleaner.fit(X, given, groups=numbers).pred_probs_
    again = cleaner.fit(X, given, groups=names).pred_probs_
    np.testing.assert_array_equal(again, found)


def test_metadata_routing(small):
    X, given, _, _ = small
    weights, groups = np.ones(400), np.arange(400) // 4
    with sklearn.config_context(enable_metadata_routing=True):
        inside = Recorder().set_fit_request(sample_weight=True)
        for cv in (5, GroupKFold(4)):
            Recorder.seen = []
            cleaner = HubLabelCleaner(inside, cv=cv, random_state=0)
            cleaner.fit(X, given, sample_weight=weights, groups=groups)
            assert all(given is not None for _, _, given in Recorder.seen)
        scale = StandardScaler().set_fit_request(sample_weight=False)
        pipe = Pipeline([("scale", scale), ("clean", cleaner)])
        pipe.fit(X, given, sample_weight=weights, groups=groups)


@pytest.mark.parametrize("wrap", [lambda cleaner: cleaner, make_pipeline])
def test_metadata_routing_reaches_the_score(small, wrap):
    version = tuple(map(int, sklearn.__version__.split(".")[:2]))
    if wrap is make_pipeline and version < (1, 8):
        pytest.skip("scikit-learn's own pipelines did not hand it on")
    X, given, _, _ = small
    weights = np.where(given == 0, 5.0, 1.0)
    params = {"sample_weight": weights, "groups": np.arange(400) // 4}
    with sklearn.config_context(enable_metadata_routing=True):
        inside = GaussianNB().set_fit_request(sample_weight=False)
        plain = wrap(HubLabelCleaner(inside, cv=3, random_state=0))
        scores = cross_val_score(plain, X, given, cv=3)
        weighted = clone(plain)
        cleaner = weighted if wrap is not make_pipeline else weighted[-1]
        cleaner.set_score_request(sample_weight=True)
        unlike = cross_val_score(weighted, X, given, params=params, cv=3)
        if wrap is make_pipeline:  # itself it needs no request
            with pytest.raises(UnsetMetadataPassedError, match="HubLabelCleaner.score"):
                plain.fit(X, given).score(X, given, sample_weight=weights)
    np.testing.assert_array_equal(scores, cross_val_score(plain, X, given, cv=3))
    assert np.isfinite(unlike).all() and (scores != unlike).any()


class Column(GaussianNB):
    """Predicts a column, as CatBoost does for three classes and more."""

    def predict(self, X):
        return super().predict(X)[:, None]


def test_labels_are_no_column(small):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(Column(), random_state=0).fit(X, given)
    plain = HubLabelCleaner(GaussianNB(), random_state=0).fit(X, given)
    np.testing.assert_array_equal(cleaner.predict(X), plain.predict(X), strict=True)


# ------------------------------------------------------ rare classes, odd folds


class Counting(GaussianNB):
    """Refuses what XGBoost refuses."""

    __module__ = "xgboost.sklearn"

    def fit(self, X, y):
        expected = np.arange(len(np.unique(y)))
        if not np.array_equal(np.unique(y), expected):
            raise ValueError(f"Invalid classes inferred. Expected: {expected}")
        return super().fit(X, y)


@pytest.mark.parametrize("wrap", [lambda inside: inside, make_pipeline])
@pytest.mark.filterwarnings("ignore::hubclean.exceptions.LabelQualityWarning")
def test_folds_lack_a_class_of_a_classifier_that_counts_them(small, wrap):
    X, given, _, _ = small
    y = np.where(given == 1, 3, given)
    y[7] = 1  # the only one: the fold that tests it trains without it
    counted = HubLabelCleaner(wrap(Counting()), cv=3, random_state=0).fit(X, y)
    plain = HubLabelCleaner(wrap(GaussianNB()), cv=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(counted.pred_probs_, plain.pred_probs_)
    np.testing.assert_array_equal(counted.classes_, np.arange(4))


def test_a_class_smaller_than_cv_shrinks_the_folds(small):
    X, given, _, _ = small
    y = given.astype(object)
    y[:] = [str(label) for label in given]
    y[[5, 50, 150]] = "rare"
    message = r"class 'rare' has 3 members, fewer than cv=5 folds; 3 folds are used"
    with pytest.warns(LabelQualityWarning, match=message):
        cleaner = fitted(X, y)
    assert cleaner.label_issues_["label_quality"].notna().all()


def test_a_class_of_one_is_reported_unjudged_and_never_leaks(small):
    X, given, _, _ = small
    Recorder.seen = []
    X = np.column_stack([X, np.arange(400)])
    y = given.copy()
    y[17] = 9
    with pytest.warns(LabelQualityWarning, match=r"1 of 400 rows cannot .* row 17"):
        cleaner = fitted(X, y, estimator=Recorder())
    row = cleaner.label_issues_.loc[17]
    assert np.isnan(row["label_quality"])
    assert not row["is_label_issue"]
    assert row["predicted_labels"] == 9
    assert cleaner.label_issues_["label_quality"].notna().sum() == 399
    tested = [
        set(range(400)) - set(rows[:, -1].astype(int))
        for rows, _, _ in Recorder.seen[:5]
    ]
    assert sum(17 in rows for rows in tested) == 1
    assert cleaner.classes_.tolist() == [0, 1, 2, 9]
    assert cleaner.predict_proba(X).shape == (400, 4)
    np.testing.assert_array_equal(np.isnan(cleaner.transform(X)[:, 1]), y == 9)


def test_only_one_class_with_two_members_does_not_crash():
    X = np.arange(12.0)[:, None]
    with pytest.warns(LabelQualityWarning, match="1 of 12 rows cannot be judged"):
        cleaner = fitted(X, [0] * 11 + [1], estimator=LogisticRegression())
    assert cleaner.label_issues_["label_quality"].notna().sum() == 11


def test_rows_that_no_fold_tests_are_unjudged(small):
    X, given, _, _ = small
    split = ShuffleSplit(1, test_size=100, random_state=0)
    with pytest.warns(LabelQualityWarning, match="300 of 400 rows cannot be judged"):
        cleaner = fitted(X, given, cv=split)
    assert cleaner.label_issues_["label_quality"].notna().sum() == 100
    assert not cleaner.label_issues_["is_label_issue"][
        cleaner.label_issues_["label_quality"].isna()
    ].any()


def test_no_class_ever_vanishes_from_the_final_model():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = np.r_[np.zeros(55, int), np.ones(5, int)]  # class 1 looks like class 0
    cleaner = fitted(X, y, filter_by="predicted_neq_given")
    assert cleaner.estimator_.classes_.tolist() == [0, 1]


# --------------------------------------------------------------------- progress


def test_silent_by_default_and_a_bar_when_asked(small, capfd):
    X, given, _, _ = small
    fitted(X, given)
    assert capfd.readouterr() == ("", "")
    fitted(X, given, verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "HubLabelCleaner" in err
    assert "5/5" in err


def test_estimators_without_probabilities_are_refused_before_training(small):
    X, given, _, _ = small
    with pytest.raises(ValueError, match=r"no `predict_proba`. Use a classifier that"):
        HubLabelCleaner(SVC()).fit(X, given)


@pytest.mark.parametrize("wrap", [clone, make_pipeline])
def test_a_default_estimator_that_fit_makes_gives_the_probabilities(small, wrap):
    """Stacking whose last estimator is left at None has no `predict_proba` before."""
    X, given, _, _ = small
    stacking = StackingClassifier([("bayes", GaussianNB())])
    assert not hasattr(stacking, "predict_proba")
    cleaner = HubLabelCleaner(wrap(stacking), random_state=0).fit(X, given)
    assert cleaner.predict_proba(X).shape == (400, 3)
    other = stacking.set_params(final_estimator=SVC())
    with pytest.raises(EstimatorError, match="no `predict_proba`"):
        HubLabelCleaner(wrap(other)).fit(X, given)
