"""Corrections against arrays worked by hand, and inside the estimators."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubclean import HubLabelCleaner, LabelCleaningSampler
from hubclean._label_correction import CORRECTIONS, Found
from hubclean.exceptions import ParameterError

FOUND = Found(
    labels=np.array([0, 0, 0, 1, 1, 1]),
    predicted=np.array([0, 1, 1, 1, 0, 1]),
    is_label_issue=np.array([False, True, True, False, True, False]),
    label_quality=np.array([0.9, 0.1, 0.3, 0.8, 0.2, np.nan]),
    is_confident=np.array([True, True, False, True, True, True]),
)


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
    )
    correction = CORRECTIONS[name](found, 1.0)
    assert set(correction.labels) == {0, 1}
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


def final_fit(X, given, correction, estimator=None, **fit_params):
    cleaner = HubLabelCleaner(
        estimator or LogisticRegression(), correction=correction, random_state=0
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
    with pytest.raises(ParameterError, match="a sampler gives rows back, not weights"):
        LabelCleaningSampler(GaussianNB(), correction="weight").fit(X, given)
