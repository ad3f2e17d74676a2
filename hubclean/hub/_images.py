"""Decode image files on threads.

Deep Lake hands out the bytes of an image file several times faster than it decodes
it, and both simplejpeg and Pillow decode without holding the interpreter lock.
simplejpeg gives the same pixels as Pillow in about half the time. It imports only
`hubclean._compat` and `hubclean.exceptions`.
"""

import concurrent.futures
import functools
import io
import os

import numpy as np

from hubclean._compat import require
from hubclean.exceptions import MissingPackageError

#: Pillow modes whose arrays equal what Deep Lake decodes; others are left to it.
_SAME_AS_DEEP_LAKE = ("RGB", "L", "RGBA", "LA")

_JPEG = b"\xff\xd8"
_JPEG_COLORS = {"YCbCr": "RGB", "Gray": "GRAY", "RGB": "RGB"}

#: Stands for an image in a mode that the dataset must decode itself.
OTHER_MODE = object()


@functools.cache
def _pool(n_threads, pid):
    """Threads of one process; a forked child has none of its parent's."""
    return concurrent.futures.ThreadPoolExecutor(n_threads, "hubclean-decode")


def thread_pool(n_threads):
    """Pool of decoding threads that the columns of one process share."""
    return _pool(n_threads, os.getpid())


def default_threads():
    """CPUs that this process may use, at most 16."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        count = os.cpu_count() or 1
    return min(count, 16)


def decode_image(data, out=None):
    """Pixels of one image file, shape (height, width, channels).

    Parameters
    ----------
    data : bytes
        A JPEG or PNG file, or any other that Pillow reads.
    out : ndarray of uint8, shape (height, width, channels), default=None
        A JPEG file of this shape is decoded into it, and it is what is returned.

    Returns
    -------
    pixels : ndarray of uint8, or None
        None where the file is damaged, which Deep Lake itself may not notice: it
        fills in what is missing. `OTHER_MODE` where Deep Lake decodes to other
        values than Pillow (palettes, 1 and 16 bits).
    """
    pixels = _decode_jpeg(data, out) if data.startswith(_JPEG) else None
    if pixels is not None:
        return pixels
    Image = require("PIL.Image", extra="hub", by="hubclean.hub")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode == "CMYK":  # Deep Lake leaves part of it undefined
                image = image.convert("RGB")
            if image.mode not in _SAME_AS_DEEP_LAKE:
                image.load()
                return OTHER_MODE
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # Pillow raises SyntaxError on a broken PNG
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


@functools.cache
def _simplejpeg():
    """Give the package, or None: Pillow does the same, more slowly."""
    try:
        return require("simplejpeg", extra="hub", by="hubclean.hub")
    except MissingPackageError:
        return None


def _jpeg_header(data):
    """Shape and name of the colours of a JPEG file, or None."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None or not data.startswith(_JPEG):
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:  # damaged; or a kind it does not know
        return None
    if colors not in _JPEG_COLORS:
        return None
    colors = _JPEG_COLORS[colors]
    return (height, width, 1 if colors == "GRAY" else 3), colors


def _decode_jpeg(data, out):
    """Pixels of a JPEG file, as Pillow decodes them; None to let Pillow do it."""
    header = _jpeg_header(data)
    if header is None:
        return None
    shape, colors = header
    try:
        if out is None or out.shape != shape:
            return _simplejpeg().decode_jpeg(data, colors)
        _simplejpeg().decode_jpeg(data, colors, buffer=out)
    except ValueError:
        return None
    return out


def decode_images(blobs, n_threads):
    """Give what `decode_image` gives for each of many image files.

    Parameters
    ----------
    blobs : list of bytes
        The files.
    n_threads : int
        Threads that decode.

    Returns
    -------
    images : ndarray of uint8, shape (n_images, height, width, channels), or list
        One array where all are JPEG files of one shape, which spares a copy.
    """
    header = _jpeg_header(blobs[0]) if len(blobs) else None
    if header is None:
        places = [None] * len(blobs)
    else:
        places = batch = np.empty((len(blobs), *header[0]), np.uint8)
    if n_threads == 1 or len(blobs) < 4:
        images = _decode_chunk(blobs, places)
    else:
        step = max(1, -(-len(blobs) // (4 * n_threads)))
        chunks = [slice(at, at + step) for at in range(0, len(blobs), step)]
        decoded = thread_pool(n_threads).map(
            _decode_chunk, [blobs[c] for c in chunks], [places[c] for c in chunks]
        )
        images = [pixels for chunk in decoded for pixels in chunk]
    if header is not None and all(
        isinstance(image, np.ndarray) and image.base is batch for image in images
    ):
        return batch
    return images


def _decode_chunk(blobs, places):
    return [decode_image(*pair) for pair in zip(blobs, places, strict=True)]


def decode_any_image(data):
    """Pixels of one image file in any mode; None where it is damaged."""
    Image = require("PIL.Image", extra="hub", by="hubclean.hub")
    pixels = decode_image(data)
    if pixels is not OTHER_MODE:
        return pixels
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
