"""Batches of rows, labels and row numbers, fetched whole and ahead of time."""

import collections
import contextlib
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from hubclean.exceptions import ParameterError
from hubclean.pytorch._columns import ONE_ARRAY
from hubclean.pytorch._randomness import Randomness, seeded
from hubclean.pytorch._tensors import channels_are_first, resized

_AHEAD = 2
_NUMBERS = "biufc"


class Batch(tuple):
    """Pair of inputs and label codes that also knows which rows it holds.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Positions in the training data.
    weights : Tensor of shape (n,), or None
        What each row counts for; None where all count the same.
    """

    def __new__(cls, inputs, codes, rows, weights=None):
        batch = super().__new__(cls, (inputs, codes))
        batch.rows = rows
        batch.weights = weights
        return batch

    def __getnewargs__(self):
        return (self[0], self[1], self.rows, self.weights)


class BatchDataset(torch.utils.data.Dataset):
    """Rows and label codes, fetched a batch at a time.

    Parameters
    ----------
    rows : ArrayRows or LazyRows
        Inputs.
    codes : ndarray of int, shape (n_samples,) or None
        Labels coded 0 to n_classes - 1; zeros when None.
    transform : callable or None
        Applied to every row.
    seed : int
        What random transforms draw, those inside a dataset too, depends on it, on the
        epoch and on the rows of the batch alone, so it is the same for any number of
        workers.
    resize : int or None
        Side of the squares that images of differing sizes are brought to.

    Attributes
    ----------
    weights : Tensor of shape (n_samples,), or None
        What each row counts for; None where all count the same.
    """

    def __init__(self, rows, codes=None, transform=None, seed=0, resize=None):
        self.rows = rows
        self.weights = None
        codes = np.zeros(len(rows), dtype=np.int64) if codes is None else codes
        self.codes = torch.from_numpy(np.ascontiguousarray(codes, dtype=np.int64))
        self.transform = transform
        self.seed = seed
        self.resize = resize
        self.epoch = 0

    @property
    def slow(self):
        """Whether fetching is worth doing ahead of time."""
        return self.rows.slow or self.transform is not None

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        inputs, codes = self.__getitems__([index])
        return inputs[0], codes[0]

    def __getitems__(self, indices):
        """Fetch the batch of these rows."""
        indices = np.asarray(indices, dtype=np.int64)
        draw = zlib.crc32(indices.tobytes(), self.epoch) + (self.seed << 32)
        numbers = Randomness(draw)
        with numbers if self.rows.draws else contextlib.nullcontext():
            rows = self.rows.read(indices)
        if len(rows) != len(indices):
            raise ParameterError(
                f"skorch: X must give as many rows as it is asked for; it gave "
                f"{len(rows)} for a batch of {len(indices)}. Mend its read()."
            )
        if self.transform is None:
            inputs = as_batch(rows, self.resize)
        else:
            with numbers:
                inputs = transformed(rows, self.transform)
        weights = None if self.weights is None else self.weights[indices]
        return Batch(inputs, self.codes[indices], indices, weights)


def as_batch(rows, resize=None):
    """Tensor of rows as they were read.

    Parameters
    ----------
    rows : ndarray or Tensor of shape (n, ...), or ndarray of n objects
        As a column gives them.
    resize : int or None
        Side of the squares that images of differing sizes are brought to.

    Returns
    -------
    batch : Tensor of shape (n, ...)
        In the type in which it travels to the device.

    Raises
    ------
    ParameterError
        If the rows differ in shape, or are no numbers.
    """
    if isinstance(rows, torch.Tensor):
        return rows
    if rows.dtype.kind == "O":
        rows = _stacked(rows, resize)
    if rows.dtype.kind not in _NUMBERS:
        _numbers(rows[0])
    if rows.dtype.kind == "u" and rows.dtype.itemsize > 1:
        rows = rows.astype(np.int64)
    if rows.dtype.kind == "f" and rows.dtype != np.float32:
        rows = rows.astype(np.float32)
    if (
        not (rows.flags.writeable and rows.flags.c_contiguous)
        or not rows.dtype.isnative
    ):
        rows = rows.astype(rows.dtype.newbyteorder("="), order="C", copy=True)
    return torch.from_numpy(rows)


def _stacked(rows, resize):
    """Rows of objects as one array."""
    rows = [_numbers(row) for row in rows]
    if resize is not None:
        rows = [_square(row, resize) for row in rows]
    shapes = sorted({row.shape for row in rows})
    if len(shapes) > 1:
        raise ParameterError(
            f"skorch: the images of a batch must have one size; got {shapes[0]} and "
            f"{shapes[1]}. Pass resize=64, or a `transform` that resizes."
        )
    return np.stack(rows)


def _numbers(row):
    """Array of the numbers of a row; an error where it holds something else."""
    try:
        array = np.asarray(row)
    except ValueError:  # arrays of several shapes
        array = np.empty((), dtype=object)
    if array.dtype.kind in _NUMBERS:
        return array
    parts = f" of length {len(row)}" if isinstance(row, tuple | list | dict) else ""
    raise ParameterError(
        "skorch: the input of a row must be an array of numbers; got a "
        f"{type(row).__name__}{parts}. {ONE_ARRAY} Or pass a `transform` that makes an "
        "array of it."
    )


def _square(image, side):
    """Image (height, width) or (height, width, channels) as a square, type kept."""
    planes = torch.from_numpy(np.atleast_3d(image).astype(np.float32)).permute(2, 0, 1)
    square = resized(planes.unsqueeze(0), side)[0].permute(1, 2, 0).numpy()
    if image.dtype.kind in "iu":
        square = square.round()
    return square.astype(image.dtype).reshape(side, side, *image.shape[2:])


def transformed(rows, transform):
    """Batch of what a transform makes of every row, with channels first.

    Tensors have them there, as torchvision makes them; arrays and PIL images, last.

    Raises
    ------
    ParameterError
        If the transform gives something else, or shapes that differ.
    """
    made = [_transformed_row(row, transform) for row in rows]
    shapes = sorted({tuple(row.shape) for row in made})
    if len(shapes) > 1:
        raise ParameterError(
            f"skorch: `transform` must give rows of one shape; got {shapes[0]} and "
            f"{shapes[1]}. Add a resizing step to it."
        )
    if isinstance(made[0], torch.Tensor):
        return torch.stack(made)
    batch = as_batch(np.stack(made))
    if batch.ndim == 4 and not channels_are_first(batch.shape):
        batch = batch.permute(0, 3, 1, 2)
    return batch


def _transformed_row(row, transform):
    result = transform(row)
    if isinstance(result, torch.Tensor):
        return result
    array = np.asarray(result) if result is not None else None
    if array is None or array.dtype.kind not in "biuf":
        raise ParameterError(
            "skorch: `transform` must return a tensor, a numeric array or a PIL image; "
            f"got {type(result).__name__} for a row of shape {np.shape(row)}. Check "
            "that its last step returns the image."
        )
    return array


class BatchLoader:
    """Iterate over the batches of a dataset, fetched by threads ahead of time.

    Parameters
    ----------
    dataset : Dataset with ``__getitems__``
        Gives a whole batch for a list of row numbers.
    batch_size : int
        Rows of a batch. A last batch of one row joins the one before, because batch
        normalisation cannot train on a single row.
    seed : int or None
        Shuffle by it, differently in every epoch; None keeps the order.
    threads : int
        How many fetch ahead; 0 fetches when the batch is asked for.
    """

    def __init__(self, dataset, batch_size, seed=None, threads=0):
        self.dataset = dataset
        self.batch_size = batch_size
        self.threads = threads
        self.order = BatchOrder(len(dataset), batch_size, seed)

    def __len__(self):
        return len(self.order)

    def __iter__(self):
        fetch = self.dataset.__getitems__
        if not self.threads:
            yield from map(fetch, self.order)
            return
        waiting = collections.deque()
        with ThreadPoolExecutor(self.threads, "hubclean-batches") as pool:
            try:
                for indices in self.order:
                    waiting.append(pool.submit(fetch, indices))
                    if len(waiting) > self.threads + _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


class BatchOrder(torch.utils.data.Sampler):
    """Row numbers of every batch of an epoch.

    Parameters
    ----------
    n_samples, batch_size : int
        Rows, and rows of a batch.
    seed : int or None
        Shuffle by it; None keeps the order.

    Examples
    --------
    >>> [len(batch) for batch in BatchOrder(9, 4)]
    [4, 5]
    """

    def __init__(self, n_samples, batch_size, seed=None):
        self.n_samples = n_samples
        self.batch_size = max(1, min(batch_size, n_samples))
        self.generator = None if seed is None else seeded(seed)

    def __len__(self):
        full, rest = divmod(self.n_samples, self.batch_size)
        return full + (rest > 1)

    def __iter__(self):
        if self.generator is None:
            order = np.arange(self.n_samples)
        else:
            order = torch.randperm(self.n_samples, generator=self.generator).numpy()
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        for start in starts:
            last = start == starts[-1]
            yield order[start : None if last else start + self.batch_size]
