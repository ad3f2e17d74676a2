"""Name the content of labels, so that decisions are not applied to others.

It imports only `hubclean.exceptions`.
"""

import hashlib

import numpy as np

from hubclean.exceptions import DatasetChangedError

#: Versions that name labels begin with it.
PREFIX = "labels-"
#: Those of a folder of images begin with it.
FOLDER_PREFIX = "folder-"


def labels_version(labels):
    """Name the content of some labels, to know them again.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Given labels.

    Returns
    -------
    version : str
        ``"labels-"`` and 16 hexadecimal digits. Equal labels in equal order have
        equal versions, whatever their container.

    Examples
    --------
    >>> labels_version([0, 1]) == labels_version(np.array([0, 1], dtype="uint8"))
    True
    """
    texts = "\x1f".join(map(str, np.asarray(labels).tolist()))
    digest = hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}{digest[:16]}"


def check_labels_version(version, labels, *, who):
    """Refuse decisions that were made about other labels.

    Parameters
    ----------
    version : str or None
        Version that the decisions name; None and versions that hubclean did not give
        to labels or to a folder are let pass.
    labels : array-like of shape (n_samples,)
        Labels that the decisions shall be applied to.
    who : str
        Named in the message.

    Raises
    ------
    DatasetChangedError
        If the version names other labels.

    Examples
    --------
    >>> check_labels_version(labels_version(["a", "b"]), ["a", "b"], who="example")
    """
    if version is None or not version.startswith((PREFIX, FOLDER_PREFIX)):
        return
    now = labels_version(labels)
    if now != version:
        raise DatasetChangedError(
            f"{who}: the decisions are about labels of version {version!r}; these "
            f"labels are {now!r}. Apply them to the labels that were judged, or judge "
            "these and load the decisions into the new report."
        )
