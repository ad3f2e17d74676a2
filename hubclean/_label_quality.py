"""One score for every label: low is suspicious.

The scores are those of ``cleanlab.rank.get_label_quality_scores``. Arrays in, arrays
out; it imports only `_confident_learning`, `_issue_engine` and `exceptions`.
"""

import numpy as np
from scipy.special import xlogy

from hubclean._confident_learning import class_thresholds
from hubclean._issue_engine import in_threads, n_threads, row_blocks, summarise_rows
from hubclean.exceptions import ParameterError

_LOWEST = 1e-6


def label_quality(
    labels, pred_probs, *, score="self_confidence", adjust_pred_probs=False, n_jobs=None
):
    """Score every given label by the probabilities of its row.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1. May be a memory-mapped file.
    score : str
        One of `SCORES`. ``"self_confidence"``: probability of the given label.
        ``"normalized_margin"``: (1 + that less the best other probability) / 2.
        ``"confidence_weighted_entropy"``: log(1 + r) / r, where r is the row's
        entropy in units of log(n_classes), divided by the self confidence.
    adjust_pred_probs : bool
        Subtract the class thresholds first, so that a rare class is not suspicious
        for being rare; not with ``"confidence_weighted_entropy"``.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1], in the precision of `pred_probs` or above.

    Raises
    ------
    ParameterError
        If `score` is unknown, or cannot be adjusted.

    References
    ----------
    .. [1] Kuan, Mueller, ICML DataPerf workshop (2022), section 2.

    Examples
    --------
    >>> pred_probs = np.array([[.9, .1], [.8, .2]])
    >>> label_quality(np.array([0, 1]), pred_probs)
    array([0.9, 0.2])
    >>> label_quality(np.array([0, 1]), pred_probs, score="normalized_margin")
    array([0.9, 0.2])
    """
    labels = np.asarray(labels).astype(np.intp, copy=False)
    pred_probs = np.asarray(pred_probs)
    if score not in _SCORE_FUNCTIONS:
        raise ParameterError(
            f"label_quality: `score` must be one of {', '.join(SCORES)}; "
            f"got {score!r}. Pass one of these names."
        )
    if adjust_pred_probs:
        if score == "confidence_weighted_entropy":
            raise ParameterError(
                "label_quality: `adjust_pred_probs=True` needs a score that is linear "
                "in the probabilities; got 'confidence_weighted_entropy'. Pass "
                "'self_confidence' or 'normalized_margin', or leave it False."
            )
        thresholds = class_thresholds(labels, pred_probs)
        return _adjusted(
            labels, pred_probs, _SCORE_FUNCTIONS[score], thresholds, n_jobs
        )
    return _SCORE_FUNCTIONS[score](labels, pred_probs, n_jobs)


def _self_confidence(labels, pred_probs, n_jobs=1):
    """Probability of the given label."""
    return pred_probs[np.arange(len(labels)), labels]


def _normalized_margin(labels, pred_probs, n_jobs=1):
    """Half of one more than the margin over the best other class."""
    return summarise_rows(labels, pred_probs, n_jobs=n_jobs).normalized_margin


def _confidence_weighted_entropy(labels, pred_probs, n_jobs=1):
    """Entropy over self confidence, turned so that 1 is clean."""

    def read(block, given):
        entropy = -xlogy(block, block).sum(axis=1) / np.log(block.shape[1])
        own = np.maximum(_self_confidence(given, block), _LOWEST)
        ratio = np.maximum(entropy, 0) / own  # rows may sum to 1.01
        return np.log(ratio + 1) / np.maximum(ratio, _LOWEST)

    return _by_blocks(read, labels, pred_probs, n_jobs)


def _adjusted(labels, pred_probs, score, thresholds, n_jobs):
    """Score the probabilities less the thresholds, shifted and scaled to sum to 1."""
    # A class without samples counts as one that no probability can reach.
    thresholds = np.where(np.isnan(thresholds), 2, thresholds).astype(thresholds.dtype)

    def read(block, given):
        shifted = block - thresholds
        shifted += thresholds.max()
        shifted /= shifted.sum(axis=1, keepdims=True)
        return score(given, shifted)

    return _by_blocks(read, labels, pred_probs, n_jobs)


def _by_blocks(read, labels, pred_probs, n_jobs):
    """Apply a function of probabilities and labels to blocks of rows."""
    blocks = row_blocks(pred_probs)
    parts = [np.empty(0)] * len(blocks)

    def work(number):
        rows = blocks[number]
        parts[number] = read(pred_probs[rows], labels[rows])

    in_threads(work, range(len(blocks)), n_threads(n_jobs, pred_probs.size))
    return np.concatenate(parts)


_SCORE_FUNCTIONS = {
    "self_confidence": _self_confidence,
    "normalized_margin": _normalized_margin,
    "confidence_weighted_entropy": _confidence_weighted_entropy,
}

#: Names that `score` may have.
SCORES = tuple(_SCORE_FUNCTIONS)
