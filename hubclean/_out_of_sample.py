"""Out-of-sample probabilities, fold by fold.

A model never judges a row whose label it was trained on. The folds are stratified,
seeded and made here, so an estimator that hides being a classifier is no danger.

It imports inwards only: `_compat`, `_progress`, `_rows`, `_validation`, `exceptions`.
"""

import copy
import logging
import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from hubclean._progress import advance, progress
from hubclean._rows import n_rows, take_rows
from hubclean.exceptions import LabelQualityWarning, LabelsError, ParameterError

logger = logging.getLogger("hubclean")
_MAX_SEED = np.iinfo(np.int32).max


def random_generator(random_state):
    """Turn `random_state` into a generator and leave the global one alone.

    None means fresh randomness, not scikit-learn's global generator: cleaning labels
    must not change what a notebook draws next.

    Examples
    --------
    >>> bool(random_generator(0).randint(9) == random_generator(0).randint(9))
    True
    """
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(_MAX_SEED))
    if random_state is None:
        random_state = np.random.default_rng().integers(_MAX_SEED)
    return np.random.RandomState(random_state)


def draw_seed(generator):
    """One integer seed for one fold."""
    return int(generator.randint(_MAX_SEED))


def seed_estimator(estimator, seed):
    """Give every unset ``random_state`` inside an estimator an integer seed.

    A ``random_state`` that the user set stays as it is.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> seed_estimator(LogisticRegression(), 3).random_state is None
    False
    """
    generator = np.random.RandomState(seed)
    unset = {}
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if name.rpartition("__")[2] == "random_state" and value is None:
            unset[name] = draw_seed(generator)
    return estimator.set_params(**unset) if unset else estimator


def make_splits(cv, X, codes, classes, *, groups, generator, by):
    """Positions of the training and the test rows of each fold.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test)
        An int makes shuffled, stratified folds; with `groups`, rows of a group stay
        in one fold.
    X : rows
        Anything with n_samples rows.
    codes : ndarray of int, shape (n_samples,)
        Given labels, coded by `classes`.
    classes : ndarray of shape (n_classes,)
        Named in warnings.
    groups : array-like of shape (n_samples,) or None
        Group of each row.
    generator : RandomState
        Seeds the shuffling, also of a splitter that shuffles without a seed.
    by : str
        Who asks, named in messages.

    Returns
    -------
    splits : list of (ndarray of int, ndarray of int)
        Training and test positions.

    Raises
    ------
    LabelsError
        If no class has two members.
    ParameterError
        If the splitter cannot split these rows.
    """
    seed = draw_seed(generator)
    if isinstance(cv, Integral):
        counts = np.bincount(codes, minlength=len(classes))
        n_splits = _shrink_folds(cv, counts, classes, by)
        make = StratifiedKFold if groups is None else StratifiedGroupKFold
        splitter = make(n_splits, shuffle=True, random_state=seed)
    else:
        splitter = _seed_splitter(check_cv(cv, codes, classifier=True), seed)
    with warnings.catch_warnings():
        # Said above, with the class and the number.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        try:
            splits = list(splitter.split(X, codes, groups))
        except (TypeError, ValueError) as exc:
            raise ParameterError(
                f"{by}: `cv` must be able to split these {n_rows(X)} rows; got "
                f"{cv!r}, which says: {exc}"
            ) from exc
    return [
        _check_fold(fold, split, len(codes), by) for fold, split in enumerate(splits)
    ]


def _check_fold(fold, split, n_samples, by):
    """Check that a fold has positions that exist, and tests no row it trains on."""
    who = f"{by}: `cv` must give pairs of training and test rows"
    parts = [np.asarray(part) for part in split]
    for part in parts:
        try:
            np.arange(n_samples)[part]
        except (IndexError, ValueError) as exc:
            raise ParameterError(
                f"{who}, positions 0 to {n_samples - 1}; fold {fold} has others: {exc}."
            ) from exc
    train, test = (np.arange(n_samples)[part] for part in parts)
    both = np.intersect1d(train, test)
    if len(both):
        raise ParameterError(
            f"{by}: `cv` must keep training and test rows apart; fold {fold} both "
            f"trains on and tests row {both[0]}. No model may judge rows it has seen."
        )
    return train, test


def _shrink_folds(cv, counts, classes, by):
    """Use no more folds than the smallest class that can be judged has members."""
    judged = counts[counts >= 2]
    if not len(judged):
        raise LabelsError(
            f"{by}: at least one class of `y` must have 2 members to be judged out "
            f"of sample; got {len(classes)} classes for n_samples={counts.sum()}, one "
            "row each. Pass more rows, or labels that are classes, not identifiers."
        )
    n_splits = int(min(cv, judged.min()))
    if n_splits < cv:
        smallest = classes[np.flatnonzero(counts == judged.min())[0]]
        warnings.warn(
            f"{by}: class {smallest!r} has {judged.min()} members, fewer than cv={cv} "
            f"folds; {n_splits} folds are used.",
            LabelQualityWarning,
            stacklevel=4,
        )
    return n_splits


def _seed_splitter(splitter, seed):
    """Copy a splitter that would draw from the global generator, and seed it."""
    if getattr(splitter, "random_state", 0) is None and (
        getattr(splitter, "shuffle", True)
    ):
        splitter = copy.copy(splitter)
        splitter.random_state = seed
    return splitter


@dataclass(frozen=True)
class OutOfSample:
    """Out-of-sample probabilities and which rows they can judge.

    Attributes
    ----------
    pred_probs : ndarray of float, shape (n_samples, n_classes)
        Mean over the folds that tested the row; NaN where none did.
    judged : ndarray of bool, shape (n_samples,)
        False where no fold tested the row with its class among the training rows.
    """

    pred_probs: np.ndarray
    judged: np.ndarray


def out_of_sample_pred_probs(
    estimator,
    X,
    labels,
    codes,
    classes,
    splits,
    *,
    seeds,
    fit_params=None,
    n_jobs=None,
    verbose=0,
    by="out_of_sample_pred_probs",
):
    """Predict every row with a model that was not trained on it.

    Parameters
    ----------
    estimator : classifier
        Cloned for each fold.
    X : rows
        Anything that the estimator accepts, n_samples rows.
    labels : ndarray of shape (n_samples,)
        Given labels, as the estimator gets them.
    codes : ndarray of int, shape (n_samples,)
        The same, coded by `classes`.
    classes : ndarray of shape (n_classes,)
        Sorted classes; the order of the columns.
    splits : list of (train, test)
        Positions, one pair for each fold.
    seeds : list of int
        One for each fold.
    fit_params : dict, default=None
        Passed to ``fit``; what has n_samples entries is cut to the training rows.
    n_jobs : int, default=None
        Folds at a time.
    verbose : int, default=0
        1 shows a progress bar, 2 also logs each fold.
    by : str
        Who asks, named in the bar and in warnings.

    Returns
    -------
    evidence : OutOfSample
        Probabilities and which rows they can judge.
    """
    n_epochs = count_epochs(estimator) if n_jobs in (None, 1) else None
    total = len(splits) * (n_epochs or 1)
    pred_probs = np.zeros((len(codes), len(classes)))
    n_tested = np.zeros(len(codes), dtype=np.int64)
    judged = np.zeros(len(codes), dtype=bool)
    with progress(total, desc=by, enabled=verbose >= 1):
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
        folds = parallel(
            delayed(_fit_fold)(
                estimator, X, labels, codes, classes, split, seed, fit_params or {}
            )
            for split, seed in zip(splits, seeds, strict=True)
        )
        for fold, ((train, test), probs) in enumerate(zip(splits, folds, strict=True)):
            pred_probs[test] += probs
            n_tested[test] += 1
            judged[test] |= np.isin(codes[test], codes[train])
            if n_epochs is None:
                advance()
            if verbose >= 2:
                logger.info("%s: fold %d of %d done", by, fold + 1, len(splits))
    with np.errstate(invalid="ignore"):
        pred_probs /= n_tested[:, None]
    _warn_unjudged(judged, codes, classes, by)
    return OutOfSample(pred_probs, judged)


def _fit_fold(estimator, X, labels, codes, classes, split, seed, fit_params):
    """Train on the training rows of one fold and predict its test rows."""
    train, test = split
    present = np.unique(codes[train])
    if len(present) == 1:  # nothing to train: every row looks like that class
        probs = np.zeros((len(test), len(classes)))
        probs[:, present[0]] = 1.0
        return probs
    model = seed_estimator(clone(estimator), seed)
    params = _check_method_params(X, fit_params, indices=train)
    model.fit(take_rows(X, train), labels[train], **params)
    probs = np.asarray(model.predict_proba(take_rows(X, test)))
    return align_columns(probs, model.classes_, classes)


def align_columns(pred_probs, from_classes, to_classes):
    """Put columns in the order of `to_classes`; a class without a column gets zeros.

    Parameters
    ----------
    pred_probs : ndarray of float, shape (n_samples, n_from)
        Probabilities with a column for each of `from_classes`.
    from_classes : array-like of shape (n_from,)
        Classes that a model has seen.
    to_classes : ndarray of shape (n_classes,)
        Sorted classes, a superset.

    Returns
    -------
    aligned : ndarray of float, shape (n_samples, n_classes)
        The same probabilities.

    Examples
    --------
    >>> align_columns(np.array([[0.3, 0.7]]), ["a", "c"], np.array(["a", "b", "c"]))
    array([[0.3, 0. , 0.7]])
    """
    if np.array_equal(from_classes, to_classes):
        return pred_probs
    aligned = np.zeros((len(pred_probs), len(to_classes)), dtype=pred_probs.dtype)
    aligned[:, np.searchsorted(to_classes, from_classes)] = pred_probs
    return aligned


def count_epochs(estimator):
    """Epochs that one fit of an adapter runs, as far as its parameters tell.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> count_epochs(LogisticRegression()) is None
    True
    """
    if isinstance(estimator, Pipeline):
        return count_epochs(estimator[-1])
    if not type(estimator).__module__.startswith("hubclean."):
        return None
    params = estimator.get_params(deep=False)
    return params.get("max_epochs") or params.get("epochs")


def _warn_unjudged(judged, codes, classes, by):
    """Say how many rows are reported unjudged, and of which classes."""
    if judged.all():
        return
    rows = np.flatnonzero(~judged)
    names = ", ".join(repr(classes[k]) for k in np.unique(codes[rows])[:5])
    warnings.warn(
        f"{by}: {len(rows)} of {len(judged)} rows cannot be judged out of sample (no "
        f"other row of their class was there to train on, or no fold tested them): "
        f"row {rows[0]} first, classes {names}. Their `label_quality` is NaN.",
        LabelQualityWarning,
        stacklevel=4,
    )
