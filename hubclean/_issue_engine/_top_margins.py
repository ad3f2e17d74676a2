"""For every pair of classes, the rows with the largest margins.

The margin of a row with the given label k towards class j is its probability of j
less its probability of k. The two largest margins of a row are in its summary, so
most rows need not be read again; those that may still count are read once more.

It imports only `_blocks`, and the compiled kernels when they pay.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hubclean._issue_engine._blocks import (
    in_threads,
    kernels_for,
    n_threads,
    read_only,
    row_blocks,
)

_BUFFER = 1 << 20


@dataclass(frozen=True, eq=False)
class TopMargins:
    """The rows with the largest margins, and the smallest margin among them.

    Attributes
    ----------
    chosen : ndarray of bool, shape (n_samples,)
        Whether a row is among the first ones of any pair, ties at a cut apart.
    cuts : ndarray of float64, shape (n_classes, n_classes)
        Smallest margin that is chosen, rows given, columns other class; infinity
        where nothing is asked for, minus infinity where all rows are chosen.
    tied : ndarray of bool, shape (n_classes, n_classes)
        Pairs with more rows at the cut than are asked for.
    """

    chosen: np.ndarray
    cuts: np.ndarray
    tied: np.ndarray


def top_margins(summary, pred_probs, counts, *, n_jobs=None):
    """Choose, for every pair of classes, the rows with the largest margins.

    Memory is O(n_samples + n_classes^2): a pair holds at most ``counts[k, j]`` rows,
    and all counts together do not exceed the rows.

    Parameters
    ----------
    summary : RowSummary
        From `summarise_rows`.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        The same probabilities.
    counts : ndarray of int, shape (n_classes, n_classes)
        How many rows to choose, rows given, columns other class.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    top : TopMargins
        Rows, cuts and ties.
    """
    floors = np.where(counts > 0, -np.inf, np.inf).ravel().astype(summary.best.dtype)
    left_out = np.full_like(floors, np.nan)
    chosen = np.zeros(len(summary.labels), dtype=bool)
    kernels = kernels_for(pred_probs)
    if kernels is None:
        search = _Search(summary, counts, floors, left_out)
        search.run(pred_probs, chosen)
    else:
        starts = np.concatenate(([0], np.cumsum(counts)))
        threads = n_threads(n_jobs, pred_probs.size)
        _run_compiled(
            kernels,
            summary,
            pred_probs,
            Held.empty(starts, floors, left_out),
            chosen,
            threads,
        )
    tied = (left_out == floors).reshape(counts.shape)
    cuts = floors.astype(np.float64).reshape(counts.shape)
    return TopMargins(chosen, cuts, tied)


class Held(NamedTuple):
    """For the compiled code: a heap for every pair, its smallest margin on top."""

    #: Where the heap of each pair starts; its room is up to the next one.
    starts: np.ndarray
    #: Entries of each heap.
    sizes: np.ndarray
    margins: np.ndarray
    rows: np.ndarray
    #: A margin under the floor of its pair cannot be chosen any more.
    floors: np.ndarray
    #: Largest margin that was left out although it equalled the floor.
    left_out: np.ndarray

    @classmethod
    def empty(cls, starts, floors, left_out):
        """Heaps without entries."""
        room = int(starts[-1])
        return cls(
            starts,
            np.zeros(len(floors), dtype=np.int64),
            np.empty(room, dtype=floors.dtype),
            np.empty(room, dtype=np.int64),
            floors,
            left_out,
        )


def _run_compiled(kernels, summary, pred_probs, held, chosen, threads):
    """Search in columns: every thread has the pairs of some columns to itself."""
    s = summary
    n_classes = pred_probs.shape[1]
    known = [(s.best_class, s.best)]
    if n_classes > 2:
        known.append((s.second_class, s.second))

    def work(columns):
        for classes, values in known:
            kernels.offer_known(
                held, s.labels, s.self_confidence, classes, values, n_classes, *columns
            )
        for row0, block in _contiguous_blocks(pred_probs, *columns):
            kernels.offer_rows(
                held,
                block,
                row0,
                s.labels,
                s.self_confidence,
                s.best_class,
                s.second,
                s.second_class,
                n_classes,
                *columns,
            )
        kernels.mark_held(held, chosen, n_classes, *columns)

    edges = np.linspace(0, n_classes, min(threads, n_classes) + 1).astype(int).tolist()
    in_threads(work, list(zip(edges[:-1], edges[1:], strict=True)), threads)


def _contiguous_blocks(pred_probs, first, last):
    """Yield (first row, block): the whole array, or copies of some of its columns."""
    if pred_probs.flags.c_contiguous:
        yield 0, read_only(pred_probs)
        return
    for rows in row_blocks(pred_probs):
        yield rows.start, read_only(np.array(pred_probs[rows, first:last], order="C"))


class _Search:
    """Candidates of all pairs in flat arrays, cut back when they become many."""

    def __init__(self, summary, counts, floors, left_out):
        self.summary = summary
        self.n_classes = len(counts)
        self.counts = counts.ravel()
        self.floors = floors
        self.left_out = left_out
        self.pairs = [np.empty(0, dtype=np.intp)]
        self.margins = [np.empty(0, dtype=floors.dtype)]
        self.rows = [np.empty(0, dtype=np.intp)]
        self.held = 0
        self.limit = _BUFFER

    def run(self, pred_probs, chosen):
        """Search all rows and mark those that are certain."""
        self._add_known()
        for rows in row_blocks(pred_probs):
            self._read(pred_probs, rows)
        self._cut_back()
        tied = (self.left_out == self.floors)[self.pairs[0]]
        above = self.margins[0] > self.floors[self.pairs[0]]
        chosen[self.rows[0][~tied | above]] = True

    def _add_known(self):
        """Add the margins that the summary holds, two for every row."""
        s = self.summary
        known = [(s.best_class, s.best)]
        if self.n_classes > 2:
            known.append((s.second_class, s.second))
        for classes, values in known:
            pairs = s.labels * self.n_classes + classes
            margins = values - s.self_confidence
            rows = np.flatnonzero(margins >= self.floors[pairs])
            self._add(pairs[rows], margins[rows], rows)
            self._cut_back()

    def _read(self, pred_probs, rows):
        """Add the other margins of a block that reach the floors."""
        s = self.summary
        best_left = s.second[rows] - s.self_confidence[rows]
        picked = np.flatnonzero(best_left >= self.lowest[s.labels[rows]])
        if not len(picked):
            return
        picked += rows.start
        labels = s.labels[picked]
        margins = pred_probs[picked] - s.self_confidence[picked, None]
        each = np.arange(len(picked))
        for done in (labels, s.best_class[picked], s.second_class[picked]):
            margins[each, done] = -np.inf
        floors = self.floors.reshape(self.n_classes, -1)[labels]
        hits, classes = np.nonzero((margins >= floors) & (margins > -np.inf))
        pairs = labels[hits] * self.n_classes + classes
        self._add(pairs, margins[hits, classes], picked[hits])
        if self.held > self.limit:
            self._cut_back()

    def _add(self, pairs, margins, rows):
        """Add candidates, but for those that equal the floor of a full pair."""
        level = margins == self.floors[pairs]
        if level.any():
            self.left_out[pairs[level]] = margins[level]
            pairs, margins, rows = pairs[~level], margins[~level], rows[~level]
        self.pairs.append(pairs)
        self.margins.append(margins)
        self.rows.append(rows)
        self.held += len(pairs)

    def _cut_back(self):
        """Keep of every pair as many as are asked for, and raise its floor."""
        pairs = np.concatenate(self.pairs)
        margins = np.concatenate(self.margins)
        rows = np.concatenate(self.rows)
        order = np.argsort(-margins)
        order = order[_stable_order(pairs[order])]
        pairs, margins, rows = pairs[order], margins[order], rows[order]
        held = np.bincount(pairs, minlength=len(self.counts))
        rank = np.arange(len(pairs)) - (np.cumsum(held) - held)[pairs]
        last = rank == self.counts[pairs] - 1
        self.floors[pairs[last]] = margins[last]
        dropped = rank >= self.counts[pairs]
        level = dropped & (margins == self.floors[pairs])
        self.left_out[pairs[level]] = margins[level]
        kept = ~dropped
        self.pairs = [pairs[kept]]
        self.margins = [margins[kept]]
        self.rows = [rows[kept]]
        self.held = int(kept.sum())
        self.limit = _BUFFER + 2 * self.held
        self.lowest = self.floors.reshape(self.n_classes, -1).min(axis=1)


def _stable_order(numbers):
    """Stable order of whole numbers by their 16-bit digits, each sorted by radix."""
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, int(numbers.max(initial=0)).bit_length(), 16):
        digit = (numbers[order] >> shift).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
    return order
