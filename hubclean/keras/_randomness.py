"""Seeds for what Keras draws, with every global generator left as it was.

Initialisers and dropout draw their own seeds from Python's generator when they are
made, and keep them. So it is enough to seed that generator while a network is built,
under a lock, and to put the caller's state back. NumPy's and TensorFlow's global
generators are never touched.
"""

import contextlib
import os
import random
import threading

import numpy as np
from sklearn.utils import check_random_state

_lock = threading.RLock()


def _new_lock():
    """Give a forked process a lock that nobody holds."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def draw_seed(random_state):
    """One seed from `random_state`; None draws from the operating system.

    Examples
    --------
    >>> draw_seed(7) == draw_seed(7)
    True
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


@contextlib.contextmanager
def seeded(seed):
    """Python's generator starts at `seed` while the block runs.

    Examples
    --------
    >>> before = random.getstate()
    >>> with seeded(0):
    ...     drawn = random.random()
    >>> random.getstate() == before
    True
    """
    held = _lock
    with held:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def epoch_order(n, seed, epoch, shuffle=True):
    """Order in which an epoch goes through `n` rows.

    Examples
    --------
    >>> bool((epoch_order(9, 0, 1) == epoch_order(9, 0, 1)).all())
    True
    """
    if not shuffle:
        return np.arange(n)
    return np.random.default_rng([seed, epoch]).permutation(n)
