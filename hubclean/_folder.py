"""A folder of images sorted by class, as lazy X and y.

``folder/CLASS/**/IMAGE``: the folder just inside names the class. It imports only
`hubclean._compat`, `hubclean._labels_version`, `hubclean._lazy_column`,
`hubclean._pixels` and `hubclean.exceptions`; Pillow is loaded when an image is read.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hubclean._compat import require
from hubclean._labels_version import FOLDER_PREFIX
from hubclean._lazy_column import LazyRows
from hubclean._pixels import as_bytes, fitted, is_grey, unknown_range
from hubclean.exceptions import BadRowsError, DatasetError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
_NAMED = 5
_THREADS = 4

_NO_IMAGE = "no image, or a damaged one"
_TOO_LARGE = "more pixels than Pillow opens"
_NO_RANGE = "pixels of no known range; save whole numbers of 8 or 16 bits"


def class_folders(folder):
    """Folders just inside that hold images, sorted; empty where there are none.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    folders : list of Path

    Raises
    ------
    DatasetError
        If one of them may not be read: it is not left out without a word.
    """
    inside = [p for p in Path(folder).iterdir() if p.is_dir() and p.name[0] not in "._"]
    return sorted(p for p in inside if next(_images(p), None) is not None)


def _images(folder):
    """Image files in a folder and below, in no order."""
    try:
        for inside, _, names in os.walk(folder, onerror=_raise):
            files = (Path(inside, name) for name in names)
            yield from (
                file
                for file in files
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
    except OSError as exc:
        raise DatasetError(
            f"{folder}: expected a folder that can be read; {exc.filename}: "
            f"{exc.strerror}. Allow to read and enter it, or move it away."
        ) from exc


def _raise(error):
    """What `os.walk` shall do about a folder that it cannot read."""
    raise error


class FolderSource:
    """X and y of a folder of images sorted by class.

    Pixels are bytes: those of 16 bits are scaled by their whole range, what is
    transparent is white.

    Parameters
    ----------
    folder : str or Path
        With one folder for each class.
    size : int, default=None
        Make every image that many pixels high and wide, with its proportions kept and
        black around it. None leaves images as they are.

    Attributes
    ----------
    X : FolderColumn
        The images, read when they are asked for.
    y : ndarray of str, shape (n_samples,)
        Names of the classes.
    names : list of str
        Path of each image inside the folder.
    version : str
        Names the files and their sizes.

    Raises
    ------
    DatasetError
        If there is no folder, there are no images in folders inside it, or one of
        these may not be read.
    """

    def __init__(self, folder, *, size=None):
        folder = Path(folder)
        if not folder.is_dir():
            raise DatasetError(f"{folder}: there is no such folder.")
        classes = class_folders(folder)
        if not classes:
            raise DatasetError(
                f"{folder}: expected one folder for each class, with images inside; "
                "found none. Images end in " + ", ".join(sorted(SUFFIXES)) + "."
            )
        files = [file for inside in classes for file in sorted(_images(inside))]
        self.folder = folder
        self.names = [file.relative_to(folder).as_posix() for file in files]
        self.y = np.array([name.partition("/")[0] for name in self.names])
        self.version, written = _versions(folder, self.names)
        self.X = FolderColumn(folder, self.names, written, size)

    def __len__(self):
        return len(self.names)


def _versions(folder, names):
    """Names of the files with their sizes, and with when they were written as well.

    A copy of the folder has the first in common with it, as decisions hold for both.
    """
    by_size, by_time = hashlib.sha256(), hashlib.sha256()
    for name in names:
        file = (folder / name).stat()
        line = f"{name}\x1f{file.st_size}\x1e".encode("utf-8", "surrogateescape")
        by_size.update(line)
        by_time.update(line + str(file.st_mtime_ns).encode())
    return tuple(
        f"{FOLDER_PREFIX}{found.hexdigest()[:16]}" for found in (by_size, by_time)
    )


class FolderColumn(LazyRows):
    """Images of a folder as a lazy column."""

    dtype = np.dtype(np.uint8)

    def __init__(self, folder, names, written, size, row_ids=None, row_shape=None):
        self.folder, self.names, self.written, self.size = folder, names, written, size
        self.row_ids = np.arange(len(names)) if row_ids is None else row_ids
        self.row_shape = self._row_shape() if row_shape is None else row_shape

    @property
    def identity(self):
        """Folder, its files with when they were written, and size."""
        return ("folder", str(self.folder.resolve()), self.written, str(self.size))

    def _row_shape(self):
        """Shape of one image, from the heads of the files."""
        heads = [self._head(row) for row in range(len(self.names))]
        self._refuse(dict(enumerate(heads)))
        shapes = set(heads)
        grey_only = all(grey for *_, grey in shapes)
        heights, widths = {h for h, *_ in shapes}, {w for _, w, _ in shapes}
        sides = (
            (self.size, self.size)
            if self.size
            else tuple(s.pop() if len(s) == 1 else None for s in (heights, widths))
        )
        return sides if grey_only else (*sides, 3)

    def _head(self, row):
        """Height, width and whether it is grey of one image; text says what is bad."""
        return self._opened(row, lambda image: (*image.size[::-1], is_grey(image)))

    def _opened(self, row, read):
        """What a function makes of one image; text where it cannot be read."""
        pillow = require("PIL.Image", extra="report", by="FolderSource")
        try:
            with pillow.open(self.folder / self.names[row]) as image:
                return _NO_RANGE if unknown_range(image) else read(image)
        except pillow.DecompressionBombError:
            return _TOO_LARGE
        except (OSError, SyntaxError, ValueError):  # all three are Pillow's own, too
            return _NO_IMAGE

    def _refuse(self, images):
        """Say which of these rows are text that says what is wrong, if any are."""
        bad = {row: why for row, why in images.items() if isinstance(why, str)}
        if not bad:
            return
        named = [f"{self.names[row]} ({why})" for row, why in bad.items()][:_NAMED]
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise BadRowsError(
            f"{self.folder}: {len(bad)} files cannot be read as images: "
            f"{', '.join(named)}{more}. Mend or remove them.",
            rows=list(bad),
        )

    def _taken(self, positions):
        row_ids, of = self.row_ids[positions], (self.folder, self.names, self.written)
        return FolderColumn(*of, self.size, row_ids, self.row_shape)

    def _rows_at(self, positions):
        rows = self.row_ids[positions]
        with ThreadPoolExecutor(_THREADS) as threads:
            images = list(threads.map(self._decode, rows.tolist()))
        self._refuse(dict(zip(rows.tolist(), images, strict=True)))
        if None not in self.row_shape:
            return np.stack(images) if images else np.empty((0, *self.row_shape), "u1")
        array = np.empty(len(images), dtype=object)
        array[:] = images
        return array

    def _decode(self, row):
        """One image as an array; text where it cannot be read."""
        return self._opened(row, self._pixels)

    def _pixels(self, image):
        """Pixels of an image that is open."""
        image = as_bytes(image, grey=len(self.row_shape) == 2)
        if self.size and image.size != (self.size, self.size):
            image = fitted(image, self.size)
        return np.asarray(image)
