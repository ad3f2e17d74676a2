"""Parameters that cannot be used are told before anything is trained."""

from numbers import Integral, Real

from torch import nn

from hubclean.exceptions import ParameterError

_SCHEDULES = ("auto", "one_cycle", None)
#: Losses of torch that compare outputs with targets of another form than class codes.
_OF_OTHER_TARGETS = (
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.KLDivLoss,
    nn.PoissonNLLLoss,
    nn.SoftMarginLoss,
    nn.HingeEmbeddingLoss,
    nn.MultiLabelMarginLoss,
    nn.MultiLabelSoftMarginLoss,
)

#: Arguments of torch's loader that are decided here, and what does the same.
MADE_HERE = {
    "batch_size": None,
    "shuffle": None,
    "drop_last": "every row is trained on in every epoch",
    "sampler": "pass `sample_weight` to fit for rows that count more",
    "batch_sampler": "choose `batch_size` and `shuffle`",
    "collate_fn": "change rows with `transform`",
    "generator": "choose `random_state`",
}


def check_parameters(params):
    """Refuse values that would be taken without a word, or fail far from here.

    Parameters
    ----------
    params : dict
        Parameters of the net, by name.

    Raises
    ------
    ParameterError
        Names the parameter, and what it may be.

    Examples
    --------
    >>> check_parameters({"batch_size": 64, "schedule": "auto", "max_epochs": 3})
    """
    for name, value in params.items():
        if name in _EXPECTED:
            allowed, expected = _EXPECTED[name]
            if not allowed(value):
                name = "epochs" if name == "max_epochs" else name
                raise ParameterError(
                    f"skorch: `{name}` must be {expected}; got {value!r}."
                )
    if params.get("record_margins") and params.get("max_epochs") == 0:
        raise ParameterError(
            "skorch: `epochs` must be at least 1 to record margins, as training "
            "dynamics do; got 0."
        )
    check_iterators(params)


def _is_batch_size(value):
    return isinstance(value, Integral) and (value >= 1 or value == -1)


def _is_share(value):
    return value is None or (isinstance(value, Real) and 0 <= value <= 1)


def _is_count(value):
    return isinstance(value, Integral) and value >= 0


_BATCH_SIZE = (_is_batch_size, "a whole number from 1 on, or -1 for all rows")
_EXPECTED = {
    "batch_size": _BATCH_SIZE,
    "iterator_train__batch_size": _BATCH_SIZE,
    "iterator_valid__batch_size": _BATCH_SIZE,
    "max_epochs": (_is_count, "a whole number from 0 on"),
    "average_epochs": (_is_share, "a number in [0, 1], a share of the epochs"),
    "schedule": (lambda value: value in _SCHEDULES, "'auto', 'one_cycle' or None"),
}


def check_loss(criterion, n_classes):
    """Refuse losses that do not compare logits with the codes of classes.

    Parameters
    ----------
    criterion : callable
        The loss; others' own, and subclasses of torch's, are believed.
    n_classes : int
        Classes of `y`.

    Raises
    ------
    ParameterError
        If its targets are of another kind, or its weights of another number.

    Examples
    --------
    >>> check_loss(nn.CrossEntropyLoss(), 3)
    """
    name = type(criterion).__name__
    if type(criterion) in _OF_OTHER_TARGETS:
        raise ParameterError(
            f"skorch: `criterion` must compare the logits of the classes with the code "
            f"of one class for each row; {name} wants other targets. Use "
            "torch.nn.CrossEntropyLoss, or a subclass that makes them of the codes."
        )
    weight = getattr(criterion, "weight", None)
    with_weights = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
    if not isinstance(criterion, with_weights) or weight is None:
        return
    if tuple(weight.shape) != (n_classes,):
        raise ParameterError(
            f"skorch: `criterion__weight` must have {n_classes} numbers for {name}, "
            "one for each class in the order of `classes_`; got shape "
            f"{tuple(weight.shape)}."
        )


def check_iterators(params):
    """Refuse arguments of torch's loader that whole batches have no place for.

    Parameters
    ----------
    params : dict
        Parameters of the net, by name.

    Raises
    ------
    ParameterError
        If one of them is set.

    Examples
    --------
    >>> check_iterators({"iterator_train__num_workers": 2})
    """
    for name, value in params.items():
        prefix, _, argument = name.partition("__")
        if prefix not in ("iterator_train", "iterator_valid") or not value:
            continue
        instead = MADE_HERE.get(argument)
        if name == "iterator_valid__shuffle":
            instead = "rows are predicted in their order"
        if instead is not None:
            raise ParameterError(
                f"skorch: `{name}` cannot be used, because batches are read whole, in "
                f"an order made here; got {value!r}. Leave it out: {instead}."
            )
