"""The lazy column: rows of one tensor, read batch by batch.

Follows `hubclean._rows.LazyColumn`.
"""

import concurrent.futures
import numbers

import numpy as np

_READ_ROWS = 1024


class HubColumn:
    """Rows of one tensor of a dataset, read only when they are asked for.

    It goes through scikit-learn's splitters, searches and pipelines as an array
    would, holds no data, and pickles by address.

    Parameters
    ----------
    reader : object
        Reads rows of one tensor: ``reader.read(rows)``, ``reader.info``,
        ``reader.identity`` and ``reader.n_rows``.
    rows : ndarray of int, optional
        Positions in the dataset; all of them when None.
    """

    def __init__(self, reader, rows=None):
        self._reader = reader
        self._rows = rows

    @property
    def row_ids(self):
        """Position of every row in the dataset, shape (n_rows,)."""
        return np.arange(self._reader.n_rows) if self._rows is None else self._rows

    @property
    def identity(self):
        """Strings that tell dataset, version and tensor."""
        return self._reader.identity

    @property
    def dtype(self):
        """Type of one element."""
        return self._reader.dtype

    @property
    def shape(self):
        """``(n_rows, *row_shape)``; None where the schema leaves a dimension open."""
        return (len(self), *self._reader.row_shape)

    @property
    def ndim(self):
        """Number of dimensions, that of the rows included."""
        return len(self.shape)

    def __len__(self):
        return self._reader.n_rows if self._rows is None else len(self._rows)

    def __repr__(self):
        return f"HubColumn({self._reader.name!r}, shape={self.shape})"

    def __getitem__(self, index):
        """Give a lazy subset; for one integer, the row itself."""
        if isinstance(index, tuple):
            index = self._only_rows(index)
        if isinstance(index, numbers.Integral):
            return self.read([index])[0]
        if isinstance(index, slice):
            return HubColumn(self._reader, self.row_ids[index])
        index = np.asarray(index)
        if index.size == 0:
            index = index.astype(np.intp)
        return HubColumn(self._reader, self.row_ids[index])

    @staticmethod
    def _only_rows(index):
        """Accept ``[rows, ...]``, as scikit-learn asks; columns are not picked."""
        rows, *rest = index
        if any(part is not Ellipsis and part != slice(None) for part in rest):
            raise IndexError(
                f"HubColumn: only rows can be picked, as column[rows]; got {index!r}. "
                "Read the rows first: np.asarray(column[rows])[:, ...]."
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
        rows = self.row_ids if indices is None else self.row_ids[_as_index(indices)]
        return self._reader.read(rows)

    def batches(self, indices_of_batches, prefetch=2):
        """Read batch after batch, the next ones in the background.

        Parameters
        ----------
        indices_of_batches : iterable of array-like of int
            Positions in this column, one array for each batch.
        prefetch : int, default=2
            Batches that are read ahead while the caller works on one.

        Yields
        ------
        rows : ndarray
            What ``read(indices)`` gives.
        """
        batches = iter(indices_of_batches)
        with concurrent.futures.ThreadPoolExecutor(1, "hubclean-prefetch") as pool:
            waiting = []
            try:
                for indices in batches:
                    waiting.append(pool.submit(self.read, indices))
                    if len(waiting) > prefetch:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()

    def __array__(self, dtype=None, copy=None):
        rows = self.read()
        return rows if dtype is None else rows.astype(dtype)


def _as_index(indices):
    """Positions as numpy takes them; an empty list is no list of floats."""
    if isinstance(indices, slice):
        return indices
    indices = np.asarray(indices)
    return indices if indices.size else indices.astype(np.intp)
