"""Thresholds, joint and rules: hand-worked arrays, cleanlab, and properties."""

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, estimate_latent
from cleanlab.count import get_confident_thresholds as cleanlab_thresholds
from hypothesis import given, settings
from hypothesis import strategies as st

from hubclean._confident_learning import (
    FILTERS,
    IssueRule,
    class_thresholds,
    confident_joint,
    issue_mask,
    learn_rule,
    noise_matrix,
)
from hubclean.exceptions import ParameterError
from tests.issue_problems import cleanlab_mask, problem, problems

# Four rows of class 0, two of class 1; the third row and the last are wrong.
LABELS = np.array([0, 0, 0, 0, 1, 1])
PROBS = np.array(
    [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]]
)


def test_filters_are_the_seven_of_cleanlab_in_its_order():
    assert FILTERS == (
        "prune_by_class",
        "prune_by_noise_rate",
        "both",
        "confident_learning",
        "predicted_neq_given",
        "low_normalized_margin",
        "low_self_confidence",
    )


def test_thresholds_are_the_class_means():
    np.testing.assert_allclose(class_thresholds(LABELS, PROBS), [0.6, 0.55])


def test_threshold_of_a_class_without_samples_is_nan():
    thresholds = class_thresholds(np.array([0, 2, 2]), np.eye(3)[[0, 1, 2]])
    np.testing.assert_array_equal(thresholds, [1, np.nan, 0.5])


def test_joint_counts_confident_rows_and_calibrates():
    # Row 3 reaches threshold 0.6 exactly; nobody is confident of two classes.
    raw = confident_joint(LABELS, PROBS, calibrate=False)
    np.testing.assert_array_equal(raw, [[3, 1], [1, 1]])
    np.testing.assert_array_equal(confident_joint(LABELS, PROBS), [[3, 1], [1, 1]])


def test_rows_that_reach_two_thresholds_count_for_the_likeliest_class():
    labels = np.array([0, 0, 1, 1, 2])
    low = [0.3, 0.3, 0.4]
    probs = np.array([low, [0.45, 0.35, 0.2], [0.2, 0.3, 0.5], low, [0.2, 0.2, 0.6]])
    # Thresholds 0.375, 0.3, 0.6: rows 0 and 3 are confident of class 1 only, although
    # class 2 is likelier; row 1 of classes 0 and 1; row 2 of class 1; row 4 of class 2.
    raw = confident_joint(labels, probs, calibrate=False)
    np.testing.assert_array_equal(raw, [[1, 1, 0], [0, 2, 0], [0, 0, 1]])


def test_noise_matrix_columns_sum_to_one_even_for_an_empty_class():
    matrix = noise_matrix(np.array([[6, 1, 0], [2, 3, 0], [0, 0, 0]]))
    expected = [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1]]
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize(
    ("filter_by", "issues"),
    [
        ("prune_by_class", [2, 5]),  # one of four, and one of two
        ("prune_by_noise_rate", [2, 5]),
        ("both", [2, 5]),
        ("confident_learning", [2, 5]),
        ("predicted_neq_given", [2, 5]),
        ("low_normalized_margin", [2, 5]),
        ("low_self_confidence", [2, 5]),
    ],
)
def test_the_two_wrong_labels_are_found(filter_by, issues):
    rule = learn_rule(LABELS, PROBS, filter_by=filter_by)
    np.testing.assert_array_equal(np.flatnonzero(rule.mask), issues)
    np.testing.assert_array_equal(rule.confident_joint, [[3, 1], [1, 1]])
    np.testing.assert_allclose(rule.thresholds, [0.6, 0.55])


def test_learned_cuts_judge_a_new_batch():
    new_labels = np.array([0, 0, 1, 1])
    new_probs = np.array([[0.05, 0.95], [0.15, 0.85], [0.75, 0.25], [0.65, 0.35]])
    flags = {
        name: learn_rule(LABELS, PROBS, filter_by=name).flag(new_labels, new_probs)
        for name in FILTERS
    }
    # Cuts: margin 0.8 from class 0 to 1 and 0.4 from 1 to 0; self confidence 0.1 and
    # 0.3. The second row misses its cut by 0.05, the last one by 0.05 too.
    for name in ("prune_by_noise_rate", "prune_by_class", "both"):
        np.testing.assert_array_equal(flags[name], [True, False, True, False])
    for name in ("confident_learning", "predicted_neq_given"):
        np.testing.assert_array_equal(flags[name], [True, True, True, True])
    # One number for all classes: the larger score of the two that were flagged.
    np.testing.assert_array_equal(flags["low_self_confidence"], [1, 1, 1, 0])
    np.testing.assert_array_equal(flags["low_normalized_margin"], [1, 1, 1, 0])


def test_cuts_of_the_pruning_rules():
    margin = learn_rule(LABELS, PROBS).cuts["margin"]
    np.testing.assert_allclose(margin, [[np.inf, 0.8], [0.4, np.inf]])
    low = learn_rule(LABELS, PROBS, filter_by="prune_by_class").cuts["self_confidence"]
    np.testing.assert_allclose(low, [0.1, 0.3])


def test_unknown_rule_is_refused_with_the_valid_names():
    with pytest.raises(ParameterError, match="must be one of prune_by_class, prune_by"):
        learn_rule(LABELS, PROBS, filter_by="nonsense")


def test_a_class_with_few_rows_is_left_alone():
    for filter_by in ("prune_by_noise_rate", "prune_by_class", "both"):
        rule = learn_rule(LABELS, PROBS, filter_by=filter_by, min_examples_per_class=2)
        np.testing.assert_array_equal(np.flatnonzero(rule.mask), [2])
        assert not rule.flag(np.array([1]), np.array([[1.0, 0.0]])).any()


def test_a_rule_is_frozen():
    rule = learn_rule(LABELS, PROBS)
    assert isinstance(rule, IssueRule)
    with pytest.raises(AttributeError, match="cannot assign"):
        rule.mask = None


@pytest.mark.parametrize("filter_by", FILTERS)
@settings(max_examples=60, deadline=None)
@given(
    case=problems(),
    frac_noise=st.sampled_from([1.0, 1.0, 0.75, 0.3]),
    min_examples=st.sampled_from([1, 1, 0, 3]),
)
def test_masks_equal_those_of_cleanlab(filter_by, case, frac_noise, min_examples):
    labels, pred_probs = case
    options = {
        "filter_by": filter_by,
        "frac_noise": frac_noise,
        "min_examples_per_class": min_examples,
    }
    rule = learn_rule(labels, pred_probs, **options)
    expected = cleanlab_mask(labels, pred_probs, **options)
    np.testing.assert_array_equal(rule.mask, expected)
    np.testing.assert_array_equal(issue_mask(labels, pred_probs, **options), expected)
    # Among rows that tie at a cut, flag takes all, the mask as many as are counted.
    assert not (rule.mask & ~rule.flag(labels, pred_probs)).any()


@settings(max_examples=100, deadline=None)
@given(problems())
def test_thresholds_and_joints_equal_those_of_cleanlab(case):
    labels, pred_probs = case
    ours, theirs = class_thresholds(labels, pred_probs), cleanlab_thresholds(*case)
    present = np.isin(np.arange(pred_probs.shape[1]), labels)
    np.testing.assert_array_equal(ours[present], theirs[present])
    assert np.isnan(ours[~present]).all()
    for calibrate in (True, False):
        joint = confident_joint(labels, pred_probs, calibrate=calibrate)
        expected = compute_confident_joint(labels, pred_probs, calibrate=calibrate)
        np.testing.assert_array_equal(joint, expected)
        matrix = noise_matrix(joint)
        np.testing.assert_allclose(matrix.sum(axis=0), 1)
        columns = expected.any(axis=0)
        _, latent, _ = estimate_latent(expected, labels)
        if matrix[~np.eye(len(joint), dtype=bool)].max() < 0.9999:  # cleanlab clips
            np.testing.assert_allclose(matrix[:, columns], latent[:, columns])


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flag_on_the_training_rows_is_the_mask_without_ties(filter_by, seed):
    labels, pred_probs = problem(seed, n=600, n_classes=5)
    rule = learn_rule(labels, pred_probs, filter_by=filter_by)
    assert 0 < rule.mask.sum() < 600
    np.testing.assert_array_equal(rule.flag(labels, pred_probs), rule.mask)
    part = np.arange(100, 140)
    np.testing.assert_array_equal(
        rule.flag(labels[part], pred_probs[part]), rule.mask[part]
    )


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_of_rows_does_not_matter(filter_by, seed):
    labels, pred_probs = problem(seed, n=500, n_classes=4)
    rows = np.random.default_rng(seed).permutation(500)
    mask = issue_mask(labels, pred_probs, filter_by=filter_by)
    shuffled = issue_mask(labels[rows], pred_probs[rows], filter_by=filter_by)
    np.testing.assert_array_equal(shuffled, mask[rows])


@pytest.mark.parametrize("filter_by", FILTERS)
def test_order_of_classes_matters_only_where_rounding_ties(filter_by):
    """Where two counts of a row lose equally by rounding, the first gets the row."""
    same = 0
    for seed in range(12):
        labels, pred_probs = problem(seed, n=500, n_classes=4)
        classes = np.random.default_rng(seed).permutation(4)
        renamed, moved = np.argsort(classes)[labels], pred_probs[:, classes]
        rule = learn_rule(labels, pred_probs, filter_by=filter_by)
        other = learn_rule(renamed, moved, filter_by=filter_by)
        expected = rule.confident_joint[np.ix_(classes, classes)]
        np.testing.assert_allclose(other.confident_joint, expected, atol=1)
        if (other.confident_joint == expected).all():
            np.testing.assert_array_equal(other.mask, rule.mask)
            same += 1
        else:  # cleanlab makes the same choice
            theirs = cleanlab_mask(renamed, moved, filter_by=filter_by)
            np.testing.assert_array_equal(other.mask, theirs)
    assert same >= 6
