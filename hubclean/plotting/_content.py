"""Rows of X as something to look at: images, text, or rows of a table.

Only the rows asked for are read. It imports only `hubclean._rows` and
`hubclean.exceptions`.
"""

import numpy as np
import pandas as pd
from scipy import sparse

from hubclean._rows import is_lazy, take_rows
from hubclean.exceptions import ParameterError

KINDS = ("image", "text", "table")
_CHANNELS = (1, 3, 4)


def read_rows(X, indices):
    """Rows of X at these positions, in memory.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix, lazy column or map-style dataset
        Rows of any shape.
    indices : array-like of int, shape (n_rows,)
        Positions in X.

    Returns
    -------
    rows : array, list or data frame of n_rows rows
    """
    indices = np.asarray(indices, dtype=np.intp)
    if is_lazy(X):
        return X.read(indices)
    if hasattr(X, "shape") or isinstance(X, (list, tuple)):
        return take_rows(X, indices)
    rows = [X[int(i)] for i in indices]
    return [row[0] if isinstance(row, tuple) else row for row in rows]


def kind_of(X):
    """What rows of X are: ``"image"``, ``"text"`` or ``"table"``.

    Examples
    --------
    >>> kind_of(np.zeros((2, 28, 28))), kind_of(["a", "b"]), kind_of(np.zeros((2, 4)))
    ('image', 'text', 'table')
    """
    if hasattr(X, "columns"):
        return "table"
    if sparse.issparse(X):
        return "text"
    shape = getattr(X, "shape", None)
    if shape is None:
        first = X[0] if len(X) else ""
        first = first[0] if isinstance(first, tuple) and len(first) == 2 else first
        shape = (len(X), *np.shape(first))
    elif len(shape) == 1 and not is_lazy(X) and len(X):
        first = take_rows(X, [0])
        shape = (len(X), *np.shape(np.asarray(first)[0]))
    if len(shape) >= 3:
        return "image"
    return "text" if len(shape) == 1 else "table"


def check_kind(kind, X, by):
    """The kind asked for, or found out where it is ``"auto"``."""
    if kind == "auto":
        return "text" if X is None else kind_of(X)
    if kind not in KINDS:
        raise ParameterError(
            f"{by}: `kind` must be 'auto', {', '.join(map(repr, KINDS))}; got {kind!r}."
        )
    return kind


def as_images(rows, limits=None):
    """Rows as pictures that Matplotlib and Pillow show as they are.

    Channels may come first or last. Numbers that are not uint8 are scaled together.

    Parameters
    ----------
    rows : array-like of shape (n_rows, height, width[, channels]), or list of images
        Images, which may differ in size.
    limits : tuple of float, default=None
        What becomes black and white, as `pixel_limits` gives it; None finds it here.

    Returns
    -------
    images : list of ndarray of uint8, shape (height, width) or (height, width, 3 or 4)
    """
    arrays = [_channels_last(np.asarray(row)) for row in rows]
    if all(array.dtype == np.uint8 for array in arrays):
        return arrays
    low, high = pixel_limits(arrays) if limits is None else limits
    span = (high - low) or 1.0
    scaled = (np.nan_to_num((a.astype(float) - low) / span) for a in arrays)
    return [(255 * np.clip(a, 0, 1) + 0.5).astype(np.uint8) for a in scaled]


def pixel_limits(arrays):
    """Values that become black and white.

    They are 0 and 1 where the numbers lie between, 0 and 255 where they look like
    bytes, else the lowest (or 0) and the highest. NaN and infinite numbers count not.

    Examples
    --------
    >>> pixel_limits([np.array([[0.0, 0.5]])]), pixel_limits([np.array([[3, 16]])])
    ((0.0, 1.0), (0.0, 16.0))
    """
    arrays = [np.asarray(array) for array in arrays]
    arrays = [a[np.isfinite(a)] if a.dtype.kind == "f" else a for a in arrays]
    low = min((float(a.min()) for a in arrays if a.size), default=0.0)
    high = max((float(a.max()) for a in arrays if a.size), default=1.0)
    if low < 0:
        return low, high
    if high <= 1:
        return 0.0, 1.0
    return (0.0, 255.0) if 128 <= high <= 255 else (0.0, high)


def _channels_last(image):
    """One image as (height, width) or (height, width, 3 or 4)."""
    if image.ndim not in (2, 3):
        raise ParameterError(
            "An image must have 2 or 3 dimensions; got a row of shape "
            f"{image.shape}. Pass `kind='table'`, or X with rows that are images."
        )
    if image.ndim == 3 and image.shape[-1] not in _CHANNELS:
        if image.shape[0] not in _CHANNELS:
            return image.mean(axis=-1)  # many bands: their mean
        image = np.moveaxis(image, 0, -1)
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def as_texts(rows):
    """Rows as strings; of a sparse matrix the entries that are not zero."""
    if sparse.issparse(rows):
        rows = sparse.csr_array(rows)
        spans = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        pairs = [zip(rows.indices[a:b], rows.data[a:b], strict=True) for a, b in spans]
        return [", ".join(f"x{i}: {_cell(v)}" for i, v in row) for row in pairs]
    if hasattr(rows, "columns"):
        rows = np.asarray(rows).tolist()
    return [row if isinstance(row, str) else _cell(row) for row in rows]


def as_table(rows):
    """Rows as columns' names and cells of text.

    Returns
    -------
    columns : list of str
    cells : list of list of str
    """
    if hasattr(rows, "to_pandas"):
        rows = rows.to_pandas()
    if not hasattr(rows, "columns"):
        values = np.asarray(rows)
        values = values.reshape(len(values), -1)
        rows = pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])
    cells = [[_cell(v) for v in row] for row in rows.itertuples(index=False, name=None)]
    return [str(name) for name in rows.columns], cells


def _cell(value):
    """One value as short text."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
