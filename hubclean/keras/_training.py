"""What hubclean does while Keras trains, through callbacks."""

import contextlib
import copy
import math

import keras
import numpy as np

from hubclean._progress import epoch_done
from hubclean.exceptions import EstimatorError, TrainingError

_SMALLEST = 1e-30


class Watch(keras.callbacks.Callback):
    """Starts the order of each epoch, looks at its loss, moves the progress bar."""

    def __init__(self, feed, fold=None):
        super().__init__()
        self._feed = feed
        self._where = "" if fold is None else f" of fold {fold + 1}"

    def on_epoch_begin(self, epoch, logs=None):
        """Take up the order of the epoch."""
        self._feed.start(epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Stop when the loss is no number."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise TrainingError(
                f"KerasClassifier: the loss became {loss} in epoch {epoch + 1} of "
                f"{self.params['epochs']}{self._where}. Lower the learning rate "
                "(optimizer__learning_rate), or look for NaN and very large values "
                "in X."
            )
        epoch_done()


class Evaluation(keras.callbacks.Callback):
    """Averages the class probabilities of some other rows over the last epochs.

    Parameters
    ----------
    predict : callable
        Gives the probabilities, shape (n, n_classes), by the network as it is.
    first : int
        First epoch that is averaged.
    """

    def __init__(self, predict, first):
        super().__init__()
        self._predict = predict
        self._first = first
        self._sum = 0.0
        self._epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        """Add what this epoch says."""
        if epoch >= self._first:
            self._sum = self._sum + self._predict()
            self._epochs += 1

    def mean(self):
        """Mean over the epochs, shape (n, n_classes).

        A callback may have stopped the training before the first of them.
        """
        return self._sum / self._epochs if self._epochs else self._predict()


class Margins(keras.callbacks.Callback):
    """Margins of the given labels, and probabilities, from the training passes.

    The margin of a row is the logit of its label less the largest other logit [1]_.
    What the network gave for a batch is caught where Keras updates its metrics, so
    no row is passed through the network once more.

    Parameters
    ----------
    feed : Feed
        What the network trains on; it knows the order of every epoch.
    targets : Targets
        What the outputs mean.
    n_rows : int
        Rows of X; those that do not take part in the training get NaN.

    References
    ----------
    .. [1] Pleiss, Zhang, Elenberg, Weinberger, NeurIPS 2020, eq. 1.
    """

    def __init__(self, feed, targets, n_rows):
        super().__init__()
        self._feed = feed
        self._targets = targets
        self._n_rows = n_rows
        n_outputs = 1 if targets.form == "column" else targets.n_classes
        self._tape = _tape(len(feed.positions), 1 + n_outputs)
        self._training = False
        self.history = []
        self._total = np.zeros((n_rows, targets.n_classes), dtype=np.float32)

    def watch(self, network):
        """Catch the outputs of this network's training steps from now on."""
        train_step, compute_metrics = network.train_step, network.compute_metrics

        def caught_step(*args, **kwargs):
            self._training = True
            try:
                return train_step(*args, **kwargs)
            finally:
                self._training = False

        def caught(x, y, y_pred, sample_weight=None):
            if self._training:  # validation goes through here too
                margins = given_margins(self._targets, y, y_pred)
                outputs = keras.ops.cast(y_pred, "float32")
                both = [keras.ops.expand_dims(margins, -1), outputs]
                self._tape.write(keras.ops.concatenate(both, axis=-1))
            return compute_metrics(x, y, y_pred, sample_weight)

        network.train_step, network.compute_metrics = caught_step, caught
        network.train_function = None

    def release(self, network):
        """Leave the network as it was."""
        del network.train_step, network.compute_metrics
        network.train_function = None

    def on_epoch_begin(self, epoch, logs=None):
        """Forget what Keras passed through to build the network."""
        self._tape.read()

    def on_epoch_end(self, epoch, logs=None):
        """Put what the epoch left in the order of the rows."""
        values = self._tape.read()
        if len(values) != len(self._feed.positions):
            raise EstimatorError(
                "KerasClassifier: record_margins needs every batch to pass through "
                f"compute_metrics once; {len(values)} of "
                f"{len(self._feed.positions)} rows did. Call self.compute_metrics in "
                "the model's own train_step, or leave record_margins out."
            )
        margins = np.full(self._n_rows, np.nan, dtype=np.float32)
        rows = self._feed.positions[self._feed.order]
        margins[rows] = values[:, 0]
        self._total[rows] += self._targets.probabilities(values[:, 1:])
        self.history.append(margins)

    def mean_proba(self):
        """Mean over the epochs, shape (n_rows, n_classes); NaN as in the history."""
        untrained = np.isnan(self.history[0])[:, np.newaxis]
        return np.where(untrained, np.nan, self._total / len(self.history))


def given_margins(targets, y, outputs):
    """Margins of a batch, shape (n,), as a tensor of Keras.

    Examples
    --------
    >>> from hubclean.keras._targets import Targets
    >>> logits = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 5.0]])
    >>> margins = given_margins(Targets(3, "codes", "logits"), np.array([0, 1]), logits)
    >>> keras.ops.convert_to_numpy(margins)
    array([ 2., -4.], dtype=float32)
    """
    ops = keras.ops
    scores = ops.cast(outputs, "float32")
    if targets.scale != "logits":
        scores = ops.log(ops.maximum(scores, _SMALLEST))
    if targets.form == "column" or outputs.shape[-1] == 1:
        if targets.scale != "logits":
            other = 1.0 - ops.cast(outputs, "float32")
            scores = scores - ops.log(ops.maximum(other, _SMALLEST))
        sign = 2.0 * ops.cast(ops.reshape(y, (-1,)), "float32") - 1.0
        return sign * ops.reshape(scores, (-1,))
    given = ops.cast(y, "float32")
    if targets.form == "codes":
        given = ops.one_hot(ops.reshape(y, (-1,)), targets.n_classes)
    given = ops.cast(given, "float32")
    others = ops.where(given > 0.5, -np.inf, scores)
    return ops.sum(ops.where(given > 0.5, scores, 0.0), -1) - ops.max(others, -1)


def _tape(n, width):
    """Somewhere to write rows of numbers down from inside a training step."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from hubclean.keras._tensorflow import Tape

        return Tape(n, width)
    if backend == "torch":
        return _EagerTape(width)
    raise EstimatorError(
        f"KerasClassifier: record_margins works on the backends tensorflow and torch; "
        f"Keras runs on {backend}. Set KERAS_BACKEND, or leave record_margins out."
    )


class _EagerTape:
    """Tape for a backend that runs training steps as plain Python."""

    def __init__(self, width):
        self._nothing = np.empty((0, width), dtype=np.float32)
        self._parts = []

    def write(self, values):
        """Write a batch down."""
        self._parts.append(keras.ops.convert_to_numpy(values))

    def read(self):
        """Everything written since the last reading."""
        parts, self._parts = self._parts, []
        return np.concatenate([self._nothing, *parts])


@contextlib.contextmanager
def watched(margins, network):
    """Let a margin recorder watch a network while it trains."""
    if margins is None:
        yield
        return
    margins.watch(network)
    try:
        yield
    finally:
        margins.release(network)


def own_callbacks(callbacks):
    """Copies of callbacks: what they store must not travel between folds."""
    copies = []
    for callback in callbacks:
        if isinstance(callback, list):
            copies += own_callbacks(callback)
            continue
        model = getattr(callback, "model", None)
        copies.append(copy.deepcopy(callback, {id(model): None}))
    return copies
