"""Read rows of one tensor of a store: decode, check, and cache.

It imports `_contract`, `_images` and `_cache` of this folder.
"""

import time
import weakref

import numpy as np

from hubclean.exceptions import BadRowsError, DatasetError, LabelsError
from hubclean.hub._images import OTHER_MODE, decode_images

_SCAN_ROWS = 512
_SCAN_SECONDS = 30.0
_NAMED_ROWS = 20
_readers: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


class TensorReader:
    """Reads rows of one tensor at one version of a dataset.

    All lazy columns of one tensor share it. It pickles by address: unpickled in
    another process, it opens the dataset there, once for all columns.

    Parameters
    ----------
    store : Store
        Handle on the dataset.
    name : str
        The tensor.
    as_labels : bool
        Whether each row holds one label, given as a scalar.
    n_threads : int
        Threads that decode images.
    cache : DecodedCache or None
        Keeps decoded images; see `_cache`.
    """

    def __init__(self, store, name, *, as_labels=False, n_threads=1, cache=None):
        self.store = store
        self.name = name
        self.info = store.columns[name]
        self.as_labels = as_labels
        self.n_threads = n_threads
        self.cache = cache
        self.n_rows = store.n_rows
        self.row_shape = () if as_labels else self.info.row_shape
        self.dtype = self.info.dtype
        state = (store.title, str(store.version), store.mark)
        self.identity = ("hubclean.hub", *state, name)
        self.decoded_rows = 0
        self._kept = None
        if cache is not None and self.info.encoded:
            self._kept = cache.keep(self.identity, self.n_rows, n_threads)

    def __reduce__(self):
        options = (self.as_labels, self.n_threads, self.cache)
        return _shared_reader, (self.store, self.name, *options)

    def read(self, rows):
        """Rows at these positions of the dataset as an array."""
        rows = np.asarray(rows)
        if not len(rows):  # a store does not know what they would have been
            return np.empty((0, *_known_shape(self.row_shape)), dtype=self.dtype)
        if self.as_labels:
            return _label_values(self.store.read(self.name, rows), rows, self.name)
        if not self.info.encoded:
            return stack_rows(self.store.read(self.name, rows), self.info)
        if self._kept is None:
            return stack_rows(self._decode(rows), self.info)
        return stack_rows(self._kept.read(rows, self._decode), self.info)

    def _decode(self, rows):
        """Decode images; all that cannot be decoded are named in one error."""
        images, bad = self._try_decode(rows)
        if bad:
            self._raise_bad_rows(bad, rows)
        return images

    def _try_decode(self, rows):
        """Images, and the positions of those that cannot be decoded (None there)."""
        blobs = self.store.read_bytes(self.name, rows)
        images = decode_images(blobs, self.n_threads)
        self.decoded_rows += len(images)
        bad = []
        for position, image in enumerate(images):
            row = int(rows[position])
            if image is OTHER_MODE:
                images[position] = image = self.store.decode_row(self.name, row)
            if image is None:
                bad.append(row)
        return images, bad

    def find_bad_rows(self, seconds=None, skip=()):
        """Decode every row, and name those that cannot be.

        Parameters
        ----------
        seconds : float, optional
            Stop looking after this time.
        skip : collection of int, optional
            Rows already looked at.

        Returns
        -------
        bad : list of int
            Positions in the dataset, ascending.
        n_seen : int
            Rows looked at; all of them unless time ran out.
        """
        if not self.info.encoded:
            return [], self.n_rows
        end = None if seconds is None else time.monotonic() + seconds
        todo = np.setdiff1d(np.arange(self.n_rows), np.asarray(skip, dtype=np.intp))
        bad = []
        for start in range(0, len(todo), _SCAN_ROWS):
            if end is not None and time.monotonic() > end:
                return bad, self.n_rows - len(todo) + start
            bad += self._try_decode(todo[start : start + _SCAN_ROWS])[1]
        return bad, self.n_rows

    def _raise_bad_rows(self, bad, rows):
        """Name every bad row of the dataset, not only those of this batch."""
        more, n_seen = self.find_bad_rows(seconds=_SCAN_SECONDS, skip=rows)
        bad = sorted({*bad, *more})
        named = ", ".join(map(str, bad[:_NAMED_ROWS]))
        if len(bad) > _NAMED_ROWS:
            named += f" and {len(bad) - _NAMED_ROWS} more (all are in `.rows`)"
        seen = "" if n_seen == self.n_rows else f" ({n_seen} rows were looked at)"
        raise BadRowsError(
            f"{self.store.where}: {len(bad)} of {self.n_rows} rows of tensor "
            f"{self.name!r} cannot be decoded{seen}: {named}. Mend or remove them, or "
            'leave them out with hub.open(..., on_bad_rows="skip").',
            rows=bad,
        )


def _shared_reader(store, name, as_labels, n_threads, cache):
    """One reader of a tensor for all the columns that a process unpickles."""
    state = (store.title, store.where, str(store.version), store.mark)
    key = (*state, name, as_labels, n_threads, repr(cache))
    reader = _readers.get(key)
    if reader is None:
        reader = TensorReader(
            store, name, as_labels=as_labels, n_threads=n_threads, cache=cache
        )
        _readers[key] = reader
    return reader


def stack_rows(rows, info):
    """Make an array of rows: stacked where shapes agree, else of objects.

    Parameters
    ----------
    rows : ndarray, or list with one entry for each row
        As a store gives them.
    info : ColumnInfo
        Of their column.

    Returns
    -------
    stacked : ndarray
        1-D of objects where shapes differ, and for text.
    """
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        return rows
    if len(rows) == 0:
        return np.empty((0, *_known_shape(info.row_shape)), dtype=info.dtype)
    if all(isinstance(row, np.ndarray) for row in rows):
        if len({(row.shape, row.dtype) for row in rows}) == 1:
            return np.stack(rows)
    objects = np.empty(len(rows), dtype=object)
    for position, row in enumerate(rows):
        objects[position] = row
    return objects


def _known_shape(row_shape):
    """Shape of a row of no image, its open sides 0."""
    return tuple(0 if side is None else side for side in row_shape)


def _label_values(values, rows, name):
    """One label for each row; Hub 2 kept each in an array of length 1."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim == 1:
            return values
        if values.size == len(values):
            return values.reshape(len(values))
    flat, bad = [], []
    for row, value in zip(rows, values, strict=True):
        item = _one_label(value)
        flat.append(item)
        if item is None:
            bad.append(int(row))
    if bad:
        raise LabelsError(
            f"hubclean.hub: tensor {name!r} must hold one label in each row; "
            f"{len(bad)} rows do not, the first at {bad[:_NAMED_ROWS]}. Give those "
            "rows a label, or open a dataset without them."
        )
    if not flat:
        return np.asarray(values).reshape(0)
    labels = np.asarray(flat)
    return labels.astype(object) if labels.dtype.kind in "US" else labels


def _one_label(value):
    """Return the label in a row, or None where there is none or more than one."""
    if value is None or isinstance(value, str):
        return value
    value = np.asarray(value)
    if value.dtype == object or value.size != 1:
        return None
    return value.reshape(-1)[0]


def check_has_columns(store, names):
    """Raise `DatasetError` for tensors that the dataset does not have."""
    missing = [name for name in names if name not in store.columns]
    if missing:
        raise DatasetError(
            f"{store.where} has no tensor {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, store.columns)) or 'none'}. Name yours: "
            "hub.open(path, images=..., labels=...)."
        )
