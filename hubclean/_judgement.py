"""What probabilities or margins say about every given label, and warnings about it.

It imports inwards only: the array-only files, `_model_store` and `exceptions`.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from hubclean._auto_rule import AutoRule, learn_auto_rule
from hubclean._confident_learning import FILTERS, IssueRule, learn_rule, noise_matrix
from hubclean._fingerprint import fingerprint
from hubclean._issue_engine import row_blocks
from hubclean._label_correction import Found, confident_predictions
from hubclean._label_quality import SCORES, label_quality
from hubclean._margin_rule import margin_cut
from hubclean._model_store import final_models
from hubclean.exceptions import LabelQualityWarning

#: Names that `filter_by` may have, the rule that chooses its cut from the data first.
RULE_NAMES = ("auto", *FILTERS)
#: Names that `score_by` may have.
SCORE_NAMES = ("clean_probability", *SCORES)
#: Rules that `frac_noise` and `min_examples_per_class` tell how much to flag.
PRUNING_RULES = ("prune_by_noise_rate", "prune_by_class", "both")
# A class of at most so many rows may well lose all of them but one.
_FEW_ROWS = 5


@dataclass(frozen=True, eq=False)
class AutoIssueRule(IssueRule):
    """The rule ``"auto"`` with what it learned.

    Attributes
    ----------
    learned : AutoRule
        Error probabilities, cut and the models behind them.
    """

    learned: AutoRule

    def flag(self, labels, pred_probs, *, n_jobs=None):
        """Judge labelled rows by the cut that was learned; see `IssueRule.flag`."""
        errors = self.learned.error_model.error_probability(
            labels, pred_probs, n_jobs=n_jobs
        )
        return errors >= self.learned.cut


@dataclass(frozen=True)
class Judgement:
    """What the probabilities say about every given label.

    Attributes
    ----------
    is_label_issue : ndarray of bool, shape (n_samples,)
        The flagged rows.
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1], low is suspicious; NaN for a row that was not judged.
    predicted : ndarray of int, shape (n_samples,)
        Code of the predicted label; of the given one for a row that was not judged.
    rule : IssueRule or None
        The rule with what it learned, to judge other rows by; None for margins.
    errors : AutoRule or None
        Error probabilities, where the rule or the score asked for them.
    """

    is_label_issue: np.ndarray
    label_quality: np.ndarray
    predicted: np.ndarray
    rule: IssueRule | None
    errors: AutoRule | None

    @property
    def confident_joint(self):
        """Counts of (given, true) pairs, shape (n_classes, n_classes), or None."""
        return None if self.rule is None else self.rule.confident_joint

    @property
    def noise_matrix(self):
        """P(given | true), columns sum to 1, shape (n_classes, n_classes), or None."""
        return None if self.rule is None else noise_matrix(self.rule.confident_joint)


def judge(
    codes,
    pred_probs,
    *,
    judged=None,
    filter_by="prune_by_noise_rate",
    score_by="self_confidence",
    threshold=None,
    frac_noise=1.0,
    adjust_pred_probs=False,
    min_examples_per_class=1,
    n_jobs=None,
    shared=False,
):
    """Score and flag given labels; the arrays are trusted.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.
    judged : ndarray of bool, shape (n_samples,), default=None
        False for rows that nothing can be said about; None means all are judged.
    filter_by, score_by, threshold, frac_noise, adjust_pred_probs, \
min_examples_per_class, n_jobs
        See `find_label_issues`.

    shared : bool, default=False
        Learn the error probabilities of equal labels and probabilities once in this
        process: candidates of a grid search have them in common.

    Returns
    -------
    judgement : Judgement
        Mask, quality, predictions and the learned rule.
    """
    everything = judged is None or judged.all()
    rows = slice(None) if everything else np.flatnonzero(judged)
    seen_codes, seen_probs = codes[rows], pred_probs[rows]
    errors = None
    if filter_by == "auto" or score_by == "clean_probability":
        errors = _learn_errors(seen_codes, seen_probs, shared, n_jobs)
    quality = np.full(len(codes), np.nan)
    if score_by == "clean_probability":
        quality[rows] = 1 - errors.error_probability
    else:
        scores = label_quality(
            seen_codes,
            seen_probs,
            score=score_by,
            adjust_pred_probs=adjust_pred_probs,
            n_jobs=n_jobs,
        )
        quality[rows] = np.clip(scores, 0, 1)  # rows may sum to 1.01
    rule = _learn(
        seen_codes,
        seen_probs,
        errors,
        filter_by=filter_by,
        frac_noise=frac_noise,
        min_examples_per_class=min_examples_per_class,
        n_jobs=n_jobs,
    )
    mask = np.zeros(len(codes), dtype=bool)
    mask[rows] = rule.mask if threshold is None else quality[rows] < threshold
    predicted = np.array(codes)
    error_model = None if errors is None else errors.error_model
    predicted[rows] = predictions(seen_codes, seen_probs, mask[rows], error_model)
    return Judgement(mask, quality, predicted, rule, errors)


def correctable(codes, pred_probs, judgement, *, credible=False):
    """What a correction needs to know of every row.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes), or None
        Those that were judged.
    judgement : Judgement
        What `judge` or `judge_margins` found.
    credible : bool, default=False
        Work out how probable given and predicted labels are, where there are
        probabilities.

    Returns
    -------
    found : Found
        For the functions of `CORRECTIONS`.
    """
    predicted, given_right, predicted_right = judgement.predicted, None, None
    confident = np.zeros(len(codes), dtype=bool)
    if judgement.rule is not None:
        confident = confident_predictions(
            pred_probs, predicted, judgement.rule.thresholds
        )
    if credible and pred_probs is not None:
        judged = np.flatnonzero(~np.isnan(judgement.label_quality))
        everything = len(judged) == len(codes)  # spares a copy of the probabilities
        seen_probs = pred_probs if everything else pred_probs[judged]
        errors = judgement.errors
        if errors is None:  # another rule and score were asked for
            errors = learn_auto_rule(codes[judged], seen_probs)
        given_right, predicted_right = np.full((2, len(codes)), np.nan)
        given_right[judged] = 1 - errors.error_probability
        predicted_right[judged] = errors.error_model.class_probability(
            codes[judged], seen_probs, predicted[judged]
        )
    return Found(
        labels=codes,
        predicted=predicted,
        is_label_issue=judgement.is_label_issue,
        label_quality=judgement.label_quality,
        is_confident=confident,
        given_right=given_right,
        predicted_right=predicted_right,
        pred_probs=pred_probs,
    )


def judge_margins(codes, margins, threshold=None):
    """Score and flag given labels by their margins during training.

    No rule for out-of-sample probabilities is used: the row was trained on. The cut
    comes from the margins; see `margin_cut`.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels.
    margins : ndarray of float, shape (n_samples,)
        Area under the margin of each row.
    threshold : float, default=None
        Quality in [0, 1] under which a row is an issue; None means that of the cut.

    Returns
    -------
    judgement : Judgement
        The quality is the logistic function of the margin; the predicted labels are
        the given ones, until a model that was not trained on the issues says more.

    Examples
    --------
    >>> judge_margins(np.array([0, 1]), np.array([2.0, -1.0])).is_label_issue
    array([False,  True])
    """
    quality = expit(margins)
    if threshold is None:
        known = margins[~np.isnan(margins)]
        mask = margins < margin_cut(known)
    else:
        mask = quality < threshold
    return Judgement(mask, quality, np.array(codes), None, None)


def _learn(codes, pred_probs, errors, *, filter_by, **parameters):
    """Learn the rule; that of ``"auto"`` has its cut from the error probabilities."""
    if filter_by != "auto":
        return learn_rule(codes, pred_probs, filter_by=filter_by, **parameters)
    rule = learn_rule(codes, pred_probs, filter_by="confident_learning", **parameters)
    return AutoIssueRule(
        "auto",
        errors.mask,
        rule.confident_joint,
        rule.thresholds,
        {"error_probability": errors.cut},
        errors,
    )


def score_labels(codes, pred_probs, score_by, error_model):
    """Quality of every given label.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Probabilities of a model that has not seen these labels.
    score_by : str
        One of `SCORE_NAMES`.
    error_model : ErrorModel or None
        Behind ``"clean_probability"``; not used by the others.

    Returns
    -------
    label_quality : ndarray of float, shape (n_samples,)
        In [0, 1].
    """
    if score_by == "clean_probability":
        return 1 - error_model.error_probability(codes, pred_probs)
    return label_quality(codes, pred_probs, score=score_by)


def predictions(codes, pred_probs, is_label_issue, error_model):
    """Predicted label of every row: the most probable class.

    The error model also flags rows whose given label is the most probable class, where
    a model has learned a mistake; the likeliest other class is predicted for them.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Probabilities of the classes.
    is_label_issue : ndarray of bool, shape (n_samples,)
        The issues.
    error_model : ErrorModel or None
        What flagged them, if it did.

    Returns
    -------
    predicted : ndarray of int, shape (n_samples,)
        Codes of classes.
    """
    predicted = _most_probable(pred_probs)
    if error_model is not None:
        same = np.flatnonzero(is_label_issue & (predicted == codes))
        if len(same):
            predicted[same] = error_model.likeliest_other(codes[same], pred_probs[same])
    return predicted


def _learn_errors(codes, pred_probs, shared, n_jobs):
    """Learn the error probabilities, or recall what was learned from the same."""
    if not shared:
        return learn_auto_rule(codes, pred_probs, n_jobs=n_jobs)
    key = fingerprint("error probabilities", codes, pred_probs)
    errors = final_models.get(key)
    if errors is None:
        errors = learn_auto_rule(codes, pred_probs, n_jobs=n_jobs)
        final_models.put(key, errors)
    return errors


def _most_probable(pred_probs):
    """Most probable class of every row; NumPy would copy a read-only memory map."""
    predicted = np.empty(len(pred_probs), dtype=np.int64)
    for block in row_blocks(pred_probs):
        predicted[block] = np.argmax(pred_probs[block], axis=1)
    return predicted


def warn_unused(
    filter_by, threshold, frac_noise, min_examples_per_class=1, *, by, stacklevel
):
    """Warn of numbers that only the pruning rules use, where another rule flags."""
    if threshold is None and filter_by in PRUNING_RULES:
        return
    least = min_examples_per_class
    unused = [f"frac_noise={frac_noise!r}"] if frac_noise != 1 else []
    unused += [f"min_examples_per_class={least!r}"] if least != 1 else []
    if unused:
        rule = f"filter_by={filter_by!r}" if threshold is None else "`threshold`"
        warnings.warn(
            f"{by}: {rule} does not use {' and '.join(unused)}. Leave it out, or "
            f"choose one of the rules {', '.join(PRUNING_RULES)}.",
            LabelQualityWarning,
            stacklevel=stacklevel,
        )


def warn_few_left(codes, classes, kept, labels, *, advice, by, stacklevel):
    """Warn where nearly all rows of a class seem wrong: perhaps the model is.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Given labels.
    classes : ndarray of shape (n_classes,)
        Class of each code.
    kept : ndarray of int
        Rows that are left, some perhaps several times.
    labels : ndarray of int, shape (len(kept),)
        Their codes, corrected.
    advice : str
        What that says more about than about the labels, and what to do.
    by : str
        Named in the message.
    stacklevel : int
        Of the warning.
    """
    before = np.bincount(codes, minlength=len(classes))
    after = np.bincount(labels, minlength=len(classes))
    emptied = classes[(after <= 1) & (before > _FEW_ROWS)]
    if len(emptied):
        warnings.warn(
            f"{by}: nearly all labels of {len(emptied)} of {np.sum(before > 0)} "
            f"classes seem wrong, of {emptied.tolist()[0]!r} for example; "
            f"{len(np.unique(kept))} of {len(codes)} rows are left. "
            f"That says more {advice}.",
            LabelQualityWarning,
            stacklevel=stacklevel,
        )
