"""Parameters that cannot be used are told before anything is trained."""

from hubclean.exceptions import ParameterError

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
