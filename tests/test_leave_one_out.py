import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from hubclean._leave_one_out import (
    _RIDGES,
    _leave_one_out,
    leave_one_out_neighbors,
    leave_one_out_ridge,
)
from hubclean.datasets import symmetric_noise

DIGITS, TRUE = load_digits(return_X_y=True)
DIGITS = DIGITS / 16


@pytest.mark.parametrize("n_features", [3, 60])
def test_ridge_equals_a_loop_that_leaves_rows_out(n_features, monkeypatch):
    rng = np.random.default_rng(0)
    features, targets = (
        rng.normal(size=(40, n_features)),
        np.eye(3)[rng.integers(3, size=40)],
    )
    monkeypatch.setattr("hubclean._leave_one_out._RIDGES", np.array([0.7]))
    fast = _leave_one_out(features, targets)
    for row in range(40):
        others = np.arange(40) != row
        model = Ridge(0.7, fit_intercept=False).fit(features[others], targets[others])
        np.testing.assert_allclose(fast[row], model.predict(features[[row]])[0])


def test_ridge_parameter_has_the_smallest_error(monkeypatch):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 30))
    targets = np.eye(2)[(features[:, 0] + rng.normal(size=60) > 0).astype(int)]
    error = ((_leave_one_out(features, targets) - targets) ** 2).mean()
    for ridge in _RIDGES:
        monkeypatch.setattr("hubclean._leave_one_out._RIDGES", np.array([ridge]))
        one = ((_leave_one_out(features, targets) - targets) ** 2).mean()
        assert error <= one + 1e-12


@pytest.mark.parametrize("n_components", [0, 200])
def test_no_row_is_judged_by_its_own_label(n_components):
    labels = TRUE[:200].copy()
    probs = leave_one_out_ridge(
        labels, DIGITS[:200], n_classes=10, n_components=n_components
    )
    labels[5] = (labels[5] + 1) % 10
    changed = leave_one_out_ridge(
        labels, DIGITS[:200], n_classes=10, n_components=n_components
    )
    assert changed[5].argmax() == probs[5].argmax()
    np.testing.assert_allclose(changed[5], probs[5], atol=0.05)
    near = leave_one_out_neighbors(labels, DIGITS[:200], n_classes=10, n_neighbors=5)
    labels[5] = (labels[5] + 3) % 10
    again = leave_one_out_neighbors(labels, DIGITS[:200], n_classes=10, n_neighbors=5)
    np.testing.assert_allclose(again[5], near[5], atol=0.005)  # the prior moved


def test_neighbors_by_hand():
    X = np.array([[0.0], [1.0], [2.1], [10.0], [11.0]])
    labels = np.array([0, 0, 1, 1, 1])
    probs = leave_one_out_neighbors(labels, X, n_classes=2, n_neighbors=2)
    # Two neighbours and one more that is 2/5 class 0 and 3/5 class 1.
    np.testing.assert_allclose(probs[0], [1.4 / 3, 1.6 / 3])
    np.testing.assert_allclose(probs[4], [0.4 / 3, 2.6 / 3])


def test_number_of_neighbors_is_the_one_with_the_smallest_loss():
    labels = TRUE[:300]

    def loss(probs):
        return -np.log(probs[np.arange(300), labels]).mean()

    chosen = loss(leave_one_out_neighbors(labels, DIGITS[:300], n_classes=10))
    losses = [
        loss(leave_one_out_neighbors(labels, DIGITS[:300], n_classes=10, n_neighbors=n))
        for n in range(1, 51, 7)
    ]
    assert chosen <= min(losses) + 1e-12


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "judge, least", [(leave_one_out_ridge, 0.985), (leave_one_out_neighbors, 0.97)]
)
def test_finds_planted_errors_of_digits(judge, least, seed):
    labels, wrong = symmetric_noise(TRUE, 0.1, random_state=seed)
    probs = judge(labels, DIGITS, n_classes=10)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert probs.min() >= 0
    own = probs[np.arange(len(labels)), labels]
    assert average_precision_score(wrong, -own) >= least


def test_rows_that_are_all_alike():
    labels = np.array([0, 1, 0, 1])
    probs = leave_one_out_ridge(labels, np.ones((4, 2)), n_classes=2)
    assert np.isfinite(probs).all()
