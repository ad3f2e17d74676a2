"""torch's one global generator, lent to one net at a time.

Weights, dropout and most image transforms, those inside a dataset too, draw from it, so
two folds that train in two threads would draw each other's numbers. Here every net has
a state of its own, which is put in place for as long as it draws, under a lock, and
taken out again. The caller's generator is never moved.
"""

import contextlib
import os
import threading

import torch

_lock = threading.RLock()
_lent = threading.local()


def _new_lock():
    """Give a forked process a lock that nobody holds."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def seeded(seed):
    """Generator of its own, for shuffling.

    Examples
    --------
    >>> bool(torch.equal(torch.randperm(9, generator=seeded(1)),
    ...                  torch.randperm(9, generator=seeded(1))))
    True
    """
    return torch.Generator().manual_seed(int(seed) % 2**63)


class Randomness:
    """A state of torch's global CPU generator, in place inside a ``with`` block.

    Parameters
    ----------
    seed : int
        Where the numbers start.

    Examples
    --------
    >>> one, other = Randomness(0), Randomness(0)
    >>> with one:
    ...     first = torch.rand(2)
    >>> with other:
    ...     second = torch.rand(2)
    >>> bool(torch.equal(first, second))
    True
    """

    def __init__(self, seed):
        self.state = seeded(seed).get_state()

    def __enter__(self):
        self._held = _lock
        self._held.acquire()
        self._callers = torch.get_rng_state()
        torch.set_rng_state(self.state)
        _lent.depth = getattr(_lent, "depth", 0) + 1
        return self

    def __exit__(self, *exc_info):
        self.state = torch.get_rng_state()
        torch.set_rng_state(self._callers)
        _lent.depth -= 1
        held, self._held, self._callers = self._held, None, None
        held.release()

    def __getstate__(self):
        return {"state": self.state}


def lent(seed):
    """Numbers for anyone's code, which may draw; those that are in place stay.

    Examples
    --------
    >>> with Randomness(0), lent(7):
    ...     first = torch.rand(2)
    >>> with Randomness(0):
    ...     second = torch.rand(2)
    >>> bool(torch.equal(first, second))
    True
    """
    in_place = getattr(_lent, "depth", 0) > 0
    return contextlib.nullcontext() if in_place else Randomness(seed)


@contextlib.contextmanager
def device_seed(device, seed):
    """Seed the generator of a CUDA device while the block runs, then put it back."""
    if torch.device(device).type != "cuda":
        yield
        return
    with torch.random.fork_rng(devices=[torch.device(device)]):
        torch.cuda.manual_seed_all(seed)
        yield


@contextlib.contextmanager
def thread_count(count):
    """Let torch use this many CPU threads while the block runs; None changes nothing.

    The sums of a convolution depend on how many threads share it, in the last bits,
    and training makes much of little: equal answers need equal numbers of threads.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
