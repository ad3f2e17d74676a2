"""One progress bar over folds and epochs, known to everything that trains inside it.

The cleaner opens the bar with `progress`; the adapters call `epoch_done` after every
epoch. No bar is passed around: a context variable holds the open one, so an adapter
in a pipeline in a grid search still moves it. Joblib's threads and processes start
with an empty context: what trains in them does not move the bar, and does not fail.

It imports nothing from hubclean.
"""

import contextlib
import contextvars
import sys

_open_bar = contextvars.ContextVar("hubclean_progress", default=None)


@contextlib.contextmanager
def progress(total, desc="", enabled=True):
    """Show one bar on stderr while the block runs.

    Parameters
    ----------
    total : int or None
        Number of steps, for example folds times epochs; None when it is not known.
    desc : str
        Shown left of the bar.
    enabled : bool
        False shows nothing and hides no bar that is already open.

    Yields
    ------
    bar : tqdm or None
        The bar; None when it is not enabled.

    Examples
    --------
    >>> with progress(2, enabled=False) as bar:
    ...     epoch_done()
    """
    if not enabled:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=desc, file=sys.stderr, leave=False) as bar:
        token = _open_bar.set(bar)
        try:
            yield bar
        finally:
            _open_bar.reset(token)


def advance(steps=1):
    """Move the open bar on; does nothing when none is open.

    Parameters
    ----------
    steps : int
        How many steps are done.
    """
    bar = _open_bar.get()
    if bar is not None:
        bar.update(steps)


def epoch_done():
    """Tell the open bar that an epoch of training is done."""
    advance(1)
