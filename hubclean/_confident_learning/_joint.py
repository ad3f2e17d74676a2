"""Class thresholds, the confident joint, and what follows from it.

It imports only `hubclean._issue_engine`.
"""

import numpy as np

from hubclean._issue_engine import confident_classes, rows_by_class, summarise_rows

_LOWEST_THRESHOLD = 2e-6
_CLOSE = 1e-6


def class_thresholds(labels, pred_probs):
    """Mean probability of class k among the samples labelled k [1]_.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.

    Returns
    -------
    thresholds : ndarray of float, shape (n_classes,)
        Each in [2e-6, 1], averaged in the dtype of `pred_probs`; NaN for a class
        without samples.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, JAIR 70 (2021), eq. 2.

    Examples
    --------
    >>> class_thresholds(np.array([0, 0, 1]),
    ...                  np.array([[.9, .1], [.6, .4], [.2, .8]]))
    array([0.75, 0.8 ])
    """
    labels = np.asarray(labels).astype(np.intp, copy=False)
    pred_probs = np.asarray(pred_probs)
    own = pred_probs[np.arange(len(labels)), labels]
    return mean_by_class(own, *rows_by_class(labels, pred_probs.shape[1]))


def mean_by_class(self_confidence, order, bounds):
    """Thresholds from the probabilities of the given labels, grouped by class.

    A class is averaged as one contiguous array in row order, so that the rounding of
    float32 sums is that of ``np.mean`` on the class's column. With a class that has
    no samples the result is float64, which is what cleanlab compares with then.
    """
    grouped = self_confidence[order]
    means = [
        np.mean(grouped[start:stop]) if stop > start else None
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    missing = any(mean is None for mean in means)
    kind = np.float64 if missing else grouped.dtype
    thresholds = np.array([np.nan if m is None else m for m in means], dtype=kind)
    return np.clip(thresholds, _LOWEST_THRESHOLD, None)


def confident_bars(thresholds):
    """Probability from which a class counts as confident: just under its threshold."""
    return thresholds - _CLOSE


def count_joint(labels, classes, n_classes):
    """Rows per pair of given and confident class, at least one on the diagonal."""
    pairs = labels * (n_classes + 1) + classes + 1  # column 0: confident of none
    joint = np.bincount(pairs, minlength=n_classes * (n_classes + 1))
    joint = joint.reshape(n_classes, n_classes + 1)[:, 1:].astype(np.int64)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    return joint


def calibrate_joint(joint, label_counts):
    """Scale the rows of a joint to the number of samples of each given class.

    Parameters
    ----------
    joint : ndarray of int, shape (n_classes, n_classes)
        Counts, rows given, columns true; no row is all zero.
    label_counts : ndarray of int, shape (n_classes,)
        Samples of each given class.

    Returns
    -------
    calibrated : ndarray of int64, shape (n_classes, n_classes)
        Whole numbers that sum to the number of samples.

    Examples
    --------
    >>> calibrate_joint(np.array([[2, 1], [0, 1]]), np.array([10, 5]))
    array([[7, 3],
           [0, 5]])
    """
    # Summed in the order (true, given): the last bit decides how halves are rounded.
    scaled = np.ascontiguousarray(joint.T) / joint.sum(axis=1) * label_counts
    scaled = scaled / scaled.sum() * label_counts.sum()
    return round_rows(np.ascontiguousarray(scaled.T))


def round_rows(values):
    """Round to whole numbers so that the sums of the rows stay.

    What is missing from a row is added to the entries that lost most by rounding;
    what is too much is taken from those that gained most.

    Examples
    --------
    >>> round_rows(np.array([[0.45, 0.35, 1.2], [1.0, 2.0, 3.0]]))
    array([[1, 0, 1],
           [1, 2, 3]])
    """
    whole = values.round()
    missing = (values.sum(axis=1).round() - whole.sum(axis=1)).astype(np.int64)
    for row in np.flatnonzero(missing):
        left = missing[row]
        step = 1 if left > 0 else -1
        while left != 0:
            by_loss = np.argsort(values[row] - whole[row])[::-step]
            chosen = by_loss[: abs(left)]
            whole[row, chosen] += step
            left -= step * len(chosen)
    return whole.astype(np.int64)


def confident_joint(labels, pred_probs, *, calibrate=True, n_jobs=None):
    """Count how often each given class is confidently another class [1]_.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.
    calibrate : bool
        Scale every row to the number of samples with that label.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    confident_joint : ndarray of int64, shape (n_classes, n_classes)
        Rows given, columns true. Before calibration each diagonal entry is 1 or
        more; after it, the row of a class without samples is zero.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, JAIR 70 (2021), eq. 1 and 3.

    Examples
    --------
    >>> confident_joint(np.array([0, 0, 0, 1]),
    ...                 np.array([[.9, .1], [.8, .2], [.1, .9], [.2, .8]]))
    array([[2, 1],
           [0, 1]])
    """
    summary = summarise_rows(labels, pred_probs, n_jobs=n_jobs)
    pred_probs = np.asarray(pred_probs)
    n_classes = pred_probs.shape[1]
    order, bounds = rows_by_class(summary.labels, n_classes)
    thresholds = mean_by_class(summary.self_confidence, order, bounds)
    bars = confident_bars(thresholds)
    classes = confident_classes(summary, pred_probs, bars, n_jobs=n_jobs)
    joint = count_joint(summary.labels, classes, n_classes)
    return calibrate_joint(joint, np.diff(bounds)) if calibrate else joint


def noise_matrix(confident_joint):
    """Probability of each given class for each true class, P(given | true).

    Parameters
    ----------
    confident_joint : ndarray of int, shape (n_classes, n_classes)
        Rows given, columns true.

    Returns
    -------
    noise_matrix : ndarray of float64, shape (n_classes, n_classes)
        Rows given, columns true; columns sum to 1. A true class into which nothing
        was counted is taken to be labelled rightly: 1 on the diagonal.

    Examples
    --------
    >>> noise_matrix(np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]]))
    array([[0.75, 0.5 , 0.  ],
           [0.25, 0.5 , 0.  ],
           [0.  , 0.  , 1.  ]])
    """
    joint = np.array(confident_joint, dtype=np.float64)
    empty = np.flatnonzero(joint.sum(axis=0) == 0)
    joint[empty, empty] = 1
    return joint / joint.sum(axis=0)
