"""The lazy column: rows of one tensor, read batch by batch."""

import concurrent.futures

import numpy as np

from hubclean._lazy_column import LazyRows


class HubColumn(LazyRows):
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
    def row_shape(self):
        """Shape of a row; None where the schema leaves a dimension open."""
        return self._reader.row_shape

    def __len__(self):
        return self._reader.n_rows if self._rows is None else len(self._rows)

    def __repr__(self):
        return f"HubColumn({self._reader.name!r}, shape={self.shape})"

    def _taken(self, positions):
        return HubColumn(self._reader, self.row_ids[positions])

    def _rows_at(self, positions):
        return self._reader.read(self.row_ids[positions])

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
