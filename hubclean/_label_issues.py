"""From labels and probabilities to the result table.

It imports inwards only: `_judgement`, `_validation` and `exceptions`.
"""

from numbers import Integral, Real

import numpy as np
import pandas as pd

from hubclean._judgement import (
    RULE_NAMES,
    SCORE_NAMES,
    judge,
    warn_few_left,
    warn_unused,
)
from hubclean._label_validation import check_labels, code_labels, encode_labels
from hubclean._validation import check_choice, check_pred_probs
from hubclean.exceptions import LabelsError, ParameterError, PredProbsError

#: Columns of the result table, in order.
COLUMNS = ("is_label_issue", "label_quality", "predicted_labels")


def make_table(is_label_issue, label_quality, predicted_labels, *, index=None):
    """Put the three columns into one data frame."""
    columns = (is_label_issue, label_quality, predicted_labels)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=index)


def labels_like(classes, codes, dtype=None):
    """Turn codes back into labels, in the pandas dtype that y came in if it had one.

    Examples
    --------
    >>> labels_like(np.array([10, 20]), np.array([1, 0])).tolist()
    [20, 10]
    """
    labels = classes[codes]
    if isinstance(dtype, pd.CategoricalDtype):  # of a batch without some class
        unknown = pd.Index(classes).difference(dtype.categories, sort=False)
        categories = dtype.categories.append(unknown)
        dtype = pd.CategoricalDtype(categories, ordered=dtype.ordered)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        try:
            return pd.array(labels, dtype=dtype)
        except TypeError:  # it has no room for the classes of further columns
            return pd.array(labels)
    return labels


def find_label_issues(
    labels,
    pred_probs,
    *,
    classes=None,
    filter_by="auto",
    score_by="clean_probability",
    threshold=None,
    frac_noise=1.0,
    min_examples_per_class=1,
    adjust_pred_probs=False,
    n_jobs=None,
):
    """Find wrong labels from out-of-sample probabilities that you have already.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Given labels: strings, integers or booleans.
    pred_probs : array-like of shape (n_samples, n_classes)
        Out-of-sample probabilities, rows in the order of `labels`; every row sums to 1
        within 0.01. May be a memory map. Half precision is copied to single precision
        and divided by the sums.
    classes : array-like of shape (n_classes,), default=None
        Class of each column. By default the names of the columns of a data frame,
        where these are the labels; else the sorted distinct labels. Integer labels
        between 0 and n_classes - 1 are column numbers, so a class may never appear.
    filter_by : str, default="auto"
        Rule that flags rows. ``"auto"`` estimates the probability that each label is
        wrong and chooses the cut with the best expected F1 score. The others are
        cleanlab's seven: ``"prune_by_noise_rate"``, ``"prune_by_class"``, ``"both"``,
        ``"confident_learning"``, ``"predicted_neq_given"``,
        ``"low_normalized_margin"``, ``"low_self_confidence"`` [1]_.
    score_by : str, default="clean_probability"
        Label quality score: ``"clean_probability"``, the estimated probability that
        the given label is right; ``"self_confidence"``, ``"normalized_margin"`` or
        ``"confidence_weighted_entropy"`` [2]_.
    threshold : float, default=None
        Flag the rows with a quality under it, in [0, 1], instead of `filter_by`.
    frac_noise : float, default=1.0
        Share of the estimated issues that the three pruning rules return, in (0, 1].
        The other rules do not use it.
    min_examples_per_class : int, default=1
        Rows that the pruning rules leave in every class; the others do not use it.
    adjust_pred_probs : bool, default=False
        Subtract each class's mean self-confidence before scoring; for
        ``"self_confidence"`` and ``"normalized_margin"``.
    n_jobs : int, default=None
        Threads; None uses all cores where that is faster.

    Returns
    -------
    label_issues : DataFrame of n_samples rows
        Columns ``is_label_issue`` (bool), ``label_quality`` (float in [0, 1], low is
        suspicious) and ``predicted_labels`` (dtype of `labels`), the most probable
        class; where the rule or the score is hubclean's own, another one than the
        given for an issue. Indexed like `labels` where that is a pandas Series.

    Raises
    ------
    LabelsError
        If labels are missing, continuous, or not among `classes`; or of one class, and
        neither `classes` nor columns numbered from 0 tell another.
    PredProbsError
        If rows or columns do not fit, a row holds NaN or negative values or does not
        sum to 1, or a data frame has the index of `labels` in another order.
    ParameterError
        If a name is unknown or a number is out of range.

    Warns
    -----
    LabelQualityWarning
        If nearly all labels of a class seem wrong, or the rule does not use a number.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, "Confident learning", JAIR 70 (2021), section 3.
    .. [2] Kuan, Mueller, "Model-agnostic label quality scoring", ICML DataPerf 2022.

    Examples
    --------
    >>> from hubclean import find_label_issues
    >>> labels = ["cat", "cat", "dog", "dog", "dog"]
    >>> pred_probs = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]]
    >>> find_label_issues(labels, pred_probs, score_by="self_confidence")
       is_label_issue  label_quality predicted_labels
    0           False           0.90              cat
    1           False           0.80              cat
    2           False           0.90              dog
    3           False           0.80              dog
    4            True           0.05              cat
    """
    by = "find_label_issues"
    _check_rule(filter_by, score_by, threshold, frac_noise, by)
    least = min_examples_per_class
    if not (isinstance(least, Integral) and least >= 0):
        raise ParameterError(
            f"{by}: `min_examples_per_class` must be an int of at least 0; got "
            f"{least!r}."
        )
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ParameterError(
            f"{by}: `n_jobs` must be None or an int that is not 0; got {n_jobs!r}."
        )
    if classes is not None and (isinstance(classes, str) or np.ndim(classes) != 1):
        raise ParameterError(
            f"{by}: `classes` must list the class of each column of `pred_probs`; got "
            f"{classes!r}."
        )
    given = check_labels(labels, by=by, name="labels")
    _check_row_names(labels, pred_probs, by)
    probs = check_pred_probs(
        pred_probs,
        n_samples=len(given),
        n_classes=None if classes is None else len(classes),
        by=by,
    )
    if classes is None:
        classes = _classes_of_columns(pred_probs, given, by)
    classes, codes = _match_columns(given, classes, probs, by)
    linear = ("self_confidence", "normalized_margin")
    if adjust_pred_probs and score_by not in linear:
        raise ParameterError(
            f"{by}: `adjust_pred_probs` must be False for score_by={score_by!r}; got "
            "True. Choose another score."
        )
    warn_unused(filter_by, threshold, frac_noise, least, by=by, stacklevel=3)
    judgement = judge(
        codes,
        probs,
        filter_by=filter_by,
        score_by=score_by,
        threshold=threshold,
        frac_noise=frac_noise,
        min_examples_per_class=min(least, len(given)),
        adjust_pred_probs=adjust_pred_probs,
        n_jobs=n_jobs,
    )
    kept = np.flatnonzero(~judgement.is_label_issue)
    warn_few_left(
        codes,
        classes,
        kept,
        codes[kept],
        advice="about `pred_probs`, or `threshold`, than about the labels: pass those "
        "of another model, with their columns in the order of `classes`",
        by=by,
        stacklevel=3,
    )
    return make_table(
        judgement.is_label_issue,
        judgement.label_quality,
        labels_like(classes, judgement.predicted, getattr(labels, "dtype", None)),
        index=getattr(labels, "index", None) if hasattr(labels, "iloc") else None,
    )


def _check_rule(filter_by, score_by, threshold, frac_noise, by):
    """Check names and ranges that estimators check as their own parameters."""
    check_choice(filter_by, RULE_NAMES, name="filter_by", by=by)
    check_choice(score_by, SCORE_NAMES, name="score_by", by=by)
    number = isinstance(threshold, Real) and 0 <= threshold <= 1
    if threshold is not None and not number:
        raise ParameterError(
            f"{by}: `threshold` must be None or in [0, 1], a label quality; got "
            f"{threshold!r}."
        )
    if not (isinstance(frac_noise, Real) and 0 < frac_noise <= 1):
        raise ParameterError(
            f"{by}: `frac_noise` must be in (0, 1], a share of the estimated issues; "
            f"got {frac_noise!r}."
        )


def _check_row_names(labels, pred_probs, by):
    """Refuse rows that are named like the labels, but in another order."""
    if not (isinstance(labels, pd.Series) and isinstance(pred_probs, pd.DataFrame)):
        return
    names, given = pred_probs.index, labels.index
    if isinstance(names, pd.RangeIndex) or names.equals(given):
        return
    unique = names.is_unique and given.is_unique
    if unique and set(names.tolist()) == set(given.tolist()):
        raise PredProbsError(
            f"{by}: the rows of `pred_probs` must be in the order of `labels`; got a "
            "data frame with the same index in another order. Pass "
            "pred_probs.loc[labels.index], or pred_probs.to_numpy() if the rows are "
            "in order."
        )


def _classes_of_columns(pred_probs, given, by):
    """Names of a data frame's columns in the type of the labels, if they are these."""
    names = getattr(pred_probs, "columns", None)
    if names is None or isinstance(names, pd.RangeIndex):
        return None
    names = list(getattr(pred_probs, "column_names", names))  # a table of pyarrow
    own = {label: label for label in given.tolist()}
    if own.keys() <= set(names):
        return [own.get(name, name) for name in names]
    written = {str(label): label for label in own}
    if written.keys() == set(map(str, names)):
        return [written[str(name)] for name in names]
    if own.keys() & {name for name in names if isinstance(name, str)}:
        once = np.array(list(dict.fromkeys(names)), dtype=object)
        code_labels(given, once, by=by, name="pred_probs")
    return None


def _match_columns(given, classes, probs, by):
    """Find the class of every column, and the labels' codes by them."""
    n_columns = probs.shape[1]
    if classes is not None:
        classes = np.asarray(classes)
        if classes.dtype.kind == "U":
            classes = classes.astype(object)
        if len(set(classes.tolist())) < len(classes):
            raise LabelsError(
                f"{by}: `classes` must name each column once; got {classes.tolist()}."
            )
        return classes, code_labels(given, classes, by=by, name="classes")
    if given.dtype.kind in "iu" and given.min() >= 0 and given.max() < n_columns:
        dtype = np.promote_types(given.dtype, np.min_scalar_type(n_columns - 1))
        return np.arange(n_columns, dtype=dtype), given.astype(np.int64)
    classes, codes = encode_labels(given, by=by, name="labels")
    check_pred_probs(probs[:0], n_samples=0, n_classes=len(classes), by=by)
    return classes, codes
