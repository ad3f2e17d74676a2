"""The demo dataset: scikit-learn's digits in a Deep Lake dataset on local disk.

It imports only `hubclean._compat` and `hubclean.exceptions`; Deep Lake is loaded when
`write_digits` is called.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from hubclean._compat import require
from hubclean.exceptions import DatasetError


def write_digits(path):
    """Write scikit-learn's 1,797 images of digits as a Deep Lake dataset.

    The images are 8 x 8 grey PNG of 8 bits in the column ``images``; the column
    ``labels`` holds class labels with the names "0" to "9".

    Parameters
    ----------
    path : str or path-like
        Folder to make. A folder in which these digits lie already is left as it is.

    Returns
    -------
    path : str
        The folder, for `deeplake.open`.

    Raises
    ------
    DatasetError
        If there is something else at `path`; it is not touched.
    MissingPackageError
        If deeplake is not installed.
    """
    deeplake = require("deeplake", extra="hub", by="write_digits")
    path = Path(path).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if _holds_digits(deeplake, path):
            return str(path)
        raise DatasetError(
            f"write_digits: expected a new folder at {str(path)!r}; there is something "
            "else already. Pass another path, or remove what lies there."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and renamed, so that nobody finds half of it.
    unfinished = tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        _write_digits(deeplake, os.path.join(unfinished, "digits"))
        os.replace(os.path.join(unfinished, "digits"), path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return str(path)


def _write_digits(deeplake, folder):
    """Create, fill and commit the dataset."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    dataset = deeplake.create(folder)
    image = deeplake.types.Image(dtype="uint8", sample_compression="png")
    dataset.add_column("images", image)
    dataset.add_column("labels", deeplake.types.ClassLabel("uint8"))
    dataset["labels"].metadata["class_names"] = [str(k) for k in range(10)]
    columns = {"images": pixels[..., None], "labels": digits.target.astype(np.uint8)}
    dataset.append(columns)
    dataset.commit("The digits of scikit-learn")


def _holds_digits(deeplake, folder):
    """Whether `write_digits` wrote this folder, whatever was added since."""
    try:
        dataset = deeplake.open_read_only(str(folder))
    except Exception:  # deeplake's errors share no base; all say "not a dataset" here
        return False
    names = {column.name for column in dataset.schema.columns}
    return {"images", "labels"} <= names and len(dataset) == len(load_digits().target)
