"""Feed the TensorFlow backend through `tf.data`.

Loaded only where Keras runs on TensorFlow.
"""

import keras
import numpy as np
import tensorflow as tf

from hubclean.keras._feeding import READ_THREADS, is_copied


def dataset_of(feed):
    """`tf.data.Dataset` that gives the batches of a feed, epoch after epoch.

    Parameters
    ----------
    feed : hubclean.keras._feeding.Feed
        The batches.

    Returns
    -------
    dataset : tf.data.Dataset
        Every iteration is one epoch, in the order that the feed has by then.
    """
    steps = tf.data.Dataset.range(feed.steps)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    batches = _gathered(steps, feed) if is_copied(feed.rows) else _read(steps, feed)
    return batches.with_options(options).prefetch(2)


def _gathered(steps, feed):
    """Batches gathered inside TensorFlow from tensors; only the order is Python's."""
    tensors = tuple(map(tf.convert_to_tensor, _arrays(feed)))
    order = tf.Variable(feed.order, trainable=False)
    feed.on_start = order.assign
    size = feed.batch_size

    def batch(step):
        taken = order[step * size : (step + 1) * size]
        return tuple(tf.gather(tensor, taken) for tensor in tensors)

    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _read(steps, feed):
    """Batches made in Python; lazy ones are read ahead on threads."""
    sample = feed.batch(np.arange(min(1, len(feed.positions))))
    dtypes = [_dtype(array) for array in sample]

    def batch(step):
        parts = tf.numpy_function(feed.numbered, [step], dtypes)
        for part, array in zip(parts, sample, strict=True):
            part.set_shape((None, *array.shape[1:]))
        return tuple(parts)

    threads = READ_THREADS if feed.rows.lazy else 1
    return steps.map(batch, num_parallel_calls=threads, deterministic=True)


def _arrays(feed):
    """Rows, targets and weights that take part, in Keras's types."""
    array = feed.rows.plain_array
    if len(feed.positions) != len(array):
        array = array[feed.positions]
    if array.dtype.kind in "bf":
        array = array.astype(keras.config.floatx(), copy=False)
    return (array, *feed.columns)


def _dtype(array):
    """TensorFlow's type of an array."""
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


class Tape:
    """Rows of numbers written down from inside a compiled training step.

    Parameters
    ----------
    n : int
        How many there are room for.
    width : int
        Numbers in a row.
    """

    def __init__(self, n, width):
        self._values = tf.Variable(tf.zeros((n, width)), trainable=False)
        self._written = tf.Variable(0, trainable=False)

    def write(self, values):
        """Write a batch down."""
        count = tf.shape(values)[0]
        where = self._written + tf.range(count)
        self._values.scatter_update(tf.IndexedSlices(values, where))
        self._written.assign_add(count)

    def read(self):
        """Everything written since the last reading."""
        values = self._values.numpy()[: int(self._written.numpy())]
        self._written.assign(0)
        return values
