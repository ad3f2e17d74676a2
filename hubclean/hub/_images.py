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


def decode_image(data):
    """Pixels of one image file, shape (height, width, channels).

    Parameters
    ----------
    data : bytes
        A JPEG or PNG file, or any other that Pillow reads.

    Returns
    -------
    pixels : ndarray of uint8, or None
        None where the file is damaged, which Deep Lake itself may not notice: it
        fills in what is missing. `OTHER_MODE` where Deep Lake decodes to other
        values than Pillow (palettes, 1 and 16 bits).
    """
    pixels = _decode_jpeg(data) if data.startswith(_JPEG) else None
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


def _decode_jpeg(data):
    """Pixels of a JPEG file, as Pillow decodes them; None to let Pillow do it."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        colors = simplejpeg.decode_jpeg_header(data)[2]
        if colors not in _JPEG_COLORS:
            return None
        return simplejpeg.decode_jpeg(data, _JPEG_COLORS[colors])
    except ValueError:  # damaged; or a kind it does not know
        return None


def decode_images(blobs, n_threads):
    """Give what `decode_image` gives for each of many image files."""
    if n_threads == 1 or len(blobs) < 4:
        return [decode_image(blob) for blob in blobs]
    step = max(1, -(-len(blobs) // (4 * n_threads)))
    chunks = [blobs[start : start + step] for start in range(0, len(blobs), step)]
    decoded = thread_pool(n_threads).map(_decode_chunk, chunks)
    return [pixels for chunk in decoded for pixels in chunk]


def _decode_chunk(blobs):
    return [decode_image(blob) for blob in blobs]


def decode_any_image(data):
    """Pixels of one image file in any mode; None where it is damaged."""
    Image = require("PIL.Image", extra="hub", by="hubclean.hub")
    pixels = decode_image(data)
    if pixels is not OTHER_MODE:
        return pixels
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
