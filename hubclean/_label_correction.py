"""What is done to the flagged rows: pruned, relabelled, or given less weight.

Arrays in, arrays out. It imports nothing from hubclean.
"""

from dataclasses import dataclass

import numpy as np

# On noisy Fashion-MNIST 0.8 was as good as 0.9 or better (docs/benchmarks).
_CREDIBLE = 0.8


@dataclass(frozen=True)
class Correction:
    """The rows that the next training gets.

    Attributes
    ----------
    kept : ndarray of int, shape (n_kept,)
        Positions of the rows that stay, ascending.
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
    """

    labels: np.ndarray
    predicted: np.ndarray
    is_label_issue: np.ndarray
    label_quality: np.ndarray
    is_confident: np.ndarray
    given_right: np.ndarray | None = None
    predicted_right: np.ndarray | None = None

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


#: Name -> function of the findings and the prune fraction.
CORRECTIONS = {
    "prune_fraction": prune_share,
    "prune": prune,
    "relabel": relabel,
    "auto": most_credible,
    "weight": weight,
}


def _apply(found, pruned, relabelled):
    """Prune and relabel, but leave every class its best row.

    Where a class would lose its last row, its row of the highest quality stays as it
    is: a model must be able to learn every class.
    """
    corrected = np.array(found.labels)
    keep = np.ones(len(corrected), dtype=bool)
    keep[pruned] = False
    corrected[relabelled] = found.predicted[relabelled]
    rank = np.where(np.isnan(found.label_quality), np.inf, found.label_quality)
    for k in np.setdiff1d(found.labels, corrected[keep]):
        members = np.flatnonzero(found.labels == k)
        best = members[np.argmax(rank[members])]
        keep[best], corrected[best] = True, k
    kept = np.flatnonzero(keep)
    return Correction(kept, corrected[kept])
