"""Checks of labels, their classes and their codes.

It imports only `hubclean._rows` and `hubclean.exceptions`.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import type_of_target

from hubclean._rows import readable
from hubclean.exceptions import LabelsError

#: NumPy 2 has strings of any length; NumPy 1 has no such type.
_STRING = getattr(np.dtypes, "StringDType", ())


def check_labels(y, *, by, n_samples=None, name="y"):
    """Check the given labels and return them as a 1-D array.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Strings, integers or booleans.
    by : str
        Who asks, named in messages.
    n_samples : int, default=None
        Number of rows of X, where there is one.
    name : str, default="y"
        Of the parameter, in messages.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        The labels in their own dtype.

    Raises
    ------
    LabelsError
        If there are none, or too many or too few, or one is missing or continuous.

    Examples
    --------
    >>> check_labels(["cat", "dog"], by="example")
    array(['cat', 'dog'], dtype=object)
    """
    if y is None:
        raise LabelsError(
            f"{by}: requires {name} to be passed, but the target {name} is None. "
            "Pass one given label for each row of X."
        )
    labels = _as_1d(y, by, name)
    if n_samples is not None and len(labels) != n_samples:
        raise LabelsError(
            f"{by}: `{name}` must have one label for each of the {n_samples} rows; "
            f"got {len(labels)} labels. Inconsistent numbers of samples: pass the "
            "labels that belong to these rows."
        )
    if len(labels) == 0:
        raise LabelsError(
            f"{by}: `{name}` must hold at least one label; got 0 samples."
        )
    _check_missing(labels, by, name)
    _check_discrete(labels, by, name)
    return labels


def _as_1d(y, by, name):
    """Make a 1-D array; a column vector is flattened with scikit-learn's warning."""
    labels = _as_array(y, by, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change "
            "the shape of y to (n_samples,), for example using ravel().",
            DataConversionWarning,
            stacklevel=4,
        )
        labels = labels[:, 0]
    if not labels.dtype.isnative:  # as files of other machines have them
        labels = labels.astype(labels.dtype.newbyteorder("="))
    if labels.ndim != 1:
        got = f"shape {labels.shape}. Multi-label targets are not supported"
        if labels.ndim == 0:
            got = f"{type(y).__name__}, which is no sequence of labels"
        raise LabelsError(
            f"{by}: `{name}` must be 1-D, one label for each row; got {got}."
        )
    if labels.dtype.kind in "US" or isinstance(labels.dtype, _STRING):
        # One dtype for text: `classes_[codes]` then never cuts a longer name.
        labels = labels.astype(object)
    elif labels.dtype.kind == "O":  # a column of a data frame of mixed ones, perhaps
        kind = pd.api.types.infer_dtype(labels, skipna=False)
        if kind in ("integer", "boolean"):
            labels = np.array(labels.tolist())
    return labels


def _as_array(y, by, name):
    """Make an array of any shape, in which what is masked is missing."""
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        missing = np.ma.getmaskarray(y)
        y = np.array(y.data, dtype=object)
        y[missing] = None
    y = readable(y)
    try:
        labels = np.asarray(y)
    except ValueError as exc:  # a ragged list
        raise LabelsError(
            f"{by}: `{name}` must be 1-D, one label for each row; got rows of "
            f"different lengths ({exc}). Multi-label targets are not supported."
        ) from exc
    if labels.dtype.kind in "US" and not isinstance(y, np.ndarray):
        # NumPy made text of all of them, of a missing one and of numbers too.
        labels = np.asarray(y, dtype=object)
    return labels


def _check_missing(labels, by, name):
    if labels.dtype.kind == "V":  # records, which `_check_discrete` refuses
        return
    missing = pd.isna(labels)
    if labels.dtype.kind in "fc":
        missing |= ~np.isfinite(labels)
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        raise LabelsError(
            f"{by}: `{name}` must hold a label for every row; got {int(missing.sum())} "
            f"missing (NaN, infinite or None), the first in row {first}: "
            f"{_plain(labels[first])}. Input {name} contains NaN or infinity: "
            "leave those rows out or label them first."
        )


def _check_discrete(labels, by, name):
    if labels.dtype.kind == "f" and np.any(labels != np.floor(labels)):
        first = int(np.flatnonzero(labels != np.floor(labels))[0])
        raise LabelsError(
            f"{by}: Unknown label type: continuous. `{name}` must hold classes; got "
            f"{_plain(labels[first])} in row {first}. Bin the values into classes "
            "first."
        )
    if labels.dtype.kind == "O":
        kinds = {str if isinstance(label, str) else type(label) for label in labels}
        kinds = sorted(kind.__name__ for kind in kinds)
        if len(kinds) > 1 and "str" in kinds:
            raise LabelsError(
                f"{by}: `{name}` must hold labels of one type; got a mix of "
                f"{', '.join(kinds)}. Turn all of them into strings, for example."
            )
        if kinds == ["str"]:
            _check_text(labels, by, name)
            return
    target = _target_type(labels, by, name)
    if target not in ("binary", "multiclass"):
        what = ", ".join(kinds) if labels.dtype.kind == "O" else labels.dtype
        raise LabelsError(
            f"{by}: Unknown label type: {target}. `{name}` must hold one class for "
            f"each row: strings, integers of 64 bits or booleans; got type {what}, "
            f"{_plain(labels[0])} first. Turn each label into a string, for example."
        )


def _check_text(labels, by, name):
    """Refuse names that no table can hold, before anything is trained."""
    for label in set(labels):
        try:
            label.encode()
        except UnicodeEncodeError as exc:
            raise LabelsError(
                f"{by}: `{name}` must hold names that can be written as UTF-8; got "
                f"{label!r} ({exc.reason}). Decode them by the right encoding first."
            ) from exc


def _target_type(labels, by, name):
    if labels.dtype.kind == "V":
        return "records of several fields"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many classes: a regression target, perhaps
        try:
            return type_of_target(labels, input_name=name)
        except (TypeError, ValueError) as exc:
            raise LabelsError(
                f"{by}: `{name}` must hold one class for each row: strings, integers "
                f"or booleans; got {labels.dtype} values that are none of these "
                f"({exc})."
            ) from exc


def encode_labels(labels, *, by, name="y"):
    """Sort the classes and code the labels by them.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The distinct labels, sorted.
    codes : ndarray of int, shape (n_samples,)
        Position of each label in `classes`.

    Raises
    ------
    LabelsError
        If there is one class only.

    Examples
    --------
    >>> encode_labels(np.array([7, 3, 7]), by="example")
    (array([3, 7]), array([1, 0, 1]))
    """
    classes, codes = _sorted_classes(labels)
    if len(classes) < 2:
        raise LabelsError(
            f"{by}: `{name}` must hold at least 2 classes; got 1 class only, "
            f"{_plain(classes[0])} (n_samples={len(labels)})."
        )
    return classes, codes


def _sorted_classes(labels):
    """Distinct labels, and the position of each label among them."""
    if labels.dtype.kind != "O" or not isinstance(labels[0], str):
        return np.unique(labels, return_inverse=True)
    # Sorting a million strings takes a second, looking them up a tenth of it.
    given = labels.tolist()
    classes = np.array(sorted(set(given)), dtype=object)
    position = {name: code for code, name in enumerate(classes.tolist())}
    return classes, np.fromiter(map(position.__getitem__, given), np.intp, len(given))


def code_labels(labels, classes, *, by, name="classes_"):
    """Code labels by classes that are known already.

    Raises
    ------
    LabelsError
        Names a label that is not among the classes.

    Examples
    --------
    >>> code_labels(np.array(["b", "b"]), np.array(["a", "b"]), by="example")
    array([1, 1])
    """
    codes = _as_index(classes).get_indexer(_as_index(labels))
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise LabelsError(
            f"{by}: every label must be one of the {len(classes)} classes in "
            f"`{name}`; got {_plain(labels[row])} in row {row}. Known classes: "
            f"{_shortened(classes)}."
        )
    return codes


def _as_index(labels):
    """Index of labels; pandas has none of half or of extended precision."""
    labels = np.asarray(labels)
    return pd.Index(labels.astype(np.float64) if labels.dtype.kind == "f" else labels)


def _plain(value):
    """A label as Python writes it: 2, not np.int64(2)."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _shortened(values, most=10):
    listed = ", ".join(repr(value) for value in np.asarray(values)[:most].tolist())
    return listed + (", ..." if len(values) > most else "")
