"""Pixels of an image as bytes, whatever its file holds.

It imports only `hubclean._compat`; Pillow is loaded when an image is read.
"""

import numpy as np

from hubclean._compat import require

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


def fitted(image, size):
    """Square of a side, with the image in its proportions and black around it."""
    operations = require("PIL.ImageOps", extra="report", by="FolderSource")
    return operations.pad(image, (size, size))


def _has_sixteen_bits(image):
    """Whether pixels go up to 65535; Pillow before 11.3 calls such PNG files "I"."""
    return image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PNG")
