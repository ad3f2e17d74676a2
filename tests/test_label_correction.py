"""Corrections against arrays worked by hand, and inside the estimators."""

import dataclasses

import numpy as np
import pytest
from imblearn import FunctionSampler
from imblearn.pipeline import make_pipeline as make_resampling
from sklearn import config_context
from sklearn.datasets import make_blobs
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from hubclean import HubLabelCleaner, LabelCleaningSampler, _label_correction
from hubclean._judgement import correctable, judge
from hubclean._label_correction import CORRECTIONS, Found, correct
from hubclean._weights import takes_weights
from hubclean.exceptions import EstimatorError, ParameterError

DEFAULTS = {"filter_by": "auto", "score_by": "clean_probability"}
FOUND = Found(
    labels=np.array([0, 0, 0, 1, 1, 1]),
    predicted=np.array([0, 1, 1, 1, 0, 1]),
    is_label_issue=np.array([False, True, True, False, True, False]),
    label_quality=np.array([0.9, 0.1, 0.3, 0.8, 0.2, np.nan]),
    is_confident=np.array([True, True, False, True, True, True]),
)


@pytest.fixture(scope="module")
def two_classes():
    """Two clouds that touch; every tenth label is wrong."""
    X, y = make_blobs(120, centers=[[0, 0], [3, 0]], random_state=0)
    return X, np.where(np.arange(120) % 10, y, 1 - y)


@pytest.mark.parametrize(
    ("name", "fraction", "kept", "labels"),
    [
        ("prune", 0.0, [0, 3, 5], [0, 1, 1]),
        ("prune_fraction", 1.0, [0, 3, 5], [0, 1, 1]),
        ("prune_fraction", 0.0, [0, 1, 2, 3, 4, 5], [0, 1, 1, 1, 0, 1]),
        ("prune_fraction", 0.34, [0, 2, 3, 4, 5], [0, 1, 1, 0, 1]),
        ("relabel", 1.0, [0, 1, 3, 4, 5], [0, 1, 1, 0, 1]),
    ],
)
def test_worked_example(name, fraction, kept, labels):
    correction = CORRECTIONS[name](FOUND, fraction)
    assert correction.kept.tolist() == kept
    assert correction.labels.tolist() == labels
    assert correction.weights is None


def test_weights_keep_every_row():
    correction = CORRECTIONS["weight"](FOUND, 1.0)
    assert correction.kept.tolist() == list(range(6))
    assert correction.labels.tolist() == FOUND.labels.tolist()
    np.testing.assert_allclose(correction.weights, [1, 0.1, 0.3, 1, 0.2, 1])


@pytest.mark.parametrize("name", CORRECTIONS)
def test_no_class_vanishes(name):
    found = Found(
        labels=np.array([0, 0, 0, 1, 1]),
        predicted=np.zeros(5, dtype=int),
        is_label_issue=np.array([False, False, False, True, True]),
        label_quality=np.array([0.9, 0.9, 0.9, 0.2, 0.4]),
        is_confident=np.ones(5, dtype=bool),
        given_right=np.array([1.0, 1.0, 1.0, 0.0, 0.1]),
        predicted_right=np.array([1.0, 1.0, 1.0, 1.0, 0.9]),
        pred_probs=np.eye(2)[np.zeros(5, dtype=int)],
    )
    correction = CORRECTIONS[name](found, 1.0)
    assert set(correction.labels) == {0, 1}
    assert np.all(np.diff(correction.kept) >= 0)
    if name != "weight":
        assert correction.kept[correction.labels == 1].tolist() == [4]


def test_auto_takes_the_label_that_is_probably_right():
    found = dataclasses.replace(
        FOUND,
        given_right=np.array([0.9, 0.1, 0.3, 0.79, 0.8, np.nan]),
        predicted_right=np.array([0.9, 0.85, 0.7, 0.79, 0.2, np.nan]),
    )
    correction = CORRECTIONS["auto"](found, 1.0)
    # Row 1 is relabelled, 2 and 3 go, the row that was not judged stays.
    assert correction.kept.tolist() == [0, 1, 4, 5]
    assert correction.labels.tolist() == [0, 1, 1, 1]
    # Nothing known of the probabilities: as for "relabel".
    blind = CORRECTIONS["auto"](FOUND, 1.0)
    np.testing.assert_array_equal(blind.kept, CORRECTIONS["relabel"](FOUND, 1.0).kept)


SOFT = dataclasses.replace(
    FOUND,
    given_right=np.array([1.0, 0.1, 0.5, 0.9, 0.0, np.nan]),
    predicted_right=np.array([1.0, 0.3, 0.5, 0.9, 1.0, np.nan]),
    pred_probs=np.array(
        [[1.0, 0.0], [0.2, 0.8], [0.5, 0.5], [0.4, 0.6], [0.9, 0.1], [np.nan, np.nan]]
    ),
)


def test_soft_labels_by_hand(monkeypatch):
    soft = CORRECTIONS["soft_labels"](SOFT)
    # Row 0 is sure; 1 has a quarter of 0.65 and a fifth of 0.35 on the given label; the
    # other label of 3 has 0.14, that of 4 has 0.035, too little; 5 was not judged.
    assert soft.kept.tolist() == [0, 1, 1, 2, 2, 3, 4, 5]
    assert soft.labels.tolist() == [0, 0, 1, 0, 1, 1, 0, 1]
    expected = [1, 0.2325, 0.7675, 0.5, 0.5, 1, 1, 1]
    np.testing.assert_allclose(soft.weights, expected)
    monkeypatch.setattr(_label_correction, "_BLOCK_NUMBERS", 8)
    in_blocks = CORRECTIONS["soft_labels"](SOFT)
    for name in ("kept", "labels", "weights"):
        np.testing.assert_array_equal(getattr(in_blocks, name), getattr(soft, name))


@pytest.mark.parametrize("n_classes", [2, 3, 12])
def test_soft_labels_of_any_probabilities(n_classes):
    rng = np.random.default_rng(n_classes)
    n = 500
    labels = rng.integers(n_classes, size=n)
    predicted = rng.integers(n_classes, size=n)
    right = rng.dirichlet(np.full(3, 0.3), size=n)
    found = Found(
        labels,
        predicted,
        rng.random(n) < 0.3,
        rng.random(n),
        np.ones(n, dtype=bool),
        right[:, 0],
        np.where(labels == predicted, right[:, 0], right[:, 1]),
        rng.dirichlet(np.full(n_classes, 0.3), size=n),
    )
    soft = CORRECTIONS["soft_labels"](found)
    np.testing.assert_allclose(np.bincount(soft.kept, soft.weights, n), 1)
    assert soft.weights.min() > 0.14
    assert len(set(zip(soft.kept, soft.labels, strict=True))) == len(soft.kept)
    # A label that is probably right, and predicted, is the heaviest of its row.
    sure = np.flatnonzero((labels == predicted) & (found.pred_probs.max(axis=1) < 0.6))
    order = np.argsort(soft.weights, kind="stable")
    heaviest = dict(zip(soft.kept[order], soft.labels[order], strict=True))
    assert [heaviest[row] for row in sure] == labels[sure].tolist()


def final_fit(X, given, correction, estimator=None, **fit_params):
    cleaner = HubLabelCleaner(
        LogisticRegression() if estimator is None else estimator,
        correction=correction,
        random_state=0,
    )
    return cleaner.fit(X, given, **fit_params)


def test_weights_reach_the_final_model(small):
    X, given, true, _ = small
    weights = np.random.default_rng(0).uniform(0.5, 2, 400)
    for name, estimator in [
        ("plain", LogisticRegression()),
        ("pipeline", make_pipeline(StandardScaler(), LogisticRegression())),
    ]:
        cleaner = final_fit(X, given, "weight", estimator)
        issues = cleaner.label_issues_
        w = np.where(issues["is_label_issue"], issues["label_quality"], 1.0)
        if name == "plain":
            expected = LogisticRegression().fit(X, given, w)
            again = final_fit(X, given, "weight", estimator, sample_weight=weights)
            issues = again.label_issues_
            both = weights * np.where(
                issues["is_label_issue"], issues["label_quality"], 1.0
            )
            np.testing.assert_allclose(
                again.predict_proba(X),
                LogisticRegression().fit(X, given, both).predict_proba(X),
                rtol=1e-5,
            )
        else:
            scaled = StandardScaler().fit(X)
            inner = LogisticRegression().fit(scaled.transform(X), given, w)
            expected = make_pipeline(scaled, inner)
        np.testing.assert_allclose(
            cleaner.predict_proba(X), expected.predict_proba(X), rtol=1e-5
        )
        assert cleaner.score(X, true) > 0.9


def test_auto_leaves_doubtful_rows_out_where_most_are_wrong():
    few = dataclasses.replace(
        SOFT, given_right=np.array([1.0, 0.1, 0.9, 0.9, 0.9, np.nan])
    )
    for found, expected in ((few, "soft_labels"), (SOFT, "auto")):
        corrected = correct(found, "auto", weighted=True)
        alike = CORRECTIONS[expected](found)
        np.testing.assert_array_equal(corrected.kept, alike.kept)
        assert (corrected.weights is None) == (alike.weights is None)
        assert correct(found, "auto", weighted=False).weights is None


def test_soft_labels_reach_the_final_model(small):
    X, given, true, _ = small
    weights = np.random.default_rng(0).uniform(0.5, 2, 400)
    cleaner = final_fit(X, given, "soft_labels", sample_weight=weights)
    found = correctable(
        given,
        cleaner.pred_probs_,
        judge(given, cleaner.pred_probs_, **DEFAULTS),
        credible=True,
    )
    soft = CORRECTIONS["soft_labels"](found)
    assert len(soft.kept) > 400
    expected = LogisticRegression()
    expected.fit(X[soft.kept], soft.labels, soft.weights * weights[soft.kept])
    np.testing.assert_allclose(
        cleaner.predict_proba(X), expected.predict_proba(X), rtol=1e-5
    )
    assert cleaner.score(X, true) > 0.9


@pytest.mark.parametrize(
    "other", [{}, {"filter_by": "both", "score_by": "self_confidence"}]
)
def test_auto_is_soft_labels_where_weights_are_taken(small, other):
    X, given, _, _ = small
    models = {
        name: HubLabelCleaner(
            GaussianNB(), correction=name, random_state=0, **other
        ).fit(X, given)
        for name in ("auto", "soft_labels", "prune")
    }
    told = {name: model.predict_proba(X) for name, model in models.items()}
    np.testing.assert_array_equal(told["auto"], told["soft_labels"])
    assert not np.allclose(told["auto"], told["prune"])
    # Neighbours take no weights: as the sampler, which gives rows back.
    settings = {"correction": "auto", "random_state": 0, **other}
    neighbours = HubLabelCleaner(KNeighborsClassifier(), **settings).fit(X, given)
    sampler = LabelCleaningSampler(KNeighborsClassifier(), **settings)
    kept, labels = sampler.fit_resample(X, given)
    assert len(kept) < len(X)
    np.testing.assert_array_equal(
        neighbours.predict_proba(X),
        KNeighborsClassifier().fit(kept, labels).predict_proba(X),
    )


@pytest.mark.parametrize(
    ("estimator", "takes"),
    [
        (GaussianNB(), True),
        (KNeighborsClassifier(), False),
        (make_pipeline(StandardScaler(), GaussianNB()), True),
        (BaggingClassifier(GaussianNB()), True),
        (BaggingClassifier(KNeighborsClassifier()), False),
        (BaggingClassifier(make_pipeline(GaussianNB())), False),
        (AdaBoostClassifier(), True),
        (GridSearchCV(GaussianNB(), {}), False),
    ],
)
def test_auto_asks_the_estimators_inside_too(small, estimator, takes):
    X, given, true, _ = small
    assert takes_weights(estimator) == takes
    assert final_fit(X, given, "auto", estimator).score(X, true) > 0.8


def shuffled(X, y):
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def test_weights_do_not_go_to_rows_that_a_step_resampled(small):
    X, given, true, _ = small
    resampling = make_resampling(FunctionSampler(func=shuffled), GaussianNB())
    assert not takes_weights(make_pipeline(StandardScaler(), resampling))
    # As for an estimator that takes no weights, and no longer those of other rows.
    auto = final_fit(X, given, "auto", resampling)
    sampler = LabelCleaningSampler(resampling, correction="auto", random_state=0)
    kept, labels = sampler.fit_resample(X, given)
    expected = GaussianNB().fit(kept, labels).predict_proba(X)
    np.testing.assert_allclose(auto.predict_proba(X), expected)
    with pytest.raises(ParameterError, match="one of its steps resamples the rows"):
        final_fit(X, given, "weight", resampling)


def voting(*inside):
    estimators = [(f"model {i}", estimator) for i, estimator in enumerate(inside)]
    return VotingClassifier(estimators, voting="soft")


def test_ensembles_that_hand_anything_on_hand_on_weights(small):
    X, given, _, _ = small
    alone, voted = (
        HubLabelCleaner(estimator, correction="weight", random_state=0).fit(X, given)
        for estimator in (GaussianNB(), voting(GaussianNB()))
    )
    np.testing.assert_allclose(voted.predict_proba(X), alone.predict_proba(X))
    unweighted = HubLabelCleaner(voting(GaussianNB()), random_state=0).fit(X, given)
    assert not np.allclose(unweighted.predict_proba(X), alone.predict_proba(X))
    assert not takes_weights(voting(GaussianNB(), KNeighborsClassifier()))
    if not has_fit_parameter(voting(GaussianNB()), "sample_weight"):  # as before 1.7
        with config_context(enable_metadata_routing=True):
            assert not takes_weights(voting(GaussianNB()))


def test_relabelling_where_the_evidence_is_strong(digits):
    X, given, true, wrong = digits
    sampler = LabelCleaningSampler(
        LogisticRegression(max_iter=500), correction="relabel", random_state=0
    )
    _, labels = sampler.fit_resample(X, given)
    kept = sampler.sample_indices_
    changed = labels != given[kept]
    assert changed.sum() > 50
    assert (labels[changed] == true[kept][changed]).mean() > 0.95
    assert len(kept) < len(X)


def test_what_corrections_cannot_be(small):
    X, given, _, _ = small
    with pytest.raises(ParameterError, match="'correction' parameter .* Got 'typo'"):
        final_fit(X, given, "typo")
    with pytest.raises(
        ParameterError, match="takes `sample_weight`; KNeighborsClassifier does not"
    ):
        final_fit(X, given, "weight", KNeighborsClassifier())
    with pytest.raises(ParameterError, match="correction='soft_labels' needs an est"):
        final_fit(X, given, "soft_labels", KNeighborsClassifier())
    for name in ("weight", "soft_labels"):
        with pytest.raises(ParameterError, match="gives rows back, not weights"):
            LabelCleaningSampler(GaussianNB(), correction=name).fit(X, given)


@pytest.mark.parametrize("name", ["relabel", "prune_fraction"])
def test_a_row_that_stays_may_be_the_last_one_of_another_class(name):
    """Row 0 is to become class 1, which has no other; so row 1 stays as well."""
    found = Found(
        labels=np.array([0, 1]),
        predicted=np.array([1, 0]),
        is_label_issue=np.ones(2, dtype=bool),
        label_quality=np.array([0.2, 0.1]),
        is_confident=np.array([True, False]),
    )
    correction = CORRECTIONS[name](found, 0.5)
    assert correction.kept.tolist() == [0, 1]
    assert correction.labels.tolist() == [0, 1]


def test_weights_must_reach_the_classifier(two_classes):
    X, y = two_classes
    inside = make_pipeline(StandardScaler(), GaussianNB())
    cleaner = HubLabelCleaner(BaggingClassifier(inside), correction="soft_labels")
    with pytest.raises(ParameterError, match="or hands it to one that does not"):
        cleaner.fit(X, y)


@pytest.mark.parametrize("correction", ["auto", "soft_labels", "weight"])
def test_weights_of_ours_need_no_routing(two_classes, correction):
    X, y = two_classes
    for estimator in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        AdaBoostClassifier(n_estimators=3),
    ):
        cleaner = HubLabelCleaner(
            estimator, cv=3, correction=correction, random_state=0
        )
        expected = cleaner.fit(X, y).predict_proba(X)
        with config_context(enable_metadata_routing=True):
            np.testing.assert_array_equal(cleaner.fit(X, y).predict_proba(X), expected)


class Extra(LogisticRegression):
    """Takes more than weights."""

    def fit(self, X, y, sample_weight=None, extra=None):
        self.extra = extra
        return super().fit(X, y, sample_weight)


def test_weights_of_ours_beside_routed_metadata(two_classes):
    X, y = two_classes
    extra = np.ones(len(y))
    with config_context(enable_metadata_routing=True):
        scale = StandardScaler().set_fit_request(sample_weight=False)
        for requested in (False, True):
            last = Extra().set_fit_request(extra=True, sample_weight=requested)
            cleaner = HubLabelCleaner(make_pipeline(scale, last), cv=3, random_state=0)
            cleaner.set_params(correction="auto").fit(X, y, extra=extra)
            n_rows = len(cleaner.estimator_[-1].extra)
            assert n_rows > len(y) if requested else n_rows <= len(y)
            cleaner.set_params(correction="soft_labels")
            if requested:
                assert len(cleaner.fit(X, y, extra=extra).estimator_[-1].extra) > len(y)
                continue
            with pytest.raises(ParameterError, match="hands on extra but no"):
                cleaner.fit(X, y, extra=extra)


class Splits(LogisticRegression):
    """Sets rows of every class aside, as early stopping does."""

    def fit(self, X, y, sample_weight=None):
        train_test_split(X, y, stratify=y, random_state=0)
        return super().fit(X, y, sample_weight)


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_a_class_of_one_row_that_a_model_cannot_split_is_named(two_classes):
    X, y = two_classes
    y = np.where(np.arange(len(y)) < 4, 2, y)
    cleaner = HubLabelCleaner(Splits(), evidence="leave_one_out", threshold=1.0)
    with pytest.raises(EstimatorError, match="in which class .* 1 of its .* rows"):
        cleaner.fit(X, y)
