"""Open a dataset, whatever it is handed over as.

It is the one place that knows all kinds of store.
"""

import os
import sys

from hubclean._compat import require
from hubclean.exceptions import DatasetError
from hubclean.hub import _deeplake3, _deeplake4
from hubclean.hub._cache import DecodedCache
from hubclean.hub._images import default_threads
from hubclean.hub._memory import InMemoryDataset
from hubclean.hub._source import HubSource


def open(
    path_or_dataset,
    images="images",
    labels="labels",
    *,
    creds=None,
    branch=None,
    token=None,
    on_bad_rows="raise",
    n_threads=None,
    cache=None,
):
    """Open a Hub dataset as lazy X and y.

    Parameters
    ----------
    path_or_dataset : str, path, deeplake dataset or InMemoryDataset
        A local path or a URL (``s3://``, ``gs://``, ``az://``, ``al://``), or a
        dataset that is open already.
    images : str, default="images"
        Tensor that becomes X: images, arrays, text or embeddings.
    labels : str, default="labels"
        Tensor that becomes y: one label in each row.
    creds : dict, optional
        Credentials for the bucket, as `deeplake.open` takes them. They are never
        printed. Without them the environment is asked.
    branch : str, optional
        Branch to read; the main branch, or that of the open dataset, when None.
    token : str, optional
        Token for Activeloop's cloud.
    on_bad_rows : {"raise", "skip"}, default="raise"
        What to do about images that cannot be decoded: name them all in one error
        when one is met, or look for them now (which decodes every image once), leave
        them out of X and y, and name them in ``bad_rows``.
    n_threads : int, optional
        Threads that decode images; as many as there are CPUs when None.
    cache : int, DecodedCache, optional
        Keep decoded images, so that folds and epochs decode each once: at most so
        many bytes in memory, or as `DecodedCache` says. None keeps nothing.

    Returns
    -------
    source : HubSource
        With `X`, `y`, `class_names` and `version`.

    Raises
    ------
    DatasetError
        If there is no such dataset, branch or tensor, access is refused, or the
        dataset is of the format before Deep Lake 4 (see `convert`).

    Examples
    --------
    >>> import numpy as np
    >>> from hubclean import hub
    >>> dataset = hub.InMemoryDataset(
    ...     {"images": np.zeros((4, 2, 2, 3), np.uint8), "labels": [0, 1, 0, 1]},
    ...     class_names={"labels": ["cat", "dog"]},
    ... )
    >>> source = hub.open(dataset)
    >>> source.X.shape, np.asarray(source.y), source.class_names
    ((4, 2, 2, 3), array([0, 1, 0, 1]), ['cat', 'dog'])
    """
    store = reading_store(path_or_dataset, creds=creds, branch=branch, token=token)
    return HubSource(
        store,
        images,
        labels,
        on_bad_rows=on_bad_rows,
        n_threads=n_threads or default_threads(),
        cache=DecodedCache.of(cache),
    )


def reading_store(dataset, *, creds=None, branch=None, token=None):
    """Store for reading, pinned to the commit that is newest now."""
    if isinstance(dataset, HubSource):
        return dataset._store if branch is None else dataset._store.open_branch(branch)
    if isinstance(dataset, InMemoryDataset):
        store = dataset._store()
        return store if branch is None else store.open_branch(branch)
    if isinstance(dataset, (str, os.PathLike)):
        line = _installed_line()
        address = line.Address(absolute(dataset), creds, token)
        return line.open_store(address, branch=branch)
    line = _line_of(dataset)
    if line is None:
        raise _not_a_dataset(dataset)
    held = line.store_of(dataset)
    if branch is not None and branch != held.version.branch:
        return line.open_store(held._address, branch=branch)
    return line.open_at(held._address, held.version)


def writing_store(dataset, *, creds=None):
    """Store at the newest commit that can be edited.

    A dataset that the caller opened for writing is edited through their own object,
    so that they see the change.
    """
    if isinstance(dataset, HubSource):
        return dataset._store.writer()
    if isinstance(dataset, InMemoryDataset):
        return dataset._store().writer()
    if isinstance(dataset, (str, os.PathLike)):
        line = _installed_line()
        address = line.Address(absolute(dataset), creds)
        return line.open_store(address, writable=True)
    line = _line_of(dataset)
    if line is None:
        raise _not_a_dataset(dataset)
    store = line.store_of(dataset)
    if line.is_read_only(dataset):
        raise DatasetError(
            f"{store.where} was opened read-only. Open it for writing, or pass its "
            "path."
        )
    return store


def absolute(path):
    """Make a local path absolute, so that it opens from any folder."""
    path = os.fspath(path)
    return path if "://" in path else os.path.abspath(path)


def _installed_line():
    """Module for the Deep Lake that is installed."""
    deeplake = require("deeplake", extra="hub", by="hubclean.hub")
    return _deeplake3 if deeplake.__version__.startswith("3.") else _deeplake4


def _line_of(dataset):
    """Module for an open dataset, or None; imports no Deep Lake for other things."""
    deeplake = sys.modules.get("deeplake")
    kinds = [getattr(deeplake, name, None) for name in ("Dataset", "ReadOnlyDataset")]
    if any(isinstance(kind, type) and isinstance(dataset, kind) for kind in kinds):
        return _installed_line()
    return None


def _not_a_dataset(dataset):
    return DatasetError(
        "hubclean.hub: expected a path, a URL, a dataset opened with deeplake, a "
        f"source of hub.open, or an InMemoryDataset; got {type(dataset).__name__}."
    )
