"""Checks of what users pass but for labels, and every message about it.

Inputs are checked once, at the public door, and trusted afterwards. It imports only
`hubclean._compat`, `hubclean._rows` and `hubclean.exceptions`.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from hubclean._compat import (
    _check_feature_names,
    _check_n_features,
    validate_parameter_constraints,
)
from hubclean._rows import as_rows, n_rows, readable
from hubclean.exceptions import (
    EstimatorError,
    ParameterError,
    PredProbsError,
    RowsError,
)

#: How far the sum of a row of probabilities may be from 1. Published probabilities
#: are often rounded to two or three digits, or stored as float16.
SUM_TOLERANCE = 1e-2
_BLOCK_ROWS = 1 << 16


def check_parameters(estimator):
    """Check constructor parameters against ``_parameter_constraints``.

    Raises
    ------
    ParameterError
        Names the estimator, the parameter, what is allowed and what came.
    """
    try:
        validate_parameter_constraints(
            estimator._parameter_constraints,
            estimator.get_params(deep=False),
            caller_name=type(estimator).__name__,
        )
    except ValueError as exc:
        raise ParameterError(str(exc)) from exc


def check_choice(value, choices, *, name, by):
    """Check that a name is one of a few.

    Raises
    ------
    ParameterError
        Lists the valid names.

    Examples
    --------
    >>> check_choice("a", ("a", "b"), name="letter", by="example")
    'a'
    """
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ParameterError(f"{by}: `{name}` must be one of {listed}; got {value!r}.")
    return value


def _as_matrix(pred_probs, by):
    """A 2-D array of numbers, of what is or may become one."""
    pred_probs = readable(pred_probs)
    if isinstance(pred_probs, np.ma.MaskedArray):
        pred_probs = pred_probs.astype(np.float64).filled(np.nan)
    if isinstance(pred_probs, pd.DataFrame) and _has_nullable(pred_probs):
        pred_probs = pred_probs.to_numpy(np.float64, na_value=np.nan)
    try:
        probs = np.asanyarray(pred_probs)
        got = f"{probs.ndim}-D, {probs.dtype}"
    except (TypeError, ValueError, RuntimeError) as exc:  # ragged, or on a device
        probs = np.empty(0)
        got = f"{type(pred_probs).__name__} that cannot be made one ({exc})"
    if probs.dtype.kind not in "fiub" or probs.ndim != 2:
        raise PredProbsError(
            f"{by}: `pred_probs` must be a 2-D array of numbers, one row for each "
            f"label and one column for each class; got {got}."
        )
    return np.asarray(probs) if isinstance(probs, np.matrix) else probs


def _has_nullable(frame):
    """Whether a data frame of numbers has types of which NumPy makes objects."""
    types = list(frame.dtypes)
    return all(dtype.kind in "iufb" for dtype in types) and any(
        isinstance(dtype, pd.api.extensions.ExtensionDtype) for dtype in types
    )


def check_pred_probs(pred_probs, *, n_samples, n_classes=None, by):
    """Check probabilities and return them as an array of floats.

    Half-precision probabilities are converted and renormalised; others, and memory
    maps, come back as they are.

    Parameters
    ----------
    pred_probs : array-like of shape (n_samples, n_classes)
        Probabilities; every row sums to 1 within 0.01.
    n_samples : int
        Number of labels.
    n_classes : int, default=None
        Number of classes; None accepts any number from 2.
    by : str
        Who asks, named in messages.

    Returns
    -------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Checked probabilities.

    Raises
    ------
    PredProbsError
        Names the first row that cannot be used.

    Examples
    --------
    >>> check_pred_probs([[0.2, 0.8]], n_samples=1, by="example")
    array([[0.2, 0.8]])
    """
    probs = _as_matrix(pred_probs, by)
    if len(probs) != n_samples:
        raise PredProbsError(
            f"{by}: `pred_probs` must have {n_samples} rows, one for each label; "
            f"got {len(probs)}. Pass the probabilities of these rows."
        )
    if n_classes is not None and probs.shape[1] != n_classes:
        raise PredProbsError(
            f"{by}: `pred_probs` must have {n_classes} columns, one for each class; "
            f"got {probs.shape[1]}. Pass columns in the order of the sorted classes, "
            "or name the classes of the columns with `classes`."
        )
    if probs.shape[1] < 2:
        raise PredProbsError(
            f"{by}: `pred_probs` must have at least 2 columns, one per class; got "
            f"{probs.shape[1]}. For two classes pass both probabilities."
        )
    if probs.dtype.kind != "f":
        probs = probs.astype(np.float64)
    for start in range(0, len(probs), _BLOCK_ROWS):
        _check_block(probs[start : start + _BLOCK_ROWS], start, by)
    if probs.dtype == np.float16:
        probs = probs.astype(np.float32)
        probs /= probs.sum(axis=1, keepdims=True)
    return probs


def _check_block(block, start, by):
    """Check some rows; one sum is enough where nothing is wrong."""
    sums = np.einsum("ij->i", block, dtype=np.result_type(block.dtype, np.float32))
    with np.errstate(invalid="ignore"):
        wrong_sum = ~(np.abs(sums - 1) <= SUM_TOLERANCE)
        lowest = block.min() if block.size else 0
    if not wrong_sum.any() and lowest >= 0:
        return
    finite = np.isfinite(block).all(axis=1)
    negative = (block < 0).any(axis=1)
    for bad, what in (
        (~finite, "finite: it holds NaN or infinity"),
        (negative, "at least 0: it holds a negative value"),
        (wrong_sum, "probabilities that sum to 1: they sum to {:.4g}"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise PredProbsError(
                f"{by}: every row of `pred_probs` must be "
                f"{what.format(sums[row])} in row {start + row} "
                f"({int(bad.sum())} such rows from there). Pass out-of-sample "
                "probabilities, for example softmax outputs; of rounded ones clip "
                "each at 0 and divide each row by its sum."
            )


def check_classifier(estimator, *, by):
    """Check that an estimator can give probabilities, before anything is trained.

    Raises
    ------
    EstimatorError
        If it is a class, or lacks ``get_params``, ``fit`` or ``predict_proba``.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> check_classifier(LogisticRegression(), by="example")
    LogisticRegression()
    """
    if isinstance(estimator, type):
        raise EstimatorError(
            f"{by}: `estimator` must be an instance; got the class "
            f"{estimator.__name__}. Pass {estimator.__name__}()."
        )
    for method in ("get_params", "fit", "predict_proba"):
        if not hasattr(estimator, method) and not _default_decides(estimator, method):
            raise EstimatorError(
                f"{by}: `estimator` must be a classifier with `predict_proba`; got "
                f"{estimator!r}, which has no `{method}`. Use a classifier that gives "
                "probabilities, or wrap it in "
                "sklearn.calibration.CalibratedClassifierCV."
            )
    return estimator


def _default_decides(estimator, method):
    """Whether a method is that of an estimator which ``fit`` makes in place of None.

    scikit-learn's stacking has one, and lacks its methods until it is fitted.
    """
    try:
        getattr(estimator, method)
    except AttributeError as error:
        while error.__cause__ is not None:
            error = error.__cause__
        return getattr(error, "name", "") == method and error.obj is None
    return False


def check_groups(groups, n_samples, *, by):
    """One group for each row.

    Raises
    ------
    ParameterError
        If there are not as many.

    Examples
    --------
    >>> check_groups(["a", "b"], 2, by="example")
    array([0, 1])
    """
    codes, _ = pd.factorize(np.asarray(groups, dtype=object).ravel())
    if len(codes) != n_samples or np.ndim(groups) != 1 or (codes < 0).any():
        raise ParameterError(
            f"{by}: `groups` must name the group of each of the {n_samples} rows; got "
            f"an array of shape {np.shape(groups)}"
            f"{' with missing ones' if (codes < 0).any() else ''}."
        )
    return codes


def check_rows(X, *, by):
    """Make the rows of X indexable.

    Raises
    ------
    RowsError
        If X has no rows that can be counted.

    Examples
    --------
    >>> check_rows([[1.0], [2.0]], by="example")
    [[1.0], [2.0]]
    """
    try:
        _refuse_collections(X)
        rows = as_rows(X)
        n_rows(rows)
    except TypeError as exc:
        raise RowsError(
            f"{by}: `X` must be a collection of rows: an array, a list, a data frame, "
            f"a sparse matrix or a lazy column; got {type(X).__name__} ({exc})."
        ) from exc
    return rows


def _refuse_collections(X):
    """Refuse what has a length, but holds something else than rows."""
    if isinstance(X, Mapping) and not sparse.issparse(X):  # DOK is a dict of cells
        raise TypeError(
            "its length is the number of its keys; put what belongs to a row into one "
            "array"
        )
    if hasattr(X, "npartitions") and not hasattr(X, "chunks"):  # arrays have rows
        raise TypeError("its rows lie in partitions; pass X.compute()")
    modules = (f"{base.__module__}.{base.__name__}" for base in type(X).__mro__)
    if "torch.utils.data.dataset.Dataset" in modules:
        raise TypeError(
            "its items are inputs with labels; pass the two that "
            "hubclean.pytorch.from_dataset(dataset) gives, as X and y"
        )


def check_features(estimator, X, *, reset):
    """Remember, or compare, the number and the names of the features of a 2-D X."""
    shape = getattr(X, "shape", None)
    n_dims = len(shape) if shape is not None else np.ndim(X[:1])
    if n_dims != 2:
        if reset:
            for name in ("n_features_in_", "feature_names_in_"):
                vars(estimator).pop(name, None)
        return
    _check_feature_names(estimator, X, reset=reset)
    _check_n_features(estimator, X, reset=reset)
