"""The prototype's workflow: hand over a dataset and a model, get the table."""

import numpy as np
from scipy.special import softmax

from hubclean.exceptions import EstimatorError, ParameterError
from hubclean.hub._open import open
from hubclean.hub._result_table import one_row_for_each
from hubclean.hub._source import HubSource

_ISSUE_KWARGS = ("filter_by", "frac_noise", "threshold", "min_examples_per_class")
_RUN_KWARGS = ("n_jobs", "random_state")
_QUALITY_KWARGS = ("method", "score_by", "adjust_pred_probs")
_OF_THE_CLEANER = ("filter_by", "frac_noise", "threshold", "score_by")
_REPR_LENGTH = 500
_BATCH = 256


def clean_labels(
    dataset,
    model,
    folds=5,
    pretrained=False,
    verbose=True,
    label_issues_kwargs=None,
    label_quality_kwargs=None,
):
    """Find the wrong labels of a dataset.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        With the tensors "images" and "labels"; for others, pass
        ``hub.open(dataset, images=..., labels=...)``.
    model : classifier
        Any scikit-learn classifier with ``predict_proba``, a `torch.nn.Module` or a
        Keras model. It is not changed: clones of it are trained.
    folds : int, default=5
        Every row is judged by a clone that was trained without its fold.
    pretrained : bool, default=False
        The model was trained on other data already, so its probabilities are used as
        they are, without fitting. Never for a model that saw these rows.
    verbose : bool, default=True
        Show one progress bar over folds and epochs.
    label_issues_kwargs : dict, optional
        ``filter_by``, ``frac_noise``, ``threshold`` and ``min_examples_per_class`` of
        `find_label_issues`; ``n_jobs``; ``random_state``, 0 unless given.
    label_quality_kwargs : dict, optional
        ``score_by`` (or ``method``, as cleanlab calls it) and ``adjust_pred_probs``.

    Returns
    -------
    label_issues : DataFrame, one row for each row of the dataset
        ``is_label_issue``, ``label_quality`` and ``predicted_labels``. Rows left out
        because their image cannot be decoded are not flagged, have the quality NaN,
        and are named in ``label_issues.attrs["hubclean"]["bad_rows"]``, next to the
        `dataset_version` that was judged and the `parameters`.

    Raises
    ------
    HubcleanError
        If the dataset cannot be read, or the model or a parameter cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from hubclean import hub
    >>> images = np.repeat([[0.0], [5.0]], 20, axis=0)
    >>> labels = np.repeat([0, 1], 20)
    >>> labels[3] = 1  # a wrong label
    >>> dataset = hub.InMemoryDataset({"images": images, "labels": labels})
    >>> table = hub.clean_labels(dataset, LogisticRegression(), verbose=False)
    >>> np.flatnonzero(table["is_label_issue"])
    array([3])
    """
    source = dataset if isinstance(dataset, HubSource) else open(dataset)
    params = _parameters(label_issues_kwargs, label_quality_kwargs)
    if pretrained:
        table = _judge_pretrained(source, model, params)
    else:
        table = _judge_by_folds(source, model, folds, verbose, params)
    table = one_row_for_each(source, table.reset_index(drop=True))
    table.attrs["hubclean"] = {
        "dataset_version": source.version,
        "bad_rows": list(source.bad_rows),
        "parameters": {
            "model": repr(model)[:_REPR_LENGTH],
            "folds": None if pretrained else folds,
            "pretrained": bool(pretrained),
            **params,
        },
    }
    return table


def _parameters(issue_kwargs, quality_kwargs):
    """Both dicts as one, by hubclean's names."""
    issue_kwargs, quality_kwargs = issue_kwargs or {}, quality_kwargs or {}
    allowed = {
        "label_issues_kwargs": (*_ISSUE_KWARGS, *_RUN_KWARGS),
        "label_quality_kwargs": _QUALITY_KWARGS,
    }
    for (name, known), given in zip(
        allowed.items(), (issue_kwargs, quality_kwargs), strict=True
    ):
        unknown = [key for key in given if key not in known]
        if unknown:
            raise ParameterError(
                f"clean_labels: `{name}` may have {', '.join(known)}; got "
                f"{', '.join(map(repr, unknown))}."
            )
    params = {"random_state": 0, **issue_kwargs, **quality_kwargs}
    if "method" in params:
        params.setdefault("score_by", params["method"])
        del params["method"]
    return params


def _judge_by_folds(source, model, folds, verbose, params):
    """Table from out-of-sample probabilities of clones of the model."""
    from hubclean._cleaner import HubLabelCleaner

    cleaner = HubLabelCleaner(
        model,
        cv=folds,
        verbose=int(verbose),
        n_jobs=params.get("n_jobs"),
        random_state=params["random_state"],
        **{key: params[key] for key in _OF_THE_CLEANER if key in params},
    )
    # Only the evidence is wanted: `fit` would train once more, on all rows.
    cleaner._find_issues(source.X, source.y, {})
    if not {"min_examples_per_class", "adjust_pred_probs"} & set(params):
        return cleaner.label_issues_
    return _judge(np.asarray(source.y), cleaner.pred_probs_, cleaner.classes_, params)


def _judge_pretrained(source, model, params):
    """Table from the probabilities of a model as it is."""
    pred_probs, classes = _pretrained_probs(model, source.X, source.y)
    if classes is None:
        classes = np.arange(pred_probs.shape[1])
    return _judge(np.asarray(source.y), pred_probs, classes, params)


def _pretrained_probs(model, X, y):
    """Probabilities by a model that is used without fitting, and their classes."""
    from hubclean._adapt import as_classifier

    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X)), getattr(model, "classes_", None)
    if hasattr(model, "predict_on_batch"):  # a Keras model
        starts = range(0, len(X), _BATCH)
        rows = [np.arange(low, min(low + _BATCH, len(X))) for low in starts]
        outputs = [np.asarray(model.predict_on_batch(b)) for b in X.batches(rows)]
        return _as_probs(np.concatenate(outputs)), None
    classifier = as_classifier(model, by="clean_labels")
    if "keep_weights" not in getattr(classifier, "get_params", dict)():
        raise EstimatorError(
            "clean_labels: with pretrained=True, `model` must have predict_proba; got "
            f"{type(model).__name__}. Wrap it in a classifier that has it."
        )
    # No epoch changes no weight: the net only learns its classes and its input.
    net = classifier.set_params(keep_weights=True, max_epochs=0, schedule=None)
    net.fit(X, y)
    return _as_probs(np.asarray(net.predict_proba(X))), net.classes_


def _as_probs(outputs):
    """Softmax of what are logits; one output is the probability of class 1."""
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        return np.hstack([1 - outputs, outputs])
    sums = outputs.sum(axis=1)
    if (outputs >= 0).all() and np.allclose(sums, 1, atol=1e-3):
        return outputs / sums[:, np.newaxis]
    return softmax(outputs, axis=1)


def _judge(labels, pred_probs, classes, params):
    from hubclean._label_issues import find_label_issues

    params = {key: value for key, value in params.items() if key != "random_state"}
    return find_label_issues(labels, pred_probs, classes=classes, **params)
