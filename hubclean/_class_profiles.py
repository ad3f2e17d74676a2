"""Probabilities judged by how the rows of each class are usually judged.

A model that learned from wrong labels gives all rows of a class some probability of
the class that they were often mistaken for. Seen against the other rows of its class,
such a row is ordinary for it; seen by itself, it is in doubt. Arrays in, arrays out. It
imports only `hubclean._noise_model` and `hubclean._temperature`.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from hubclean._noise_model import LEAST_PROBABILITY, LOWEST_LOGIT, logits_of
from hubclean._temperature import fitted_scale

#: A profile and a common covariance need so many rows for each class.
FEWEST_ROWS_PER_CLASS = 20
#: Above so many classes the distances to all profiles cost more than they tell.
MOST_CLASSES = 200
# Least probability of which features are made: less is only a matter of scale.
_FLOOR = 1e-4
# Of the mean variance, added to all variances; no variance is taken for less.
_SHRINKAGE, _LEAST_VARIANCE = 0.5, 1e-3
# Of the profiles in the logits; the rest is that of the row by itself.
_WEIGHT = 2 / 3
# Nats by which few rows hold the scales to 1.
_SCALE_PRIOR = 2.0
# Times that rows are shared among the profiles again, and the mean share of a row that
# may still move.
_MOST_ROUNDS, _SETTLED = 30, 1e-4


@dataclass(frozen=True, eq=False)
class ClassProfiles:
    """What `fit_class_profiles` found.

    Attributes
    ----------
    own_scale : float
        The log of the probabilities is multiplied by it.
    directions : ndarray of float, shape (n_classes, n_classes), or None
        From features of a row to discriminants; None where there are no profiles.
    offsets : ndarray of float, shape (n_classes,)
        Added to the discriminants.
    scale : float
        The discriminants are multiplied by it.
    floor : float
        No probability is taken for less.
    """

    own_scale: float = 1.0
    directions: np.ndarray | None = None
    offsets: np.ndarray | None = None
    scale: float = 1.0
    floor: float = LEAST_PROBABILITY

    def logits(self, pred_probs):
        """Logits of the classes, 0 for the largest of a row.

        Parameters
        ----------
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Out-of-sample probabilities.

        Returns
        -------
        logits : ndarray of float, shape (n_samples, n_classes)
            At most 0, at least -60.
        """
        own = self.own_scale * logits_of(pred_probs, self.floor)
        if self.directions is not None:
            seen = _centred(_features(own) @ self.directions + self.offsets)
            own *= 1 - _WEIGHT
            own += _WEIGHT * self.scale * seen
            own -= own.max(axis=1, keepdims=True)
        return np.maximum(own, LOWEST_LOGIT)


def fit_class_profiles(labels, pred_probs):
    """Fit the profile of each class: a normal distribution of its rows' probabilities.

    Rows are grouped by their likeliest class, which wrong labels change little, and not
    by the given one; the profile of a class is the mean of its rows, and all share one
    covariance, shrunk towards a multiple of the identity: linear discriminants of what
    a model says, robust to the labels it learned from [1]_. Their scale is the one that
    explains the given labels best [2]_.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1; they set the scales only.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.

    Returns
    -------
    profiles : ClassProfiles
        Without directions where rows are too few, or classes too many.

    References
    ----------
    .. [1] Lee, Yun, Lee, Lee, Li, Shin, "Robust inference via generative classifiers
       for handling noisy labels", ICML 2019, section 2.
    .. [2] Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks",
       ICML 2017, section 4.2.
    """
    floor = probability_of_zeros(labels, pred_probs)
    logs = logits_of(pred_probs, floor)
    n_rows, n_classes = logs.shape
    if n_rows < FEWEST_ROWS_PER_CLASS * n_classes or n_classes > MOST_CLASSES:
        return ClassProfiles(floor=floor)
    own_scale = fitted_scale(logs, labels, prior=_SCALE_PRIOR)
    features = _features(own_scale * logs)
    likeliest = np.eye(n_classes)[logs.argmax(axis=1)]
    unscaled = ClassProfiles(
        own_scale, *_discriminants(features, likeliest), floor=floor
    )
    return _scaled(unscaled, features, labels)


def probability_of_zeros(labels, pred_probs):
    """Probability that stands for zeros, which no logarithm can be taken of.

    Models that count votes or neighbours say 0 where they saw none. It is the rate at
    which the given label is one of those all the same, half a label more than there
    are [1]_, and no more than the least probability above 0.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.

    Returns
    -------
    floor : float
        `LEAST_PROBABILITY` where nothing is below it.

    References
    ----------
    .. [1] Krichevsky, Trofimov, "The performance of universal encoding", IEEE
       Transactions on Information Theory 27 (1981), section 2.

    Examples
    --------
    >>> votes = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [1.0, 0.0]])
    >>> probability_of_zeros(np.array([0, 1, 0, 0]), votes)
    0.1
    >>> probability_of_zeros(np.array([0, 1, 0, 1]), np.eye(2)[[0, 1, 0, 0]])
    0.3
    """
    zeros = np.asarray(pred_probs) <= LEAST_PROBABILITY
    n_zeros = np.count_nonzero(zeros)
    if not n_zeros:
        return LEAST_PROBABILITY
    given = np.count_nonzero(zeros[np.arange(len(labels)), labels])
    least = np.min(pred_probs, where=~zeros, initial=1.0)
    return float(min((given + 0.5) / (n_zeros + 1), least))


def regroup_class_profiles(profiles, labels, pred_probs, *, start="likeliest"):
    """Fit profiles to the rows that resemble them, whatever their likeliest class.

    A model that learned that half the rows of a class are of another finds either of
    the two likeliest by chance, yet says of all of them that it is one of the two.
    Rows are shared among the profiles by what these make of them, and the profiles
    fitted to the shares, in turn: a mixture of normal distributions of one
    covariance, fitted by expectation maximisation [1]_ [2]_. Where it ends depends on
    where it starts; and it drifts away from classes that overlap. Whether it helps
    must be asked of the labels.

    Parameters
    ----------
    profiles : ClassProfiles
        As `fit_class_profiles` gives them for the same rows, with directions.
    labels : ndarray of int, shape (n_samples,)
        Given labels, coded 0 to n_classes - 1.
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Out-of-sample probabilities.
    start : {"likeliest", "labels"}
        Groups of rows to start from: of the same likeliest class, or of one label.

    Returns
    -------
    regrouped : ClassProfiles
        With the same `own_scale` and `floor`.
    moved : float
        Share of the rows that resemble another class than their likeliest one most.

    References
    ----------
    .. [1] Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM
       algorithm", Journal of the Royal Statistical Society B 39 (1977), section 4.3.
    .. [2] Hastie, Tibshirani, "Discriminant analysis by Gaussian mixtures", Journal of
       the Royal Statistical Society B 58 (1996), section 2.
    """
    logs = profiles.own_scale * logits_of(pred_probs, profiles.floor)
    features, likeliest = _features(logs), logs.argmax(axis=1)
    shares = np.eye(logs.shape[1])[labels if start == "labels" else likeliest]
    found = _discriminants(features, shares)
    for _ in range(_MOST_ROUNDS):
        before, shares = shares, softmax(features @ found[0] + found[1], axis=1)
        if np.abs(shares - before).sum() <= 2 * _SETTLED * len(shares):
            break
        found = _discriminants(features, shares)
    moved = float(np.mean(shares.argmax(axis=1) != likeliest))
    regrouped = replace(profiles, directions=found[0], offsets=found[1])
    return _scaled(regrouped, features, labels), moved


def _scaled(profiles, features, labels):
    """The same profiles on the scale that explains the labels best."""
    seen = _centred(features @ profiles.directions + profiles.offsets)
    return replace(profiles, scale=fitted_scale(seen, labels, prior=_SCALE_PRIOR))


def _discriminants(features, shares):
    """Linear discriminants of the groups, from the share of each row in each group."""
    n_rows, n_classes = features.shape
    counts = shares.sum(axis=0)
    means = shares.T @ features
    # Nobody's group: the row that is nearest to its class.
    empty = counts < 1e-9
    means[empty] = features[features[:, empty].argmax(axis=0)]
    means[~empty] /= counts[~empty, None]
    covariance = (features.T @ features - (means.T * counts) @ means) / n_rows
    variance = max(covariance.trace() / n_classes, _LEAST_VARIANCE)
    covariance[np.diag_indices(n_classes)] += _SHRINKAGE * variance
    directions = np.linalg.solve(covariance, means.T)
    priors = (counts + 1) / (n_rows + n_classes)
    offsets = np.log(priors) - 0.5 * np.einsum("kj,jk->k", means, directions)
    return directions, offsets


def _features(logits):
    """Fourth roots of the probabilities of the logits.

    They are between the probabilities, in which small ones count for nothing, and their
    logs, in which the smallest count for most.
    """
    probs = np.exp(logits)
    probs /= probs.sum(axis=1, keepdims=True)
    np.maximum(probs, _FLOOR, out=probs)
    return np.sqrt(np.sqrt(probs, out=probs), out=probs)


def _centred(logits):
    """The same, 0 for the largest of a row."""
    return logits - logits.max(axis=1, keepdims=True)
