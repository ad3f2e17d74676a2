"""Labels that seem wrong are made softer, and the rows predicted again."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from hubclean import HubLabelCleaner
from hubclean._label_refinement import refined_labels
from hubclean._leave_one_out import _LeftOutRidge, ridge_pred_probs
from hubclean.datasets import pair_flip_noise, symmetric_noise
from hubclean.evidence import LeaveOneOut
from hubclean.exceptions import ParameterError


def sharp(y, n_classes=4, sure=0.9):
    """Probabilities that name the true class."""
    probs = np.full((len(y), n_classes), (1 - sure) / (n_classes - 1))
    probs[np.arange(len(y)), y] = sure
    return probs


@pytest.fixture
def planted():
    """True and given labels of 400 rows in four classes, and which are wrong."""
    y = np.arange(400) % 4
    return y, *symmetric_noise(y, 0.1, random_state=0)


def test_wrong_labels_move_to_the_true_class(planted):
    y, given, wrong = planted
    targets = refined_labels(given, sharp(y))
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert targets.min() >= 0
    assert np.array_equal(targets[wrong].argmax(axis=1), y[wrong])
    assert targets[np.arange(400), given][~wrong].min() > 0.95


def test_probabilities_stay_as_they_are(planted):
    y, given, _ = planted
    probs = sharp(y)
    probs.setflags(write=False)
    refined_labels(given, probs)


def test_probabilities_of_zero_and_one(planted):
    y, given, _ = planted
    targets = refined_labels(given, sharp(y, sure=1.0))
    assert np.isfinite(targets).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert refined_labels(given, np.eye(4)[given]) is None


def test_what_a_classifier_rightly_doubts_is_no_error():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), 2000)
    drawn = (rng.random((2000, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    assert refined_labels(np.minimum(drawn, 3), probs) is None


def test_right_labels_stay():
    y = np.arange(400) % 4
    assert refined_labels(y, sharp(y)) is None


def test_few_rows_stay(planted):
    y, given, _ = planted
    assert refined_labels(given[:99], sharp(y[:99])) is None
    assert refined_labels(given[:100], sharp(y[:100])) is not None


def test_soft_labels_are_left_out_exactly():
    """Against ridge regressions fitted again without each row."""
    rng = np.random.default_rng(0)
    X, soft = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(3), 40)
    design = np.column_stack([X, np.ones(40)])
    scores = _LeftOutRidge(X, 0, False, None, 0).scores(soft)
    errors = {}
    for alpha in np.logspace(-6, 0, 13) * 40:
        ridge = Ridge(alpha, fit_intercept=False)
        left_out = np.empty((40, 3))
        for row in range(40):
            others = np.arange(40) != row
            ridge.fit(design[others], soft[others])
            left_out[row] = ridge.predict(design[[row]])[0]
        errors[np.mean((left_out - soft) ** 2)] = left_out
    np.testing.assert_allclose(scores, errors[min(errors)], atol=1e-8)


@pytest.mark.parametrize("seed", [0, 1])
def test_many_errors_that_follow_a_rule_are_found(digits, seed):
    """At 45 % to the next class the labels' own neighbours mislead."""
    X, _, y, _ = digits
    given, wrong = pair_flip_noise(y, 0.45, random_state=seed)
    precisions = []
    for n_refinements in (0, 3):
        probs = ridge_pred_probs(given, X, 10, n_refinements=n_refinements)
        self_confidence = probs[np.arange(len(given)), given]
        precisions.append(average_precision_score(wrong, -self_confidence))
    assert precisions[1] > precisions[0] + 0.04


def test_without_errors_nothing_changes(digits):
    X, _, y, _ = digits
    strictly = ridge_pred_probs(y, X, 10, n_refinements=0)
    np.testing.assert_array_equal(ridge_pred_probs(y, X, 10), strictly)


def test_the_parameter_reaches_the_evidence(digits):
    X, given, _, _ = digits
    probs = []
    for n_refinements in (0, 3):
        evidence = LeaveOneOut(n_refinements=n_refinements)
        cleaner = HubLabelCleaner(evidence=evidence, random_state=0)
        probs.append(cleaner.fit(X, given).pred_probs_)
    assert np.abs(probs[0] - probs[1]).max() > 0.01
    with pytest.raises(
        ParameterError, match="'n_refinements' parameter of LeaveOneOut"
    ):
        HubLabelCleaner(evidence=LeaveOneOut(n_refinements=-1)).fit(X, given)
