"""Keep decoded images, up to a number of bytes, in memory or in a file.

Which rows are kept is settled by their position, not by their use: epochs and folds
go through all rows again and again, where keeping the newest would keep none in time.
It imports `_images` of this folder.
"""

import dataclasses
import hashlib
import json
import os

import numpy as np

from hubclean.exceptions import ParameterError
from hubclean.hub._images import thread_pool

_PARALLEL_BYTES = 1 << 22


@dataclasses.dataclass(frozen=True)
class DecodedCache:
    """How many bytes of decoded images may be kept, and where.

    Parameters
    ----------
    max_bytes : int
        Bound in bytes. What does not fit is decoded again each time.
    folder : str, optional
        Keep them in memory-mapped files in this folder, which worker processes and
        later runs share; images of different sizes are kept for one process only.
        In memory when None, in each process.

    Raises
    ------
    ParameterError
        If `max_bytes` is not a positive integer.

    Examples
    --------
    >>> DecodedCache(1 << 30)
    DecodedCache(max_bytes=1073741824, folder=None)
    """

    max_bytes: int
    folder: str | None = None

    def __post_init__(self):
        if not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise ParameterError(
                "DecodedCache: `max_bytes` must be a positive integer; got "
                f"{self.max_bytes!r}."
            )

    @classmethod
    def of(cls, cache):
        """Make one of what `hub.open` was given."""
        return cache if cache is None or isinstance(cache, cls) else cls(cache)

    def keep(self, identity, n_rows, n_threads):
        """Storage for the rows of one tensor at one version."""
        return KeptImages(self, identity, n_rows, n_threads)


class KeptImages:
    """Decoded rows of one tensor.

    Rows that all have one shape are kept in slots, the row's position being the
    slot's; rows of different shapes one behind the other.
    """

    def __init__(self, spec, identity, n_rows, n_threads):
        self._spec = spec
        self._n_rows = n_rows
        self._n_threads = n_threads
        key = repr((identity, spec.max_bytes)).encode()
        self._name = hashlib.blake2b(key, digest_size=12).hexdigest()
        self._slots = None
        self._pile = None
        if spec.folder is not None:
            self._find_slots()

    def read(self, rows, decode):
        """Rows as arrays, decoding those that are not kept.

        Parameters
        ----------
        rows : ndarray of int
            Positions in the dataset.
        decode : callable
            ``decode(rows)`` gives a list of arrays.

        Returns
        -------
        images : ndarray, or list of ndarray where shapes differ
        """
        if len(rows) == 0:
            return []
        if self._slots is None and self._pile is None:
            return self._read_first(rows, decode)
        if self._pile is not None:
            return self._read_piled(rows, decode)
        return self._read_slots(rows, decode)

    def _find_slots(self):
        """Take up the file of an earlier run, or of another process."""
        try:
            with open(self._file(".json")) as file:
                shape, dtype = json.load(file)
        except FileNotFoundError:
            return
        example = np.empty(shape, dtype)
        self._slots = _Slots(self._file(".pixels"), self._spec, self._n_rows, example)

    def _make_slots(self, example):
        self._slots = _Slots(self._file(".pixels"), self._spec, self._n_rows, example)
        if self._spec.folder is not None:
            draft = self._file(f".json{os.getpid()}")
            with open(draft, "w") as file:
                json.dump([example.shape, example.dtype.str], file)
            os.replace(draft, self._file(".json"))

    def _read_first(self, rows, decode):
        """Decode, and settle from what came how to keep it."""
        images = decode(rows)
        if len({(image.shape, image.dtype) for image in images}) == 1:
            self._make_slots(images[0])
            self._slots.put(rows, images)
        else:
            self._pile = _Pile(self._file(f".pile{os.getpid()}"), self._spec.max_bytes)
            self._pile.put(rows, images)
        return images

    def _file(self, ending):
        """Path of a file for this tensor, or None for memory."""
        if self._spec.folder is None:
            return None
        os.makedirs(self._spec.folder, exist_ok=True)
        return os.path.join(self._spec.folder, self._name + ending)

    def _read_slots(self, rows, decode):
        slots = self._slots
        kept = slots.has(rows)
        if kept.all():
            return self._gather(rows)
        images = decode(rows[~kept])
        slots.put(rows[~kept], images)
        if any(image.shape != slots.shape for image in images):
            return _merge_lists(rows, kept, slots.pixels, images)
        out = np.empty((len(rows), *slots.shape), dtype=slots.pixels.dtype)
        out[kept] = slots.pixels[rows[kept]]
        for position, image in zip(np.flatnonzero(~kept), images, strict=True):
            out[position] = image
        return out

    def _gather(self, rows):
        """Copy slots out, on threads where there is much to copy."""
        pixels = self._slots.pixels
        out = np.empty((len(rows), *self._slots.shape), dtype=pixels.dtype)
        if out.nbytes < _PARALLEL_BYTES or self._n_threads == 1:
            np.take(pixels, rows, axis=0, out=out, mode="clip")
            return out
        edges = np.linspace(0, len(rows), self._n_threads + 1).astype(int)

        def copy(low, high):
            np.take(pixels, rows[low:high], axis=0, out=out[low:high], mode="clip")

        list(thread_pool(self._n_threads).map(copy, edges[:-1], edges[1:]))
        return out

    def _read_piled(self, rows, decode):
        images = [self._pile.get(row) for row in rows.tolist()]
        missing = [i for i, image in enumerate(images) if image is None]
        if missing:
            decoded = decode(rows[missing])
            self._pile.put(rows[missing], decoded)
            for position, image in zip(missing, decoded, strict=True):
                images[position] = image
        return images


class _Slots:
    """One slot for each of the first rows, as many as fit."""

    def __init__(self, path, spec, n_rows, example):
        self.shape = tuple(example.shape)
        self.capacity = min(n_rows, spec.max_bytes // (example.nbytes + 1))
        self.pixels = _array(path, (self.capacity, *example.shape), example.dtype)
        self.filled = _array(path and f"{path}.filled", (self.capacity,), np.bool_)

    def has(self, rows):
        """Which of these rows are kept."""
        inside = rows < self.capacity
        inside[inside] = self.filled[rows[inside]]
        return inside

    def put(self, rows, images):
        """Keep rows that have a slot; the mark comes after the pixels."""
        for row, image in zip(rows.tolist(), images, strict=True):
            if row < self.capacity and image.shape == self.shape:
                self.pixels[row] = image
                self.filled[row] = True


class _Pile:
    """Rows of any shape, one behind the other until there is no more room."""

    def __init__(self, path, max_bytes):
        self._bytes = _array(path, (max_bytes,), np.uint8)
        if path is not None:
            os.remove(path)  # of no use to another process: it lives on while open
        self._end = 0
        self._places = {}

    def get(self, row):
        """Return a copy of a row, or None where it is not kept."""
        place = self._places.get(row)
        if place is None:
            return None
        start, stop, shape, dtype = place
        return self._bytes[start:stop].copy().view(dtype).reshape(shape)

    def put(self, rows, images):
        for row, image in zip(rows.tolist(), images, strict=True):
            start, stop = self._end, self._end + image.nbytes
            if row in self._places or stop > len(self._bytes):
                continue
            self._bytes[start:stop] = np.ascontiguousarray(image).reshape(-1).view("u1")
            self._end = stop
            self._places[row] = (start, stop, image.shape, image.dtype)


def _array(path, shape, dtype):
    """Array of zeros in memory, which takes room as it is filled, or in a file."""
    if path is None or 0 in shape:
        return np.zeros(shape, dtype)
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with open(path, "ab") as file:
        file.truncate(n_bytes)
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)


def _merge_lists(rows, kept, pixels, images):
    """Rows of different shapes, as a list."""
    fresh = iter(images)
    return [
        pixels[row].copy() if is_kept else next(fresh)
        for row, is_kept in zip(rows.tolist(), kept.tolist(), strict=True)
    ]
