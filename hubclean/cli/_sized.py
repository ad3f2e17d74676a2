"""Images of a Hub dataset, brought to one size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hubclean._lazy_column import LazyRows
from hubclean._pixels import as_bytes, fitted, image_of
from hubclean.exceptions import DatasetError

_THREADS = 4
_LOOKED_AT = 64


class SizedColumn(LazyRows):
    """Images of a lazy column with one size.

    Parameters
    ----------
    column : lazy column
        Images, which may differ in size and in their channels.
    size : int or None
        Bring each to three channels of bytes and that many pixels high and wide, with
        its proportions kept and black around it. None refuses images that differ.
    """

    def __init__(self, column, size):
        self.column, self.size = column, size

    @property
    def row_shape(self):
        """(height, width, channels); None for what is not known."""
        if self.size is None:
            return self.column.shape[1:]
        return (self.size, self.size, 3)

    @property
    def dtype(self):
        """Type of one element."""
        return self.column.dtype if self.size is None else np.dtype(np.uint8)

    @property
    def identity(self):
        """What tells the images, and their size."""
        identity = self.column.identity
        return identity if self.size is None else (*identity, f"size {self.size}")

    @property
    def row_ids(self):
        """Position of every row in the dataset."""
        return self.column.row_ids

    def _taken(self, positions):
        return SizedColumn(self.column[positions], self.size)

    def _rows_at(self, positions):
        images = self.column.read(positions)
        if self.size is None:
            return _alike(images)
        if not len(images):
            return np.empty((0, *self.row_shape), self.dtype)
        with ThreadPoolExecutor(_THREADS) as threads:
            return np.stack(list(threads.map(self._fitted, images)))

    def _fitted(self, pixels):
        """One image in the size."""
        image = as_bytes(image_of(pixels), grey=False)
        return np.asarray(fitted(image, self.size))


def some_shapes(column):
    """Shapes of images from all over a column, read to see whether they are alike.

    Returns
    -------
    shapes : set of tuple
    """
    last = max(len(column) - 1, 0)
    rows = np.unique(np.linspace(0, last, _LOOKED_AT).astype(int))
    return {np.shape(image) for image in column.read(rows[: len(column)])}


def _alike(images):
    """Images as one array, if they have one shape."""
    if images.dtype != object or not len(images):
        return images
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        raise DatasetError(
            f"The images differ in size, {shapes[0]} and {shapes[-1]} for example. "
            "Bring them to one with --size 96."
        )
    return np.stack(list(images))
