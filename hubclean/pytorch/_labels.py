"""Labels of any kind as codes 0 to n_classes - 1."""

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from hubclean.exceptions import LabelsError


def label_array(y, n_samples):
    """Labels as a 1-D array.

    Raises
    ------
    LabelsError
        If there are not as many as rows, or they are no class labels.
    """
    if isinstance(y, torch.Tensor):
        y = y.detach().cpu().numpy()
    try:
        labels = column_or_1d(np.asarray(y))
        check_classification_targets(labels)
    except ValueError as exc:
        raise LabelsError(
            f"skorch: `y` must hold one class label per row: {exc}"
        ) from exc
    if len(labels) != n_samples:
        raise LabelsError(
            f"skorch: `y` must have one label per row of X; got {len(labels)} labels "
            f"for {n_samples} rows."
        )
    return labels


def encode(labels, classes):
    """Position of every label in `classes`, in whatever order they are.

    Raises
    ------
    LabelsError
        If a label is none of them.

    Examples
    --------
    >>> encode(np.array(["b", "a"]), np.array(["a", "b"]))
    array([1, 0])
    """
    order = np.argsort(classes)
    places = np.searchsorted(classes, labels, sorter=order)
    codes = order[np.minimum(places, len(classes) - 1)]
    unknown = np.asarray(classes)[codes] != labels
    if unknown.any():
        label = labels[unknown].tolist()[0]
        raise LabelsError(
            f"skorch: `y` has the label {label!r}, which is none of the "
            f"{len(classes)} classes. Leave `classes` out, or name all of them."
        )
    return codes
