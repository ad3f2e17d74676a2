"""Weights of rows: which estimators take them, and checks of what users pass.

It imports only `hubclean._compat`, `hubclean._hooks` and `hubclean.exceptions`.
"""

from inspect import signature

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from hubclean._compat import _routing_enabled
from hubclean._hooks import last_step
from hubclean.exceptions import ParameterError


def weight_parameter(estimator):
    """Name of the ``fit`` parameter that weighs rows; None where there is none.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.pipeline import make_pipeline
    >>> weight_parameter(make_pipeline(GaussianNB()))
    'gaussiannb__sample_weight'
    """
    if isinstance(estimator, Pipeline):
        name = weight_parameter(estimator[-1])
        return None if name is None else f"{estimator.steps[-1][0]}__{name}"
    takes = has_fit_parameter(estimator, "sample_weight") or _hands_on(estimator)
    return "sample_weight" if takes else None


def _resamples(estimator):
    """Whether a pipeline, imbalanced-learn's, has other rows when weights are used."""
    return isinstance(estimator, Pipeline) and any(
        hasattr(step, "fit_resample") or _resamples(step) for _, step in estimator.steps
    )


def _hands_on(estimator):
    """Whether it is one of those that vote or are stacked, which hand on anything."""
    named = isinstance(getattr(estimator, "estimators", None), list)
    return named and _takes_anything(estimator.fit) and not _routing_enabled()


def _takes_anything(function):
    parameters = signature(function).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def takes_weights(estimator):
    """Whether rows can be weighed, by the classifiers inside an ensemble too.

    An adapter may say so itself, by its method ``takes_sample_weight``. A pipeline that
    resamples hands on the weights of rows that are no longer the same.

    Examples
    --------
    >>> from sklearn.calibration import CalibratedClassifierCV
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> takes_weights(CalibratedClassifierCV(KNeighborsClassifier()))
    False
    """
    if _resamples(estimator):
        return False
    estimator = last_step(estimator)
    if hasattr(estimator, "takes_sample_weight"):
        return estimator.takes_sample_weight()
    if weight_parameter(estimator) is None:
        return False
    inside = [*estimator.get_params(deep=False).values()]
    if _hands_on(estimator):
        inside += [one for _, one in estimator.estimators]
    # An ensemble hands weights on by that name, which a pipeline does not know.
    return all(
        not isinstance(one, Pipeline) and takes_weights(one)
        for one in inside
        if isinstance(one, BaseEstimator)
    )


def weights_reach(estimator, fit_params):
    """Whether weights reach an estimator beside what else goes to its ``fit``.

    scikit-learn's metadata routing hands on what was requested; with nothing else to
    route, it is not needed.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> weights_reach(GaussianNB(), {"extra": 1})
    True
    """
    if not (fit_params and _routing_enabled()):
        return True
    routing = get_routing_for_object(estimator)
    return bool(routing.consumes("fit", ["sample_weight"]))


def check_weight_parameter(estimator, correction, fit_params, *, by):
    """Check that an estimator takes weights, before anything is trained.

    Raises
    ------
    ParameterError
        If it does not.
    """
    if not takes_weights(estimator):
        inside = ""
        if _resamples(estimator):
            inside = ", as one of its steps resamples the rows"
        elif weight_parameter(estimator):
            inside = " or hands it to one that does not"
        raise ParameterError(
            f"{by}: correction={correction!r} needs an estimator whose `fit` takes "
            f"`sample_weight`; {type(estimator).__name__} does not{inside}. Use "
            "correction='auto', 'prune' or 'relabel'."
        )
    if not weights_reach(estimator, fit_params):
        raise ParameterError(
            f"{by}: correction={correction!r} gives weights, and scikit-learn's "
            f"metadata routing hands on {', '.join(fit_params)} but no "
            "`sample_weight`. Request it: set_fit_request(sample_weight=True)."
        )


def check_fit_weights(fit_params, estimator, n_samples, *, by):
    """Check the weights among what goes to ``fit``, before anything is trained.

    Raises
    ------
    ParameterError
        If they are no weights of these rows, or the estimator takes none.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> check_fit_weights({"sample_weight": [1, 2]}, GaussianNB(), 2, by="example")
    """
    for name, weights in fit_params.items():
        if name.rpartition("__")[2] == "sample_weight":
            check_sample_weight(weights, n_samples, by=by)
    if "sample_weight" not in fit_params or _routing_enabled():
        return
    own = weight_parameter(estimator)
    anything = not isinstance(estimator, Pipeline) and _takes_anything(estimator.fit)
    if own == "sample_weight" or anything:
        return
    remedy = f"Pass them as `{own}`." if own else "Leave them out, or use another one."
    raise ParameterError(
        f"{by}: the `fit` of {type(estimator).__name__} takes no `sample_weight`. "
        f"{remedy}"
    )


def check_sample_weight(weights, n_samples, *, by):
    """One finite number of at least 0 for each row, as an array.

    Raises
    ------
    ParameterError
        If there are not as many, or one cannot be a weight.

    Examples
    --------
    >>> check_sample_weight([1, 0.5], 2, by="example")
    array([1. , 0.5])
    """
    got = type(weights).__name__
    try:
        checked = np.asarray(weights, dtype=np.float64)
        got += f" of shape {checked.shape}"
    except (TypeError, ValueError):
        checked = np.empty(0)
    if checked.shape != (n_samples,):
        raise ParameterError(
            f"{by}: `sample_weight` must hold a number for each of the {n_samples} "
            f"rows; got {got}. Pass an array of shape ({n_samples},)."
        )
    bad = np.flatnonzero(~(checked >= 0) | (checked > np.finfo(np.float32).max))
    if len(bad):
        raise ParameterError(
            f"{by}: `sample_weight` must be finite and at least 0; got "
            f"{checked[bad[0]]} in row {bad[0]}. Leave such rows out."
        )
    return checked
