"""Learn an issue rule from labelled rows, and judge other rows by it.

It imports only `_rules`, `_joint` and `hubclean.exceptions`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hubclean._confident_learning._rules import RULES, Evidence
from hubclean.exceptions import ParameterError

#: Names that `filter_by` may have.
FILTERS = tuple(RULES)


@dataclass(frozen=True, eq=False)
class IssueRule:
    """A learned rule: which rows are label issues, and the cuts that say so.

    Attributes
    ----------
    filter_by : str
        One of `FILTERS`.
    mask : ndarray of bool, shape (n_samples,)
        Issues among the rows that the rule was learned from.
    confident_joint : ndarray of int64, shape (n_classes, n_classes)
        Calibrated counts, rows given, columns true.
    thresholds : ndarray of float, shape (n_classes,)
        Class thresholds; NaN for a class without samples.
    cuts : dict
        ``"margin"``, shape (n_classes, n_classes): margin towards the column's class
        from which a row of the row's class is flagged. ``"self_confidence"``, shape
        (n_classes,), or ``"self_confidence"`` and ``"normalized_margin"``, one
        number: score down to which rows are flagged. Empty for a rule that needs
        none.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> p = np.array([.9, .8, .1, .2, .3])
    >>> rule = learn_rule(labels, np.column_stack([p, 1 - p]))
    >>> rule.mask
    array([False, False,  True, False, False])
    >>> rule.flag(np.array([0, 0]), np.array([[.05, .95], [.45, .55]]))
    array([ True, False])
    """

    filter_by: str
    mask: np.ndarray
    confident_joint: np.ndarray
    thresholds: np.ndarray
    cuts: dict[str, Any]

    def flag(self, labels, pred_probs, *, n_jobs=None):
        """Judge labelled rows by the cuts that were learned.

        On the rows that the rule was learned from this gives `mask`, except where
        several rows tie at a cut and only some of them are in `mask`: it flags all.

        Parameters
        ----------
        labels : ndarray of int, shape (n_samples,)
            Given labels, coded as for `learn_rule`.
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Probabilities of a model that has not seen these labels.
        n_jobs : int or None
            Threads; None means all cores.

        Returns
        -------
        is_label_issue : ndarray of bool, shape (n_samples,)
            Whether each label is an issue.
        """
        evidence = Evidence(
            np.asarray(labels),
            np.asarray(pred_probs),
            n_jobs=n_jobs,
            given_thresholds=self.thresholds,
        )
        return RULES[self.filter_by].flag(evidence, self.cuts)


def learn_rule(
    labels,
    pred_probs,
    *,
    filter_by="prune_by_noise_rate",
    frac_noise=1.0,
    min_examples_per_class=1,
    n_jobs=None,
):
    """Find the label issues among some rows, and the cuts to judge others by [1]_.

    The mask is that of ``cleanlab.filter.find_label_issues`` with the same
    parameters. The probabilities are read in blocks: a memory-mapped file may be
    larger than the memory.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1; a class may have no samples.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities of any float type and layout; rows sum to 1.
    filter_by : str
        One of `FILTERS`.
    frac_noise : float
        Share in [0, 1] of the counted errors that a pruning rule flags; the other
        rules ignore it.
    min_examples_per_class : int
        A class with no more rows than this is left alone by the pruning rules.
    n_jobs : int or None
        Threads; None means all cores.

    Returns
    -------
    rule : IssueRule
        Mask, confident joint, thresholds and cuts.

    Raises
    ------
    ParameterError
        If `filter_by` is not one of `FILTERS`.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, JAIR 70 (2021), section 3.3.

    Examples
    --------
    >>> p = np.array([.9, .8, .1, .2, .3])
    >>> rule = learn_rule(np.array([0, 0, 0, 1, 1]), np.column_stack([p, 1 - p]),
    ...                   filter_by="prune_by_class")
    >>> rule.cuts
    {'self_confidence': array([ 0.1, -inf])}
    """
    if filter_by not in RULES:
        raise ParameterError(
            f"learn_rule: `filter_by` must be one of {', '.join(FILTERS)}; "
            f"got {filter_by!r}. Pass one of these names."
        )
    evidence = Evidence(
        np.asarray(labels),
        np.asarray(pred_probs),
        frac_noise=frac_noise,
        min_examples_per_class=min_examples_per_class,
        n_jobs=n_jobs,
    )
    mask, cuts = RULES[filter_by].learn(evidence)
    return IssueRule(filter_by, mask, evidence.joint, evidence.thresholds, cuts)


def issue_mask(labels, pred_probs, **parameters):
    """Which rows are label issues: the mask of `learn_rule`.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities; rows sum to 1.
    **parameters
        As of `learn_rule`.

    Returns
    -------
    is_label_issue : ndarray of bool, shape (n_samples,)
        Whether each label is an issue.

    Examples
    --------
    >>> p = np.array([.9, .8, .1, .2, .3])
    >>> issue_mask(np.array([0, 0, 0, 1, 1]), np.column_stack([p, 1 - p]))
    array([False, False,  True, False, False])
    """
    return learn_rule(labels, pred_probs, **parameters).mask
