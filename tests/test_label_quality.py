"""Scores of the labels: hand-worked arrays, cleanlab, and properties."""

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings

from hubclean import find_label_issues
from hubclean._issue_engine import _blocks
from hubclean._label_quality import SCORES, label_quality
from hubclean.exceptions import ParameterError
from tests.issue_problems import problem, problems

#: Every score plain, and those adjusted that can be.
WAYS = [(score, False) for score in SCORES]
WAYS += [("self_confidence", True), ("normalized_margin", True)]
LABELS = np.array([0, 1, 2])
PROBS = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])


def test_self_confidence_is_the_probability_of_the_given_label():
    np.testing.assert_array_equal(label_quality(LABELS, PROBS), [0.7, 0.3, 1.0])


def test_normalized_margin_compares_with_the_best_other_class():
    quality = label_quality(LABELS, PROBS, score="normalized_margin")
    np.testing.assert_allclose(quality, [0.75, 0.35, 1.0])


@pytest.mark.parametrize("score", SCORES)
def test_rows_that_sum_to_a_little_more_than_one(score):
    """find_label_issues lets them pass; quality stays in [0, 1]."""
    probs = np.array([[1.005, 0, 0], [0.005, 1, 0], [0.3, 0.3, 0.4]])
    found = find_label_issues([0, 1, 2], probs, score_by=score)
    assert found["label_quality"].between(0, 1).all()
    if score != "confidence_weighted_entropy":  # no entropy at all scores 0 there
        assert found["label_quality"][0] == 1


def test_confidence_weighted_entropy_by_its_formula():
    quality = label_quality(LABELS, PROBS, score="confidence_weighted_entropy")
    entropy = -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1)) / np.log(3)
    ratio = entropy / 0.3
    np.testing.assert_allclose(quality[1], np.log(1 + ratio) / ratio)
    assert quality[2] == 0  # as in cleanlab: no entropy at all scores 0


def test_adjusting_subtracts_the_thresholds():
    labels = np.array([0, 0, 1])
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    # Thresholds 0.8 and 0.4; the last row becomes (0.6, 0.8) / 1.4.
    quality = label_quality(labels, probs, adjust_pred_probs=True)
    np.testing.assert_allclose(quality, [0.9 / 1.4, 0.7 / 1.4, 0.8 / 1.4])


def test_unknown_score_is_refused_with_the_valid_names():
    with pytest.raises(ParameterError, match="one of self_confidence, normalized_mar"):
        label_quality(LABELS, PROBS, score="entropy")


def test_entropy_cannot_be_adjusted():
    with pytest.raises(ParameterError, match="needs a score that is linear"):
        label_quality(
            LABELS, PROBS, score="confidence_weighted_entropy", adjust_pred_probs=True
        )


@settings(max_examples=100, deadline=None)
@given(problems())
def test_scores_equal_those_of_cleanlab(case):
    for score, adjust in WAYS:
        ours = label_quality(*case, score=score, adjust_pred_probs=adjust)
        theirs = get_label_quality_scores(*case, method=score, adjust_pred_probs=adjust)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("score", "adjust"), WAYS)
def test_size_of_the_blocks_does_not_matter(score, adjust, monkeypatch):
    labels, pred_probs = problem(3, n=301, n_classes=7, dtype=np.float32)
    expected = label_quality(labels, pred_probs, score=score, adjust_pred_probs=adjust)
    for n_bytes in (1, 1000, 5000):
        monkeypatch.setattr(_blocks, "BLOCK_BYTES", n_bytes)
        for array in (pred_probs, np.asfortranarray(pred_probs)):
            quality = label_quality(
                labels, array, score=score, adjust_pred_probs=adjust
            )
            np.testing.assert_allclose(quality, expected, rtol=1e-6)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_of_rows_and_names_of_classes_do_not_matter(score, seed):
    labels, pred_probs = problem(seed, n=200, n_classes=4)
    quality = label_quality(labels, pred_probs, score=score)
    assert 0 <= quality.min() and quality.max() <= 1
    rng = np.random.default_rng(seed)
    rows, classes = rng.permutation(200), rng.permutation(4)
    np.testing.assert_array_equal(
        label_quality(labels[rows], pred_probs[rows], score=score), quality[rows]
    )
    np.testing.assert_allclose(
        label_quality(np.argsort(classes)[labels], pred_probs[:, classes], score=score),
        quality,
        rtol=1e-12,
    )
