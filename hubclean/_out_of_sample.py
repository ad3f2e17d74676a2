"""Out-of-sample probabilities, fold by fold.

A model never judges a row whose label it was trained on. The folds are stratified,
seeded and made here, so an estimator that hides being a classifier is no danger.

It imports inwards only: `_folds`, `_mean_of_folds`, `_rows` and `exceptions`.
"""

import contextlib
import copy
import warnings
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv

from hubclean._folds import FoldTask, draw_seed, run_folds
from hubclean._mean_of_folds import MeanOfFolds
from hubclean._rows import n_rows
from hubclean.exceptions import LabelQualityWarning, LabelsError, ParameterError

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
        if groups is not None:  # whose names need not be of one type, as its own must
            groups = pd.factorize(np.asarray(groups, dtype=object))[0]
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
    if not splits:
        raise ParameterError(
            f"{by}: `cv` must give at least one pair of training and test rows; got "
            f"none from {cv!r}. Pass a list or a splitter: an iterator gives its pairs "
            "only once."
        )
    return [
        _check_fold(fold, split, len(codes), by) for fold, split in enumerate(splits)
    ]


def _check_fold(fold, split, n_samples, by):
    """Check that a fold has positions that exist, and tests no row it trains on."""
    who = f"{by}: `cv` must give pairs of training and test rows"
    parts = [np.asarray(part) for part in split]
    if len(parts) != 2 or any(part.ndim != 1 for part in parts):
        raise ParameterError(
            f"{who}, two arrays of positions; fold {fold} is {split!r:.100}."
        )
    for part in parts:
        try:
            np.arange(n_samples)[part]
        except (IndexError, ValueError) as exc:
            raise ParameterError(
                f"{who}, positions 0 to {n_samples - 1}; fold {fold} has others: {exc}."
            ) from exc
    train, test = (np.arange(n_samples)[part] for part in parts)
    if not len(train) or not len(test):
        raise ParameterError(
            f"{who}; fold {fold} has {len(train)} and {len(test)}. Leave it out."
        )
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
        smallest = classes[counts == judged.min()].tolist()[0]
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
        Mean over the folds that tested the row; NaN where none did. A read-only
        memory map where it is larger than `_mean_of_folds.IN_MEMORY_BYTES` and there
        is a cache.
    judged : ndarray of bool, shape (n_samples,)
        False where no fold tested the row with its class among the training rows.
    margins : ndarray of float, shape (n_samples,), or None
        Margins of the given labels, where they are the evidence; there are no
        `pred_probs` then.
    """

    pred_probs: np.ndarray | None
    judged: np.ndarray
    margins: np.ndarray | None = None


def out_of_sample_pred_probs(
    estimator,
    X,
    labels,
    codes,
    classes,
    splits,
    *,
    seeds,
    average_epochs="auto",
    fit_params=None,
    n_jobs=None,
    verbose=0,
    cache=None,
    identity=None,
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
    average_epochs : "auto" or float, default="auto"
        Share of the last epochs, or stages, whose probabilities are averaged.
    fit_params : dict, default=None
        Passed to ``fit``; what has n_samples entries is cut to the training rows.
    n_jobs : int, default=None
        Folds at a time.
    verbose : int, default=0
        1 shows a progress bar, 2 also logs each fold.
    cache : FoldCache, default=None
        Folds that are in it are not trained; the others are put into it.
    identity : DataIdentity, default=None
        What the rows are known by; with `cache`.
    by : str
        Who asks, named in the bar and in warnings.

    Returns
    -------
    evidence : OutOfSample
        Probabilities and which rows they can judge.

    Raises
    ------
    KeyboardInterrupt
        With a message about what is done and how to go on.
    """
    tasks = [
        FoldTask(
            estimator,
            X,
            labels,
            codes,
            classes,
            train,
            test,
            seed,
            average_epochs=average_epochs,
            fit_params=fit_params,
            fold=fold,
        )
        for fold, ((train, test), seed) in enumerate(zip(splits, seeds, strict=True))
    ]
    if cache is not None:
        tasks = _name_tasks(tasks, cache, identity, by)
    means = MeanOfFolds(len(codes), len(classes), tasks)
    judged = np.zeros(len(codes), dtype=bool)
    n_done = 0
    folds = run_folds(tasks, n_jobs=n_jobs, verbose=verbose, by=by)
    try:
        with contextlib.closing(folds):
            for task, probs in folds:
                means.add(task.test, probs)
                judged[task.test] |= np.isin(codes[task.test], codes[task.train])
                n_done += 1
    except BaseException as exc:
        means.abandon()
        if isinstance(exc, KeyboardInterrupt):
            raise KeyboardInterrupt(_how_to_go_on(n_done, tasks, by)) from None
        raise
    warn_unjudged(judged, codes, classes, by)
    return OutOfSample(means.finish(), judged)


def _name_tasks(tasks, cache, identity, by):
    """Give every fold its place in the cache; none where a fold cannot be named."""
    try:
        return [replace(task, cache=cache, key=task.name(identity)) for task in tasks]
    except TypeError as exc:
        warnings.warn(
            f"{by}: `memory` keeps nothing of this run, because the training cannot "
            f"be told from others: {exc}. Use estimators, parameters and functions "
            "that can be pickled.",
            LabelQualityWarning,
            stacklevel=5,
        )
        return tasks


def _how_to_go_on(n_done, tasks, by):
    """What is kept after Ctrl-C, and how to train only the rest."""
    if tasks[0].cache is not None:  # those that other processes finished as well
        n_done = sum(task.cache.holds(task.key) for task in tasks)
    done = f"{by}: stopped with {n_done} of {len(tasks)} folds trained."
    if tasks[0].cache is None:
        return (
            f"{done} Pass memory='FOLDER' and random_state=0 to keep folds next time."
        )
    return (
        f"{done} They are kept in {tasks[0].cache.folder}: run it again with the same "
        "`memory` and an integer `random_state`, and only the others are trained."
    )


def warn_unjudged(
    judged,
    codes,
    classes,
    by,
    why="cannot be judged out of sample (no other row of their class was there to "
    "train on, or no fold tested them)",
):
    """Say how many rows are reported unjudged, and of which classes."""
    if judged.all():
        return
    rows = np.flatnonzero(~judged)
    names = ", ".join(map(repr, classes[np.unique(codes[rows])][:5].tolist()))
    warnings.warn(
        f"{by}: {len(rows)} of {len(judged)} rows {why}: "
        f"row {rows[0]} first, classes {names}. Their `label_quality` is NaN.",
        LabelQualityWarning,
        stacklevel=4,
    )
