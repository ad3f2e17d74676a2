"""What lazy columns have in common: they go through scikit-learn as arrays do.

It imports nothing from hubclean.
"""

import numbers

import numpy as np

_READ_ROWS = 1024


class LazyRows:
    """Base of columns that follow `hubclean._rows.LazyColumn`.

    A subclass has `row_ids`, `row_shape`, `dtype` and `identity`, and says how to take
    and to read rows at some positions: a slice or an array of numbers or of booleans.
    """

    row_ids: np.ndarray
    #: Shape of a row; None for a dimension that varies.
    row_shape: tuple

    def _taken(self, positions):
        """Column of the rows at these positions."""
        raise NotImplementedError

    def _rows_at(self, positions):
        """Rows at these positions as an array."""
        raise NotImplementedError

    @property
    def shape(self):
        """Number of rows, and shape of a row; None for a dimension that varies."""
        return (len(self), *self.row_shape)

    @property
    def ndim(self):
        """Number of dimensions, that of the rows included."""
        return len(self.shape)

    def __len__(self):
        return len(self.row_ids)

    def __getitem__(self, index):
        """Give a lazy subset; for one integer, the row itself."""
        if isinstance(index, tuple):
            index = self._only_rows(index)
        if isinstance(index, numbers.Integral):
            return self.read([index])[0]
        return self._taken(_as_positions(index))

    def _only_rows(self, index):
        """Accept ``[rows, ...]``, as scikit-learn asks; columns are not picked."""
        rows, *rest = index
        if any(part is not Ellipsis and part != slice(None) for part in rest):
            raise IndexError(
                f"{type(self).__name__}: only rows can be picked, as column[rows]; got "
                f"{index!r}. Read the rows first: np.asarray(column[rows])[:, ...]."
            )
        return rows

    def __iter__(self):
        for start in range(0, len(self), _READ_ROWS):
            yield from self.read(np.arange(start, min(start + _READ_ROWS, len(self))))

    def read(self, indices=None):
        """Rows at these positions of this column as an array.

        Parameters
        ----------
        indices : array-like of int or bool, slice, or None
            Positions in this column; all of them when None.

        Returns
        -------
        rows : ndarray, shape (len(indices), ...)
            Rows of different shapes come as a 1-D array of objects.

        Raises
        ------
        BadRowsError
            If an image cannot be decoded.
        """
        return self._rows_at(slice(None) if indices is None else _as_positions(indices))

    def __array__(self, dtype=None, copy=None):
        rows = self.read()
        return rows if dtype is None else rows.astype(dtype, copy=False)


def _as_positions(index):
    """Positions as numpy takes them; an empty list is no list of floats."""
    if isinstance(index, slice):
        return index
    index = np.asarray(index)
    return index if index.size else index.astype(np.intp)
