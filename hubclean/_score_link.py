"""What makes least-squares scores probabilities. Arrays in, arrays out.

It imports only `hubclean._temperature`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit, softmax

from hubclean._temperature import fitted_scale

# Logs of the power and of the width.
_BOUNDS = [(-2.0, 5.0), (-5.0, 2.0)]
_START = (0.7, -2.5)
# Numbers in the rows that links are fitted to, and the fewest rows.
_FIT_NUMBERS, _FEWEST_FIT_ROWS = 200_000, 2000
_BLOCK_ROWS = 8192
_SAMPLE_SEED = 0x6C696E6B
# Below it the softplus is the exponential.
_LOWEST = -30.0


@dataclass(frozen=True)
class ScoreLink:
    """Probabilities in proportion to a power of what is positive of a score.

    Attributes
    ----------
    power : float
        Above 1 the likeliest class gains.
    width : float
        Of the range of scores around 0 that count as little instead of nothing.
    """

    power: float
    width: float

    def logits(self, scores):
        """Log of the probabilities, but for a constant of each row."""
        return self.power * _log_softplus(scores / self.width)

    def pred_probs(self, scores):
        """Probabilities; rows sum to 1."""
        return softmax(self.logits(scores), axis=1)


def _log_softplus(scores):
    """Log of log(1 + exp(score))."""
    low = scores < _LOWEST
    return np.where(low, scores, np.log(np.where(low, 1.0, np.logaddexp(0, scores))))


def fit_score_link(scores, codes):
    """Fit the link with the smallest log loss of the labels.

    The scores of a least-squares classifier estimate the probabilities themselves, and
    those below 0 count as 0 [1]_. Here the fall to 0 is soft, w log(1 + exp(s / w)),
    and taken to a power, as a penalty shrinks the scores.

    Parameters
    ----------
    scores : ndarray of float, shape (n_samples, n_classes)
        Least-squares estimates of one-hot labels, each of a row left out.
    codes : ndarray of int, shape (n_samples,)
        Labels, coded 0 to n_classes - 1.

    Returns
    -------
    link : ScoreLink
        The fitted link.

    References
    ----------
    .. [1] Sugiyama, "Superfast-trainable multi-class probabilistic classifier by
       least-squares posterior fitting", IEICE Transactions E93-D (2010), section 2.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.1, 0.9]] * 20)
    >>> codes = np.array([0, 0, 1, 1] * 19 + [0, 1, 0, 1])
    >>> link = fit_score_link(scores, codes)
    >>> bool(link.pred_probs(scores)[0, 0] > 0.9)
    True
    """
    rows = np.arange(len(codes))

    def log_loss(parameters):
        power, width = np.exp(parameters)
        scaled = scores / width
        logs = _log_softplus(scaled)
        slopes = np.exp(log_expit(scaled) - logs)
        logits = power * logs
        probs = softmax(logits, axis=1)
        value = -np.log(np.maximum(probs[rows, codes], 1e-300)).mean()
        probs[rows, codes] -= 1
        by_power = np.einsum("ij,ij->", probs, logits)
        by_width = -power * np.einsum("ij,ij,ij->", probs, slopes, scaled)
        return value, np.array([by_power, by_width]) / len(codes)

    found = minimize(log_loss, _START, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    power, width = np.exp(found.x)
    return ScoreLink(float(power), float(width))


def score_pred_probs(scores, codes):
    """Probabilities by two links, averaged: the one fitted here, and a softmax.

    A softmax takes rows between two classes for clearer than they are, and the other
    link explains the given labels better. It therefore believes more of the labels
    that are wrong by a row's own doing, and the mean finds more than either.

    Parameters
    ----------
    scores : ndarray of float, shape (n_samples, n_classes)
        Least-squares estimates of one-hot labels, each of a row left out.
    codes : ndarray of int, shape (n_samples,)
        Labels, coded 0 to n_classes - 1.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Rows sum to 1. The links are fitted to at most 200,000 scores, or 2,000 rows,
        drawn with a fixed seed.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.1, 0.9]] * 20)
    >>> codes = np.array([0, 0, 1, 1] * 19 + [0, 1, 0, 1])
    >>> bool(score_pred_probs(scores, codes)[0, 0] > 0.9)
    True
    """
    sample = _sample(scores, codes)
    scale, link = fitted_scale(*sample), fit_score_link(*sample)
    probs = np.empty(scores.shape)
    for start in range(0, len(scores), _BLOCK_ROWS):
        block = scores[start : start + _BLOCK_ROWS]
        clear = softmax(scale * block, axis=1)
        probs[start : start + _BLOCK_ROWS] = (clear + link.pred_probs(block)) / 2
    return probs


def _sample(scores, codes):
    """Rows to fit links to, the same ones for the same input."""
    n_rows, n_classes = scores.shape
    size = max(_FIT_NUMBERS // n_classes, _FEWEST_FIT_ROWS)
    if n_rows <= size:
        return scores, codes
    rows = np.random.default_rng(_SAMPLE_SEED).choice(n_rows, size, replace=False)
    return scores[rows], codes[rows]
