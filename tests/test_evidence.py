"""Kinds of evidence: each is out of sample, each fits in scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from hubclean import HubLabelCleaner, LabelCleaningSampler
from hubclean._leave_one_out import neighbour_pred_probs, ridge_pred_probs
from hubclean._score_link import score_pred_probs
from hubclean.evidence import CrossValidation, LeaveOneOut
from hubclean.exceptions import (
    EstimatorError,
    LabelQualityWarning,
    ParameterError,
    RowsError,
)
from tests.conftest import plant_errors

KINDS = [
    "auto",
    "cv",
    "leave_one_out",
    LeaveOneOut("neighbors"),
    CrossValidation(n_repeats=2),
    ["leave_one_out", GaussianNB()],
]


def precision(issues, wrong):
    return average_precision_score(wrong, 1 - issues["label_quality"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("evidence", "least"),
    [("leave_one_out", 0.986), (LeaveOneOut("neighbors"), 0.97)],
    ids=["ridge", "neighbors"],
)
def test_leave_one_out_finds_errors_in_digits(digits, evidence, least, seed):
    X, _, y, _ = digits
    given, wrong = plant_errors(y, 0.1, seed)
    cleaner = HubLabelCleaner(GaussianNB(), evidence=evidence, random_state=seed)
    assert precision(cleaner.fit(X, given).label_issues_, wrong) >= least


def test_ridge_equals_leaving_each_row_out():
    """Against a ridge regression really fitted without the row."""
    rng = np.random.default_rng(0)
    features, codes = rng.normal(size=(30, 3)), rng.integers(0, 3, 30)
    probs = ridge_pred_probs(codes, features, 3, n_components=0, n_refinements=0)
    design = np.column_stack([features, np.ones(30)])
    onehot = np.eye(3)[codes]
    for alpha in np.logspace(-6, 0, 13) * 30:
        ridge = Ridge(alpha=alpha, fit_intercept=False)
        left_out = np.array(
            [
                ridge.fit(np.delete(design, i, 0), np.delete(onehot, i, 0)).predict(
                    design[[i]]
                )[0]
                for i in range(30)
            ]
        )
        if np.allclose(probs, score_pred_probs(left_out, codes), atol=1e-6):
            return
    raise AssertionError("no penalty gives these probabilities")


@pytest.mark.parametrize("predict", [ridge_pred_probs, neighbour_pred_probs])
def test_a_row_does_not_know_its_own_label(predict):
    """Changing one label changes the others' probabilities, not the row's own votes."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4))
    codes = rng.integers(0, 2, 200)
    probs = predict(codes, features, 2)
    agreement = (probs.argmax(axis=1) == codes).mean()
    assert abs(agreement - 0.5) < 0.15
    np.testing.assert_allclose(probs.sum(axis=1), 1)


@pytest.mark.parametrize("evidence", KINDS, ids=str)
def test_every_kind_is_seeded_cloned_and_tuned(small, evidence):
    X, given, _, wrong = small
    before = np.random.get_state()[1].copy()
    cleaner = HubLabelCleaner(GaussianNB(), evidence=evidence, cv=3, random_state=0)
    one = cleaner.fit(X, given).label_issues_
    other = clone(cleaner).set_params(n_jobs=2).fit(X, given).label_issues_
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(one["label_quality"], other["label_quality"])
    assert precision(one, wrong) > 0.6
    search = GridSearchCV(cleaner, {"threshold": [None, 0.2]}, cv=2).fit(X, given)
    assert search.best_estimator_.transform(X).shape == (400, 3)


def test_a_list_is_the_mean(small):
    X, given, _, _ = small
    folds = list(KFold(4).split(X))

    def probs(evidence):
        cleaner = HubLabelCleaner(GaussianNB(), evidence=evidence, cv=folds)
        return cleaner.set_params(random_state=0).fit(X, given).pred_probs_

    neighbours = KNeighborsClassifier(5)
    mean = (probs(GaussianNB()) + probs(neighbours)) / 2
    np.testing.assert_allclose(probs([GaussianNB(), neighbours]), mean)


def test_repeats_average_over_other_folds(digits):
    X, given, _, wrong = digits
    once = HubLabelCleaner(GaussianNB(), cv=3, random_state=0).fit(X, given)
    repeated = HubLabelCleaner(
        GaussianNB(), cv=3, evidence=CrossValidation(n_repeats=4), random_state=0
    ).fit(X, given)
    assert (once.pred_probs_ != repeated.pred_probs_).any()
    assert precision(repeated.label_issues_, wrong) > precision(
        once.label_issues_, wrong
    )


def test_staged_predictions_are_averaged_when_asked(small):
    X, given, _, _ = small
    boosting = GradientBoostingClassifier(n_estimators=8, random_state=0)
    folds = list(KFold(2).split(X))

    def probs(share):
        evidence = CrossValidation(average_epochs=share)
        cleaner = HubLabelCleaner(boosting, cv=folds, evidence=evidence)
        return cleaner.set_params(random_state=0).fit(X, given).pred_probs_

    expected = np.zeros((400, 3))
    for train, test in folds:
        model = clone(boosting).fit(X[train], given[train])
        expected[test] = np.mean(list(model.staged_predict_proba(X[test]))[4:], axis=0)
    np.testing.assert_allclose(probs(0.5), expected)
    plain = HubLabelCleaner(boosting, cv=folds, random_state=0).fit(X, given)
    np.testing.assert_array_equal(probs("auto"), plain.pred_probs_)
    np.testing.assert_array_equal(probs(0), plain.pred_probs_)


class Epochs(ClassifierMixin, BaseEstimator):
    """Has the hooks of the framework adapters."""

    def __init__(self, average_epochs=0.5):
        self.average_epochs = average_epochs

    def fit(self, X, y, evaluate=None):
        self.classes_ = np.unique(y)
        if evaluate is not None:
            self.evaluated_proba_ = np.full((len(evaluate), 3), [0.2, 0.3, 0.5])
        return self

    def predict_proba(self, X):
        return np.full((len(X), 3), [0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("inside", "evidence", "first"),
    [(0.5, "auto", 0.2), (0, "auto", 0.5), (0.5, 0, 0.5), (0, 0.25, 0.2)],
)
@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_adapters_average_their_epochs(small, inside, evidence, first):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(
        Epochs(inside), evidence=CrossValidation(average_epochs=evidence)
    ).fit(X, given)
    assert set(cleaner.pred_probs_[:, 0]) == {first}


def test_epochs_and_stages_of_the_last_step_of_a_pipeline_are_averaged(small):
    X, given, _, _ = small
    evidence = CrossValidation(average_epochs=0.5)

    def probs(estimator, **fit_params):
        cleaner = HubLabelCleaner(estimator, evidence=evidence, random_state=0)
        return cleaner.fit(X, given, **fit_params).pred_probs_

    boosting = GradientBoostingClassifier(n_estimators=8, random_state=0)
    inside = make_pipeline(make_pipeline(boosting))
    np.testing.assert_array_equal(probs(inside), probs(boosting))
    weights = {"sample_weight": np.linspace(0, 2, 400)}
    scaled = make_pipeline(StandardScaler(), boosting)
    to_both = {
        "gradientboostingclassifier__sample_weight": weights["sample_weight"],
        "standardscaler__sample_weight": np.ones(400),
    }
    found, expected = probs(scaled, **to_both), probs(boosting, **weights)
    assert np.mean(np.abs(found - expected)) < 0.01  # thresholds are cut elsewhere


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_adapters_in_a_pipeline_average_their_epochs(small):
    X, given, _, _ = small
    estimator = make_pipeline(StandardScaler(), Epochs(0.5))
    assert set(HubLabelCleaner(estimator).fit(X, given).pred_probs_[:, 0]) == {0.2}


def test_a_share_of_epochs_needs_epochs(small):
    X, given, _, _ = small
    evidence = CrossValidation(make_pipeline(GaussianNB()), average_epochs=0.5)
    with pytest.raises(
        ParameterError, match=r"must be 'auto' or 0 for a model without"
    ):
        HubLabelCleaner(evidence=evidence).fit(X, given)


@pytest.mark.parametrize("method", ["ridge", "neighbors"])
def test_leave_one_out_on_features_of_other_units(digits, method):
    X, given, _, wrong = digits
    X = np.random.default_rng(0).permutation(np.logspace(-6, 6, 64)) * (X + 5)
    found = {}
    for standardize in (None, False, True):
        evidence = LeaveOneOut(method, standardize=standardize)
        cleaner = HubLabelCleaner(GaussianNB(), evidence=evidence, random_state=0)
        found[standardize] = precision(cleaner.fit(X, given).label_issues_, wrong)
    assert found[False] < 0.9
    assert found[True] > 0.95
    assert found[None] == found[method == "ridge"]


def test_the_kernel_is_chosen_by_what_it_explains():
    """Few rows, one class on either side of a line: smooth is better."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 30))
    codes = (features[:, 0] > 0).astype(int)
    chosen = ridge_pred_probs(codes, features, 2, standardize=False)
    usual = 1 / (30 * features.var())
    smooth, narrow = (
        ridge_pred_probs(codes, features, 2, standardize=False, gamma=width * usual)
        for width in (0.3, 1.0)
    )
    np.testing.assert_array_equal(chosen, smooth)
    assert (chosen != narrow).any()


def test_features_of_one_value_are_no_harm():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 100)
    features = np.column_stack([codes + rng.normal(size=200), np.full(200, 7.0)])
    for constant in (features, np.full((200, 2), 7.0)):
        for n_components in (0, 1000):
            probs = ridge_pred_probs(codes, constant, 2, n_components=n_components)
            np.testing.assert_allclose(probs.sum(axis=1), 1)


def test_auto_adds_leave_one_out_for_tables_of_numbers(small):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(GaussianNB(), evidence="auto", random_state=0)
    both = clone(cleaner).set_params(evidence=["cv", "leave_one_out"]).fit(X, given)
    frame = pd.DataFrame(X)
    containers = X, X.tolist(), frame, frame.astype(np.float32), frame.convert_dtypes()
    for rows in containers:
        found = clone(cleaner).fit(rows, given)
        assert [type(kind) for kind in found.evidence_.kinds] == [
            CrossValidation,
            LeaveOneOut,
        ]
        np.testing.assert_allclose(found.pred_probs_, both.pred_probs_, atol=1e-4)


class AnyRows(ClassifierMixin, BaseEstimator):
    """Does not look at its rows."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        return np.full((n_rows, len(self.classes_)), 1 / len(self.classes_))


def one_missing(X):
    X = X.copy()
    X[3, 2] = np.nan
    return X


@pytest.mark.parametrize(
    "rows",
    [
        sparse.csr_matrix,
        one_missing,
        lambda X: X.reshape(-1, 2, 2),
        lambda X: pd.DataFrame(X, columns=list("abcd")).assign(word="a"),
        lambda X: pd.DataFrame(X.round()).astype("category"),
        lambda X: [" ".join(map(str, row)) for row in X],
        lambda X: [row[: 3 + i % 2].tolist() for i, row in enumerate(X)],
    ],
    ids=["sparse", "missing", "images", "words", "categories", "texts", "ragged"],
)
@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_auto_leaves_other_rows_to_the_estimator(small, rows):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(AnyRows(), evidence="auto", cv=2).fit(rows(X), given)
    assert isinstance(cleaner.evidence_, CrossValidation)


def test_auto_leaves_large_tables_to_the_estimator(small, monkeypatch):
    X, given, _, _ = small
    monkeypatch.setattr("hubclean._feature_table._AUTO_ROWS", len(X) - 1)
    cleaner = HubLabelCleaner(GaussianNB(), evidence="auto").fit(X, given)
    assert isinstance(cleaner.evidence_, CrossValidation)


def test_images_are_flattened(digits):
    X, given, _, wrong = digits
    cleaner = HubLabelCleaner(Epochs(), evidence="leave_one_out", random_state=0)
    images = clone(cleaner).fit(X.reshape(-1, 8, 8), given)
    assert precision(images.label_issues_, wrong) > 0.98
    np.testing.assert_array_equal(images.pred_probs_, cleaner.fit(X, given).pred_probs_)


def test_sampler_takes_evidence(small):
    X, given, _, wrong = small
    sampler = LabelCleaningSampler(evidence="leave_one_out", random_state=0)
    sampler.fit_resample(X, given)
    assert wrong[sampler.sample_indices_].mean() < wrong.mean() / 2


def test_a_class_of_one_is_unjudged(small):
    X, given, _, _ = small
    y = given.copy()
    y[3] = 7
    with pytest.warns(LabelQualityWarning, match="1 of 400 rows cannot be judged"):
        cleaner = HubLabelCleaner(GaussianNB(), evidence="leave_one_out").fit(X, y)
    assert np.isnan(cleaner.label_issues_.loc[3, "label_quality"])


def test_what_evidence_cannot_be(small):
    X, given, _, _ = small
    with pytest.raises(
        ParameterError, match="`evidence` must be 'auto', 'cv', 'dynamics', 'leave_one"
    ):
        HubLabelCleaner(evidence="typo").fit(X, given)
    with pytest.raises(ParameterError, match="`n_repeats` must be 1 unless `cv` is"):
        HubLabelCleaner(evidence=CrossValidation(n_repeats=2), cv=KFold(3)).fit(
            X, given
        )
    with pytest.raises(ParameterError, match="'method' parameter of LeaveOneOut"):
        HubLabelCleaner(evidence=LeaveOneOut("typo")).fit(X, given)
    with pytest.raises(ParameterError, match="'gamma' parameter of LeaveOneOut"):
        HubLabelCleaner(evidence=LeaveOneOut(gamma=0.0)).fit(X, given)
    with pytest.raises(RowsError, match="needs rows of numbers"):
        HubLabelCleaner(evidence="leave_one_out").fit([["a"]] * 400, given)
    X = X.copy()
    X[7, 1] = np.nan
    with pytest.raises(RowsError, match="contains NaN or infinity in row 7"):
        HubLabelCleaner(evidence="leave_one_out").fit(X, given)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        HubLabelCleaner(GaussianNB(), evidence=LeaveOneOut(n_components=20)),
        HubLabelCleaner(GaussianNB(), evidence=["leave_one_out", GaussianNB()]),
        HubLabelCleaner(GaussianNB(), evidence="auto"),
    ]
)
def test_estimator_check(estimator, check):
    check(estimator)


# ------------------------------------------------------------ training dynamics


@pytest.fixture(scope="module")
def network():
    from hubclean import skorch

    return skorch(epochs=6, batch_size=64)


def test_dynamics_finds_errors_in_one_training(digits, network):
    X, given, true, wrong = digits
    images = X.reshape(-1, 8, 8).astype(np.float32)
    cleaner = HubLabelCleaner(network, evidence="dynamics", random_state=0)
    out = cleaner.fit_transform(images, given)
    issues = cleaner.label_issues_
    assert precision(issues, wrong) > 0.9
    found = issues["is_label_issue"].to_numpy()
    quality = issues["label_quality"].to_numpy()
    assert quality[found].max() < min(0.5, quality[~found].min())
    assert wrong[found].mean() > 0.85 and found[wrong].mean() > 0.8
    right = issues["predicted_labels"].to_numpy()[found & wrong] == true[found & wrong]
    assert right.mean() > 0.9
    np.testing.assert_array_equal(cleaner.transform(images), out)
    new = cleaner.check_labels(images[:5], [0, 1, 2, 3, 7])
    assert new["is_label_issue"].tolist() == [False] * 4 + [True]


def test_dynamics_says_what_it_cannot_do(small, network):
    X, given, _, _ = small
    with pytest.raises(EstimatorError, match="needs a PyTorch or Keras model"):
        HubLabelCleaner(GaussianNB(), evidence="dynamics").fit(X, given)
    cleaner = HubLabelCleaner(network, evidence="dynamics", prune_fraction=0.5)
    with pytest.raises(ParameterError, match="finds wrong labels but not the right"):
        cleaner.fit(X, given)
    with pytest.raises(ParameterError, match="cannot be averaged with other kinds"):
        clone(cleaner).set_params(evidence=["leave_one_out", "dynamics"]).fit(X, given)
    for name, other in (("filter_by", "both"), ("score_by", "self_confidence")):
        with pytest.raises(ParameterError, match=f"`{name}` is for probabilities"):
            HubLabelCleaner(network, evidence="dynamics", **{name: other}).fit(X, given)


def test_rows_held_out_for_validation_have_no_margin(small):
    from skorch.dataset import ValidSplit

    from hubclean import skorch

    X, given, _, _ = small
    network = skorch(epochs=3, train_split=ValidSplit(5))
    cleaner = HubLabelCleaner(network, evidence="dynamics", random_state=0)
    with pytest.warns(LabelQualityWarning, match="80 of 400 rows have no margin, as"):
        cleaner.fit(X.astype(np.float32), given)
    assert cleaner.label_issues_["label_quality"].isna().sum() == 80


# ------------------------------------------------------------------------- groups


def grouped_rows():
    """Six near twins in each group; five groups have the wrong label throughout."""
    rng = np.random.default_rng(0)
    true = np.arange(60) % 2
    centres = rng.normal(size=(60, 4)) + 3 * true[:, None]
    wrong = np.arange(60) % 12 == 0
    X = np.repeat(centres, 6, axis=0) + 0.01 * rng.normal(size=(360, 4))
    given = np.where(wrong, 1 - true, true)
    return X, np.repeat(given, 6), np.repeat(np.arange(60), 6), np.repeat(wrong, 6)


@pytest.mark.parametrize(
    "evidence",
    ["leave_one_out", LeaveOneOut("neighbors"), ["cv", "leave_one_out"]],
)
def test_twins_of_a_row_do_not_judge_it(evidence):
    X, given, groups, wrong = grouped_rows()
    cleaner = HubLabelCleaner(GaussianNB(), evidence=evidence, random_state=0)
    found = cleaner.fit(X, given, groups=groups).label_issues_
    alone = clone(cleaner).fit(X, given).label_issues_
    assert precision(found, wrong) > 0.8  # ten neighbours are of two groups
    assert found["is_label_issue"][wrong].mean() > 0.8
    assert alone["is_label_issue"][wrong].mean() < 0.2


@pytest.mark.parametrize("size", [3, 40])
def test_groups_are_left_out_exactly(size):
    """Against ridge regressions fitted again without each group."""
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(120, 5)), rng.integers(0, 3, 120)
    groups = np.arange(120) // size
    probs = ridge_pred_probs(
        codes, X, 3, n_components=0, n_refinements=0, groups=groups
    )
    onehot, errors = np.eye(3)[codes], {}
    with_one = np.column_stack([X, np.ones(120)])
    for alpha in np.logspace(-6, 0, 13) * 120:
        scores = np.empty((120, 3))
        for group in np.unique(groups):
            own = groups == group
            ridge = Ridge(alpha, fit_intercept=False)
            scores[own] = ridge.fit(with_one[~own], onehot[~own]).predict(with_one[own])
        errors[np.mean((scores - onehot) ** 2)] = scores
    best = errors[min(errors)]
    np.testing.assert_allclose(probs, score_pred_probs(best, codes), atol=1e-6)


def test_rows_of_a_class_that_is_in_one_group_only_are_not_judged():
    X, given, groups, _ = grouped_rows()
    given = np.where(groups == 7, 2, given)
    cleaner = HubLabelCleaner(evidence="leave_one_out", random_state=0)
    with pytest.warns(LabelQualityWarning, match=r"6 of 360 rows .* classes 2\."):
        cleaner.fit(X, given, groups=groups)
    unjudged = cleaner.label_issues_["label_quality"].isna()
    np.testing.assert_array_equal(unjudged, groups == 7)
