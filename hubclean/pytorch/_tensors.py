"""From the bytes of a batch to what a module takes, on the device itself.

Arrays and columns hold images as people store them: bytes, grey or with the channels
last. They travel like that, and become normalised floats with the channels first where
the arithmetic is.
"""

from dataclasses import dataclass

import torch
from torch import nn

from hubclean.exceptions import ParameterError

_CHANNEL_COUNTS = (1, 3, 4)
#: Layers that take images (n, channels, height, width).
_PLANAR = (
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


@dataclass(frozen=True)
class InputPlan:
    """How a batch is made ready for the module.

    Attributes
    ----------
    layout : {"as_is", "grey", "channels_last", "channels_first"}
        Where the channels of a batch are; "grey" has none.
    channels : int or None
        Channels the module wants; None takes what there is.
    tokens : bool
        Integers stay integers, for modules that embed them.
    side : int or None
        Images are resized to squares of this side.
    """

    layout: str = "as_is"
    channels: int | None = None
    tokens: bool = False
    side: int | None = None


def plan_input(batch, *, module=None, from_transform=False, resize=None):
    """Decide how batches like this one are made ready.

    Parameters
    ----------
    batch : Tensor of shape (n, ...)
        Some rows as they are read.
    module : torch.nn.Module or None
        The module that takes them; None is the default network.
    from_transform : bool
        Whether a user's transform made them as tensors, which have channels first.
    resize : int or None
        Side to resize images to.

    Returns
    -------
    plan : InputPlan
        For `prepare`.

    Examples
    --------
    >>> plan_input(torch.zeros(2, 8, 8, 3, dtype=torch.uint8)).layout
    'channels_last'
    """
    planar = _first(module, _PLANAR)
    if module is not None and planar is None:
        embeds = _first(module, (nn.Embedding, nn.EmbeddingBag)) is not None
        return InputPlan(tokens=embeds and not batch.is_floating_point())
    channels = getattr(planar, "in_channels", getattr(planar, "num_features", None))
    if batch.ndim == 3:
        return InputPlan("grey", channels, side=resize)
    if batch.ndim != 4:
        return InputPlan()
    first = from_transform or channels_are_first(batch.shape, channels)
    layout = "channels_first" if first else "channels_last"
    return InputPlan(layout, channels, side=resize)


def _first(module, kinds):
    """First submodule of these kinds, or None; lazy ones know no channels yet."""
    if module is None:
        return None
    found = (part for part in module.modules() if isinstance(part, kinds))
    return next(found, None)


def channels_are_first(shape, channels=None):
    """Whether (n, a, b, c) reads as (n, channels, height, width).

    The end decides that has as many as the first layer takes, where only one of them
    has; else the end that has 1, 3 or 4; else, in a square image, the odd one out.
    Where nothing decides, channels are last.

    Parameters
    ----------
    shape : tuple of 4 int
        Of a batch.
    channels : int or None
        Channels that the first layer takes, where they are known.

    Returns
    -------
    first : bool

    Examples
    --------
    >>> channels_are_first((9, 3, 8, 4)), channels_are_first((9, 3, 8, 4), channels=3)
    (False, True)
    >>> channels_are_first((9, 2, 8, 8)), channels_are_first((9, 8, 8, 2))
    (True, False)
    """
    first, height, last = shape[1:]
    if channels and (first == channels) != (last == channels):
        return first == channels
    if first in _CHANNEL_COUNTS or last in _CHANNEL_COUNTS:
        return last not in _CHANNEL_COUNTS
    return height == last != first


def prepare(batch, plan, device):
    """Batch on the device, as floats with channels first.

    Bytes are divided by 255; other numbers become float32 as they are.

    Parameters
    ----------
    batch : Tensor of shape (n, ...)
        Rows as they are read.
    plan : InputPlan
        From `plan_input`.
    device : torch.device or str
        Where the module is.

    Returns
    -------
    ready : Tensor of float32 (int64 for tokens)
        What the module takes.

    Raises
    ------
    ParameterError
        If images have other dimensions, or channels, than the plan knows.
    """
    batch = batch.to(device, non_blocking=True)
    if plan.tokens:
        return batch.long()
    if batch.dtype == torch.uint8:
        batch = batch.float().div_(255)
    else:
        batch = batch.float()
    if plan.layout == "as_is":
        return batch
    n_dims = 3 if plan.layout == "grey" else 4
    if batch.ndim != n_dims:
        raise ParameterError(
            f"skorch: X must have {n_dims} dimensions, as where the network was made; "
            f"got a batch of shape {tuple(batch.shape)}. Reshape X as it was in fit."
        )
    if plan.layout == "grey":
        batch = batch.unsqueeze(1)
    elif plan.layout == "channels_last":
        batch = batch.permute(0, 3, 1, 2)
    batch = _with_channels(batch, plan.channels)
    if plan.side is not None and batch.shape[2:] != (plan.side, plan.side):
        batch = resized(batch, plan.side)
    return batch.contiguous(memory_format=torch.channels_last)


def resized(images, side):
    """Images (n, channels, height, width) as squares of one side.

    Examples
    --------
    >>> resized(torch.zeros(2, 3, 40, 30), 16).shape
    torch.Size([2, 3, 16, 16])
    """
    return torch.nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", antialias=True
    )


def _with_channels(batch, wanted):
    """Repeat a grey channel, or leave out transparency, where the module asks so."""
    have = batch.shape[1]
    if wanted in (None, 0, have):
        return batch
    if have == 1:
        return batch.expand(-1, wanted, -1, -1)
    if have == 4 and wanted == 3:
        return batch[:, :3]
    raise ParameterError(
        f"skorch: the first layer of `module` takes {wanted} channels; the "
        f"images have {have} (a batch is {tuple(batch.shape)}, channels first). "
        f"Build the module for {have} channels, or convert with `transform`."
    )
