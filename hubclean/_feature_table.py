"""X as a table of numbers, for leave-one-out.

It imports only `hubclean._fingerprint` and `hubclean.exceptions`.
"""

import numpy as np
import pandas as pd
from pandas.api.types import is_complex_dtype, is_numeric_dtype

from hubclean._fingerprint import is_torch_tensor
from hubclean.exceptions import RowsError

# What `Auto` gives to leave-one-out, which holds 1,000 features for every row.
_AUTO_ROWS, _AUTO_NUMBERS = 100_000, 100_000_000


def is_table_of_numbers(X):
    """Whether X is dense, 2-D, finite, numeric, and not too large.

    Examples
    --------
    >>> is_table_of_numbers([[1, 2.5]]), is_table_of_numbers([["red", 2.5]])
    (True, False)
    """
    if isinstance(X, pd.DataFrame):  # numbers may name categories there
        if not all(is_numeric_dtype(d) and not is_complex_dtype(d) for d in X.dtypes):
            return False
        X = X.to_numpy(dtype=np.float64, na_value=np.nan)
    elif isinstance(X, list | tuple) or hasattr(X, "to_numpy") or is_torch_tensor(X):
        try:
            X = np.asarray(X)
        except ValueError:  # rows of several lengths
            return False
    return (
        isinstance(X, np.ndarray)
        and X.ndim == 2
        and X.dtype.kind in "biuf"
        and len(X) <= _AUTO_ROWS
        and 0 < X.size <= _AUTO_NUMBERS
        and bool(np.isfinite(X).all())
    )


def features_of(X, *, by):
    """X as one row of numbers for each sample.

    Parameters
    ----------
    X : rows
        Dense or sparse, of any shape.
    by : str
        Who asks, named in messages.

    Returns
    -------
    features : ndarray of float, shape (n_samples, n_features)
        Finite.

    Raises
    ------
    RowsError
        If rows are no numbers, have none, or one that is not finite.

    Examples
    --------
    >>> features_of(np.zeros((3, 8, 8)), by="example").shape
    (3, 64)
    """
    try:
        dense = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
        features = np.asarray(dense.reshape(len(dense), -1), dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise RowsError(
            f"{by}: evidence='leave_one_out' needs rows of numbers, features or "
            f"embeddings; got rows that are not ({exc}). Put a vectoriser before the "
            "cleaner, or use evidence='cv'."
        ) from exc
    if not features.shape[1]:
        raise RowsError(
            f"{by}: evidence='leave_one_out' needs features; found array with 0 "
            f"feature(s) (shape={features.shape}) while a minimum of 1 is required. "
            "Pass rows with at least one number."
        )
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise RowsError(
            f"{by}: evidence='leave_one_out' needs finite numbers; Input X "
            f"contains NaN or infinity in row {row}. Impute them before the cleaner."
        )
    return features
