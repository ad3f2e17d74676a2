"""Small pictures for the report, as ``data:`` addresses, within a budget of bytes.

It imports only `hubclean._compat` and `hubclean.plotting._content`.
"""

import base64
import io

import numpy as np

from hubclean._compat import require
from hubclean.plotting._content import as_images, read_rows

_SIDES = (160, 128, 112, 96, 80, 64, 48, 32)
_LOSSLESS_SIDE = 64  # up to this side pictures are kept pixel by pixel
_SAMPLE = 48
_BATCH = 256


def thumbnails(X, rows, *, max_bytes, image_shape=None):
    """Small pictures of some rows, together within `max_bytes`.

    Parameters
    ----------
    X : array-like or lazy column of images
        Only these rows are read, batch by batch.
    rows : ndarray of int, shape (n_rows,)
        Positions in X.
    max_bytes : int
        Bound for all of them.
    image_shape : tuple of int, default=None
        Shape of one image, where rows of X are images laid out flat.

    Returns
    -------
    pictures : list of str
        ``data:`` addresses, fewer than rows only where not even the smallest
        pictures fit.
    """
    if not len(rows):
        return []
    some = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(int)]
    images = _read(X, some, image_shape)
    side = _largest_side(images, max_bytes / len(rows))
    pictures, used = [], 0
    for start in range(0, len(rows), _BATCH):
        for image in _read(X, rows[start : start + _BATCH], image_shape):
            picture = _data_address(image, side)
            used += len(picture)
            if used > max_bytes:
                return pictures
            pictures.append(picture)
    return pictures


def _read(X, rows, image_shape):
    """Images of some rows."""
    found = read_rows(X, rows)
    if image_shape is not None:
        found = np.asarray(found).reshape(len(rows), *image_shape)
    return as_images(found)


def _largest_side(images, bytes_each):
    """The largest side whose pictures are within their share of the budget."""
    for side in _SIDES:
        sizes = [len(_data_address(image, side)) for image in images]
        # A tenth is left for pictures that are larger than those of the sample.
        if np.mean(sizes) * 1.1 <= bytes_each:
            return side
    return _SIDES[-1]


def _data_address(image, side):
    """One image, at most `side` pixels high and wide."""
    pillow = require("PIL.Image", extra="report", by="write_report")
    picture = pillow.fromarray(image)
    small = max(picture.size) <= min(side, _LOSSLESS_SIDE)
    picture.thumbnail((side, side))
    file = io.BytesIO()
    if small or picture.mode == "RGBA":
        kind = "png"
        picture.save(file, "PNG", optimize=True)
    else:
        kind = "jpeg"
        picture.save(file, "JPEG", quality=78, optimize=True)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()
