"""Small pictures for the report, as ``data:`` addresses, within a budget of bytes.

It imports only `hubclean._compat` and `hubclean.plotting._content`.
"""

import base64
import io

import numpy as np

from hubclean._compat import require
from hubclean.plotting._content import as_images, pixel_limits, read_rows

_SIDES = (512, 384, 256, 192, 160, 128, 112, 96, 80, 64, 48, 32)
_LOSSLESS_SIDE = 64  # up to this side pictures are kept pixel by pixel
_SAMPLE = 48
_BATCH_BYTES = 1 << 26  # of images read at a time, where their size is known
_BATCH = 16  # images read at a time, where it is not


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
    limits, sample = None, []
    for images in _batches(X, some, image_shape):
        limits = _widest(limits, images)
        sample += [_at_most(image, _SIDES[0]) for image in as_images(images, limits)]
    side = _largest_side(sample, max_bytes / len(rows))
    for smaller in _SIDES[_SIDES.index(side) :]:
        images = (
            image
            for batch in _batches(X, rows, image_shape)
            for image in as_images(batch, limits)
        )
        pictures = _within(images, smaller, max_bytes)
        if len(pictures) == len(rows):
            break
    return pictures


def _batches(X, rows, image_shape):
    """Read the images of some rows, a bounded number of bytes at a time."""
    shape = getattr(X, "shape", (None, None))[1:]
    step = _BATCH
    if shape and None not in shape:
        row_bytes = 8 * max(1, int(np.prod(shape, dtype=np.int64)))
        step = int(np.clip(_BATCH_BYTES // row_bytes, 1, 512))
    for start in range(0, len(rows), step):
        found = read_rows(X, rows[start : start + step])
        if image_shape is not None:
            found = np.asarray(found).reshape(len(found), *image_shape)
        yield found


def _widest(limits, images):
    """Limits that hold these images, too; they are the same for every picture."""
    if all(np.asarray(image).dtype == np.uint8 for image in images):
        return limits
    low, high = pixel_limits(images)
    return (
        (low, high) if limits is None else (min(low, limits[0]), max(high, limits[1]))
    )


def _largest_side(images, bytes_each):
    """The largest side whose pictures are within their share of the budget."""
    for side in _SIDES:
        sizes = [len(_data_address(image, side)) for image in images]
        # A tenth is left for pictures that are larger than those of the sample.
        if np.mean(sizes) * 1.1 <= bytes_each:
            return side
    return _SIDES[-1]


def _within(images, side, max_bytes):
    """Pictures of images, of the first ones where all together are too large."""
    pictures, used = [], 0
    for image in images:
        picture = _data_address(image, side)
        used += len(picture)
        if used > max_bytes:
            break
        pictures.append(picture)
    return pictures


def _at_most(image, side):
    """One image, smaller where it is large: many large ones take much memory."""
    picture = _picture(image)
    picture.thumbnail((side, side))
    return np.asarray(picture)


def _picture(image):
    """One image as Pillow takes it."""
    return require("PIL.Image", extra="report", by="write_report").fromarray(image)


def _data_address(image, side):
    """One image, at most `side` pixels high and wide."""
    picture = _picture(image)
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
