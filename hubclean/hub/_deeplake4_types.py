"""Types, rows and metadata of Deep Lake 4, translated for the store contract.

It imports `_contract` of this folder.
"""

import re

import numpy as np

from hubclean._compat import require
from hubclean.hub._contract import ColumnInfo

_OPEN_DIMENSION = 2**64 - 1
_KINDS = {"Image": "image", "Text": "text", "ClassLabel": "class_label"}


def column_info(dataset, column):
    """Translate a column of Deep Lake's schema."""
    dtype = column.dtype
    kind = _KINDS.get(dtype.kind.name, "array")
    element = _element_type(str(dtype.data_type))
    if kind == "array" and element == np.dtype(object):
        kind = "object"
    names = None
    if kind == "class_label":
        names = plain(dataset[column.name].metadata).get("class_names")
    shape = tuple(None if n == _OPEN_DIMENSION else n for n in dtype.shape or ())
    return ColumnInfo(
        name=column.name,
        kind=kind,
        dtype=element,
        row_shape=() if kind in ("text", "object") else shape,
        class_names=None if not names else tuple(names),
        encoded=kind == "image" and not dtype.is_link,
    )


def _element_type(text):
    """Read the numpy type in Deep Lake's text form of a type."""
    found = re.search(r"dtype=(\w+)", text)
    try:
        return np.dtype(found.group(1) if found else text)
    except TypeError:  # text, dict, bytes
        return np.dtype(object)


def new_type(kind, dtype):
    """Type of a new column."""
    types = require("deeplake", extra="hub", by="hubclean.hub").types
    if kind == "class_label":
        return types.ClassLabel(dtype.name)
    if kind == "text":
        return types.Text()
    return types.Bool() if dtype.kind == "b" else dtype.name


def plain_value(value):
    """Dict of plain Python values, where Deep Lake gives one of its own."""
    if not hasattr(value, "to_dict"):
        return value
    return {
        key: item.tolist() if isinstance(item, np.ndarray) else item
        for key, item in value.to_dict().items()
    }


def plain(metadata):
    """Metadata as a dict of plain Python values."""
    return {key: metadata[key] for key in metadata.keys()}  # noqa: SIM118
