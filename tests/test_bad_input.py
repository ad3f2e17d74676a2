"""Bad input gets one clear error before any training."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hubclean import HubLabelCleaner, LabelCleaningSampler, find_label_issues
from hubclean.exceptions import (
    EstimatorError,
    HubcleanError,
    LabelQualityWarning,
    LabelsError,
    ParameterError,
    PredProbsError,
    RowsError,
    ValidationError,
)

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.array(["a", "b", "c"] * 4, dtype=object)
PROBS = np.full((12, 3), 1 / 3)


class NeverTrained(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError("trained before the input was checked")


def changed(array, row, value):
    array = np.array(array)
    array[row] = value
    return array


BAD_LABELS = [
    (Y[:-1], r"one label for each of the 12 rows; got 11 labels"),
    (changed(Y, 3, None), r"1 missing \(NaN, infinite or None\), the first in row 3"),
    (changed(Y, 4, np.nan), r"1 missing .* first in row 4: nan"),
    (np.r_[np.nan, np.ones(11)], r"1 missing .* first in row 0"),
    (np.linspace(0, 1, 12), r"Unknown label type: continuous.* in row 1"),
    (np.zeros(12, int), r"at least 2 classes; got 1 class only"),
    (changed(Y, 0, 7), r"labels of one type; got a mix of int, str"),
    (np.zeros((12, 2), int), r"must be 1-D, one label for each row; got shape"),
    (np.arange(12), r"at least one class of `y` must have 2 members"),
    (None, r"requires y to be passed, but the target y is None"),
    (pd.Series(Y, dtype="string").mask(np.arange(12) == 2), r"first in row 2"),
    (pd.array([0, 1, pd.NA] * 4, dtype="Int64"), r"4 missing .* first in row 2"),
    ([["a"], ["b", "c"]] * 6, r"must be 1-D, one label for each row; got rows of"),
    (np.array([{}, {}] * 6), r"one class for each row"),
    # NumPy makes text of these.
    (changed(Y, 4, np.nan).tolist(), r"1 missing .* first in row 4: nan"),
    (tuple(changed(Y, 5, None)), r"1 missing .* first in row 5"),
    (np.array([(1, 2.0)] * 12, dtype="i8,f8"), r"label type: records of several"),
    (["a", "\udcff"] * 6, r"names that can be written as UTF-8; got '\\udcff'"),
    (["a", 1, True] * 4, r"labels of one type; got a mix of bool, int, str"),
    ({"a": 1, "b": 2}, r"one label for each row; got dict, which is no sequence"),
    ([date(2026, 1, 1 + i % 2) for i in range(12)], r"got type date, .* a string"),
    ([2**70, -1] * 6, r"integers of 64 bits or booleans; got type int"),
]


@pytest.mark.parametrize("cls", [HubLabelCleaner, LabelCleaningSampler])
@pytest.mark.parametrize(("y", "message"), BAD_LABELS)
def test_labels(cls, y, message):
    with pytest.raises(ValueError, match=message) as caught:
        cls(NeverTrained()).fit(X, y)
    assert isinstance(caught.value, LabelsError)
    assert cls.__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"filter_by": "typo"}, r"'filter_by' .* str among .*'both'.* Got 'typo'"),
        ({"score_by": "typo"}, r"'score_by' .* str among .*'normalized_margin'"),
        ({"cv": 1}, r"'cv' parameter of HubLabelCleaner must be an int in the range"),
        ({"cv": "five"}, r"'cv' parameter"),
        ({"threshold": 1.5}, r"'threshold' .* \[0, 1\]|'threshold' .* \[0.0, 1.0\]"),
        ({"frac_noise": 0}, r"'frac_noise' parameter"),
        ({"prune_fraction": -0.1}, r"'prune_fraction' parameter"),
        ({"n_jobs": "two"}, r"'n_jobs' parameter"),
        ({"n_jobs": 0}, r"'n_jobs' parameter"),
        ({"random_state": "seed"}, r"'random_state' parameter"),
    ],
)
def test_parameters(params, message):
    cleaner = HubLabelCleaner(NeverTrained(), **params)
    with pytest.raises(ParameterError, match=message):
        cleaner.fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SVC(), r"no `predict_proba`. Use a classifier that gives probabilities"),
        (RidgeClassifier(), r"no `predict_proba`"),
        (LogisticRegression, r"must be an instance; got the class LogisticRegression"),
        (BaseEstimator(), r"has no `fit`"),
        (object(), r"has no `get_params`"),
        ("logistic", r"must be a classifier with `predict_proba`; got 'logistic'"),
    ],
)
def test_estimators(estimator, message):
    with pytest.raises(EstimatorError, match=message):
        HubLabelCleaner(estimator).fit(X, Y)


@pytest.mark.parametrize(
    ("rows", "message"),
    [(None, r"must be a collection of rows"), (3.0, r"must be a collection of rows")],
)
def test_rows(rows, message):
    with pytest.raises(ValidationError, match=message):
        HubLabelCleaner(NeverTrained()).fit(rows, Y)


def test_folds_that_cannot_be_made():
    folds = [(np.arange(6), np.arange(6, 12)), (np.arange(6, 12),)]
    with pytest.raises(ParameterError, match="expected 2, got 1"):
        HubLabelCleaner(NeverTrained(), cv=folds).fit(X, Y)
    with pytest.raises(ParameterError, match=r"two arrays of pos.*; fold 0 is \(1, 2"):
        HubLabelCleaner(NeverTrained(), cv=[(1, 2)]).fit(X, Y)
    beyond = [(np.arange(6), np.arange(6, 13))]
    with pytest.raises(
        ParameterError, match=r"positions 0 to 11; fold 0 has .* 12 is out"
    ):
        HubLabelCleaner(NeverTrained(), cv=beyond).fit(X, Y)
    leak = [(np.arange(8), np.arange(6, 12))]
    with pytest.raises(ParameterError, match=r"fold 0 both trains on and tests row 6"):
        HubLabelCleaner(NeverTrained(), cv=leak).fit(X, Y)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], r"at least one pair .*; got none from \[\]. Pass a list or a splitter"),
        ([([], [0, 1])], "fold 0 has 0 and 2"),
        ([(np.arange(6), np.arange(6, 12)), ([0, 6], [])], "fold 1 has 2 and 0"),
    ],
)
def test_folds_of_nothing(folds, message):
    folds = [tuple(np.asarray(part, dtype=int) for part in fold) for fold in folds]
    with pytest.raises(ParameterError, match=message):
        HubLabelCleaner(NeverTrained(), cv=folds).fit(X, Y)


@pytest.mark.parametrize("evidence", ["cv", ["leave_one_out", NeverTrained()]])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sample_weight": np.ones(9)}, r"each of the 12 rows; .* shape \(9,\)"),
        ({"sample_weight": -np.ones(12)}, "at least 0; got -1.0 in row 0"),
        ({"sample_weight": ["heavy"] * 12}, "a number for each of the 12 rows"),
        ({"groups": np.ones(9)}, r"`groups` must name the group of each of the 12"),
        ({"groups": [0, None] * 6}, "`groups` .* with missing ones"),
    ],
)
def test_weights_and_groups(evidence, params, message):
    cleaner = HubLabelCleaner(NeverTrained(), evidence=evidence)
    with pytest.raises(ParameterError, match=message):
        cleaner.fit(X, Y, **params)


@pytest.mark.parametrize(
    ("estimator", "remedy"),
    [
        (KNeighborsClassifier(), "takes no `sample_weight`. Leave them out"),
        (
            make_pipeline(StandardScaler(), NeverTrained()),
            "Pass them as `nevertrained__sample_weight`",
        ),
    ],
)
def test_weights_that_a_classifier_does_not_take(estimator, remedy):
    for cleaner in (
        HubLabelCleaner(estimator),
        HubLabelCleaner(NeverTrained(), evidence=["cv", estimator]),
    ):
        with pytest.raises(ParameterError, match=remedy):
            cleaner.fit(X, Y, sample_weight=np.ones(12))


def test_a_list_of_evidence_is_checked_before_anything_is_trained():
    text = [f"row {i}" for i in range(12)]
    cleaner = HubLabelCleaner(NeverTrained(), evidence=["cv", "leave_one_out"])
    with pytest.raises(RowsError, match="rows of numbers"):
        cleaner.fit(text, Y)
    cleaner.set_params(evidence=["cv", RidgeClassifier()])
    with pytest.raises(EstimatorError, match="no `predict_proba`"):
        cleaner.fit(X, Y)


class Wild(LogisticRegression):
    """Gives what is no probability."""

    def __init__(self, given=None):
        super().__init__()
        self.given = given

    def predict_proba(self, X):
        probs = super().predict_proba(X)
        if self.given == "flat":
            return probs[:, 0]
        return probs * np.nan if self.given == "nan" else probs + self.given


class Nameless(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.n_names = len(vars(self).pop("classes_"))
        return self

    def predict_proba(self, X):
        return np.full((len(X), self.n_names), 1 / self.n_names)


class Coded(LogisticRegression):
    """Names its classes by their codes, or by other words."""

    def __init__(self, prefix=None):
        super().__init__()
        self.prefix = prefix

    def fit(self, X, y):
        super().fit(X, y)
        codes = range(len(self.classes_))
        self.classes_ = np.array(
            [f"{self.prefix}{k}" if self.prefix else k for k in codes]
        )
        return self


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Coded(), r"labels that it was fitted on; got \[0, 1, 2\] where .* \['a'"),
        (Coded("z"), r"labels that it was fitted on; got \['z0', 'z1', 'z2'\]"),
        (Wild("flat"), r"Wild: `predict_proba` must .* for 3 rows; in fold 0 .* 1-D"),
        (Wild("nan"), "in fold 0 it did not .* NaN or infinity in row 0"),
        (Wild(-0.5), "a negative value"),
        (Wild(0.1), "they sum to 1.3 in row 0"),
        (Nameless(), "must have `classes_`"),
    ],
)
def test_what_is_no_probability(estimator, message):
    with pytest.raises(EstimatorError, match=message):
        HubLabelCleaner(estimator, cv=4, random_state=0).fit(X, Y)


class Silent(LogisticRegression):
    """Returns nothing from fit."""

    def fit(self, X, y):
        super().fit(X, y)


def test_a_fit_that_returns_nothing_is_none_of_our_business():
    silent, plain = (
        HubLabelCleaner(estimator, cv=4, threshold=0.0, random_state=0).fit(X, Y)
        for estimator in (Silent(), LogisticRegression())
    )
    np.testing.assert_array_equal(silent.pred_probs_, plain.pred_probs_)


def test_partitions_of_dask_are_no_rows():
    frame = pytest.importorskip("dask.dataframe").from_pandas(pd.DataFrame(X))
    for rows in (frame, frame[0]):
        with pytest.raises(RowsError, match=r"lie in partitions; pass X.compute\(\)"):
            HubLabelCleaner(NeverTrained()).fit(rows, Y)


@pytest.mark.parametrize("rule", ["auto", "prune_by_noise_rate", "both"])
@pytest.mark.parametrize("evidence", ["cv", "leave_one_out"])
@pytest.mark.filterwarnings("ignore::hubclean.exceptions.LabelQualityWarning")
def test_nothing_can_be_judged_where_each_group_is_a_class(evidence, rule):
    cleaner = HubLabelCleaner(evidence=evidence, filter_by=rule, cv=3, random_state=0)
    with pytest.raises(LabelsError, match="none of 12 can be"):
        cleaner.fit(X, Y, groups=Y)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_frozen_model_judges_rows_that_it_may_have_learned(in_pipeline):
    frozen = FrozenEstimator(LogisticRegression().fit(X, Y))
    estimator = make_pipeline(StandardScaler(), frozen) if in_pipeline else frozen
    with pytest.warns(LabelQualityWarning, match="frozen estimator is not trained"):
        HubLabelCleaner(estimator, cv=2, random_state=0).fit(X, Y)


def test_masked_labels_and_probabilities_are_missing():
    masked = np.ma.array(np.arange(12) % 3, mask=np.arange(12) == 4)
    with pytest.raises(LabelsError, match="1 missing .* first in row 4"):
        HubLabelCleaner(NeverTrained()).fit(X, masked)
    probs = np.ma.array(PROBS, mask=np.arange(PROBS.size).reshape(PROBS.shape) == 0)
    with pytest.raises(PredProbsError, match="NaN or infinity in row 0"):
        find_label_issues(Y, probs)


def test_check_labels_names_the_unknown_label():
    cleaner = HubLabelCleaner(cv=2, random_state=0).fit(X, Y)
    with pytest.raises(LabelsError, match=r"got 'owl' in row 1. Known .*'a', 'b', 'c'"):
        cleaner.check_labels(X[:2], ["a", "owl"])


def test_another_number_of_features():
    cleaner = HubLabelCleaner(cv=2, random_state=0).fit(X, Y)
    for method in (cleaner.transform, cleaner.predict, cleaner.predict_proba):
        with pytest.raises(ValueError, match="X has 2 features, but HubLabelCleaner"):
            method(X[:, :2])


BAD_PROBS = [
    (PROBS[:, :2] * 1.5, r"3 columns, one for each class; got 2"),
    (PROBS[:11], r"must have 12 rows, one for each label; got 11"),
    (changed(PROBS, 5, [0.5, 0.7, -0.2]), r"a negative value in row 5"),
    (changed(PROBS, 6, [np.nan, 0.5, 0.5]), r"NaN or infinity in row 6"),
    (changed(PROBS, 7, [0.5, 0.5, 0.5]), r"they sum to 1.5 in row 7"),
    (changed(PROBS, 8, [np.inf, 0, 0]), r"NaN or infinity in row 8"),
    (PROBS[:, 0], r"2-D array of numbers"),
    (np.full((12, 3), "x"), r"2-D array of numbers"),
    ([[0.2, 0.8], [1.0]] * 6, r"2-D array of numbers.* got list that cannot"),
    (np.ones((12, 1)), r"at least 2 columns|3 columns"),
]


@pytest.mark.parametrize(("pred_probs", "message"), BAD_PROBS)
def test_pred_probs(pred_probs, message):
    with pytest.raises(PredProbsError, match=message):
        find_label_issues(Y, pred_probs)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"filter_by": "typo"}, r"one of .*'prune_by_noise_rate', .*; got 'typo'"),
        ({"score_by": None}, r"one of .*'self_confidence', .*; got None"),
        ({"threshold": 2}, r"`threshold` must be None or in \[0, 1\]"),
        ({"threshold": "low"}, r"`threshold` must be None or in \[0, 1\]"),
        ({"frac_noise": 0}, r"`frac_noise` must be in \(0, 1\]"),
        ({"frac_noise": None}, r"`frac_noise` must be in \(0, 1\]"),
        ({"n_jobs": 0}, r"`n_jobs` must be None or an int that is not 0; got 0"),
        ({"min_examples_per_class": None}, r"an int of at least 0; got None"),
        ({"min_examples_per_class": -3}, r"an int of at least 0; got -3"),
        ({"classes": "abc"}, r"`classes` must list the class of each column"),
        ({"classes": ["a", "b", "d"]}, r"got 'c' in row 2"),
        ({"classes": ["a", "b", "b"]}, r"must name each column once"),
        (
            {"adjust_pred_probs": True, "score_by": "confidence_weighted_entropy"},
            r"`adjust_pred_probs` must be False",
        ),
    ],
)
def test_find_label_issues_parameters(params, message):
    with pytest.raises(HubcleanError, match=message):
        find_label_issues(Y, PROBS, **params)


def test_find_label_issues_labels():
    with pytest.raises(LabelsError, match="find_label_issues: `labels` must hold a"):
        find_label_issues(changed(Y, 0, None), PROBS)
    with pytest.raises(PredProbsError, match="3 columns, one for each class"):
        find_label_issues([0, 1, 7], np.full((3, 2), 0.5))
