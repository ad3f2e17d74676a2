"""Train folds: one after the other, in other processes, or not at all where cached.

It imports inwards only.
"""

import logging
import os
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from hubclean._compat import _routing_enabled
from hubclean._hooks import (
    counts_classes,
    epochs_to_average,
    last_step,
    offers,
    unset,
)
from hubclean._progress import (
    advance,
    counting_into,
    progress,
    share_of_bar,
    watched_counts,
)
from hubclean._rows import take_rows
from hubclean._threads import limited_threads, threads_for
from hubclean._validation import check_pred_probs
from hubclean.exceptions import EstimatorError, PredProbsError

logger = logging.getLogger("hubclean")
_MAX_SEED = np.iinfo(np.int32).max


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


@dataclass(frozen=True)
class FoldTask:
    """One fold: what is trained on what, and where the answer is kept.

    Calling it gives the probabilities of the test rows, shape (n_test, n_classes).
    """

    estimator: Any
    X: Any
    labels: np.ndarray
    codes: np.ndarray
    classes: np.ndarray
    train: np.ndarray
    test: np.ndarray
    seed: int
    average_epochs: str | float = "auto"
    fit_params: dict | None = None
    fold: int = 0
    cache: Any = None
    key: str | None = None
    n_threads: int | None = None
    count_into: str | None = None

    def name(self, identity):
        """Key of this fold in the cache."""
        params = _check_method_params(self.X, self.fit_params, indices=self.train)
        also = ["average_epochs", self.average_epochs, "fold"]
        if offers(last_step(self.estimator), "fold"):
            also.append(self.fold)
        return identity.key(
            self.estimator, self.train, self.test, self.seed, params, also=also
        )

    @property
    def steps(self):
        """Steps of this fold on the progress bar: its epochs where they are known."""
        return count_epochs(self.estimator) or 1

    def load(self):
        """Probabilities that are in the cache, or None."""
        if self.cache is None:
            return None
        return self.cache.load(self.key, (len(self.test), len(self.classes)))

    def __call__(self):
        with (
            counting_into(self.count_into),
            share_of_bar(self.steps),
            limited_threads(self.n_threads),
        ):
            probs = self._train_and_predict()
        self.store(probs)
        return probs

    def store(self, probs):
        """Keep the answer, where there is a cache that has it not."""
        if self.cache is None or self.cache.holds(self.key):
            return
        note = {
            "estimator": repr(self.estimator),
            "fold": self.fold,
            "n_train": len(self.train),
            "n_test": len(self.test),
            "classes": [str(name) for name in self.classes[:1000]],
        }
        self.cache.store(self.key, probs, note)

    def _train_and_predict(self):
        present = np.unique(self.codes[self.train])
        if len(present) == 1:  # nothing to train: every row looks like that class
            probs = np.zeros((len(self.test), len(self.classes)))
            probs[:, present[0]] = 1.0
            return probs
        model = seed_estimator(clone(self.estimator), self.seed)
        last = last_step(model)
        if offers(last, "fold"):
            last.set_params(fold=self.fold)
        if len(present) < len(self.classes) and unset(last, "classes"):
            last.set_params(classes=self.classes)
        params = _check_method_params(self.X, self.fit_params, indices=self.train)
        labels, without_gap = self.labels[self.train], self._takes_no_gap(last, present)
        if without_gap:
            labels = np.searchsorted(present, self.codes[self.train])
        probs = fit_and_predict(
            model,
            take_rows(self.X, self.train),
            labels,
            take_rows(self.X, self.test),
            self.average_epochs,
            params,
        )
        return align_columns(
            self._checked(probs, model),
            self.classes[present] if without_gap else model.classes_,
            self.classes,
            by=type(self.estimator).__name__,
        )

    def _takes_no_gap(self, last, present):
        """Whether labels that the others lack have to be counted anew for this fold.

        Those of other rows, which the user gave to be evaluated, cannot be.
        """
        if len(present) == len(self.classes) or not counts_classes(last):
            return False
        counted = np.array_equal(self.classes, np.arange(len(self.classes)))
        return counted and not any("eval_set" in name for name in self.fit_params or ())

    def _checked(self, probs, model):
        """Probabilities of a fold, or a clear word about what the model gave."""
        name = type(self.estimator).__name__
        classes = getattr(model, "classes_", None)
        if classes is None:
            raise EstimatorError(
                f"{name}: a fitted classifier must have `classes_`, which name the "
                "columns of `predict_proba`; this one has none after fold "
                f"{self.fold}. Set them in `fit`."
            )
        try:
            return check_pred_probs(
                probs, n_samples=len(self.test), n_classes=len(classes), by=name
            )
        except PredProbsError as exc:
            raise EstimatorError(
                f"{name}: `predict_proba` must give the probabilities of its "
                f"{len(classes)} classes for {len(self.test)} rows; in fold "
                f"{self.fold} it did not ({exc}) Check its input for huge or constant "
                "features, or use another classifier."
            ) from exc


def fit_and_predict(model, X, y, X_test, average_epochs, params):
    """Fit, and predict other rows by the last epochs or stages on average.

    Parameters
    ----------
    model : classifier
        Fitted in place.
    X, X_test : rows
        Training and test rows.
    y : ndarray
        Labels of the training rows.
    average_epochs : "auto" or float in [0, 1]
        See `hubclean.evidence.CrossValidation`.
    params : dict
        Passed to ``fit``.

    Returns
    -------
    probs : ndarray of float, shape (n_test, n_classes)
        Columns in the order of ``model.classes_``.
    """
    several = averages(model, average_epochs)
    if isinstance(model, Pipeline) and several:
        if not (params and _routing_enabled()):
            return _fit_pipeline(model, X, y, X_test, average_epochs, params)
        several = False  # the pipeline hands metadata on
    if not several:
        model.fit(X, y, **params)  # which may forget to return itself
        return np.asarray(model.predict_proba(X_test))
    if _evaluates(model):
        if average_epochs != "auto":
            model.set_params(average_epochs=average_epochs)
        model.fit(X, y, evaluate=X_test, **params)
        return np.asarray(model.evaluated_proba_)
    model.fit(X, y, **params)
    n_stages = sum(1 for _ in model.staged_predict_proba(X_test[:1]))
    first = epochs_to_average(n_stages, average_epochs)
    stages = enumerate(model.staged_predict_proba(X_test))
    return sum(probs for stage, probs in stages if stage >= first) / (n_stages - first)


def _fit_pipeline(model, X, y, X_test, average_epochs, params):
    """`fit_and_predict` of a pipeline whose last step averages epochs or stages."""
    *front, (name, last) = model.steps
    own, others = {}, {}
    for key, value in params.items():
        mine = key.startswith(f"{name}__")
        (own if mine else others)[key.removeprefix(f"{name}__")] = value
    if front:
        transformers = model[:-1]
        X = transformers.fit_transform(X, y, **others)
        X_test = transformers.transform(X_test)
    return fit_and_predict(last, X, y, X_test, average_epochs, own)


def _evaluates(model):
    """Whether a model predicts other rows while it is trained."""
    return offers(model, "evaluate") and offers(model, "average_epochs")


def averages(model, average_epochs):
    """Whether a model is asked for the mean of several epochs or stages, and has it.

    Examples
    --------
    >>> from sklearn.ensemble import AdaBoostClassifier
    >>> averages(AdaBoostClassifier(), 0.5), averages(AdaBoostClassifier(), "auto")
    (True, False)
    """
    model = last_step(model)
    if _evaluates(model):
        own = average_epochs == "auto"
        return bool(model.average_epochs if own else average_epochs)
    staged = hasattr(model, "staged_predict_proba")
    return staged and average_epochs not in ("auto", 0)


def run_folds(tasks, *, n_jobs=None, verbose=0, by="run_folds"):
    """Train the folds that are not cached and give all of them as they are done.

    Parameters
    ----------
    tasks : list of FoldTask
        The folds.
    n_jobs : int, default=None
        Folds at a time, by joblib's backend.
    verbose : int, default=0
        1 shows one bar over folds and epochs, 2 also logs each fold.
    by : str
        Who asks, shown left of the bar.

    Yields
    ------
    task : FoldTask
        A fold.
    probs : ndarray of float64, shape (n_test, n_classes)
        Its probabilities.
    """
    total = sum(task.steps for task in tasks)
    with progress(total, desc=by, enabled=verbose >= 1) as bar:
        missing = []
        for task in tasks:
            probs = task.load()
            if probs is None:
                missing.append(task)
                continue
            advance(task.steps)
            _log(task, len(tasks), "cached", verbose, by)
            yield task, probs
        for task, probs in _train(missing, n_jobs, bar):
            _log(task, len(tasks), "trained", verbose, by)
            yield task, probs


def _train(tasks, n_jobs, bar):
    """Train the folds through joblib, in this process where one runs at a time."""
    on_cluster = _is_cluster() and n_jobs != 1 and len(tasks) > 0
    at_a_time = min(joblib.effective_n_jobs(n_jobs), len(tasks))
    if at_a_time <= 1 and not on_cluster:  # one fold goes to a cluster too
        for task in tasks:
            yield task, _run(task)
        return
    # A cluster bounds the threads of its workers itself.
    n_threads = None if on_cluster else threads_for(at_a_time)
    with watched_counts(bar) as folder:
        jobs = [
            replace(task, n_threads=n_threads, count_into=_counter(folder, task))
            for task in tasks
        ]
        results = _parallel(n_jobs)(delayed(_run)(job) for job in jobs)
        for task, probs in zip(tasks, results, strict=True):
            task.store(probs)  # a worker on another machine may have another disk
            yield task, probs


def _counter(folder, task):
    return folder and os.path.join(folder, str(task.fold))


def _run(task):
    """Train a fold, unless another process has kept its answer meanwhile.

    The task holds the data: what joblib scatters to a cluster by itself is lost with
    the worker that has it.
    """
    probs = task.load()
    return task() if probs is None else probs


def _is_cluster():
    """Whether joblib's backend runs folds on other machines, as Dask and Ray do."""
    backend, _ = joblib.parallel.get_active_backend()
    return not type(backend).__module__.startswith("joblib._parallel_backends")


def _parallel(n_jobs):
    """Results as they come, where joblib's backend can give them so."""
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # a cluster's backend that only gives all at once
        return Parallel(n_jobs=n_jobs)


def _log(task, n_folds, how, verbose, by):
    if verbose >= 2:
        logger.info("%s: fold %d of %d %s", by, task.fold + 1, n_folds, how)


def align_columns(pred_probs, from_classes, to_classes, *, by):
    """Put columns in the order of `to_classes`; a class without a column gets zeros.

    Parameters
    ----------
    pred_probs : ndarray of float, shape (n_samples, n_from)
        Probabilities with a column for each of `from_classes`.
    from_classes : array-like of shape (n_from,)
        Classes that a model has seen.
    to_classes : ndarray of shape (n_classes,)
        Sorted classes, a superset.
    by : str
        The model, named in messages.

    Returns
    -------
    aligned : ndarray of float, shape (n_samples, n_classes)
        The same probabilities.

    Raises
    ------
    EstimatorError
        If the model names a class that is none.

    Examples
    --------
    >>> classes = np.array(["a", "b", "c"])
    >>> align_columns(np.array([[0.3, 0.7]]), ["a", "c"], classes, by="example")
    array([[0.3, 0. , 0.7]])
    """
    if np.array_equal(from_classes, to_classes):
        return pred_probs
    if not np.isin(from_classes, to_classes).all():
        raise EstimatorError(
            f"{by}: the `classes_` of a fitted classifier must be labels that it was "
            f"fitted on; got {np.asarray(from_classes)[:5].tolist()} where labels are "
            f"{np.asarray(to_classes)[:5].tolist()}. Set `classes_` to the labels, in "
            "the order of the columns of predict_proba."
        )
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
    estimator = last_step(estimator)
    if not type(estimator).__module__.startswith("hubclean."):
        return None
    params = estimator.get_params(deep=False)
    return params.get("max_epochs") or params.get("epochs")
