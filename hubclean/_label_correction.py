"""What is done to the flagged rows: pruned, relabelled, or given weights.

Arrays in, arrays out. It imports nothing from hubclean.
"""

from dataclasses import dataclass

import numpy as np

# On noisy Fashion-MNIST 0.8 was as good as 0.9 or better (docs/benchmarks).
_CREDIBLE = 0.8
# What the out-of-sample probabilities count for in a soft label, and the share of a
# label that is too small to train on (docs/decisions.md).
_OUT_OF_SAMPLE, _LEAST_SHARE = 0.35, 0.15
_BLOCK_NUMBERS = 1 << 21
# Where more of the labels are wrong, doubtful ones are better left out.
_MOST_WRONG = 0.3


@dataclass(frozen=True)
class Correction:
    """The rows that the next training gets.

    Attributes
    ----------
    kept : ndarray of int, shape (n_kept,)
        Positions of the rows that stay, ascending; a row with several labels is there
        once for each.
    labels : ndarray of int, shape (n_kept,)
        Their labels, coded like the given ones.
    weights : ndarray of float, shape (n_kept,), or None
        Weight of each in (0, 1]; None where all weigh the same.
    """

    kept: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """What is known of every row when it comes to correcting it.

    Attributes
    ----------
    labels, predicted : ndarray of int, shape (n_samples,)
        Given and predicted labels, coded 0 to n_classes - 1.
    is_label_issue : ndarray of bool, shape (n_samples,)
        The flagged rows.
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1], low is suspicious; NaN where a row was not judged.
    is_confident : ndarray of bool, shape (n_samples,)
        Whether the evidence for the predicted label is strong.
    given_right, predicted_right : ndarray of float, shape (n_samples,), or None
        Probability that the given, and the predicted, label is the true one; NaN where
        a row was not judged, None where nothing is known.
    pred_probs : ndarray of float, shape (n_samples, n_classes), or None
        Out-of-sample probabilities; only rows that were judged are looked at.
    """

    labels: np.ndarray
    predicted: np.ndarray
    is_label_issue: np.ndarray
    label_quality: np.ndarray
    is_confident: np.ndarray
    given_right: np.ndarray | None = None
    predicted_right: np.ndarray | None = None
    pred_probs: np.ndarray | None = None

    def worst_first(self):
        """Positions of the issues, the lowest quality first."""
        issues = np.flatnonzero(self.is_label_issue)
        return issues[np.argsort(self.label_quality[issues], kind="stable")]


def confident_predictions(pred_probs, predicted, thresholds):
    """Whether a row is confidently of its predicted class.

    It is where the probability reaches the mean probability of that class among the
    rows labelled so [1]_.

    Parameters
    ----------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.
    predicted : ndarray of int, shape (n_samples,)
        Predicted classes.
    thresholds : ndarray of float, shape (n_classes,)
        Class thresholds; NaN for a class without rows.

    Returns
    -------
    is_confident : ndarray of bool, shape (n_samples,)
        True where the evidence is strong.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, JAIR 70 (2021), eq. 2.

    Examples
    --------
    >>> probs = np.array([[0.9, 0.1], [0.6, 0.4]])
    >>> confident_predictions(probs, np.array([0, 0]), np.array([0.8, 0.7]))
    array([ True, False])
    """
    certainty = pred_probs[np.arange(len(predicted)), predicted]
    return certainty >= thresholds[predicted]


def prune(found, prune_fraction=1.0):
    """Leave every issue out."""
    return _apply(found, found.worst_first(), [])


def prune_share(found, prune_fraction):
    """Leave out the share of the issues with the lowest quality; relabel the rest."""
    issues = found.worst_first()
    n_pruned = round(prune_fraction * len(issues))
    return _apply(found, issues[:n_pruned], issues[n_pruned:])


def relabel(found, prune_fraction=1.0):
    """Relabel the issues with strong evidence for another label; prune the others."""
    issues = found.worst_first()
    strong = found.is_confident[issues] & (
        found.predicted[issues] != found.labels[issues]
    )
    return _apply(found, issues[~strong], issues[strong])


def most_credible(found, prune_fraction=1.0):
    """Give every row a label that is probably right, or leave the row out.

    The given label stays where it is right with a probability of at least 0.8; else
    the predicted one takes its place where that one is; else the row goes. This looks
    at every row, issue or not: a wrong label costs a model more than a row less.
    Without probabilities it is `relabel`.
    """
    if found.given_right is None:
        return relabel(found)
    rank = np.where(np.isnan(found.given_right), np.inf, found.given_right)
    doubtful = np.flatnonzero(rank < _CREDIBLE)
    strong = found.predicted_right[doubtful] >= _CREDIBLE
    return _apply(found, doubtful[~strong], doubtful[strong])


def weight(found, prune_fraction=1.0):
    """Keep every row; an issue weighs as much as its label is probable."""
    floor = np.finfo(np.float32).eps
    quality = np.clip(np.nan_to_num(found.label_quality, nan=1.0), floor, 1.0)
    weights = np.where(found.is_label_issue, quality, 1.0)
    return Correction(np.arange(len(found.labels)), np.array(found.labels), weights)


def soft_labels(found, prune_fraction=1.0):
    """Give every row the labels that it may have, weighted by their probability.

    Of a row's weight, 0.65 is divided between the given and the predicted label as
    they are probable, and 0.35 among all classes as the out-of-sample probabilities
    say [1]_: a model that never saw the label of the row teaches the final one [2]_.
    Shares under 0.15 are left out; the weights of a row sum to 1.

    Parameters
    ----------
    found : Found
        With `given_right`, `predicted_right` and `pred_probs`.
    prune_fraction : float
        Not looked at.

    Returns
    -------
    correction : Correction
        A row is there once for each of its labels.

    References
    ----------
    .. [1] Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich, "Training deep neural
       networks on noisy labels with bootstrapping", ICLR 2015 workshop, eq. 6.
    .. [2] Dao, Kamath, Syrgkanis, Mackey, "Knowledge distillation as semiparametric
       inference", ICLR 2021, section 4: the teacher is cross-fitted.

    Examples
    --------
    >>> found = Found(
    ...     labels=np.array([0, 1]), predicted=np.array([0, 0]),
    ...     is_label_issue=np.array([False, True]), label_quality=np.array([1, 0.25]),
    ...     is_confident=np.ones(2, bool), given_right=np.array([1, 0.25]),
    ...     predicted_right=np.array([1, 0.75]),
    ...     pred_probs=np.array([[1.0, 0.0], [0.75, 0.25]]))
    >>> soft = soft_labels(found)
    >>> soft.kept.tolist(), soft.labels.tolist(), soft.weights.tolist()
    ([0, 1, 1], [0, 0, 1], [1.0, 0.75, 0.25])
    """
    block = max(1, _BLOCK_NUMBERS // found.pred_probs.shape[1])
    parts = [
        _soft_labels_of(found, slice(start, start + block))
        for start in range(0, len(found.labels), block)
    ]
    kept, labels, weights = map(np.concatenate, zip(*parts, strict=True))
    for best, k in _best_rows(found, np.setdiff1d(found.labels, labels)):
        place = np.searchsorted(kept, best)
        kept, labels = np.insert(kept, place, best), np.insert(labels, place, k)
        weights = np.insert(weights, place, 1.0)
    return Correction(kept, labels, weights)


def _soft_labels_of(found, block):
    """Rows, labels and weights of some rows, by row and then by label."""
    given, predicted = found.labels[block], found.predicted[block]
    rows = np.arange(len(given))
    unjudged = np.isnan(found.given_right[block])
    right = np.where(unjudged, 1.0, found.given_right[block])
    other = np.where(unjudged | (given == predicted), 0, found.predicted_right[block])
    either = np.maximum(right + other, 1e-300)
    shares = _OUT_OF_SAMPLE * np.asarray(found.pred_probs[block], dtype=np.float64)
    shares[unjudged] = 0
    shares[rows, given] += (1 - _OUT_OF_SAMPLE) * right / either
    shares[rows, predicted] += (1 - _OUT_OF_SAMPLE) * other / either
    shares[shares < _LEAST_SHARE] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    kept, labels = np.nonzero(shares)
    return kept + block.start, labels, shares[kept, labels]


#: Corrections that give weights, for estimators that take them.
WEIGHTED = ("weight", "soft_labels")
#: Name -> function of the findings and the prune fraction.
CORRECTIONS = {
    "prune_fraction": prune_share,
    "prune": prune,
    "relabel": relabel,
    "auto": most_credible,
    "soft_labels": soft_labels,
    "weight": weight,
}


def correct(found, correction, prune_fraction=1.0, *, weighted):
    """Correct the labels.

    Parameters
    ----------
    found : Found
        What is known of every row.
    correction : str
        One of `CORRECTIONS`. Where weights are taken and at most 30 % of the labels are
        expected to be wrong, ``"auto"`` is ``"soft_labels"``.
    prune_fraction : float
        For ``"prune_fraction"``.
    weighted : bool
        Whether the next training takes weights.

    Returns
    -------
    correction : Correction
        Rows, labels and perhaps weights.
    """
    if correction == "auto" and weighted and found.given_right is not None:
        expected = 1 - np.nanmean(found.given_right)
        if expected <= _MOST_WRONG:
            correction = "soft_labels"
    return CORRECTIONS[correction](found, prune_fraction)


def _apply(found, pruned, relabelled):
    """Prune and relabel, but leave every class its best row.

    Where a class would lose its last row, its row of the highest quality stays as it
    is: a model must be able to learn every class.
    """
    corrected = np.array(found.labels)
    keep = np.ones(len(corrected), dtype=bool)
    keep[pruned] = False
    corrected[relabelled] = found.predicted[relabelled]
    # A row that stays may be the last one of the class that it was to have.
    while len(lost := np.setdiff1d(found.labels, corrected[keep])):
        for best, k in _best_rows(found, lost):
            keep[best], corrected[best] = True, k
    kept = np.flatnonzero(keep)
    return Correction(kept, corrected[kept])


def _best_rows(found, classes):
    """Row of the highest quality of each class, and the class."""
    rank = np.where(np.isnan(found.label_quality), np.inf, found.label_quality)
    for k in classes:
        members = np.flatnonzero(found.labels == k)
        yield members[np.argmax(rank[members])], k
