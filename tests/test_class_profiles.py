import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import average_precision_score

from hubclean._class_profiles import (
    FEWEST_ROWS_PER_CLASS,
    MOST_CLASSES,
    ClassProfiles,
    fit_class_profiles,
    regroup_class_profiles,
)
from hubclean._noise_model import logits_of
from hubclean._temperature import fitted_scale
from hubclean.datasets import pair_flip_noise, symmetric_noise

SEEDS = [0, 1, 2]


def learned(n_rows, n_classes, flipped, seed):
    """True classes, and what a model says that learned `flipped` of each class as next.

    Every row of a class gets about that probability of the next one, whatever it is.
    """
    rng = np.random.default_rng(seed)
    true = rng.integers(n_classes, size=n_rows)
    usual = np.full((n_classes, n_classes), 0.01)
    usual[np.arange(n_classes), np.arange(n_classes)] = 1 - flipped
    usual[np.arange(n_classes), (np.arange(n_classes) + 1) % n_classes] = flipped
    noise = 0.7 * rng.normal(size=(n_rows, n_classes))
    return true, softmax(np.log(usual[true]) + noise, axis=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flip_that_the_model_learned_is_seen_all_the_same(seed):
    true, probs = learned(2000, 5, 0.3, seed)
    labels, wrong = pair_flip_noise(true, 0.3, random_state=seed)
    rows = np.arange(2000)
    logits = fit_class_profiles(labels, probs).logits(probs)
    profiled = softmax(logits, axis=1)[rows, labels]
    own = average_precision_score(wrong, -probs[rows, labels])
    assert average_precision_score(wrong, -profiled) > own + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_profiles_follow_the_likeliest_classes_and_not_the_labels(seed):
    true, probs = learned(3000, 4, 0.1, seed)
    few, many = (
        symmetric_noise(true, level, random_state=seed)[0] for level in (0, 0.4)
    )
    one, other = (
        fit_class_profiles(labels, probs).logits(probs) for labels in (few, many)
    )
    assert (one.argmax(axis=1) == other.argmax(axis=1)).mean() > 0.98
    # What differs from the labels more often is doubted more.
    assert softmax(other, axis=1).max(axis=1).mean() < 0.9
    assert softmax(one, axis=1).max(axis=1).mean() > 0.95


@pytest.mark.parametrize("start", ["likeliest", "labels"])
@pytest.mark.parametrize("seed", SEEDS)
def test_regrouped_profiles_tell_classes_that_the_model_took_for_one_of_two(
    seed, start
):
    """At 48 % the likeliest class is a toss between two, which two is not."""
    true, probs = learned(2000, 5, 0.48, seed)
    labels, _ = pair_flip_noise(true, 0.48, random_state=seed)
    profiles = fit_class_profiles(labels, probs)
    regrouped, moved = regroup_class_profiles(profiles, labels, probs, start=start)
    hits = [
        (logits.argmax(axis=1) == true).mean()
        for logits in (
            logits_of(probs),
            profiles.logits(probs),
            regrouped.logits(probs),
        )
    ]
    assert hits[0] < 0.6
    assert hits[2] > max(hits[1] + 0.03, 0.85)
    assert moved > 0.3
    assert regrouped.own_scale == profiles.own_scale


@pytest.mark.parametrize("seed", SEEDS)
def test_where_classes_are_clear_regrouping_changes_little(seed):
    true, probs = learned(2000, 5, 0.1, seed)
    profiles = fit_class_profiles(true, probs)
    regrouped, moved = regroup_class_profiles(profiles, true, probs)
    assert moved < 0.02
    before, after = (each.logits(probs) for each in (profiles, regrouped))
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.99


@pytest.mark.parametrize("start", ["likeliest", "labels"])
def test_regrouping_follows_the_classes_where_these_are_permuted(start):
    true, probs = learned(1000, 4, 0.4, 0)
    order = np.array([2, 0, 3, 1])
    profiles = fit_class_profiles(true, probs)
    one, _ = regroup_class_profiles(profiles, true, probs, start=start)
    labels, permuted = np.argsort(order)[true], probs[:, order]
    profiles = fit_class_profiles(labels, permuted)
    other, _ = regroup_class_profiles(profiles, labels, permuted, start=start)
    logits = one.logits(probs)[:, order]
    np.testing.assert_allclose(other.logits(permuted), logits, atol=1e-4)


def test_logits_are_at_most_zero_and_finite():
    true, probs = learned(500, 3, 0.2, 0)
    logits = fit_class_profiles(true, probs).logits(probs)
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits.max(axis=1), 0)
    assert logits.min() >= -60


@pytest.mark.parametrize(
    "probs",
    [np.eye(3)[np.arange(300) % 3], np.full((300, 3), 1 / 3), np.eye(3)[[0] * 300]],
    ids=["certain", "ignorant", "one class"],
)
def test_degenerate_probabilities(probs):
    labels = np.arange(300) % 3
    profiles = fit_class_profiles(labels, probs)
    assert profiles.directions is not None
    assert np.isfinite(profiles.logits(probs)).all()
    for start in ("likeliest", "labels"):
        regrouped, moved = regroup_class_profiles(profiles, labels, probs, start=start)
        assert np.isfinite(regrouped.logits(probs)).all()
        assert 0 <= moved <= 1


@pytest.mark.parametrize("n_classes", [MOST_CLASSES + 1, 10])
def test_too_many_classes_or_too_few_rows_go_without_profiles(n_classes):
    n_rows = FEWEST_ROWS_PER_CLASS * n_classes - (n_classes == 10)
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(n_classes), size=n_rows)
    labels = rng.integers(n_classes, size=n_rows)
    profiles = fit_class_profiles(labels, probs)
    assert profiles.directions is None
    np.testing.assert_array_equal(profiles.logits(probs), logits_of(probs))


@pytest.mark.parametrize("n_rows", [40, 400], ids=["few rows", "profiles"])
def test_a_zero_is_as_probable_as_it_proved(n_rows):
    votes = np.random.default_rng(0).multinomial(10, [0.8, 0.2, 0], size=n_rows) / 10
    votes[:, 2] = 0
    labels = np.zeros(n_rows, dtype=int)
    labels[: n_rows // 20] = 2
    zeros = votes <= 0
    expected = (n_rows // 20 + 0.5) / (zeros.sum() + 1)
    profiles = fit_class_profiles(labels, votes)
    assert profiles.floor == pytest.approx(expected)
    raised = np.maximum(votes, profiles.floor)
    np.testing.assert_array_equal(profiles.logits(votes), profiles.logits(raised))


def test_a_zero_is_no_more_probable_than_what_is_above_it():
    sparse = np.array([[0.97, 0.03, 0], [0.5, 0.5, 0]] * 200)
    assert fit_class_profiles(np.full(400, 2), sparse).floor == 0.03


def test_probabilities_without_zeros_are_taken_as_they_are():
    true, probs = learned(400, 4, 0.2, 0)
    probs[0] = 1 - 3e-11, 1e-11, 1e-11, 1e-11
    assert fit_class_profiles(true, probs).floor == 1e-12


def test_logits_of_a_block_are_those_of_all_rows():
    true, probs = learned(1000, 4, 0.2, 0)
    profiles = fit_class_profiles(true, probs)
    assert isinstance(profiles, ClassProfiles)
    np.testing.assert_allclose(
        profiles.logits(probs)[100:200], profiles.logits(probs[100:200]), atol=1e-9
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_fitted_scale_undoes_a_temperature(seed):
    rng = np.random.default_rng(seed)
    scores = 3 * rng.normal(size=(20_000, 4))
    probs = softmax(scores, axis=1)
    labels = (probs.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert fitted_scale(scores / 5, labels) == pytest.approx(5, rel=0.05)
    best = fitted_scale(scores, labels)

    def log_loss(scale):
        return -log_softmax(scale * scores, axis=1)[np.arange(20_000), labels].mean()

    assert log_loss(best) <= min(log_loss(best * 1.05), log_loss(best / 1.05))
