"""Which device trains, and what it has back afterwards."""

import torch

from hubclean.exceptions import ParameterError


def choose_device(device, fold=None):
    """Device to train on.

    Parameters
    ----------
    device : str, torch.device or None
        "auto" takes a GPU where there is one; None is the CPU.
    fold : int or None
        Folds are dealt out to the GPUs in turn; without a number, the GPU with the
        most free memory is taken.

    Returns
    -------
    device : torch.device
        Present on this machine.

    Raises
    ------
    ParameterError
        If there is no such device.

    Examples
    --------
    >>> choose_device(None)
    device(type='cpu')
    """
    if device is None:
        return torch.device("cpu")
    if device == "auto":
        return _best_device(fold)
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as exc:
        raise ParameterError(
            "skorch: `device` must be 'auto', None, or a device of torch such as 'cpu' "
            f"or 'cuda:0'; got {device!r}."
        ) from exc
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ParameterError(
            f"skorch: `device` {device!r} is not there: torch sees "
            f"{torch.cuda.device_count()} CUDA devices. Use device='auto' or 'cpu'."
        )
    if chosen.type not in ("cpu", "cuda"):
        _try_device(chosen, device)
    return chosen


def _try_device(chosen, device):
    """Ask for a little memory of a device that torch may know, and not have."""
    try:
        torch.empty(1, device=chosen).item()
    except Exception as exc:  # each kind of device fails in a way of its own
        raise ParameterError(
            f"skorch: `device` {device!r} is not there: this torch cannot put a "
            f"number on it ({str(exc).partition('.')[0]}). Use device='auto' or 'cpu'."
        ) from exc


def _best_device(fold):
    """CUDA before mps before the CPU."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count and fold is not None:
        return torch.device("cuda", fold % count)
    if count:
        free = [torch.cuda.mem_get_info(index)[0] for index in range(count)]
        return torch.device("cuda", free.index(max(free)))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def give_memory_back(device):
    """Hand what torch holds of the memory of a GPU back to it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
