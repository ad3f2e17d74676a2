"""Plant wrong labels with a seed.

Every generator returns the noisy labels and the mask of the rows it changed, changes
an exact number of rows, and leaves the global random generator alone.

It imports only `hubclean.datasets._drawing` and `hubclean.exceptions`.
"""

from numbers import Real

import numpy as np

from hubclean.datasets._drawing import (
    capped_rates,
    checked_noise_matrix,
    coded,
    count,
    cross_validated,
    finite_matrix,
    generator,
    in_order,
    labelled,
    largest_remainders,
    systematic_sample,
)
from hubclean.exceptions import ParameterError

# Of the largest margin: a lower temperature changes the same rows.
_COLDEST = 1e-9


def symmetric_noise(y, frac, *, random_state=None):
    """Give a share of the rows another class, every other class being as likely.

    Parameters
    ----------
    y : array-like of str, int or bool, shape (n_samples,)
        True labels of at least two classes.
    frac : float in [0, 1]
        Share of the rows to change; ``round(frac * n_samples)`` rows are.
    random_state : int, RandomState, Generator or None, default=None
        Seed. None draws a fresh one.

    Returns
    -------
    labels : ndarray, shape (n_samples,)
        Noisy labels, in the dtype of `y`.
    is_changed : ndarray of bool, shape (n_samples,)
        The rows whose label is no longer that of `y`.

    Raises
    ------
    LabelsError
        If `y` is not a column of discrete labels of two or more classes.
    ParameterError
        If `frac` is not in [0, 1].

    Examples
    --------
    >>> labels, is_changed = symmetric_noise(["cat", "dog"] * 5, 0.3, random_state=0)
    >>> int(is_changed.sum())
    3
    """
    classes, codes = coded(y, "symmetric_noise")
    n_changed = count(frac, len(codes), "symmetric_noise")
    rng = generator(random_state, "symmetric_noise")
    rows = rng.choice(len(codes), n_changed, replace=False)
    noisy = codes.copy()
    noisy[rows] += rng.integers(1, len(classes), n_changed)
    return labelled(classes, codes, noisy % len(classes))


def pair_flip_noise(y, frac, *, random_state=None):
    """Change a share of the rows of each class to the class after it [1]_.

    The classes are taken in sorted order; the last one changes to the first.

    Parameters
    ----------
    y : array-like of str, int or bool, shape (n_samples,)
        True labels of at least two classes.
    frac : float in [0, 1]
        Share of the rows to change; ``round(frac * n_samples)`` rows are, shared
        among the classes by their sizes, to within one row.
    random_state : int, RandomState, Generator or None, default=None
        Seed. None draws a fresh one.

    Returns
    -------
    labels : ndarray, shape (n_samples,)
        Noisy labels, in the dtype of `y`.
    is_changed : ndarray of bool, shape (n_samples,)
        The rows whose label is no longer that of `y`.

    Raises
    ------
    LabelsError
        If `y` is not a column of discrete labels of two or more classes.
    ParameterError
        If `frac` is not in [0, 1].

    References
    ----------
    .. [1] Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, "Co-teaching", NeurIPS 2018,
       section 4 ("pair flip").

    Examples
    --------
    >>> labels, is_changed = pair_flip_noise([0, 0, 1, 1, 2, 2], 0.5, random_state=0)
    >>> [int((labels == k).sum()) for k in range(3)]
    [2, 2, 2]
    """
    classes, codes = coded(y, "pair_flip_noise")
    n_changed = count(frac, len(codes), "pair_flip_noise")
    rng = generator(random_state, "pair_flip_noise")
    sizes = np.bincount(codes, minlength=len(classes))
    quota = largest_remainders(n_changed * sizes / len(codes), n_changed, rng)
    noisy = codes.copy()
    for k, n_rows in enumerate(quota):
        rows = rng.choice(np.flatnonzero(codes == k), n_rows, replace=False)
        noisy[rows] = (k + 1) % len(classes)
    return labelled(classes, codes, noisy)


def class_conditional_noise(y, noise_matrix, *, random_state=None):
    """Give every row a label that depends on its true class alone.

    Parameters
    ----------
    y : array-like of str, int or bool, shape (n_samples,)
        True labels of n_classes classes.
    noise_matrix : array-like of float, shape (n_classes, n_classes)
        P(given | true): rows given, columns true, in the sorted order of the classes;
        columns sum to 1, as in cleanlab; a data frame named like the classes may have
        them in any order. The rows of each true class are shared out exactly by its
        column, to within one row, by largest remainders: of a class of few rows, none
        may be changed (of 4 rows where one in ten is asked for, for example).
    random_state : int, RandomState, Generator or None, default=None
        Seed. None draws a fresh one.

    Returns
    -------
    labels : ndarray, shape (n_samples,)
        Noisy labels, in the dtype of `y`.
    is_changed : ndarray of bool, shape (n_samples,)
        The rows whose label is no longer that of `y`.

    Raises
    ------
    LabelsError
        If `y` is not a column of discrete labels of two or more classes.
    ParameterError
        If `noise_matrix` has another shape, a number outside [0, 1], or a column
        that does not sum to 1.

    Examples
    --------
    >>> labels, is_changed = class_conditional_noise(
    ...     ["a"] * 4 + ["b"] * 4, [[0.75, 0.0], [0.25, 1.0]], random_state=0)
    >>> int((labels == "a").sum()), int(is_changed.sum())
    (3, 1)
    """
    classes, codes = coded(y, "class_conditional_noise")
    noise_matrix = checked_noise_matrix(noise_matrix, classes)
    rng = generator(random_state, "class_conditional_noise")
    noisy = codes.copy()
    for k in range(len(classes)):
        rows = rng.permutation(np.flatnonzero(codes == k))
        share = noise_matrix[:, k] / noise_matrix[:, k].sum() * len(rows)
        quota = largest_remainders(share, len(rows), rng)
        noisy[rows] = np.repeat(np.arange(len(classes)), quota)
    return labelled(classes, codes, noisy)


def instance_dependent_noise(
    y,
    frac,
    *,
    pred_probs=None,
    X=None,
    estimator=None,
    temperature=0.5,
    cv=5,
    random_state=None,
):
    """Put wrong labels where classes are easily confused, as people do.

    The margin m of a row is what its most probable class has over the second. The
    row is changed with a probability proportional to ``exp(-m / temperature)``, to
    the most probable of the other classes, the first of equal ones [1]_. No row is
    changed with a probability above 1/2 (above `frac`, where that is more): the true
    class stays the likelier label of every row, without which nobody could tell it
    from the labels [2]_.

    Parameters
    ----------
    y : array-like of str, int or bool, shape (n_samples,)
        True labels of n_classes classes.
    frac : float in [0, 1]
        Share of the rows to change; ``round(frac * n_samples)`` rows are.
    pred_probs : array-like of float, shape (n_samples, n_classes), default=None
        Probabilities of a model that has learned from true labels, columns in the
        sorted order of the classes, or named like them in a data frame. None asks for
        `X` and `estimator`.
    X : array-like of n_samples rows, default=None
        What the estimator learns from, if there are no `pred_probs`.
    estimator : classifier with predict_proba, default=None
        Cloned and cross-validated on `X` and `y`, if there are no `pred_probs`.
    temperature : float > 0, default=0.5
        Near 0 only the smallest margins are changed, each with probability 1/2; when
        it is large every row is as likely. At 0.5, and 17 % of the rows of
        Fashion-MNIST, three such annotators would mislabel 40 % of the images at
        least once, as those of CIFAR-10N did at the same rate [3]_.
    cv : int, default=5
        Folds in which the estimator is cross-validated, 2 or more; as many as the
        smallest class has rows, if that is fewer.
    random_state : int, RandomState, Generator or None, default=None
        Seed. None draws a fresh one.

    Returns
    -------
    labels : ndarray, shape (n_samples,)
        Noisy labels, in the dtype of `y`.
    is_changed : ndarray of bool, shape (n_samples,)
        The rows whose label is no longer that of `y`.

    Raises
    ------
    LabelsError
        If `y` is not a column of discrete labels of two or more classes, or a class
        has one member and is to be cross-validated.
    ParameterError
        If `frac`, `temperature` or `cv` is out of range, or neither `pred_probs` of the
        right shape nor `X` and `estimator` are passed.

    References
    ----------
    .. [1] Zhang, Zheng, Wu, Goswami, Chen, "Learning with feature-dependent label
       noise: a progressive approach", ICLR 2021, section 4.
    .. [2] Cheng, Liu, Ramamohanarao, Tao, "Learning with bounded instance- and
       label-dependent label noise", ICML 2020.
    .. [3] Wei, Zhu, Cheng, Liu, Niu, Liu, "Learning with noisy labels revisited",
       ICLR 2022, table 1.

    Examples
    --------
    >>> pred_probs = [[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.1, 0.9, 0.0], [0, 0, 1]]
    >>> labels, is_changed = instance_dependent_noise(
    ...     [0, 0, 1, 2], 0.25, pred_probs=pred_probs, random_state=0)
    >>> int(is_changed.sum())
    1
    """
    by = "instance_dependent_noise"
    classes, codes = coded(y, by)
    n_changed = count(frac, len(codes), by)
    if not (isinstance(temperature, Real) and temperature > 0):
        raise ParameterError(
            f"{by}: `temperature` must be above 0; got {temperature!r}."
        )
    rng = generator(random_state, by)
    if pred_probs is None:
        pred_probs = cross_validated(X, codes, estimator, cv, rng)
    shape = (len(codes), len(classes))
    others = in_order(pred_probs, classes)
    others = finite_matrix(others, shape, "pred_probs", by)
    second, first = np.partition(others, -2, axis=1)[:, -2:].T
    margins = first - second
    others[np.arange(len(codes)), codes] = -np.inf
    runner_up = others.argmax(axis=1)
    cap = max(0.5, n_changed / len(codes))
    # Weights of a colder draw would be further apart than float64 can tell.
    temperature = max(temperature, _COLDEST * margins.max())
    rates = capped_rates(-margins / temperature, n_changed, cap)
    is_drawn = systematic_sample(rates, n_changed, rng)
    return labelled(classes, codes, np.where(is_drawn, runner_up, codes))
