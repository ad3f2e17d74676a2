"""The issue rules: each learns which rows are issues, and cuts to judge others by.

A rule is a pair of functions in `RULES`. The first takes what is known of the rows
(`Evidence`) and gives the mask and the cuts; the second judges a new batch by the
cuts. It imports only `_joint` and `hubclean._issue_engine`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hubclean._confident_learning._joint import (
    calibrate_joint,
    confident_bars,
    count_joint,
    mean_by_class,
)
from hubclean._issue_engine import (
    confident_classes,
    in_threads,
    n_threads,
    row_blocks_of,
    rows_by_class,
    summarise_rows,
    top_margins,
)

_TIE_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a rule may ask about the labelled rows; worked out when first asked.

    Attributes
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Probabilities, perhaps a memory-mapped file.
    frac_noise : float
        Share of the counted errors that a pruning rule flags.
    min_examples_per_class : int
        A class with no more rows than this is left alone by the pruning rules.
    n_jobs : int or None
        Threads; None means all cores.
    given_thresholds : ndarray of float, shape (n_classes,), or None
        Class thresholds that were learned before; None works them out from these
        rows.
    """

    labels: np.ndarray
    pred_probs: np.ndarray
    frac_noise: float = 1.0
    min_examples_per_class: int = 1
    n_jobs: int | None = None
    given_thresholds: np.ndarray | None = None

    @property
    def n_classes(self):
        """Columns of the probabilities."""
        return self.pred_probs.shape[1]

    @cached_property
    def summary(self):
        """The given class and the two likeliest others of each row."""
        return summarise_rows(self.labels, self.pred_probs, n_jobs=self.n_jobs)

    @cached_property
    def groups(self):
        """Rows ordered by class, and where each class starts."""
        return rows_by_class(self.summary.labels, self.n_classes)

    @cached_property
    def label_counts(self):
        """Rows of each given class, shape (n_classes,)."""
        return np.diff(self.groups[1])

    @cached_property
    def thresholds(self):
        """Class thresholds, shape (n_classes,)."""
        if self.given_thresholds is not None:
            return self.given_thresholds
        return mean_by_class(self.summary.self_confidence, *self.groups)

    @cached_property
    def confident(self):
        """Confident class of each row, -1 for none; shape (n_samples,)."""
        bars = confident_bars(self.thresholds)
        return confident_classes(
            self.summary, self.pred_probs, bars, n_jobs=self.n_jobs
        )

    @cached_property
    def joint(self):
        """Calibrated confident joint, rows given, columns true."""
        counts = count_joint(self.summary.labels, self.confident, self.n_classes)
        return calibrate_joint(counts, self.label_counts)

    @cached_property
    def counts(self):
        """Rows to flag for each pair of classes; those to keep on the diagonal.

        A diagonal under `min_examples_per_class` is raised to it, at the cost of the
        other entries of its row, each by the same amount.
        """
        keep = self.joint.diagonal()
        raised = np.maximum(keep, self.min_examples_per_class)
        others = np.maximum(np.count_nonzero(self.joint, axis=1) - 1.0, 1.0)
        counts = self.joint - ((raised - keep) / others)[:, None]
        counts = np.maximum(counts, 0)
        np.fill_diagonal(counts, raised)
        flagged = counts * self.frac_noise
        np.fill_diagonal(flagged, raised)
        np.fill_diagonal(flagged, raised + (counts - flagged).sum(axis=1))
        return flagged.astype(np.int64)

    @cached_property
    def prunable(self):
        """Classes with rows enough for the pruning rules, shape (n_classes,)."""
        return self.label_counts > max(self.min_examples_per_class, 1)


@dataclass(frozen=True)
class Rule:
    """How a rule learns its mask and its cuts, and how it flags by the cuts."""

    learn: Callable[[Evidence], tuple[np.ndarray, dict[str, Any]]]
    flag: Callable[[Evidence, dict[str, Any]], np.ndarray]


def first_sorted(values, count):
    """Mark the `count` smallest values; of equal ones those that argsort puts first.

    Examples
    --------
    >>> first_sorted(np.array([3.0, 1.0, 2.0]), 2)
    array([False,  True,  True])
    """
    if count <= 0:
        return np.zeros(len(values), dtype=bool)
    if count >= len(values):
        return np.ones(len(values), dtype=bool)
    chosen = values <= np.partition(values, count - 1)[count - 1]
    if np.count_nonzero(chosen) > count:
        chosen[:] = False
        chosen[np.argsort(values)[:count]] = True
    return chosen


def _learn_by_noise_rate(evidence):
    """Rows with the largest margins, as many per pair as the joint counts."""
    counts = np.where(evidence.prunable[:, None], evidence.counts, 0)
    np.fill_diagonal(counts, 0)
    summary, pred_probs = evidence.summary, evidence.pred_probs
    top = top_margins(summary, pred_probs, counts, n_jobs=evidence.n_jobs)
    mask = top.chosen
    _settle_ties(mask, evidence, top.tied, counts)
    return mask & ~summary.agrees, {"margin": top.cuts}


def _settle_ties(mask, evidence, tied, counts):
    """Flag among rows of equal margin those that NumPy's argsort puts first.

    Which of them are flagged is arbitrary; argsort on the margins of the whole class
    makes it the choice that cleanlab makes.
    """
    order, bounds = evidence.groups
    own, pred_probs = evidence.summary.self_confidence, evidence.pred_probs

    def settle(given):
        rows = order[bounds[given] : bounds[given + 1]]
        classes = np.flatnonzero(tied[given])
        step = max(1, _TIE_BYTES // (len(rows) * pred_probs.dtype.itemsize))
        for start in range(0, len(classes), step):
            part = classes[start : start + step]
            margins = pred_probs[rows[:, None], part] - own[rows, None]
            for column, other in enumerate(part):
                first = np.argsort(-margins[:, column])[: counts[given, other]]
                mask[rows[first]] = True

    classes = np.flatnonzero(tied.any(axis=1))
    in_threads(settle, classes, n_threads(evidence.n_jobs, pred_probs.size))


def _flag_by_noise_rate(evidence, cuts):
    """Rows that reach the cut of their class towards any other class."""
    summary, pred_probs, cuts = evidence.summary, evidence.pred_probs, cuts["margin"]
    flagged = np.zeros(len(summary.labels), dtype=bool)
    best = summary.best - summary.self_confidence
    possible = ~summary.agrees & (best >= cuts.min(axis=1)[summary.labels])
    for rows in row_blocks_of(np.flatnonzero(possible), pred_probs):
        margins = pred_probs[rows] - summary.self_confidence[rows, None]
        flagged[rows] = (margins >= cuts[summary.labels[rows]]).any(axis=1)
    return flagged


def _learn_by_class(evidence):
    """Rows of each class with the lowest probability of it."""
    order, bounds = evidence.groups
    own = evidence.summary.self_confidence[order]
    cuts = np.full(evidence.n_classes, -np.inf)
    mask = np.zeros(len(own), dtype=bool)
    prune = np.where(evidence.prunable, evidence.label_counts, 0)
    prune = prune - evidence.counts.diagonal()
    for given in np.flatnonzero(prune > 0):
        group = slice(bounds[given], bounds[given + 1])
        first = first_sorted(own[group], prune[given])
        mask[order[group]] = first
        cuts[given] = own[group][first].max()
    return mask & ~evidence.summary.agrees, {"self_confidence": cuts}


def _flag_by_class(evidence, cuts):
    """Rows whose label is no likelier than the cut of its class."""
    summary = evidence.summary
    low = summary.self_confidence <= cuts["self_confidence"][summary.labels]
    return low & ~summary.agrees


def _learn_both(evidence):
    """Rows that both pruning rules flag."""
    by_rate, margin = _learn_by_noise_rate(evidence)
    by_class, self_confidence = _learn_by_class(evidence)
    return by_rate & by_class, margin | self_confidence


def _flag_both(evidence, cuts):
    return _flag_by_noise_rate(evidence, cuts) & _flag_by_class(evidence, cuts)


def _off_diagonal(evidence):
    """Rows that are confidently of another class than their label."""
    other = (evidence.confident >= 0) & (evidence.confident != evidence.summary.labels)
    return other & ~evidence.summary.agrees


def _not_predicted(evidence):
    """Rows whose likeliest class is not their label."""
    summary = evidence.summary
    return (summary.predicted != summary.labels) & ~summary.agrees


def _lowest(name):
    """Make the rule that flags the lowest scores, as many as are off the diagonal."""

    def learn(evidence):
        score = getattr(evidence.summary, name)
        mask = first_sorted(score, np.count_nonzero(_off_diagonal(evidence)))
        cut = score[mask].max() if mask.any() else -np.inf
        return mask, {name: float(cut)}

    def flag(evidence, cuts):
        return getattr(evidence.summary, name) <= cuts[name]

    return Rule(learn, flag)


def _without_cuts(find):
    """Make a rule that judges every row by itself, by the thresholds at most."""
    return Rule(
        lambda evidence: (find(evidence), {}), lambda evidence, _: find(evidence)
    )


#: The rules by name, in the order of cleanlab's documentation.
RULES = {
    "prune_by_class": Rule(_learn_by_class, _flag_by_class),
    "prune_by_noise_rate": Rule(_learn_by_noise_rate, _flag_by_noise_rate),
    "both": Rule(_learn_both, _flag_both),
    "confident_learning": _without_cuts(_off_diagonal),
    "predicted_neq_given": _without_cuts(_not_predicted),
    "low_normalized_margin": _lowest("normalized_margin"),
    "low_self_confidence": _lowest("self_confidence"),
}
