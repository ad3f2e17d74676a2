"""The loss of rows that have weights, as torch's losses take their mean or sum."""

import contextlib

import torch
from torch import nn

from hubclean.exceptions import ParameterError


def weighted_loss(criterion, losses, codes, weights):
    """Weighted mean, or sum, of the losses of rows; weights of one change nothing.

    Parameters
    ----------
    criterion : callable
        The loss, with its own `reduction`.
    losses : Tensor of shape (n_rows,)
        What it gave inside `every_row`.
    codes : Tensor of int, shape (n_rows,)
        Given labels.
    weights : Tensor of float, shape (n_rows,)
        At least 0.

    Returns
    -------
    loss : Tensor
        Of the batch.

    Raises
    ------
    ParameterError
        If the loss gave no number for each row.

    Examples
    --------
    >>> criterion = nn.NLLLoss(weight=torch.tensor([1.0, 3.0]))
    >>> with every_row(criterion):
    ...     losses = criterion(torch.tensor([[-1.0, -2.0]] * 2), torch.tensor([0, 1]))
    >>> weighted_loss(criterion, losses, torch.tensor([0, 1]), torch.ones(2)).item()
    1.75
    """
    if losses.shape != weights.shape:
        raise ParameterError(
            "skorch: `sample_weight` needs a loss for every row; with "
            f"reduction='none' {type(criterion).__name__} gave the shape "
            f"{tuple(losses.shape)} for {len(weights)} rows. Use one of torch's "
            "losses, or train without weights (correction='prune' in a cleaner)."
        )
    total = (losses * weights).sum()
    if getattr(criterion, "reduction", None) == "sum":
        return total
    counted = (weights * _counted(criterion, codes)).sum()
    return total / counted.clamp_min(torch.finfo(weights.dtype).tiny)


def _counted(criterion, codes):
    """For what each row counts in the mean of a loss."""
    if not isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return 1
    counted = (codes != criterion.ignore_index).float()
    if criterion.weight is not None:
        counted = counted * criterion.weight[codes]
    return counted


@contextlib.contextmanager
def every_row(criterion):
    """Let a loss give that of every row, where it can."""
    reduction = getattr(criterion, "reduction", None)
    if reduction is None:
        yield
        return
    criterion.reduction = "none"
    try:
        yield
    finally:
        criterion.reduction = reduction


def gives_every_row(criterion):
    """Whether a loss gives that of every row; yes where that cannot be told.

    Examples
    --------
    >>> gives_every_row(nn.CrossEntropyLoss())
    True
    >>> gives_every_row(nn.functional.cross_entropy)
    False
    """
    of_classes = getattr(criterion, "weight", None)
    n_classes = 3 if of_classes is None else len(of_classes)
    codes = torch.arange(2)
    try:
        with torch.no_grad(), every_row(criterion):
            return criterion(torch.zeros(2, n_classes), codes).shape == codes.shape
    except Exception:  # a loss of another's making, for other outputs
        return True
