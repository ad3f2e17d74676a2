"""Checks and exact draws behind the noise generators.

It imports only `hubclean.exceptions`.
"""

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from hubclean.exceptions import LabelsError, ParameterError


def coded(y, by):
    """Sorted classes of y, and its rows as positions among them."""
    masked = np.ma.getmaskarray(y) if isinstance(y, np.ma.MaskedArray) else False
    y = np.asarray(y)
    if y.ndim != 1 or not len(y):
        raise LabelsError(
            f"{by}: `y` must be one column of labels; got the shape {y.shape}."
        )
    missing = pd.isna(y) | masked
    if missing.any():
        raise LabelsError(
            f"{by}: `y` must have no missing labels; got {int(missing.sum())}, the "
            f"first in row {int(missing.argmax())}. Drop those rows."
        )
    if y.dtype.kind == "f" and not np.array_equal(y, np.floor(y)):
        raise LabelsError(
            f"{by}: `y` must hold discrete labels; got continuous numbers. Bin them."
        )
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as exc:
        raise LabelsError(
            f"{by}: the labels of `y` must be of one type; got several ({exc})."
        ) from exc
    if len(classes) < 2:
        raise LabelsError(f"{by}: `y` must have two classes or more; got one.")
    return classes, codes


def labelled(classes, codes, noisy):
    """Noisy labels in the words of the classes, and the mask of what changed."""
    return classes[noisy], noisy != codes


def generator(random_state, by):
    """Return a generator of our own; the global one is never drawn from."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as exc:
        raise ParameterError(
            f"{by}: `random_state` must be None, an int of at least 0, a RandomState "
            f"or a Generator; got {random_state!r}."
        ) from exc


def count(frac, n_samples, by):
    """Number of rows that make up a share."""
    if not isinstance(frac, (int, float, np.number)) or not 0 <= frac <= 1:
        raise ParameterError(f"{by}: `frac` must be in [0, 1]; got {frac!r}.")
    return round(float(frac) * n_samples)


def in_order(table, classes, *, rows=False):
    """Sort what is named by the classes in their order, if it is a data frame so named.

    Examples
    --------
    >>> in_order(pd.DataFrame([[1, 2]], columns=["b", "a"]), np.array(["a", "b"]))
       a  b
    0  2  1
    """
    if not isinstance(table, pd.DataFrame):
        return table
    classes = pd.Index(classes)
    for axis in ("index", "columns") if rows else ("columns",):
        names = getattr(table, axis)
        if len(names) == len(classes) and classes.isin(names).all():
            table = table.reindex(**{axis: classes})
    return table


def finite_matrix(values, shape, name, by):
    """Copy a matrix of finite numbers, checked for its shape."""
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ParameterError(f"{by}: `{name}` must be numbers ({exc}).") from exc
    if matrix.shape != shape or not np.isfinite(matrix).all():
        raise ParameterError(
            f"{by}: `{name}` must be {shape[0]} rows of {shape[1]} finite numbers, one "
            f"column per class of `y` in sorted order; got the shape {matrix.shape}"
            f"{'' if np.isfinite(matrix).all() else ' with NaN or infinity'}."
        )
    return matrix


def checked_noise_matrix(values, classes):
    """Check a noise matrix."""
    by, shape = "class_conditional_noise", (len(classes), len(classes))
    values = in_order(values, classes, rows=True)
    matrix = finite_matrix(values, shape, "noise_matrix", by)
    sums = matrix.sum(axis=0)
    if matrix.min() < 0 or np.abs(sums - 1).max() > 1e-6:
        raise ParameterError(
            f"{by}: `noise_matrix` must hold P(given | true), columns that sum to 1 "
            f"and no negative numbers; got columns that sum to {sums.round(4)} "
            f"and the smallest number {matrix.min():.3g}. "
            "Transpose it if its rows sum to 1."
        )
    return matrix


def largest_remainders(shares, total, rng):
    """Whole numbers with a given sum, each within one of its share."""
    whole = np.floor(shares + 1e-9).astype(np.int64)
    ties = rng.random(len(shares))
    order = np.lexsort((ties, -(shares - whole).round(9)))
    whole[order[: total - whole.sum()]] += 1
    return whole


def cross_validated(X, codes, estimator, cv, rng):
    """Out-of-sample probabilities of a model of the true labels."""
    by = "instance_dependent_noise"
    if X is None or estimator is None:
        raise ParameterError(f"{by}: pass `pred_probs`, or both `X` and `estimator`.")
    if not isinstance(cv, Integral) or cv < 2:
        raise ParameterError(f"{by}: `cv` must be an int of at least 2; got {cv!r}.")
    folds = min(cv, np.bincount(codes).min())
    if folds < 2:
        raise LabelsError(f"{by}: every class of `y` needs two rows; one has one.")
    seed = int(rng.integers(2**31 - 1))
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=seed)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return cross_val_predict(estimator, X, codes, cv=splitter, method="predict_proba")


def capped_rates(log_weights, total, cap):
    """Rates min(cap, c * weight), where c is such that they sum to a total."""
    order = np.argsort(-log_weights)
    weights = log_weights[order]
    tails = np.logaddexp.accumulate(weights[::-1])[::-1]  # in logs: no underflow
    left = np.maximum(total - cap * np.arange(len(weights)), 1e-300)
    log_c = np.log(left) - tails
    # The n largest are capped, for the smallest n that leaves no other above the cap.
    fits = log_c + weights <= np.log(cap) + 1e-12
    fits[-1] = True  # whatever the rounding: the total is at most the cap for each
    n_capped = int(np.argmax(fits))
    rates = np.full(len(weights), cap)
    rates[order[n_capped:]] = np.exp(log_c[n_capped] + weights[n_capped:])
    return rates


def systematic_sample(rates, total, rng):
    """Draw exactly `total` rows, each with its own rate (systematic sampling)."""
    order = rng.permutation(len(rates))
    steps = np.cumsum(rates[order])
    steps *= total / steps[-1]
    steps[-1] = total
    is_drawn = np.empty(len(rates), dtype=bool)
    is_drawn[order] = np.diff(np.floor(steps + rng.random()), prepend=0.0) > 0
    return is_drawn
