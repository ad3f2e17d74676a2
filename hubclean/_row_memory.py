"""Know the rows of an X again, in any order and subset.

It imports only `hubclean._rows` and `hubclean._issue_engine`.
"""

import numpy as np
import pandas as pd
from scipy import sparse

from hubclean._issue_engine import row_blocks
from hubclean._rows import row_digests, take_rows

# Numbers that differ by less than such a share of the largest one of their column are
# one and the same, computed on two ways; in a column of nothing but rounding, of the
# largest one of all. Rounding makes no whole numbers: such columns hold times, say.
_SAME, _NOISE, _WHOLE = 1e-9, 1e-12, 2.0**-20
_BLOCK_NUMBERS = 1 << 21


class RowMemory:
    """Remembers rows by digests of them.

    Rows of float64 numbers are known by their values first; those that are not are
    compared again but for rounding: the ``fit_transform`` of `PCA`, for one, gives
    other last bits than its ``transform``.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or lazy column of n_samples rows
        Rows to know again.

    Examples
    --------
    >>> memory = RowMemory(np.array([[0.1, 0.2], [0.3, 0.4]]))
    >>> memory.recall(np.array([[0.3, 0.1 + 0.3], [0.1, 0.1], [0.1, 0.2 + 1e-16]]))
    array([ 1, -1,  0])
    """

    def __init__(self, X):
        self._sparse = sparse.issparse(X)
        self._exact = _in_order(row_digests(X))
        numbers, self._near = _floats(X), None
        if numbers is not None:
            self._scale = _scale(numbers)
            self._near = _in_order(self._rounded_digests(numbers))

    def recall(self, X):
        """Find rows again.

        Parameters
        ----------
        X : rows
            As those remembered.

        Returns
        -------
        positions : ndarray of int, shape (n_samples,)
            Position of each row among those remembered; -1 for one that was not there.
            Equal rows are answered in the order in which they were there.
        """
        positions = _positions(self._exact, self._digests(X))
        missed = np.flatnonzero(positions < 0)
        if len(missed) and self._near is not None:
            numbers = _floats(take_rows(X, missed))
            if numbers is not None:
                digests = self._rounded_digests(numbers)
                positions[missed] = _positions(self._near, digests)
        return positions

    def _digests(self, X):
        """Digests as those remembered, where only one of the two is sparse as well."""
        if sparse.issparse(X) and not self._sparse:
            step = max(1, _BLOCK_NUMBERS // max(1, X.shape[1]))
            blocks = (
                X[i : i + step].toarray() for i in range(0, max(1, X.shape[0]), step)
            )
            return np.concatenate([row_digests(block) for block in blocks])
        if self._sparse and isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
            return row_digests(sparse.csr_array(X))
        return row_digests(X)

    def _rounded_digests(self, numbers):
        """Digests of rows whose numbers are rounded."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite numbers
            digests = [
                row_digests(np.rint(numbers[block] / self._scale))
                for block in row_blocks(numbers)
            ]
        return np.concatenate(digests)


def _floats(X):
    """The array of a two-dimensional X of float64 numbers; None for another X."""
    if isinstance(X, pd.DataFrame) and (X.dtypes == np.float64).all():
        X = X.to_numpy()
    plain = isinstance(X, np.ndarray) and X.dtype == np.float64 and X.ndim == 2
    return X if plain and X.size else None


def _scale(numbers):
    """What a number of each column is rounded to a multiple of."""
    largest = np.zeros(numbers.shape[1])
    whole = np.ones(numbers.shape[1], dtype=bool)
    for block in row_blocks(numbers):
        sizes = np.abs(numbers[block])
        sizes[~np.isfinite(sizes)] = 0
        np.maximum(largest, sizes.max(axis=0), out=largest)
        whole &= (sizes == np.rint(sizes)).all(axis=0)
    of_all = largest.max()
    scale = _SAME * np.where(largest > _NOISE * of_all, largest, of_all)
    scale[whole] = np.minimum(scale[whole], _WHOLE)
    return np.maximum(scale, np.finfo(np.float64).tiny)  # where all numbers are 0


def _in_order(digests):
    """Order of digests, and the sorted ones."""
    order = np.argsort(digests, kind="stable")
    return order, digests[order]


def _positions(remembered, digests):
    """Where each digest was; those that were there often in the order they came in."""
    order, known = remembered
    first = np.searchsorted(known, digests, side="left")
    last = np.searchsorted(known, digests, side="right") - 1
    repeats = pd.Series(digests).groupby(digests).cumcount().to_numpy()
    position = np.minimum(first + repeats, last)
    return np.where(last >= first, order[position], -1)
