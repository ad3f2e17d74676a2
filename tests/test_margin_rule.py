"""The cut on margins against groups whose members are known."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import average_precision_score

from hubclean._judgement import judge_margins
from hubclean._margin_rule import margin_cut, profiled_margins
from hubclean.datasets import pair_flip_noise


def groups(n_wrong, seed=0, low=-4.0, n_rows=2000):
    rng = np.random.default_rng(seed)
    wrong = np.arange(n_rows) < n_wrong
    return rng.normal(np.where(wrong, low, 2.5), 1.2), wrong


@pytest.mark.parametrize("n_wrong", [60, 200, 800])
def test_groups_that_stand_apart_are_told_apart(n_wrong):
    margins, wrong = groups(n_wrong)
    issues = margins < margin_cut(margins)
    assert 2 * (issues & wrong).sum() / (issues.sum() + wrong.sum()) > 0.97


def test_one_group_is_cut_at_zero():
    rng = np.random.default_rng(1)
    assert margin_cut(rng.normal(2.5, 1.5, 3000)) == 0
    assert margin_cut(rng.gamma(2, 1, 3000) - 1) == 0


def test_groups_that_overlap_are_cut_at_zero():
    assert margin_cut(groups(300, low=1.0)[0]) == 0


def test_the_cut_is_never_above_zero():
    margins, _ = groups(400)
    assert margin_cut(margins + 10) == 0


@pytest.mark.parametrize("margins", [[], [1.0], [0.5] * 10, [-1.0, 2.0, 2.0]])
def test_too_little_to_tell_groups(margins):
    assert margin_cut(np.array(margins)) == 0


def test_many_rows_are_judged_by_some_of_them():
    margins, wrong = groups(5_000, n_rows=60_000)
    issues = margins < margin_cut(margins)
    assert (issues == wrong).mean() > 0.99


def test_a_row_without_a_margin_is_no_issue():
    margins, wrong = groups(200)
    margins[[0, 1999]] = np.nan
    found = judge_margins(np.zeros(2000, dtype=int), margins)
    assert not found.is_label_issue[[0, 1999]].any()
    assert np.isnan(found.label_quality[[0, 1999]]).all()
    assert (found.is_label_issue[1:-1] == wrong[1:-1]).mean() > 0.99


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_profiles_see_a_flip_that_training_learned(seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(4, size=1200)
    usual = np.full((4, 4), 0.01) + 0.64 * np.eye(4) + 0.3 * np.roll(np.eye(4), 1, 1)
    proba = softmax(np.log(usual[true]) + 0.7 * rng.normal(size=(1200, 4)), axis=1)
    codes, wrong = pair_flip_noise(true, 0.3, random_state=seed)
    logs, rows = np.log(proba), np.arange(1200)
    others = np.where(np.eye(4, dtype=bool)[codes], -np.inf, logs).max(axis=1)
    margins = logs[rows, codes] - others
    margins[:5] = np.nan  # not trained on
    proba[:5] = np.nan
    found = profiled_margins(codes, proba, margins)
    assert np.isnan(found).tolist() == [True] * 5 + [False] * 1195
    scores = [average_precision_score(wrong[5:], -m[5:]) for m in (margins, found)]
    assert scores[1] > scores[0] + 0.1


def test_few_rows_keep_their_area_under_the_margin():
    margins = np.array([1.0, -2.0, np.nan])
    proba = np.array([[0.7, 0.3], [0.9, 0.1], [np.nan, np.nan]])
    found = profiled_margins(np.array([0, 1, 0]), proba, margins)
    np.testing.assert_array_equal(found, margins)
