"""The result table and the given labels, checked and lined up.

It imports only `hubclean.exceptions` and `hubclean._rows`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hubclean._rows import n_rows
from hubclean.exceptions import LabelsError, ParameterError, RowsError, ValidationError

_COLUMNS = ("is_label_issue", "label_quality", "predicted_labels")


@dataclass
class JudgedLabels:
    """Given labels beside what was found about them, row by row.

    Attributes
    ----------
    is_label_issue : ndarray of bool, shape (n_samples,)
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1]; NaN where a row could not be judged.
    given, predicted : ndarray of int, shape (n_samples,)
        Positions in `classes`.
    classes : ndarray, shape (n_classes,)
        Every label that occurs, sorted.
    names : list of str
        What to show for each class.
    """

    is_label_issue: np.ndarray
    label_quality: np.ndarray
    given: np.ndarray
    predicted: np.ndarray
    classes: np.ndarray
    names: list

    def worst(self, n=None, only_issues=True):
        """Positions of the rows, the lowest quality first; rows not judged last."""
        order = np.argsort(self.label_quality, kind="stable")  # sorts NaN to the end
        if only_issues:
            order = order[self.is_label_issue[order]]
        return order[:n]


def judged_labels(issues, labels, *, class_names=None, by):
    """Check the result table and the labels, and code both by class.

    Parameters
    ----------
    issues : DataFrame of shape (n_samples, 3)
        The result table: `is_label_issue`, `label_quality`, `predicted_labels`.
    labels : array-like of shape (n_samples,)
        The given labels.
    class_names : sequence of str or dict, default=None
        What to show for a class: by position for labels 0 to n_classes - 1, or by
        label. None shows the labels themselves.
    by : str
        Who asks, for the messages.

    Returns
    -------
    judged : JudgedLabels
    """
    missing = [name for name in _COLUMNS if name not in getattr(issues, "columns", ())]
    if missing:
        raise ValidationError(
            f"{by}: `issues` must be the result table with the columns "
            f"{', '.join(_COLUMNS)}; {', '.join(missing)} missing from "
            f"{type(issues).__name__}. Pass `label_issues_` of a fitted cleaner, or "
            "what find_label_issues returns."
        )
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) != len(issues):
        raise LabelsError(
            f"{by}: `labels` must hold one given label for each of the {len(issues)} "
            f"rows of `issues`; got shape {labels.shape}. Pass the labels that were "
            "judged, in the same order."
        )
    predicted = np.asarray(issues["predicted_labels"])
    classes = _all_classes(labels, predicted)
    return JudgedLabels(
        is_label_issue=np.asarray(issues["is_label_issue"], dtype=bool),
        label_quality=np.asarray(issues["label_quality"], dtype=float),
        given=pd.Index(classes).get_indexer(labels),
        predicted=pd.Index(classes).get_indexer(predicted),
        classes=classes,
        names=_names(classes, class_names, by),
    )


def _all_classes(labels, predicted):
    """Every label, given or predicted, sorted; by their text where types differ."""
    both = pd.unique(pd.Series(np.r_[labels.astype(object), predicted.astype(object)]))
    try:
        return np.array(sorted(both.tolist()), dtype=np.result_type(labels, predicted))
    except TypeError:
        return np.array(sorted(both.tolist(), key=str), dtype=object)


def _names(classes, class_names, by):
    """What to show for each class."""
    if class_names is None:
        return [str(label) for label in classes.tolist()]
    if isinstance(class_names, dict):
        return [str(class_names.get(label, label)) for label in classes.tolist()]
    names = [str(name) for name in class_names]
    if classes.dtype.kind in "iub":
        codes = classes.astype(int)
        if codes.size and (codes.min() < 0 or codes.max() >= len(names)):
            raise ParameterError(
                f"{by}: `class_names` must name every class by its number; got "
                f"{len(names)} names and labels from {codes.min()} to {codes.max()}. "
                "Pass one name per class, or a dict from label to name."
            )
        return [names[code] for code in codes.tolist()]
    if len(names) != len(classes):
        raise ParameterError(
            f"{by}: `class_names` must hold one name for each of the {len(classes)} "
            f"classes in sorted order; got {len(names)}. Pass a dict from label to "
            "name where some classes have no sample."
        )
    return names


def check_rows_of(X, n_samples, *, by):
    """Raise `RowsError` unless X is None or holds the rows that were judged."""
    if X is not None and n_rows(X) != n_samples:
        raise RowsError(
            f"{by}: `X` must hold the {n_samples} rows that were judged; got "
            f"{n_rows(X)}. Pass the rows of `labels`, in the same order."
        )


def fitted_part(estimator, name):
    """What of an estimator has an attribute: the last such step of a pipeline.

    Examples
    --------
    >>> from sklearn.linear_model import Perceptron
    >>> from sklearn.pipeline import make_pipeline
    >>> fitted_part(make_pipeline("passthrough", Perceptron()), "fit")
    Perceptron()
    """
    steps = [step for _, step in getattr(estimator, "steps", ())]
    return next((step for step in steps[::-1] if hasattr(step, name)), estimator)


def table_of_estimator(estimator, X, *, by):
    """The result table of a fitted cleaner, for the X that it was fitted on."""
    issues = getattr(fitted_part(estimator, "label_issues_"), "label_issues_", None)
    if issues is None:
        raise ValidationError(
            f"{by}: `estimator` must be a fitted cleaner with `label_issues_`; got "
            f"{type(estimator).__name__}. Call fit first, or use from_issues."
        )
    if X is not None and n_rows(X) != len(issues):
        raise ValidationError(
            f"{by}: `X` must be the {len(issues)} rows that the cleaner was fitted "
            f"on; got {n_rows(X)} rows. For new rows use from_issues with what "
            "check_labels returns."
        )
    return issues
