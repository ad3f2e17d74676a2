"""One progress bar over folds and epochs, known to everything that trains inside it.

The cleaner opens the bar with `progress`; the adapters call `epoch_done` after every
epoch. No bar is passed around: a context variable holds the open one, so an adapter
in a pipeline in a grid search still moves it. Joblib's threads and processes start
with an empty context: what trains in them counts into files (`counting_into`), which
the process with the bar watches (`watched_counts`).

It imports nothing from hubclean.
"""

import contextlib
import contextvars
import os
import sys
import tempfile
import threading
from pathlib import Path

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
            bar.refresh()  # the last state, however quick the last steps were


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


class _Share:
    """Passes steps on to the bar, and no more of them than a fold has."""

    def __init__(self, bar, steps):
        self.bar, self.left = bar, steps

    def update(self, steps):
        steps = min(steps, self.left)
        self.left -= steps
        if steps:
            self.bar.update(steps)


@contextlib.contextmanager
def share_of_bar(steps):
    """Move the open bar on by exactly these steps, whatever is counted in the block.

    A training that stops early, or that does not count epochs, is done all the same
    when the block ends without an error.

    Parameters
    ----------
    steps : int
        Of one fold.
    """
    bar = _open_bar.get()
    if bar is None:
        yield
        return
    share = _Share(bar, steps)
    token = _open_bar.set(share)
    try:
        yield
    finally:
        _open_bar.reset(token)
    share.update(share.left)


class _FileCounter:
    """Stands in for the bar where that is in another process: one byte a step."""

    def __init__(self, path):
        self.path = path
        with contextlib.suppress(OSError):  # a fold that is trained a second time
            os.truncate(path, 0)

    def update(self, steps):
        with contextlib.suppress(OSError), open(self.path, "ab") as counted:
            counted.write(b"." * int(steps))


@contextlib.contextmanager
def counting_into(path):
    """Count the steps of the block into a file; do nothing when `path` is None.

    Parameters
    ----------
    path : str or None
        A file that `watched_counts` watches. Where its folder does not exist, on
        another machine, nothing is counted.
    """
    if path is None:
        yield
        return
    token = _open_bar.set(_FileCounter(path))
    try:
        yield
    finally:
        _open_bar.reset(token)


@contextlib.contextmanager
def watched_counts(bar, every=0.2):
    """Move a bar on by what other processes count into the files of a folder.

    Parameters
    ----------
    bar : tqdm or None
        The bar; with None nothing is watched.
    every : float
        Seconds between two looks.

    Yields
    ------
    folder : str or None
        For the paths of `counting_into`; None without a bar.
    """
    if bar is None:
        yield None
        return
    done = threading.Event()
    seen = 0

    def look(folder):
        nonlocal seen
        total = 0
        for path in Path(folder).iterdir():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        bar.update(total - seen)
        seen = total

    def watch(folder):
        while not done.wait(every):
            look(folder)

    temporary = tempfile.TemporaryDirectory(
        prefix="hubclean-progress-", ignore_cleanup_errors=True
    )
    with temporary as folder:
        thread = threading.Thread(target=watch, args=(folder,), daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            done.set()
            thread.join()
            look(folder)
