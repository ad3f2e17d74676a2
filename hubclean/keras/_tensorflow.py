"""Feed the TensorFlow backend through `tf.data`.

Loaded only where Keras runs on TensorFlow.
"""

import keras
import numpy as np
import tensorflow as tf

from hubclean.keras._feeding import is_copied


def dataset_of(feed):
    """`tf.data.Dataset` that gives the batches of a feed, epoch after epoch.

    Parameters
    ----------
    feed : hubclean.keras._feeding.Feed
        The batches.

    Returns
    -------
    dataset : tf.data.Dataset
        Every iteration is one epoch.
    """
    data = _gathered(feed) if is_copied(feed.rows) else _generated(feed)
    data = data.apply(tf.data.experimental.assert_cardinality(feed.steps))
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return data.with_options(options).prefetch(2)


def _gathered(feed):
    """Batches gathered inside TensorFlow from tensors; only orders come from Python."""
    tensors = tuple(map(tf.convert_to_tensor, _arrays(feed)))
    orders = tf.data.Dataset.from_generator(
        lambda: iter([feed.order]),
        output_signature=tf.TensorSpec((len(feed.positions),), tf.int64),
    )
    batches = orders.flat_map(
        lambda order: tf.data.Dataset.from_tensor_slices(order).batch(feed.batch_size)
    )
    return batches.map(
        lambda taken: tuple(tf.gather(tensor, taken) for tensor in tensors),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _arrays(feed):
    """Rows, targets and weights that take part, in Keras's types."""
    array = feed.rows.plain_array
    if len(feed.positions) != len(array):
        array = array[feed.positions]
    if array.dtype.kind in "bf":
        array = array.astype(keras.config.floatx(), copy=False)
    return (array, *feed.columns)


def _generated(feed):
    """Batches made in Python."""
    sample = feed.batch(np.arange(min(1, len(feed.positions))))
    return tf.data.Dataset.from_generator(
        feed.epoch,
        output_signature=tuple(map(_spec, sample)),
    )


def _spec(array):
    """Type of a batch like this one, of any length."""
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    return tf.TensorSpec((None, *array.shape[1:]), dtype)


class Tape:
    """Numbers written down from inside a compiled training step.

    Parameters
    ----------
    n : int
        How many there are room for.
    """

    def __init__(self, n):
        self._values = tf.Variable(tf.zeros(n), trainable=False)
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
