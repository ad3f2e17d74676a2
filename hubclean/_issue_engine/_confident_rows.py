"""Into which class a model is confident that each row belongs.

It imports only `_blocks`, and the compiled kernels when they pay.
"""

import numpy as np

from hubclean._issue_engine._blocks import (
    in_threads,
    kernels_for,
    n_threads,
    read_only,
    row_blocks_of,
    row_chunks,
)


def confident_classes(summary, pred_probs, bars, *, n_jobs=None):
    """Class into which each row is counted, -1 where the model is confident of none.

    A row is counted into the one class whose bar it reaches; into the likeliest class
    if it reaches several. Only rows whose likeliest class misses its bar while the
    second best of the others could reach one are read again.

    Parameters
    ----------
    summary : RowSummary
        From `summarise_rows`.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        The same probabilities.
    bars : ndarray of float, shape (n_classes,)
        Probability from which the model is confident of a class; NaN for never.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    classes : ndarray of int32, shape (n_samples,)
        -1 to n_classes - 1.
    """
    classes = np.empty(len(summary.labels), dtype=np.int32)
    kernels = kernels_for(pred_probs)

    def work(rows):
        part, found = summary.of(rows), classes[rows]
        open_rows = _judge_by_summary(part, bars, found)
        _judge_by_row(kernels, pred_probs[rows], open_rows, bars, part.predicted, found)

    in_threads(work, row_chunks(len(classes)), n_threads(n_jobs, pred_probs.size))
    return classes


def _judge_by_summary(summary, bars, classes):
    """Fill in what the summary tells; return the rows that must be read."""
    labels, best_class = summary.labels, summary.best_class
    given = summary.self_confidence >= bars[labels]
    other = summary.best >= bars[best_class]
    # The likeliest class wins wherever it is confident, alone or with others.
    sure = np.where(summary.predicted == labels, given, other)
    runner_up = np.where(given, labels, np.where(other, best_class, -1))
    classes[:] = np.where(sure, summary.predicted, runner_up)
    return np.flatnonzero(~sure & (summary.second >= np.nanmin(bars)))


def _judge_by_row(kernels, pred_probs, picked, bars, predicted, classes):
    """Fill in some rows by looking at all their probabilities."""
    if kernels is not None and pred_probs.flags.c_contiguous:
        kernels.confident(read_only(pred_probs), picked, bars, predicted, classes)
        return
    for rows in row_blocks_of(picked, pred_probs):
        reached = pred_probs[rows] >= bars
        how_many = reached.sum(axis=1)
        found = np.where(how_many > 1, predicted[rows], reached.argmax(axis=1))
        classes[rows] = np.where(how_many > 0, found, -1)
