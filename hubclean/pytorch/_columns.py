"""Any X as rows that are read many at a time.

Arrays, data frames, sparse matrices, lists and tensors are held; lazy columns and
map-style datasets are read where the batch is needed.
"""

import uuid
import weakref
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from scipy import sparse

from hubclean._fingerprint import fingerprint
from hubclean._lazy_column import LazyRows
from hubclean._rows import is_lazy, n_rows, readable
from hubclean.exceptions import ParameterError
from hubclean.pytorch._randomness import lent

#: What to do with inputs of several parts.
ONE_ARRAY = (
    "Put what belongs to a row into one array, and take it apart again in the module's "
    "`forward`."
)
_dataset_tokens: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class ArrayRows:
    """Rows of an array or sparse matrix in memory."""

    slow = False
    draws = False

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return self.array.shape[0]

    def read(self, indices):
        """Rows at these positions."""
        rows = self.array[indices]
        return rows.toarray() if sparse.issparse(rows) else rows


class ColumnRows:
    """Rows of a lazy column; reading one batch may take longer than training on it."""

    slow = True

    def __init__(self, column):
        self.column = column

    @property
    def draws(self):
        """Whether reading runs anyone's code, which may draw random numbers."""
        return isinstance(self.column, DatasetColumn)

    def __len__(self):
        return len(self.column)

    def read(self, indices):
        """Rows at these positions."""
        return self.column.read(np.asarray(indices))


class DatasetColumn(LazyRows):
    """Inputs of a map-style dataset as a lazy column.

    It takes subsets without reading, so folds of a dataset cost nothing until their
    batches are read.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset or sequence
        Items are inputs, or (input, label) pairs.
    row_ids : ndarray of int or None
        Which rows; all when None.
    token : str or None
        What the object is known by; None makes one.
    version : str or None
        What the rows are known by in every process: see `from_dataset`.

    Examples
    --------
    >>> column = DatasetColumn([(np.zeros(3), "a"), (np.ones(3), "b")])
    >>> column.shape, column[[1]].read()
    ((2, 3), array([[1., 1., 1.]]))
    """

    def __init__(self, dataset, row_ids=None, token=None, version=None):
        self.dataset = dataset
        self.row_ids = np.arange(len(dataset)) if row_ids is None else row_ids
        self.token = token or _token(dataset)
        self.version = version
        self._row_type = None

    @property
    def identity(self):
        """Which dataset: equal for columns of the same object."""
        return ("torch.utils.data", type(self.dataset).__name__, self.token)

    @property
    def content(self):
        """What `memory` knows the rows by: changes where code or attributes do.

        Raises
        ------
        TypeError
            If neither a version nor what the dataset holds can name them.
        """
        kind = ("torch.utils.data", type(self.dataset).__name__)
        try:
            held = fingerprint(self.dataset)
        except TypeError:
            if self.version is None:
                raise
            held = ""
        if self.version is not None:
            return (*kind, str(self.version), held)
        return (*kind, held) if _is_in_memory(self.dataset) else (*self.identity, held)

    @property
    def why_not_shared(self):
        """Why no other process knows the rows, and what to do; None where one does."""
        if self.version is not None or _is_in_memory(self.dataset):
            return None
        return (
            f"what a {type(self.dataset).__name__} gives may change while its code and "
            "attributes do not, so its rows are known in this process only. Pass "
            "from_dataset(dataset, version='1'), and another text whenever the rows "
            "change."
        )

    @property
    def row_shape(self):
        """Shape of the first row of the dataset."""
        return self._type()[0]

    @property
    def dtype(self):
        """Type of one element of the first row."""
        return self._type()[1]

    def _type(self):
        """Shape and dtype of the first row of the dataset, which is read once."""
        if self._row_type is None:
            with lent(0):
                row = _input(self.dataset[0])
            self._row_type = row.shape, row.dtype
        return self._row_type

    def _taken(self, positions):
        row_ids = self.row_ids[positions]
        subset = type(self)(self.dataset, row_ids, self.token, self.version)
        subset._row_type = self._row_type
        return subset

    def _rows_at(self, positions):
        """Rows as an array; a 1-D one of objects where shapes differ.

        What the dataset draws from torch's generator depends on the positions, or, in
        a net, on its seed.
        """
        rows = self.row_ids[positions]
        if not len(rows):
            return np.empty((0, *self.row_shape), self.dtype)
        with lent(zlib.crc32(np.asarray(rows, dtype=np.int64).tobytes())):
            if hasattr(self.dataset, "__getitems__"):
                items = self.dataset.__getitems__(rows.tolist())
            else:
                items = [self.dataset[i] for i in rows.tolist()]
        return stack_rows([_input(item) for item in items])


def _token(dataset):
    """Name of a dataset object that no other object of this session has."""
    try:
        return _dataset_tokens.setdefault(dataset, uuid.uuid4().hex)
    except TypeError:  # lists take no weak references
        return uuid.uuid4().hex


def _is_in_memory(dataset):
    """Whether all that a dataset gives is in tensors and lists that it holds."""
    kind = type(dataset)
    if kind is torch.utils.data.Subset:
        return _is_in_memory(dataset.dataset)
    if kind is torch.utils.data.ConcatDataset:
        return all(map(_is_in_memory, dataset.datasets))
    return kind in (list, torch.utils.data.TensorDataset)


def _input(item):
    """Input of an (input, label) pair, or the item itself, as an array.

    What is no array, a dict say, is the only element of one, for a `transform`.
    """
    given = item[0] if isinstance(item, tuple | list) else item
    try:
        return np.asarray(given)
    except ValueError:  # arrays of several shapes
        alone = np.empty((), dtype=object)
        alone[()] = given
        return alone


def stack_rows(rows):
    """One array of rows of equal shape; an array of objects where shapes differ."""
    if len({row.shape for row in rows}) <= 1:
        return np.stack(rows) if rows else np.empty((0,))
    stacked = np.empty(len(rows), dtype=object)
    stacked[:] = rows
    return stacked


def is_map_dataset(X):
    """Whether X is a map-style dataset, or a list of (input, label) pairs."""
    if isinstance(X, list):
        return bool(X) and isinstance(X[0], tuple) and len(X[0]) == 2
    return isinstance(X, torch.utils.data.Dataset) and hasattr(X, "__getitem__")


def as_rows(X):
    """Rows of any X, with `read` and a length.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix, tensor, lazy column or map-style dataset
        Of n_samples rows.

    Returns
    -------
    rows : ArrayRows or ColumnRows
        To be read a batch at a time.

    Raises
    ------
    ParameterError
        If X has no rows, or rows that are no numbers, or is a dict.
    """
    if isinstance(X, ArrayRows | ColumnRows):
        return X
    if isinstance(X, torch.utils.data.IterableDataset):
        raise ParameterError(
            "skorch: X must have rows that can be asked for by position; got an "
            "iterable dataset. Pass a map-style dataset, with __getitem__ and __len__."
        )
    if isinstance(X, Mapping):
        raise ParameterError(
            f"skorch: X must be one array of rows; got a {type(X).__name__} of "
            f"length {len(X)}. {ONE_ARRAY}"
        )
    if is_map_dataset(X):
        X = DatasetColumn(X)
    rows = ColumnRows(X) if is_lazy(X) else ArrayRows(_in_memory(X))
    if not len(rows):
        raise ParameterError("skorch: X must have at least 1 row; got 0 rows.")
    return rows


def _in_memory(X):
    """Array or sparse matrix of numbers, or of images of differing shapes."""
    if sparse.issparse(X):
        return sparse.csr_array(X)
    if isinstance(X, torch.Tensor):
        return readable(X).numpy()
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    array = X if isinstance(X, np.ndarray) else _from_list(X)
    if array.dtype.kind == "O" and array.ndim > 1:
        array = _numbers(array)
    if array.dtype.kind not in "biufO":
        raise ParameterError(
            f"skorch: X must hold numbers or images; got an array of {array.dtype}. "
            "Turn text into numbers first, in a Pipeline for example."
        )
    return array


def _from_list(X):
    """Array of a list of rows, whose shapes may differ."""
    try:
        return np.asarray(X)
    except ValueError:  # rows of differing shapes
        n_rows(X)
        return stack_rows([np.asarray(row) for row in X])


def _numbers(array):
    """Array of objects, from a data frame say, as floats."""
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as exc:
        raise ParameterError(
            f"skorch: X must hold numbers or images; got objects ({exc}). Encode "
            "columns that hold text or categories first, in a Pipeline for example."
        ) from exc


def labels_of(dataset):
    """Labels of a map-style dataset of (input, label) pairs.

    Torchvision's ``targets`` are taken where nothing transforms them; else every item
    is read once.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset or list of pairs
        Items are (input, label) pairs.

    Returns
    -------
    labels : ndarray, shape (n_samples,)
        As the dataset gives them.
    """
    targets = getattr(dataset, "targets", None)
    transformed = getattr(dataset, "target_transform", None) is not None
    if targets is not None and not transformed and len(targets) == len(dataset):
        return np.asarray(targets)
    with lent(0):
        return np.asarray([_label(dataset[i], i) for i in range(len(dataset))])


def _label(item, position):
    """Label of an (input, label) pair."""
    if not (isinstance(item, tuple | list) and len(item) == 2):
        raise ParameterError(
            "skorch: without `y`, the items of a dataset must be (input, label) "
            f"pairs; item {position} is a {type(item).__name__}. Pass the labels as "
            "`y`."
        )
    return np.asarray(item[1]).reshape(-1)[0]


def from_dataset(dataset, version=None):
    """Columns X and y of a map-style dataset, for the cleaner and scikit-learn's tools.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Items are (input, label) pairs.
    version : str or None
        Text that tells the rows from those of every other dataset and of other
        versions of this one, so that ``memory=`` knows them in another process.
        None is enough for a `TensorDataset`, a list, and a `Subset` of one, which
        are known by their content; the rows of other datasets may lie in files that
        change, and are known by the object, its code and its attributes.

    Returns
    -------
    X : DatasetColumn
        Lazy: rows are read in batches, where they are needed.
    y : ndarray, shape (n_samples,)
        Labels.

    Notes
    -----
    What a dataset draws from torch's generator, to augment images for example, is
    decided by ``random_state``. Batches are therefore read one at a time, whatever
    ``read_threads`` is; ``iterator_train__num_workers`` reads several side by side.
    Other generators, NumPy's say, are the dataset's own to seed.

    Examples
    --------
    >>> X, y = from_dataset([(np.zeros(3), "a"), (np.ones(3), "b")])
    >>> len(X), y.tolist()
    (2, ['a', 'b'])
    """
    return DatasetColumn(dataset, version=version), labels_of(dataset)
