"""The final model of a cleaner, trained on the corrected rows.

It imports inwards only.
"""

import contextlib

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.validation import _check_method_params

from hubclean._compat import _routing_enabled
from hubclean._fingerprint import is_how
from hubclean._folds import seed_estimator
from hubclean._model_store import final_models
from hubclean._rows import take_rows
from hubclean._weights import weight_parameter
from hubclean.exceptions import EstimatorError


def fit_final_model(given, correction, seed):
    """Fit a clone on the corrected rows, or recall one that was fitted on the same.

    Parameters
    ----------
    given : Given
        The checked input of a ``fit``.
    correction : Correction
        Rows, labels and perhaps weights.
    seed : int
        Of the training.

    Returns
    -------
    model : classifier
        Fitted.

    Raises
    ------
    EstimatorError
        If a class lost all rows but one, and the estimator fails.
    """
    kept, corrected = correction.kept, given.classes[correction.labels]
    params = _check_method_params(given.X, given.fit_params, indices=kept)
    context = contextlib.nullcontext()
    if correction.weights is not None:
        name = weight_parameter(given.classifier)
        if "sample_weight" in params or (params and _routing_enabled()):
            name = "sample_weight"  # routed, to wherever it goes
        elif not params:  # nobody was asked to route the weights of ours
            context = config_context(enable_metadata_routing=False)
        params[name] = correction.weights * np.asarray(params.get(name, 1.0))
    key = _final_key(given, kept, corrected, seed, params)
    model = None if key is None else final_models.get(key)
    if model is None:
        model = seed_estimator(clone(given.classifier), seed)
        try:
            with context:
                model.fit(take_rows(given.X, kept), corrected, **params)
        except ValueError as exc:
            _explain_small_class(given, correction, exc)
            raise
        if key is not None:
            final_models.put(key, model)
    return model


def _explain_small_class(given, correction, exc):
    """Say so where a class lost all rows but one, which splits inside a model mind."""
    before = np.bincount(given.codes)
    after = np.bincount(correction.labels, minlength=len(before))
    small = np.flatnonzero((after == 1) & (before > 1))
    if len(small):
        raise EstimatorError(
            f"{given.by}: the final model cannot be trained on the corrected rows, in "
            f"which class {given.classes[small].tolist()[0]!r} has 1 of its "
            f"{before[small[0]]} rows: {exc} Where that is why, use "
            "correction='weight', which leaves no row out, or a model that sets no "
            "rows aside."
        ) from exc


def _final_key(given, kept, corrected, seed, params):
    """Name of the final training; None where it is not kept."""
    if given.identity is None:
        return None
    told = given.classifier.get_params(deep=True)  # verbose and n_jobs come along
    how = {name: value for name, value in told.items() if is_how(name)}
    try:
        return given.identity.key(
            given.classifier, kept, kept[:0], seed, params, corrected, ("final", how)
        )
    except TypeError:  # said when the folds were named
        return None
