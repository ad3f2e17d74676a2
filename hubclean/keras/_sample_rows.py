"""Weights of rows, rows held out."""

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.class_weight import compute_sample_weight

from hubclean._weights import check_sample_weight
from hubclean.exceptions import ParameterError


def row_weights(class_weight, labels, sample_weight, n_rows):
    """Weight of every row as Keras takes it; None when all are equal."""
    if class_weight is None and sample_weight is None:
        return None
    weights = np.ones(n_rows, dtype="float32")
    if class_weight is not None:
        weights *= compute_sample_weight(class_weight, labels).astype("float32")
    if sample_weight is not None:
        given = check_sample_weight(sample_weight, n_rows, by="KerasClassifier")
        weights *= given.astype("float32")
    return weights


def split_validation(codes, share, seed):
    """Rows to train on and rows held out, of every class its share where that can be.

    Keras holds the last rows out, which are of one class when labels are sorted.

    Returns
    -------
    train : ndarray of int
        Sorted positions.
    held_out : ndarray of int or None
        Sorted positions; None when nothing is held out.

    Examples
    --------
    >>> train, held_out = split_validation(np.repeat([0, 1], 10), 0.2, seed=0)
    >>> np.repeat([0, 1], 10)[held_out]
    array([0, 0, 1, 1])
    """
    if not share:
        return np.arange(len(codes)), None
    if not 0 < share < 1:
        raise ParameterError(
            "KerasClassifier: `validation_split` must be at least 0 and under 1; got "
            f"{share!r}."
        )
    try:
        splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
        train, held_out = next(splitter.split(codes, codes))
    except ValueError:  # a class with one row, or fewer held out than classes
        splitter = ShuffleSplit(1, test_size=share, random_state=seed)
        train, held_out = next(splitter.split(codes))
    return np.sort(train), np.sort(held_out)
