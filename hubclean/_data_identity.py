"""What the rows, labels and parameters of a training are known by.

It imports inwards only: `_fingerprint` and `_rows`.
"""

import hashlib
import itertools

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn import get_config

from hubclean._fingerprint import fingerprint
from hubclean._rows import as_pandas, content_digests, content_of, is_lazy

#: Goes up when trainings of the same name would give something else.
_FORMAT = 3
#: Settings of scikit-learn by which steps get something else.
_CONFIG = ("transform_output", "enable_metadata_routing")
_ENCODED = ("utf-8", "surrogatepass")


class DataIdentity:
    """Names trainings on rows of one X.

    Parameters
    ----------
    X : rows
        Hashed once, by row, and more closely than `row_digests` does: types count.
        Lazy columns are known by dataset, version and position, and not read; no
        training has a name where a column cannot tell its content.
    labels : ndarray of shape (n_samples,)
        Given labels.
    classes : ndarray of shape (n_classes,)
        Sorted classes, the columns of the probabilities.
    """

    def __init__(self, X, labels, classes):
        self._rows = self._unnamed = None
        try:
            self._rows = _exact_digests(X)
        except TypeError as exc:  # a lazy column of anyone's dataset
            self._unnamed = exc
        self._labels = labels
        self._common = [_FORMAT, _kind(X), classes]
        config = get_config()
        self._common += [config[name] for name in _CONFIG]

    def key(self, estimator, train, test, seed, fit_params, labels=None, also=()):
        """Name one training: its estimator, rows, labels, seed and parameters.

        Parameters
        ----------
        estimator : classifier
            Unfitted.
        train, test : ndarray of int
            Positions.
        seed : int
            Seed of the training.
        fit_params : dict
            Already cut to the training rows.
        labels : ndarray, default=None
            Labels of the training rows where they are not the given ones.
        also : tuple
            Whatever else changes the answer.

        Returns
        -------
        key : str
            Hexadecimal digits.

        Raises
        ------
        TypeError
            If something cannot be named.
        """
        if self._unnamed is not None:
            raise self._unnamed
        trained = self._labels[train] if labels is None else labels
        rows = [self._rows[train], self._rows[test]]
        return fingerprint(
            self._common, estimator, rows, trained, seed, fit_params, also
        )


def _kind(X):
    """Container, type and shape of a row, names and types of columns."""
    if is_lazy(X):
        return ["lazy", str(X.dtype), list(X.shape[1:])]
    kind = [type(X).__module__, type(X).__qualname__, list(getattr(X, "shape", ())[1:])]
    if hasattr(X, "iloc"):
        return [*kind, pd.DataFrame(X).iloc[:0]]
    if hasattr(X, "schema") and not hasattr(X, "dtypes"):  # a table of pyarrow
        return [*kind, [str(field) for field in X.schema]]
    if hasattr(X, "columns"):
        return [*kind, list(X.columns), [str(dtype) for dtype in X.dtypes]]
    return [*kind, str(getattr(X, "dtype", ""))]


def _exact_digests(X):
    """Digest of every row; rows that differ in a type, or in the last bit, differ."""
    if is_lazy(X):
        return content_digests(X)
    if sparse.issparse(X):
        return _sparse_digests(sparse.csr_array(X))
    if hasattr(X, "iloc") or hasattr(X, "columns"):
        return _frame_digests(as_pandas(X))
    try:
        array = np.asarray(X)
    except ValueError:  # rows of several shapes
        return _digests(_cell(row).encode(*_ENCODED) for row in X)
    kind = f"{array.dtype.str} {array.shape[1:]}".encode()  # lists have none
    if array.dtype.kind in "biufcmM" and array.dtype.itemsize:
        mask = np.ma.getmask(X)
        masks = itertools.repeat(mask) if mask is np.ma.nomask else mask
        rows = zip(array, masks, strict=False)
        return _digests(kind + row.tobytes() + mask.tobytes() for row, mask in rows)
    if isinstance(X, list | tuple):
        return _digests(_cell(row).encode(*_ENCODED) for row in X)
    cells = (np.ravel(row).tolist() if array.ndim > 1 else [row] for row in array)
    return _digests(kind + _cells(row) for row in cells)


def _digests(rows):
    content = [hashlib.blake2b(row, digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(content), dtype=np.uint64)


def _sparse_digests(rows):
    bounds = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    return _digests(
        rows.indices[start:stop].tobytes() + rows.data[start:stop].tobytes()
        for start, stop in bounds
    )


def _frame_digests(frame):
    """Digests of the rows of a data frame with their index, which functions look up."""
    objects = np.array([dtype.kind == "O" for dtype in frame.dtypes], dtype=bool)
    plain = pd.util.hash_pandas_object(frame.loc[:, ~objects]).to_numpy(np.uint64)
    if not objects.any():
        return plain
    rows = frame.loc[:, objects].itertuples(index=False, name=None)
    pairs = zip(plain.tolist(), rows, strict=True)
    return _digests(b"%d " % number + _cells(row) for number, row in pairs)


def _cells(row):
    """Types and content of the cells of a row."""
    return repr([_cell(cell) for cell in row]).encode(*_ENCODED)


def _cell(cell):
    """Type and content of anything."""
    return f"{type(cell).__qualname__} {content_of(cell)}"
