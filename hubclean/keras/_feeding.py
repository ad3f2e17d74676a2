"""Feed Keras in batches, in an order that we choose, from any X.

Whole batches are read at once, from arrays, data frames, sparse matrices and lazy
columns; what is lazy is read ahead on threads and never held whole. TensorFlow is fed
through `tf.data`, the other backends through a `keras.utils.PyDataset`.
"""

import contextlib
import math
import numbers
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from scipy import sparse

from hubclean._rows import is_lazy
from hubclean.exceptions import ParameterError, ValidationError
from hubclean.keras._randomness import epoch_order

_COPY_BYTES = 1 << 30
_READ_AHEAD = 4
READ_THREADS = 2


class Rows:
    """Rows of X as the network takes them, read a batch at a time.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or lazy column
        The rows.
    transform : callable, keras.layers.Layer or None
        Makes a batch ready for the network.
    """

    def __init__(self, X, transform=None):
        self.X = _sliceable(X)
        self.transform = transform
        self.n = self.X.shape[0]
        self.lazy = is_lazy(self.X)

    @property
    def plain_array(self):
        """The rows as one array of numbers in memory, or None."""
        whole = type(self.X) is np.ndarray and self.X.dtype.kind in "biuf"
        return self.X if whole and self.transform is None else None

    def read(self, indices):
        """Rows at these positions, shape (n, ...), as the network takes them."""
        batch = self._raw(indices)
        if self.transform is not None:
            batch = apply_transform(self.transform, batch)
        elif batch.dtype == object and batch.ndim == 1 and np.ndim(batch[0]) > 0:
            shapes = sorted({np.shape(row) for row in batch})[:2]
            raise ValidationError(
                f"KerasClassifier: the rows of X differ in shape, {shapes[0]} and "
                f"{shapes[-1]} for example, and cannot be one batch. Pass a transform "
                "that resizes them, transform=keras.layers.Resizing(64, 64) for images."
            )
        return _for_keras(batch)

    def _raw(self, indices):
        if self.lazy:
            return np.asarray(self.X.read(indices))
        batch = self.X[indices]
        return batch.toarray() if sparse.issparse(batch) else batch


def _sliceable(X):
    """X in a form whose rows can be taken by an array of positions."""
    if is_lazy(X):
        return X
    if isinstance(X, dict):
        raise ValidationError(
            "KerasClassifier: X must be one array-like of rows; got a dict with the "
            f"keys {sorted(X, key=str)}. Models of several inputs are not supported: "
            "put the columns of X side by side, and split them inside of the model."
        )
    if sparse.issparse(X):
        return sparse.csr_array(X)
    if hasattr(X, "iloc") or hasattr(X, "to_pandas"):
        return _frame_values(X)
    X = X if isinstance(X, np.ndarray) else np.asarray(X)
    if X.ndim == 0:
        raise ValidationError(
            "KerasClassifier: X must be an array-like of rows; got one "
            f"{type(X.item()).__name__}."
        )
    return X


def _frame_values(X):
    """Values of a data frame or series of numbers, or of a series of text."""
    values = X.to_numpy()
    if values.ndim == 2 and values.dtype == object:
        try:
            return values.astype(keras.config.floatx())
        except (TypeError, ValueError) as exc:
            raise ValidationError(
                "KerasClassifier: the columns of X must be numbers; got a data frame "
                f"with other columns ({exc}). Encode them first, with a "
                "ColumnTransformer in a Pipeline for example."
            ) from exc
    return values


def _for_keras(batch):
    """Doubles and booleans as Keras's float type; text as an array of objects."""
    kind = batch.dtype.kind
    if kind == "b" or (kind == "f" and batch.dtype != keras.config.floatx()):
        return batch.astype(keras.config.floatx())
    if kind in "UST" or kind == "O":
        return batch.astype(object)
    return batch


def apply_transform(transform, batch):
    """Apply a transform to a batch; row by row where the rows differ in shape.

    Examples
    --------
    >>> apply_transform(lambda batch: batch / 2, np.array([2.0, 4.0]))
    array([1., 2.])
    """
    if isinstance(transform, keras.layers.Layer):
        call = _layer_call(transform)
    else:
        call = transform
    ragged = batch.dtype == object and batch.ndim == 1 and np.ndim(batch[0]) > 0
    if ragged and call is not transform:
        result = np.concatenate([np.asarray(call(row[None])) for row in batch])
    else:
        result = np.asarray(call(batch))
    if result.shape[:1] != batch.shape[:1]:
        raise ParameterError(
            f"KerasClassifier: transform must give one row for each of the "
            f"{len(batch)} rows of a batch; got shape {result.shape}. It is called "
            "with a whole batch, not with a row."
        )
    return result


def _layer_call(layer):
    """Run a layer on an array, without training it."""

    def call(batch):
        return keras.ops.convert_to_numpy(layer(batch, training=False))

    return call


class Feed:
    """Batches of (rows, targets, weights) in an order known for every epoch.

    Parameters
    ----------
    rows : Rows
        Where rows are read.
    batch_size : int
        Rows of a batch.
    positions : ndarray of int or None
        Positions that take part; None means all.
    targets, weights : ndarray or None
        One for each position that takes part.
    seed : int
        Of the order.
    shuffle : bool
        Whether each epoch has an order of its own.
    """

    def __init__(
        self,
        rows,
        batch_size,
        positions=None,
        targets=None,
        weights=None,
        seed=0,
        shuffle=False,
    ):
        self.rows = rows
        self.batch_size = batch_size
        self.positions = np.arange(rows.n) if positions is None else positions
        self.columns = tuple(c for c in (targets, weights) if c is not None)
        self.seed = seed
        self.shuffle = shuffle
        self.steps = math.ceil(len(self.positions) / batch_size)
        self.failure = None
        self.on_start = None
        self.start(0)

    def start(self, epoch):
        """Take up the order of an epoch; Keras may begin an iteration for nothing."""
        self.order = epoch_order(len(self.positions), self.seed, epoch, self.shuffle)
        if self.on_start is not None:
            self.on_start(self.order)

    def batch(self, taken):
        """Make the batch of some of the positions that take part."""
        try:
            rows = self.rows.read(self.positions[taken])
        except Exception as exc:
            self.failure = exc
            raise
        return (rows, *(column[taken] for column in self.columns))

    def numbered(self, step):
        """Make a batch of the epoch, counted from 0."""
        start = int(step) * self.batch_size
        return self.batch(self.order[start : start + self.batch_size])

    @contextlib.contextmanager
    def own_errors(self):
        """Let an error while reading through as it was, not as TensorFlow wraps it."""
        try:
            yield
        except Exception:
            if self.failure is None:
                raise
            raise self.failure from None

    def for_keras(self):
        """What `keras.Model.fit` and `predict` take as x."""
        if keras.backend.backend() == "tensorflow":
            from hubclean.keras._tensorflow import dataset_of

            return dataset_of(self)
        return FeedSequence(self)


class FeedSequence(keras.utils.PyDataset):
    """A feed for the backends other than TensorFlow; lazy batches are read ahead.

    Keras's own threads would do that too, but begin each epoch with what they read
    before it, when Keras only looked at a batch to build the network.
    """

    def __init__(self, feed):
        super().__init__()
        self.feed = feed
        self.waiting = {}
        self.threads = ThreadPoolExecutor(READ_THREADS) if feed.rows.lazy else None
        feed.on_start = self._forget

    def __len__(self):
        return self.feed.steps

    def __getitem__(self, index):
        if self.threads is None:
            return self.feed.numbered(index)
        for step in range(index, min(index + _READ_AHEAD, self.feed.steps)):
            if step not in self.waiting:
                self.waiting[step] = self.threads.submit(self.feed.numbered, step)
        return self.waiting.pop(index).result()

    def _forget(self, order):
        """Drop what was read in the order of another epoch."""
        for future in self.waiting.values():
            future.cancel()
        self.waiting.clear()


def batch_rows(batch_size, n_rows):
    """Rows of a batch; -1 takes all in one.

    Examples
    --------
    >>> batch_rows(16, 100), batch_rows(-1, 100)
    (16, 100)
    """
    if batch_size is None:
        return 64
    if batch_size == -1:
        return max(1, n_rows)
    if batch_size != int(batch_size) or batch_size < 1:
        raise ParameterError(
            "KerasClassifier: `batch_size` must be a whole number from 1 up, or -1 "
            f"for all rows; got {batch_size!r}."
        )
    return int(batch_size)


def check_epochs(epochs):
    """Epochs to train for, a whole number.

    Examples
    --------
    >>> check_epochs(3)
    3
    """
    if not isinstance(epochs, numbers.Integral) or epochs < 1:
        raise ParameterError(
            "KerasClassifier: `epochs` must be a whole number from 1 up; got "
            f"{epochs!r}. `initialize` builds the network without training it."
        )
    return int(epochs)


def is_copied(rows):
    """Whether the rows are an array small enough to be handed over as a tensor."""
    array = rows.plain_array
    return array is not None and array.nbytes <= _COPY_BYTES
