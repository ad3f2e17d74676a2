import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from hubclean._score_link import ScoreLink, fit_score_link, score_pred_probs
from hubclean._temperature import fitted_scale


def least_squares(n_rows=3000, n_classes=4, seed=0):
    """Noisy estimates of known probabilities, and labels drawn from these."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(n_classes, 0.2), size=n_rows)
    codes = (truth.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    scores = truth + rng.normal(scale=0.03, size=truth.shape)
    return scores, codes, truth


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_estimates_of_probabilities_stay_what_they_are(n_classes):
    scores, codes, truth = least_squares(n_classes=n_classes)
    link = fit_score_link(scores, codes)
    assert np.abs(link.pred_probs(scores) - truth).mean() < 0.02
    softmax = log_softmax(fitted_scale(scores, codes) * scores, axis=1)
    rows = np.arange(len(codes))
    ours = np.log(link.pred_probs(scores)[rows, codes])
    assert ours.mean() > softmax[rows, codes].mean() + 0.01


def test_no_other_link_explains_the_labels_better():
    scores, codes, _ = least_squares(n_rows=500)
    link = fit_score_link(scores, codes)
    best = log_loss(codes, link.pred_probs(scores))
    for power in np.linspace(0.5, 2, 7):
        for width in np.linspace(0.5, 2, 7):
            other = ScoreLink(link.power * power, link.width * width)
            assert log_loss(codes, other.pred_probs(scores)) >= best - 1e-4


def test_a_wide_link_is_a_softmax():
    scores = least_squares(n_rows=20)[0]
    link = ScoreLink(power=1000.0, width=1000.0)
    expected = log_softmax(scores / (2 * np.log(2)), axis=1)
    np.testing.assert_allclose(np.log(link.pred_probs(scores)), expected, atol=2e-3)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e6])
def test_scores_of_any_size_become_probabilities(scale):
    scores, codes, _ = least_squares(n_rows=50)
    probs = score_pred_probs(scale * scores, codes)
    assert np.isfinite(probs).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1)


def test_many_rows_are_judged_by_links_of_a_sample():
    scores, codes, truth = least_squares(n_rows=300_000, n_classes=2)
    probs = score_pred_probs(scores, codes)
    np.testing.assert_array_equal(probs, score_pred_probs(scores, codes))
    few = score_pred_probs(scores[:50_000], codes[:50_000])
    np.testing.assert_allclose(few, probs[:50_000], atol=0.01)
    assert np.abs(probs - truth).mean() < 0.04
