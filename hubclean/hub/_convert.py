"""Bring a Hub 2 or Deep Lake 3 dataset over to Deep Lake 4, and check the copy."""

import contextlib
import io
import os
import shutil

import numpy as np

from hubclean._compat import require
from hubclean.exceptions import DatasetError
from hubclean.hub._deeplake4 import Address, is_old_format
from hubclean.hub._disk import make_sure_of_room
from hubclean.hub._open import absolute

_BLOCK_ROWS = 4096


def convert(src, dst, *, creds=None, token=None, n_sampled=64, random_state=0):
    """Copy a Hub 2 or Deep Lake 3 dataset into the format of Deep Lake 4.

    The copy has the rows of the newest state of the main branch; its history begins
    anew. Number of rows, tensors, class names, all labels, and the pixels of a sample
    of rows are compared with the original, which stays as it is. A local copy appears
    under its name only when it is whole.

    Parameters
    ----------
    src : str or path
        The old dataset.
    dst : str or path
        Where the copy goes; nothing may be there.
    creds : dict, optional
        Credentials for `dst`.
    token : str, optional
        Token for Activeloop's cloud.
    n_sampled : int, default=64
        Rows whose images, texts and arrays are compared.
    random_state : int, default=0
        Seed that chooses them.

    Returns
    -------
    path : str
        `dst`, to be opened with `hubclean.hub.open`.

    Raises
    ------
    DatasetError
        If `src` is no such dataset, `dst` is there, or the copy differs.
    """
    deeplake = require("deeplake", extra="hub", by="hub.convert")
    src, dst = absolute(src), absolute(dst)
    if not hasattr(deeplake, "convert") or deeplake.__version__.startswith("3."):
        raise DatasetError(
            "hub.convert: Deep Lake 4 must be installed to convert; this is "
            f"{deeplake.__version__}. Install it with: pip install 'hubclean[hub]'"
        )
    if not is_old_format(Address(src, creds, token)):
        raise DatasetError(
            f"hub.convert: {src!r} is no dataset of Hub 2 or Deep Lake 3. Check the "
            "path; a dataset of Deep Lake 4 needs no conversion."
        )
    if deeplake.exists(dst, **({"creds": creds} if creds else {})) or (
        "://" not in dst and os.path.exists(dst)
    ):
        raise DatasetError(
            f"hub.convert: something is at {dst!r} already. Choose another path."
        )
    with _draft(src, dst) as draft, contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            deeplake.convert(src, draft, dst_creds=creds, token=token)
        _compare(deeplake, src, draft, creds, n_sampled, random_state)
    return dst


@contextlib.contextmanager
def _draft(src, dst):
    """Path to write to; it gets its name when all went well, and is removed else."""
    if "://" in dst:
        yield dst
        return
    draft = f"{dst}.converting{os.getpid()}"
    os.makedirs(os.path.dirname(dst), exist_ok=True)
    if "://" not in src:
        make_sure_of_room(os.path.dirname(dst), _size_of(src), f"Copy {dst!r}")
    try:
        yield draft
        os.rename(draft, dst)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _size_of(folder):
    return sum(
        os.path.getsize(os.path.join(where, name))
        for where, _, names in os.walk(folder)
        for name in names
    )


def _compare(deeplake, src, dst, creds, n_sampled, random_state):
    """Raise `DatasetError` where the copy is not the original."""
    old = deeplake.query(f'SELECT * FROM "{src}"')
    new = deeplake.open_read_only(dst, **({"creds": creds} if creds else {}))
    names = [column.name for column in old.schema.columns]
    if [column.name for column in new.schema.columns] != names or len(old) != len(new):
        raise DatasetError(
            f"hub.convert: the copy differs: it has {len(new)} rows of "
            f"{len(new.schema.columns)} tensors, expected {len(old)} of {len(names)}."
        )
    n_sampled = min(n_sampled, len(old))
    sample = np.random.default_rng(random_state).choice(
        len(old), n_sampled, replace=False
    )
    for column in old.schema.columns:
        is_label = column.dtype.kind.name == "ClassLabel"
        blocks = [np.sort(sample)]
        if is_label:
            rows = np.arange(len(old))
            blocks = np.split(rows, range(_BLOCK_ROWS, len(rows), _BLOCK_ROWS))
        for rows in blocks:
            _compare_rows(old[column.name], new[column.name], rows.tolist())


def _compare_rows(old, new, rows):
    """Compare rows of one column, and its class names."""
    if not rows:
        return
    differ = [
        row
        for row, a, b in zip(rows, old[rows], new[rows], strict=True)
        if not _same(a, b)
    ]
    old_names, new_names = (
        column.metadata["class_names"] if "class_names" in column.metadata else None
        for column in (old, new)
    )
    if differ or old_names != new_names:
        raise DatasetError(
            f"hub.convert: the copy differs in tensor {new.name!r}, "
            + (f"rows {differ[:10]}." if differ else "in its class names.")
        )


def _same(a, b):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and np.array_equal(
            a, b, equal_nan=a.dtype.kind == "f"
        )
    return str(a) == str(b)
