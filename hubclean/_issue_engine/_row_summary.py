"""One pass over the probabilities: what the rules need to know of every row.

It imports only `_blocks`, and the compiled kernels when they pay.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from hubclean._issue_engine._blocks import (
    in_threads,
    kernels_for,
    n_threads,
    read_only,
    row_blocks,
)

_CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class RowSummary:
    """The given class and the two likeliest other classes of every row.

    With these few numbers for a row the rules decide about nearly all rows and all
    pairs of classes without reading the probabilities again.

    Attributes
    ----------
    labels : ndarray of intp, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    self_confidence : ndarray of float, shape (n_samples,)
        Probability of the given label, in the dtype of the probabilities.
    best, second : ndarray of float, shape (n_samples,)
        Largest and second largest probability among the other classes; minus
        infinity where there is none.
    best_class, second_class : ndarray of int32, shape (n_samples,)
        Their classes, the first ones where probabilities are equal.
    """

    labels: np.ndarray
    self_confidence: np.ndarray
    best: np.ndarray
    best_class: np.ndarray
    second: np.ndarray
    second_class: np.ndarray

    @property
    def parts(self):
        """The arrays, in order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def of(self, rows):
        """Summary of a slice of the rows."""
        return RowSummary(*(part[rows] for part in self.parts))

    @cached_property
    def predicted(self):
        """Likeliest class, the first one of several; shape (n_samples,)."""
        tied = np.minimum(self.labels, self.best_class)
        other = np.where(self.self_confidence < self.best, self.best_class, tied)
        return np.where(self.self_confidence > self.best, self.labels, other)

    @cached_property
    def agrees(self):
        """Whether the prediction is the given label, or as good as; (n_samples,)."""
        lifted = self.self_confidence + _CLOSE
        first = (lifted == self.best) & (self.labels < self.best_class)
        return (lifted > self.best) | first

    @cached_property
    def normalized_margin(self):
        """Margin of the given label over the best other one, in [0, 1]."""
        return (self.self_confidence - self.best + 1) / 2


def summarise_rows(labels, pred_probs, *, n_jobs=None):
    """Read the probabilities once and keep six numbers of every row.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Probabilities in any layout; may be a memory-mapped file.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    summary : RowSummary
        Arrays of n_samples numbers.

    Examples
    --------
    >>> p = np.array([[.2, .7, .1], [.3, .6, .1]])
    >>> summary = summarise_rows(np.array([0, 1]), p)
    >>> summary.best_class, summary.agrees
    (array([1, 0], dtype=int32), array([False,  True]))
    """
    labels = np.asarray(labels).astype(np.intp, copy=False)
    pred_probs = np.asarray(pred_probs)
    n_rows = len(pred_probs)
    values = [np.empty(n_rows, dtype=pred_probs.dtype) for _ in range(3)]
    classes = [np.empty(n_rows, dtype=np.int32) for _ in range(2)]
    summary = RowSummary(
        labels, values[0], values[1], classes[0], values[2], classes[1]
    )

    kernels = kernels_for(pred_probs)

    def read(rows):
        if kernels is None:
            _summarise_block(summary, pred_probs[rows], rows)
        else:
            block = read_only(np.ascontiguousarray(pred_probs[rows]))
            outputs = (part[rows] for part in summary.parts)
            kernels.summarise(block, block.view(f"i{block.itemsize}"), *outputs)

    threads = n_threads(n_jobs, pred_probs.size)
    in_threads(read, row_blocks(pred_probs), threads)
    return summary


def _summarise_block(summary, block, rows):
    """Fill in the rows of one block."""
    values = np.array(block, order="C")
    each = np.arange(len(values))
    columns = summary.labels[rows]
    found = [
        (summary.self_confidence, None),
        (summary.best, summary.best_class),
        (summary.second, summary.second_class),
    ]
    for value_out, class_out in found:
        if class_out is not None:
            columns = values.argmax(axis=1)
            class_out[rows] = columns
        value_out[rows] = values[each, columns]
        values[each, columns] = -np.inf
