"""For every pair of classes, the rows with the largest margins.

The margin of a row with the given label k towards class j is its probability of j
less its probability of k. The two largest margins of a row are in its summary, so
most rows need not be read again; those that may still count are read once more.

It imports only `_blocks`.
"""

from dataclasses import dataclass

import numpy as np

from hubclean._issue_engine._blocks import row_blocks

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


def top_margins(summary, pred_probs, counts):
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

    Returns
    -------
    top : TopMargins
        Rows, cuts and ties.
    """
    search = _Search(summary, counts)
    search.add_known()
    for rows in row_blocks(pred_probs):
        search.read(pred_probs, rows)
    return search.result()


class _Search:
    """Candidates of all pairs in flat arrays, cut back when they become many."""

    def __init__(self, summary, counts):
        self.summary = summary
        self.n_classes = len(counts)
        self.counts = counts.ravel()
        kind = summary.best.dtype
        #: A margin under the floor cannot be chosen any more.
        self.floors = np.where(self.counts > 0, -np.inf, np.inf).astype(kind)
        #: Largest margin that was left out although it equalled a floor.
        self.left_out = np.full(len(self.counts), np.nan, dtype=kind)
        self.pairs = [np.empty(0, dtype=np.intp)]
        self.margins = [np.empty(0, dtype=kind)]
        self.rows = [np.empty(0, dtype=np.intp)]
        self.held = 0
        self.limit = _BUFFER

    def add_known(self):
        """Add the margins that the summary holds, two for every row."""
        s = self.summary
        known = [(s.best_class, s.best)]
        if self.n_classes > 2:
            known.append((s.second_class, s.second))
        for classes, values in known:
            pairs = s.labels * self.n_classes + classes
            rows = np.flatnonzero(self.counts[pairs] > 0)
            self._add(pairs[rows], values[rows] - s.self_confidence[rows], rows)
        self._cut_back()

    def read(self, pred_probs, rows):
        """Add the other margins of a block that reach the floors."""
        s = self.summary
        best_left = s.second[rows] - s.self_confidence[rows]
        labels = s.labels[rows]
        picked = np.flatnonzero(best_left >= self.lowest[labels])
        if not len(picked):
            return
        labels = labels[picked]
        picked += rows.start
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
        level = margins == self.floors[pairs]
        self.left_out[pairs[level]] = margins[level]
        if level.any():
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
        order = np.lexsort((-margins, pairs))
        pairs, margins, rows = pairs[order], margins[order], rows[order]
        first = np.searchsorted(pairs, pairs)
        rank = np.arange(len(pairs)) - first
        last = rank == self.counts[pairs] - 1
        self.floors[pairs[last]] = margins[last]
        dropped = rank >= self.counts[pairs]
        level = dropped & (margins == self.floors[pairs])
        self.left_out[pairs[level]] = margins[level]
        kept = ~dropped
        self.pairs, self.margins, self.rows = (
            [pairs[kept]],
            [margins[kept]],
            [rows[kept]],
        )
        self.held = int(kept.sum())
        self.limit = _BUFFER + 2 * self.held
        self.lowest = self.floors.reshape(self.n_classes, -1).min(axis=1)

    def result(self):
        """Rows that are certain, cuts, and the pairs with ties."""
        self._cut_back()
        tied = self.left_out == self.floors
        pairs, margins = self.pairs[0], self.margins[0]
        certain = ~tied[pairs] | (margins > self.floors[pairs])
        chosen = np.zeros(len(self.summary.labels), dtype=bool)
        chosen[self.rows[0][certain]] = True
        shape = (self.n_classes, self.n_classes)
        cuts = self.floors.astype(np.float64).reshape(shape)
        return TopMargins(chosen, cuts, tied.reshape(shape))
