"""What the cleaner may ask of a framework adapter beyond scikit-learn's classifier.

The cleaner finds these by their names, and does without where they are missing:

``fold`` (parameter)
    Number of the fold, from 0, or None. Named in errors; chooses the GPU.
``classes`` (parameter)
    All labels there are, sorted, or None; for folds whose training rows lack some.
    ``predict_proba`` then has a column for every one.
``random_state`` (parameter)
    One integer seed gives the same answer on a CPU, whatever ``n_jobs`` is.
``fit(X, y, evaluate=X_held_out)`` (argument)
    Rows to predict while training. Afterwards ``evaluated_proba_``, of shape
    (n_held_out, n_classes) with the columns of ``classes_``, is the mean of what
    ``predict_proba`` gave for them after each of the last epochs.
``average_epochs`` (parameter)
    Which epochs that mean takes: the last share of them, a float in [0, 1]; 0 is the
    last epoch alone, 1 is all.
``record_margins`` (parameter)
    True records, in the training passes themselves and so at no cost, the logit of
    the given label less the largest other logit. Afterwards ``margin_history_`` is
    of shape (n_epochs, n_samples), NaN where a row was not trained on, and
    ``margins_``, of shape (n_samples,), is its mean over the epochs: the area under
    the margin [1]_. Wrong labels have low ones. ``training_proba_``, of shape
    (n_samples, n_classes), has the mean of the probabilities of the same passes.
``max_epochs`` or ``epochs`` (parameter)
    Epochs of a training, for the progress bar, which the adapter moves with
    `hubclean._progress.epoch_done`.

`offers` says which of them an estimator has. It imports nothing from hubclean.

References
----------
.. [1] Pleiss, Zhang, Elenberg, Weinberger, "Identifying mislabeled data using the
   area under the margin ranking", NeurIPS 2020.
"""

import inspect
import math

from sklearn.pipeline import Pipeline


def offers(estimator, hook):
    """Whether an estimator has a hook of this module.

    Parameters
    ----------
    estimator : object
        Any classifier.
    hook : str
        A parameter, or "evaluate".

    Returns
    -------
    has_it : bool
        True when the cleaner may use it.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> offers(LogisticRegression(), "random_state")
    True
    >>> offers(LogisticRegression(), "evaluate")
    False
    """
    if hook == "evaluate":
        return "evaluate" in inspect.signature(estimator.fit).parameters
    return hasattr(estimator, "get_params") and hook in estimator.get_params(deep=False)


def unset(estimator, hook):
    """Whether an estimator has a parameter of this module, and it is None.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> unset(LogisticRegression(), "random_state"), unset(LogisticRegression(), "fold")
    (True, False)
    """
    return offers(estimator, hook) and estimator.get_params(deep=False)[hook] is None


def epochs_to_average(n_epochs, average_epochs):
    """First epoch, from 0, of those that are averaged.

    Examples
    --------
    >>> [epochs_to_average(5, share) for share in (0, 0.5, 1)]
    [4, 2, 0]
    """
    return n_epochs - max(1, math.ceil(n_epochs * average_epochs))


def last_step(estimator):
    """What a pipeline ends in, however deep; another estimator itself.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> last_step(make_pipeline("passthrough", LogisticRegression()))
    LogisticRegression()
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


def counts_classes(estimator):
    """Whether a classifier takes the labels 0 to n_classes - 1, and no others.

    XGBoost's do. They are known by name, so it is not imported.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> counts_classes(LogisticRegression())
    False
    """
    modules = (base.__module__ for base in type(estimator).__mro__)
    return any(module.partition(".")[0] == "xgboost" for module in modules)
