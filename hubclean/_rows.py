"""Rows of any X: how many there are, take some of them, recognise them again.

An X is whatever the estimator inside accepts: an array of any dimension, a list, a
data frame, a sparse matrix, or a lazy column, which follows `LazyColumn`.

It imports only `hubclean._fingerprint`.
"""

import datetime
import decimal
import hashlib
from numbers import Integral, Real
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _num_samples

from hubclean._fingerprint import fingerprint, is_torch_tensor

_BLOCK_BYTES = 1 << 24
#: Types whose text says all.
_PLAIN = {type(None), bool, int, float, complex, str, bytes, pd.Timestamp}
_PLAIN |= {datetime.date, datetime.datetime, datetime.timedelta, decimal.Decimal}
#: Whole numbers up to there are exact in float64.
_EXACT = 2**53


@runtime_checkable
class LazyColumn(Protocol):
    """A column of a dataset that is read batch by batch, never whole by itself.

    ``column[indices]`` gives a lazy subset for an array of positions, a mask or a
    slice; ``column[indices, ...]`` does the same, as scikit-learn asks.
    ``np.asarray(column)`` reads all of it. It pickles by address.

    A column whose `identity` holds for an object only has a property ``content`` as
    well, which `memory` takes instead, and says in ``why_not_shared`` (a sentence, or
    None) why another process does not know its rows, and what to do.
    """

    #: (n_rows, *row_shape); None for a dimension that varies from row to row.
    shape: tuple
    #: Type of one element of what `read` gives.
    dtype: Any
    #: Strings that tell dataset, version and tensor; equal means equal content.
    identity: tuple
    #: Position of every row in the dataset, shape (n_rows,).
    row_ids: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index) -> "LazyColumn": ...

    def read(self, indices=None) -> np.ndarray:
        """Rows at these positions of this column (all when None) as an array.

        Rows of different shapes come as a 1-D array of objects.
        """
        ...

    def __array__(self, dtype=None, copy=None) -> np.ndarray: ...


def is_lazy(X):
    """Whether X is a lazy column.

    Examples
    --------
    >>> is_lazy(np.zeros((2, 3)))
    False
    """
    return all(hasattr(X, name) for name in ("identity", "row_ids", "read", "shape"))


def n_rows(X):
    """Number of rows of X.

    Examples
    --------
    >>> n_rows([[1, 2], [3, 4], [5, 6]])
    3
    """
    return _num_samples(X)


def as_rows(X):
    """Make rows of X countable and indexable, without copying where they are.

    Sparse matrices become CSR, objects that only know how to become an array become
    one. Tensors are those that NumPy can read; a matrix, whose rows are matrices
    again, is an array.

    Examples
    --------
    >>> as_rows(sparse.coo_array(np.eye(2))).format
    'csr'
    """
    if is_lazy(X):
        return X
    if type(X).__module__.startswith("tensorflow.") or isinstance(X, np.matrix):
        X = np.asarray(X)  # TensorFlow takes no lists of positions
    return indexable(readable(X))[0]


def readable(values):
    """PyTorch tensor that NumPy can read; anything else comes back as it is.

    It reads none that has a gradient, is on a device, or in bfloat16.

    Examples
    --------
    >>> readable([1, 2])
    [1, 2]
    """
    if not is_torch_tensor(values):
        return values
    values = values.detach().cpu()
    known = str(values.dtype) in ("torch.float64", "torch.float32", "torch.float16")
    return values if known or not values.is_floating_point() else values.float()


def take_rows(X, indices):
    """Rows of X at some positions, in the container that X came in.

    Examples
    --------
    >>> take_rows(["a", "b", "c"], [2, 0])
    ['c', 'a']
    """
    if is_lazy(X):
        return X[np.asarray(indices)]
    return _safe_indexing(X, indices)


def row_digests(X):
    """Recognise rows again: equal rows have equal digests, in any order or subset.

    Numbers are compared by value, so a row of a list equals the row of an array of
    another dtype. Lazy columns are known by dataset, version and position, and are
    not read.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or lazy column of n_samples rows
        Rows of any shape.

    Returns
    -------
    digests : ndarray of uint64, shape (n_samples,)
        Two different rows share one by chance once in 2**64 pairs.

    Examples
    --------
    >>> digests = row_digests([[1, 2], [3, 4], [1.0, 2.0]])
    >>> bool(digests[0] == digests[2]), bool(digests[0] == digests[1])
    (True, False)
    """
    if is_lazy(X):
        return _lazy_digests(X, X.identity)
    if sparse.issparse(X):
        return _digest(_sparse_row_bytes(X))
    if hasattr(X, "iloc") or (hasattr(X, "columns") and hasattr(X, "to_pandas")):
        return _frame_digests(X)
    try:
        array = np.asarray(X)
    except ValueError:
        return _ragged_digests(X)
    if array.dtype.kind in "biufc" and array.dtype.itemsize:
        return _digest(_numeric_row_bytes(array))
    return _object_digests(array)


def as_pandas(X):
    """Data frame of pandas with the cells of any data frame or series.

    Polars' own ``to_pandas`` needs pyarrow, which nothing else here does.

    Examples
    --------
    >>> as_pandas(pd.Series([1, 2])).shape
    (2, 1)
    """
    if hasattr(X, "iloc"):
        return pd.DataFrame(X)
    if not type(X).__module__.startswith("polars."):
        return X.to_pandas()
    columns = [column.to_numpy() for column in X.iter_columns()]
    return pd.DataFrame(
        {i: list(cells) if cells.ndim > 1 else cells for i, cells in enumerate(columns)}
    )


def content_digests(column):
    """Digests of the rows of a lazy column, which change where its content does.

    A column whose `identity` holds for an object, and not for what is in it, tells
    that as `content`.

    Parameters
    ----------
    column : lazy column of n_samples rows
        Is not read.

    Returns
    -------
    digests : ndarray of uint64, shape (n_samples,)
        As `row_digests` gives them.

    Raises
    ------
    TypeError
        If the column cannot tell its content.
    """
    content = column.content if hasattr(type(column), "content") else column.identity
    return _lazy_digests(column, content)


def content_of(item):
    """Text that tells an item from others: NumPy's own shortens long arrays.

    Raises
    ------
    TypeError
        If it cannot be named by its content.

    Examples
    --------
    >>> content_of([1, "a"])
    "[1, 'a']"
    """
    return repr(item) if _is_plain(item) else fingerprint(item)


def _is_plain(item):
    """Whether the text of an item says all of it, in every process."""
    kind = type(item)
    if kind in (list, tuple):
        return all(map(_is_plain, item))
    if kind is dict:
        return all(map(_is_plain, item)) and all(map(_is_plain, item.values()))
    return kind in _PLAIN or (isinstance(item, np.generic) and kind is not np.void)


def _lazy_digests(column, identity):
    prefix = repr(identity).encode()
    return _digest(prefix + b"%d" % i for i in np.asarray(column.row_ids).tolist())


def _digest(chunks):
    """Hash one chunk of bytes after another."""
    digests = [hashlib.blake2b(chunk, digest_size=8).digest() for chunk in chunks]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _numeric_row_bytes(array):
    """Shape and bytes of each row as float64: equal numbers have equal bytes."""
    shape = repr(array.shape[1:]).encode() if array.ndim > 2 else b""
    kind = np.complex128 if array.dtype.kind == "c" else np.float64
    row_bytes = 8 * int(np.prod(array.shape[1:], dtype=np.int64)) or 8
    step = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        block = array[start : start + step]
        numbers = _one_name(np.ascontiguousarray(block, dtype=kind))
        yield from _row_bytes(numbers, _beyond_float(block, numbers), shape)


def _one_name(numbers):
    """Copy of numbers with one zero and one NaN: 0 / 0 gives a negative NaN."""
    numbers = numbers + 0.0
    if numbers.dtype.kind == "f":
        numbers[np.isnan(numbers)] = np.nan
    return numbers


def _row_bytes(numbers, rest, shape=b""):
    """Bytes of rows of float64 numbers, and of what these have no room for."""
    if rest is None:
        yield from (shape + row.tobytes() for row in numbers)
        return
    for row, more in zip(numbers, rest, strict=True):
        yield shape + row.tobytes() + (more.tobytes() if more.any() else b"")


def _beyond_float(whole, numbers):
    """What float64 numbers lack of the integers they stand for, modulo 2**64, or None.

    Identifiers are such integers.
    """
    if whole.dtype.kind not in "iu" or whole.dtype.itemsize < 8:
        return None
    if not (np.abs(numbers) >= _EXACT).any():
        return None
    wrapped = np.where(numbers >= 2.0**63, numbers - 2.0**64, numbers)
    return whole.astype(np.int64) - wrapped.astype(np.int64)


def _sparse_row_bytes(X):
    """Bytes of the stored, non-zero entries of each row."""
    rows = sparse.csr_array(X, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    rows.data[np.isnan(rows.data)] = np.nan
    indices = rows.indices.astype(np.int64, copy=False)
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        yield indices[start:stop].tobytes() + rows.data[start:stop].tobytes()


def _frame_digests(X):
    """Hash the rows of a data frame or series, cell by cell.

    A row of numbers has the digest that it has in an array. The dtype of a column does
    not count: it may depend on the rows beside it, on a missing one for example.
    """
    frame = as_pandas(X)
    numbers, rest = np.empty(frame.shape, order="F"), None
    words = np.zeros(len(frame), dtype=np.uint64)
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if column.dtype.kind in "biuf":  # nullable ones too
            numbers[:, i], more = _number_cells(column)
        else:
            numbers[:, i], more, others = _object_cells(column, i)
            words ^= others
        if more is not None:
            rest = np.zeros(frame.shape, dtype=np.int64) if rest is None else rest
            rest[:, i] = more
    numbers = _one_name(np.ascontiguousarray(numbers))
    return _digest(_row_bytes(numbers, rest)) ^ words


def _number_cells(column):
    """Numbers of a column as float64, and what these lack of them or None."""
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.dtype.kind not in "iu" or not (np.abs(numbers) >= _EXACT).any():
        return numbers, None
    whole = column.fillna(0).to_numpy(dtype=f"{column.dtype.kind}8")
    return numbers, _beyond_float(whole, np.nan_to_num(numbers))


def _object_cells(column, position):
    """Numbers of a column of anything, and digests of its other cells, 0 for none."""
    cells = np.asarray(column, dtype=object)
    numbers, rest = np.full(len(cells), np.nan), None
    words = np.zeros(len(cells), dtype=np.uint64)
    real = np.array([isinstance(cell, (Real, np.bool_)) for cell in cells], dtype=bool)
    text = np.array([isinstance(cell, str) for cell in cells], dtype=bool)
    numbers[real] = cells[real].astype(np.float64)
    if (np.abs(numbers[real]) >= _EXACT).any():
        rest = np.zeros(len(cells), dtype=np.int64)
        for i in np.flatnonzero(np.abs(numbers) >= _EXACT):
            if isinstance(cells[i], Integral):
                lacking = (int(cells[i]) - int(numbers[i])) % 2**64
                rest[i] = np.uint64(lacking).astype(np.int64)
    codes, texts = pd.factorize(cells[text])
    prefix = b"%d " % position
    encoded = (prefix + one.encode("utf-8", "surrogatepass") for one in texts)
    words[text] = _digest(encoded)[codes]
    others = np.flatnonzero(~real & ~text & ~pd.isna(cells))
    words[others] = _digest(prefix + _nested_bytes(cells[i]) for i in others)
    return numbers, rest, words


def _object_digests(array):
    """Hash rows of text or of Python objects."""
    if array.ndim <= 2 and array.dtype.kind in "OUST":
        return _frame_digests(pd.DataFrame(array.astype(object), dtype=object))
    if array.dtype.hasobject:
        return _digest(_nested_bytes(row) for row in array)
    return _digest(repr(row.tolist()).encode() for row in array)


def _ragged_digests(X):
    """Hash rows of several shapes, each as among rows of its own shape."""
    shapes = {}
    for position, row in enumerate(X):
        try:
            shape = np.shape(row)
        except ValueError:  # ragged itself
            shape = None
        shapes.setdefault(shape, []).append(position)
    digests = np.empty(len(X), dtype=np.uint64)
    for shape, positions in shapes.items():
        rows = [X[position] for position in positions]
        if shape is None:
            digests[positions] = _digest(map(_nested_bytes, rows))
        else:
            digests[positions] = row_digests(rows)
    return digests


def _nested_bytes(row):
    """Shape and content of every array in a row of objects."""
    parts = []
    in_row = isinstance(row, np.ndarray) and row.dtype.hasobject
    for item in row.ravel() if in_row else [row]:
        try:
            array = np.asarray(item)
        except ValueError:  # ragged
            array = np.empty(0, dtype=object)
        try:
            content = (
                array.tobytes() if array.dtype.kind in "biufc" else content_of(item)
            )
        except TypeError:  # nothing that can be pickled
            content = repr(item)
        parts.append((array.shape, array.dtype.str, content))
    return repr(parts).encode("utf-8", "surrogatepass")
