"""Pixels of an image as bytes, whatever its file holds.

It imports only `hubclean._compat` and `hubclean.exceptions`; Pillow is loaded when an
image is read.
"""

import numpy as np

from hubclean._compat import require
from hubclean.exceptions import DatasetError

_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
#: Modes of Pillow without colour.
_GREY = frozenset({"1", "L", "LA"}) | _SIXTEEN_BITS
_WITH_ALPHA = frozenset({"LA", "PA", "RGBA", "RGBa"})
_WHITE = (255, 255, 255, 255)
#: 65535 / 255: pixels of 16 bits are brought to 8 by their whole range.
_STEPS = 257


def unknown_range(image):
    """Whether nothing tells which numbers of an image are black and white.

    Parameters
    ----------
    image : PIL.Image.Image
        As it was opened.

    Returns
    -------
    unknown : bool
        True for floating numbers and whole numbers of 32 bits.
    """
    return image.mode == "F" or (image.mode == "I" and image.format != "PNG")


def is_grey(image):
    """Whether an image has no colours."""
    return image.mode in _GREY or _has_sixteen_bits(image)


def as_bytes(image, *, grey):
    """Image of 8 bits: what is transparent is white, 16 bits are scaled.

    Parameters
    ----------
    image : PIL.Image.Image
        One whose range is known.
    grey : bool
        Give one channel and not three.

    Returns
    -------
    image : PIL.Image.Image
        In the mode "L" or "RGB".

    Examples
    --------
    >>> from PIL import Image
    >>> clear = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    >>> as_bytes(clear, grey=False).getpixel((0, 0))
    (255, 255, 255)
    >>> half = Image.fromarray(np.array([[32896]], dtype=np.uint16))
    >>> as_bytes(half, grey=True).getpixel((0, 0))
    128
    """
    pillow = require("PIL.Image", extra="report", by="FolderSource")
    if _has_sixteen_bits(image):
        image = pillow.fromarray((np.asarray(image) // _STEPS).astype(np.uint8))
    elif image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        image = pillow.alpha_composite(pillow.new("RGBA", image.size, _WHITE), image)
    return image.convert("L" if grey else "RGB")


def image_of(pixels):
    """Image of an array.

    Parameters
    ----------
    pixels : ndarray of bool, uint8 or uint16, shape (height, width[, 1 to 4])
        Two and four channels have the transparency last.

    Returns
    -------
    image : PIL.Image.Image
        Of 8 bits.

    Raises
    ------
    DatasetError
        If the array is of another type or shape.

    Examples
    --------
    >>> image_of(np.full((2, 3, 1), 65535, dtype=np.uint16)).getpixel((0, 0))
    255
    """
    pillow = require("PIL.Image", extra="report", by="An image")
    pixels = np.asarray(pixels)
    channels = pixels.shape[2:] or (1,)
    if (
        pixels.dtype not in (bool, np.uint8, np.uint16)
        or pixels.ndim not in (2, 3)
        or channels[0] not in (1, 2, 3, 4)
    ):
        raise DatasetError(
            "Images of 8 or 16 bits and 1 to 4 channels, which come last, can be "
            f"brought to a size; got {pixels.dtype} of shape {pixels.shape}."
        )
    if pixels.dtype != np.uint8:
        scaled = pixels // _STEPS if pixels.dtype == np.uint16 else pixels * 255
        pixels = scaled.astype(np.uint8)
    return pillow.fromarray(pixels[..., 0] if channels == (1,) and pixels.ndim == 3
                            else pixels)  # fmt: skip


def fitted(image, size):
    """Square of a side, with the image in its proportions and black around it."""
    operations = require("PIL.ImageOps", extra="report", by="FolderSource")
    return operations.pad(image, (size, size))


def _has_sixteen_bits(image):
    """Whether pixels go up to 65535; Pillow before 11.3 calls such PNG files "I"."""
    return image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PNG")
