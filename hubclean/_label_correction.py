"""What is done to the flagged rows: some are pruned, the others relabelled.

Arrays in, arrays out. It imports nothing from hubclean.
"""

import numpy as np


def correct_labels(labels, is_label_issue, label_quality, predicted, prune_fraction):
    """Prune the worst issues and relabel the others.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    is_label_issue : ndarray of bool, shape (n_samples,)
        The flagged rows.
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1], low is suspicious.
    predicted : ndarray of int, shape (n_samples,)
        Predicted labels, coded like `labels`.
    prune_fraction : float
        Share of the issues, those with the lowest quality, that is pruned; in [0, 1].

    Returns
    -------
    kept : ndarray of int, shape (n_kept,)
        Positions of the rows that stay, ascending.
    corrected : ndarray of int, shape (n_kept,)
        Their labels. Every class of `labels` keeps at least one row: where a class
        would lose its last one, its row of the highest quality stays as it is.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> issue = np.array([False, True, True, False, False])
    >>> quality = np.array([0.9, 0.1, 0.3, 0.8, 0.7])
    >>> predicted = np.array([0, 1, 1, 1, 1])
    >>> kept, corrected = correct_labels(labels, issue, quality, predicted, 0.5)
    >>> kept, corrected
    (array([0, 2, 3, 4]), array([0, 1, 1, 1]))
    """
    issues = np.flatnonzero(is_label_issue)
    issues = issues[np.argsort(label_quality[issues], kind="stable")]
    n_pruned = round(prune_fraction * len(issues))
    corrected = np.array(labels)
    keep = np.ones(len(labels), dtype=bool)
    keep[issues[:n_pruned]] = False
    relabelled = issues[n_pruned:]
    corrected[relabelled] = predicted[relabelled]
    rank = np.where(np.isnan(label_quality), np.inf, label_quality)
    for k in np.setdiff1d(labels, corrected[keep]):
        members = np.flatnonzero(labels == k)
        best = members[np.argmax(rank[members])]
        keep[best], corrected[best] = True, k
    kept = np.flatnonzero(keep)
    return kept, corrected[kept]
