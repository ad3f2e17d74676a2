"""`tf.data` datasets as rows that can be asked for by position.

Folds and shuffling need any row at any time; a `tf.data.Dataset` only goes from the
first to the last. It is gone through once: what fits into memory becomes an array, what
does not becomes a file on disk that is read batch by batch.
"""

import os
import tempfile
import uuid
import weakref

import numpy as np

from hubclean._lazy_column import LazyRows
from hubclean.exceptions import LabelsError, ParameterError

_IN_MEMORY = 1 << 28
_BLOCK = 256
_COMPARED = 4  # elements: a shuffled dataset may well begin with the same one twice
_LOOKED_AT = 64


def is_tf_dataset(X):
    """Whether X is a `tf.data.Dataset`; imports nothing to tell.

    Examples
    --------
    >>> is_tf_dataset(np.zeros(3))
    False
    """
    kinds = type(X).__mro__
    return any(
        kind.__module__.startswith("tensorflow.") and kind.__name__ == "DatasetV2"
        for kind in kinds
    )


def from_dataset(dataset, in_memory=_IN_MEMORY):
    """Columns X and y of a `tf.data.Dataset`, for the cleaner and scikit-learn's tools.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Of (x, y), (x, y, weights) or x, batched or not, of known length, in the same
        order whenever it is gone through.
    in_memory : int
        Bytes up to which X is held in memory; a larger one goes to a file in the
        folder for temporary files, removed with the last column that reads it.

    Returns
    -------
    X : ndarray or FileColumn
        Rows.
    y : ndarray of shape (n_samples,) or None
        Labels; one-hot rows become class numbers. None for a dataset of x alone.
    sample_weight : ndarray of shape (n_samples,)
        Weights of the rows; given for a dataset of (x, y, weights) alone.

    Raises
    ------
    ParameterError
        If the dataset is shuffled anew each time, endless or of unknown length, its
        rows differ in shape, or its elements are dicts or the like.
    """
    X, y, weights = read_dataset(dataset, in_memory)
    return (X, y) if weights is None else (X, y, weights)


def read_dataset(dataset, in_memory=_IN_MEMORY):
    """X, y and weights of a dataset, as `from_dataset`; None for what it has not."""
    _check_length(dataset)
    _check_elements(dataset)
    _check_order(dataset)
    is_batched = _is_batched(dataset)
    blocks = _blocks(dataset if is_batched else dataset.batch(_BLOCK))
    first = next(blocks, None)
    if first is None:
        raise ParameterError("KerasClassifier: the tf.data.Dataset has no rows.")
    n = int(dataset.cardinality()) * (len(first[0]) if is_batched else 1)
    size = n * (first[0].nbytes // len(first[0]))
    rows, labels, weights = [], [], []
    file = None if size <= in_memory or first[0].dtype == object else _File(first[0])
    for block, given, weight in _chain(first, blocks):
        rows.append(block) if file is None else file.append(block)
        labels.append(given)
        weights.append(weight)
    X = _stacked(rows) if file is None else file.column()
    y = None if labels[0] is None else _class_labels(np.concatenate(labels))
    return X, y, None if weights[0] is None else np.concatenate(weights).reshape(len(X))


def parts_of(X, y=None, weights=None):
    """Rows, labels and weights, where a source, a pair or a dataset brings them along.

    Examples
    --------
    >>> parts_of(([1, 2], ["a", "b"]))
    ([1, 2], ['a', 'b'], None)
    """
    if is_tf_dataset(X):
        X, *brought = read_dataset(X)
        given = (y, weights)
        y, weights = (
            b if g is None else g for g, b in zip(given, brought, strict=True)
        )
    elif y is None and hasattr(X, "X") and hasattr(X, "y"):
        X, y = X.X, X.y
    elif y is None and isinstance(X, tuple) and len(X) == 2:
        X, y = X
    return X, y, weights


def _check_length(dataset):
    """Ask for a length that is known."""
    cardinality = int(dataset.cardinality())
    if cardinality >= 0:
        return
    what = "endless" if cardinality == -1 else "of unknown length"
    raise ParameterError(
        f"KerasClassifier: the tf.data.Dataset is {what}. Take `.take(n)` of it, or "
        "give its length, dataset.apply(tf.data.experimental.assert_cardinality(n))."
    )


def _check_elements(dataset):
    """Ask for elements x, (x, y) or (x, y, weights) of one tensor each."""
    spec = dataset.element_spec
    parts = _flat(spec)
    if 1 <= len(parts) <= 3 and all(type(p).__name__ == "TensorSpec" for p in parts):
        return
    raise ParameterError(
        "KerasClassifier: the elements of the tf.data.Dataset must be x, (x, y) or "
        f"(x, y, weights), each one tensor; got {_named(spec)}. Pick the tensors, "
        "dataset.map(lambda row: (row['image'], row['label'])) for a dict."
    )


def _named(spec):
    """What elements are, in few words."""
    if isinstance(spec, dict):
        return f"a dict with the keys {sorted(spec, key=str)}"
    if isinstance(spec, tuple):
        return f"({', '.join(map(_named, spec))})"
    name = type(spec).__name__
    return "tensor" if name == "TensorSpec" else name


def _check_order(dataset):
    """Ask for rows in the same order each time: results are told by position."""
    start = [dataset.take(_COMPARED).as_numpy_iterator() for _ in range(2)]
    parts = [
        [np.asarray(part) for element in elements for part in _flat(element)]
        for elements in start
    ]
    if not all(map(_same, *parts)):
        raise ParameterError(
            "KerasClassifier: the tf.data.Dataset comes in another order each time, so "
            "results cannot be told by position. Leave `.shuffle` out; training "
            "shuffles by itself."
        )


def _same(one, other):
    """Whether two arrays are equal; NaN equals NaN."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _flat(element):
    """Parts of an element."""
    if element is None:
        return []
    return element if isinstance(element, tuple) else (element,)


def _is_batched(dataset):
    """Whether elements are batches, by their shapes and where these leave it open."""
    parts = _flat(dataset.element_spec)
    ranks = [part.shape.rank for part in parts]
    if None not in ranks:
        if min(ranks[:2]) == 0:
            return False
        lengths = [part.shape[0] for part in parts[:2]]
        if len(parts) == 1 or lengths == [None, None]:
            return lengths[0] is None
    return len(parts) > 1 and _are_batches(dataset)


def _are_batches(dataset):
    """Whether x and y of the elements have rows in common, by their content.

    A row of d features with a one-hot label of d classes has the shape of a batch.
    """
    y = np.zeros(2)
    for element in dataset.take(_LOOKED_AT).as_numpy_iterator():
        x, y = map(np.asarray, element[:2])
        if min(x.ndim, y.ndim) == 0 or len(x) != len(y):
            return False
        if y.ndim > 1 or (len(y) == 1 and x.ndim > 1) or not _is_one_hot(y):
            return True
    if y.dtype.kind == "f":
        return False
    raise ParameterError(
        f"KerasClassifier: the elements of the tf.data.Dataset may be batches of "
        f"{len(y)} rows, or rows with a one-hot label of {len(y)} classes. Give class "
        "numbers, dataset.map(lambda x, y: (x, tf.argmax(y, -1))), or other batches, "
        "dataset.unbatch().batch(64)."
    )


def _is_one_hot(rows):
    """Whether the last axis has a single 1 and otherwise 0."""
    if rows.dtype.kind not in "biuf":
        return False
    return bool(np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(axis=-1) == 1))


def _blocks(batches):
    """Triples of (rows, labels or None, weights or None), some rows at once."""
    for element in batches.as_numpy_iterator():
        yield (*_flat(element), None, None)[:3]


def _chain(first, blocks):
    yield first
    yield from blocks


def _stacked(blocks):
    """One array."""
    if len({block.shape[1:] for block in blocks}) > 1:
        raise ParameterError(
            "KerasClassifier: the rows of the tf.data.Dataset differ in shape. Resize "
            "them, dataset.map(...), before they are batched."
        )
    return np.concatenate(blocks)


def _class_labels(y):
    """Class numbers of one-hot rows; text as str."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and _is_one_hot(y):
        return y.argmax(axis=1)
    if y.ndim != 1:
        raise LabelsError(
            "KerasClassifier: the labels of the tf.data.Dataset must be one class, or "
            f"a one-hot row, for each row; got shape {y.shape}."
        )
    if y.dtype == object:
        return np.array([v.decode() if isinstance(v, bytes) else v for v in y])
    return y


class _File:
    """A file that rows are appended to."""

    def __init__(self, block):
        handle, self.path = tempfile.mkstemp(prefix="hubclean-", suffix=".rows")
        self.stream = os.fdopen(handle, "wb")
        self.row_shape, self.dtype, self.n = block.shape[1:], block.dtype, 0

    def append(self, block):
        """Write a block of rows."""
        if block.shape[1:] != self.row_shape:
            self.stream.close()
            os.unlink(self.path)
            _stacked([np.empty((0, *self.row_shape)), block])
        self.stream.write(np.ascontiguousarray(block).tobytes())
        self.n += len(block)

    def column(self):
        """All rows, as a lazy column that owns the file."""
        self.stream.close()
        column = FileColumn(self.path, self.n, self.row_shape, self.dtype)
        column._owner = _Owner(self.path)
        return column


class _Owner:
    """Removes a file when nobody reads it any more."""

    def __init__(self, path):
        weakref.finalize(self, _remove, path)

    def __reduce__(self):
        return _no_owner, ()


def _no_owner():
    """Other processes read the file, and leave its removal to this one."""
    return None


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)


class FileColumn(LazyRows):
    """Rows of equal shape in a file, read where they are needed.

    Parameters
    ----------
    path : str
        Of a file of `n` rows one after another.
    n : int
        Rows in the file.
    row_shape : tuple of int
        Shape of a row.
    dtype : dtype
        Of its elements.
    row_ids : ndarray of int or None
        Which rows; all when None.
    """

    def __init__(self, path, n, row_shape, dtype, row_ids=None, token=None):
        self.path = path
        self.n = n
        self.row_shape = tuple(row_shape)
        self.dtype = np.dtype(dtype)
        self.row_ids = np.arange(n) if row_ids is None else row_ids
        self.token = token or uuid.uuid4().hex
        self._owner = None

    @property
    def identity(self):
        """Which dataset: equal for columns of the same pass through it."""
        return ("tf.data", self.token)

    #: Why another process does not know the rows, and what to do; `memory` warns of it.
    why_not_shared = (
        "the rows of this tf.data.Dataset were read into a file of this process. Pass "
        "the rows as an array, a memory map or a Hub source."
    )

    def _taken(self, positions):
        row_ids, of = self.row_ids[positions], (self.path, self.n)
        subset = FileColumn(*of, self.row_shape, self.dtype, row_ids, self.token)
        subset._owner = self._owner
        return subset

    def _rows_at(self, positions):
        shape = (self.n, *self.row_shape)
        stored = np.memmap(self.path, dtype=self.dtype, mode="r", shape=shape)
        return np.asarray(stored[self.row_ids[positions]])
