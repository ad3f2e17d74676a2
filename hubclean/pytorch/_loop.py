"""The training loop: skorch's, with our batches, devices, losses and stops."""

import contextlib
import copy
import math

import torch
from skorch.callbacks import (
    EpochTimer,
    InputShapeSetter,
    PassthroughScoring,
    PrintLog,
)
from torch import nn

from hubclean._progress import epoch_done
from hubclean.exceptions import (
    EstimatorError,
    HubcleanError,
    ParameterError,
    TrainingError,
)
from hubclean.pytorch._checks import check_loss
from hubclean.pytorch._data import BatchDataset, BatchOrder
from hubclean.pytorch._devices import give_memory_back
from hubclean.pytorch._feeding import WholeBatches
from hubclean.pytorch._modules import checked_output, first_output
from hubclean.pytorch._tensors import prepare
from hubclean.pytorch._weighted_loss import every_row, gives_every_row, weighted_loss

_DEFAULT_LR = 0.01
_PRECISIONS = {
    True: torch.bfloat16,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class EarlyStop(Exception):
    """A callback asked to stop, as skorch's EarlyStopping does."""


class TrainingLoop(WholeBatches):
    """What `TorchClassifier` changes in skorch's steps, epochs and initialisation."""

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; a callback that stops the training ends only that.

        skorch's EarlyStopping raises KeyboardInterrupt, and skorch takes every
        KeyboardInterrupt for it. Here a user's Ctrl-C goes through: no half-trained
        network is mistaken for a trained one.
        """
        if method_name != "on_epoch_end":
            super().notify(method_name, **cb_kwargs)
            return
        epoch_done()
        if self.held_out_ is not None:
            self.held_out_.end_epoch(self.predict_proba)
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as exc:
            raise EarlyStop from exc

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Start the records of an epoch; know how many steps there will be."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        base = getattr(dataset_train, "dataset", dataset_train)
        if isinstance(base, BatchDataset):
            base.epoch = len(self.history)
        if dataset_valid is not None:
            self.valid_weight_ = _mean_weight(dataset_valid)
        if self.recorder_ is not None:
            self.recorder_.start_epoch()
        if self.lr_steps_ is None and self._scheduled():
            per_epoch = len(BatchOrder(*self.batches_of(dataset_train, True)))
            self.lr_steps_ = one_cycle(per_epoch * self.planned_epochs_)
            self._note_peaks()

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Set the learning rate of the step."""
        super().on_batch_begin(net, batch, training, **kwargs)
        if training and self.lr_steps_ is not None:
            share = next(self.lr_steps_)
            for group in self.optimizer_.param_groups:
                group["lr"] = group["set_lr"] = share * group["peak_lr"]

    def train_step_single(self, batch, **fit_params):
        """Forward, loss and gradients of one batch; stop when the loss is no number."""
        self._set_training(True)
        inputs, codes = batch
        codes = codes.to(self.device_, non_blocking=True)
        with self.randomness_:
            output = self.infer(inputs, **fit_params)
        if self.trains_on_probabilities_ is None:
            self.trains_on_probabilities_ = checked_output(
                output, self.module_, len(codes), len(self.classes_)
            )
        loss = self._batch_loss(output, codes, batch)
        if not loss.requires_grad:
            raise EstimatorError(
                f"skorch: `module` {type(self.module_).__name__} has nothing to train: "
                "its loss depends on no parameter with requires_grad=True. Leave its "
                "last layer unfrozen, and take the gradients in `forward`."
            )
        if not math.isfinite(loss.item()):
            raise TrainingError(self._no_number(loss.item()))
        self._scaled(loss).backward()
        if self.recorder_ is not None:
            self.recorder_.record(self._logits(output), codes, batch.rows)
        return {"loss": loss, "y_pred": self._logits(output).detach()}

    def validation_step(self, batch, **fit_params):
        """Loss of one batch of validation data."""
        self._set_training(False)
        inputs, codes = batch
        codes = codes.to(self.device_)
        with torch.no_grad():
            output = self.infer(inputs, **fit_params)
            loss = self._batch_loss(output, codes, batch)
        correct = (output.argmax(1) == codes).float()
        if batch.weights is not None:
            # skorch's mean over the batches counts rows; of a batch with little
            # weight, the loss and the hits are to count little.
            shares = (batch.weights / self.valid_weight_).to(self.device_)
            correct = correct * shares
            if getattr(self.criterion_, "reduction", None) != "sum":
                loss = loss * shares.mean()
        self.history.record_batch("valid_acc", correct.mean().item())
        return {"loss": loss, "y_pred": self._logits(output)}

    def _no_number(self, loss):
        """Message of a loss that is NaN or infinite."""
        fold = "" if self.fold is None else f" of fold {self.fold}"
        rate = self.optimizer_.param_groups[0].get("lr")
        return (
            f"skorch: the loss became {loss} in epoch {len(self.history)}{fold}, after "
            f"{len(self.history[-1, 'batches']) - 1} batches, with the learning rate "
            f"{rate:.3g}. Look for NaN or huge values in X, or lower `lr`."
        )

    def infer(self, x, **fit_params):
        """Output of the module for a batch as it was read."""
        ready = prepare(torch.as_tensor(x), self.input_plan_, self.device_)
        with self._autocast():
            return first_output(self.module_(ready, **fit_params))

    def _autocast(self):
        """Mixed precision, where asked for."""
        if self.amp is False:
            return contextlib.nullcontext()
        return torch.autocast(self.device_.type, dtype=_PRECISIONS[self.amp])

    def start_precision(self):
        """Check `amp`; float16 needs its loss scaled, bfloat16 does not."""
        if self.amp is not False and self.amp not in _PRECISIONS:
            raise ParameterError(
                "skorch: `amp` must be False, True, 'bfloat16' or 'float16'; got "
                f"{self.amp!r}."
            )
        half = self.amp == "float16"
        self.scaler_ = torch.amp.GradScaler(self.device_.type) if half else None

    def _scaled(self, loss):
        return loss if self.scaler_ is None else self.scaler_.scale(loss)

    def _step_optimizer(self, step_fn):
        """Step with skorch, or through the scaler of float16."""
        if self.scaler_ is None:
            super()._step_optimizer(step_fn)
            return
        step_fn()
        self.scaler_.step(self.optimizer_)
        self.scaler_.update()

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of outputs that are logits or probabilities."""
        logits = self._logits(y_pred)
        if isinstance(self.criterion_, nn.NLLLoss):
            logits = torch.log_softmax(logits, 1)
        try:
            return self.criterion_(logits, y_true)
        except (HubcleanError, torch.cuda.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as exc:
            raise ParameterError(
                f"skorch: `criterion` {type(self.criterion_).__name__} must take "
                f"logits of shape {tuple(logits.shape)} and codes of classes, shape "
                f"{tuple(y_true.shape)}; it cannot: {exc} Use "
                "torch.nn.CrossEntropyLoss."
            ) from exc

    def _batch_loss(self, output, codes, batch):
        """Loss of a batch; the weighted mean of its rows' where they have weights."""
        training = self.module_.training
        if batch.weights is None:
            return self.get_loss(output, codes, X=batch[0], training=training)
        weights = batch.weights.to(self.device_)
        with every_row(self.criterion_):
            losses = self.get_loss(output, codes, X=batch[0], training=training)
        return weighted_loss(self.criterion_, losses, codes, weights)

    def takes_sample_weight(self):
        """Whether rows can be weighed: whether the loss gives one for every row."""
        return gives_every_row(self._made_criterion())

    def _logits(self, output):
        """Logits, which are the logarithms of probabilities where those came."""
        output = output.float()
        training = self.module_.training  # a softmax may be left out of one mode
        if self.trains_on_probabilities_ if training else self.gives_probabilities_:
            return torch.log(output.clamp_min(torch.finfo(output.dtype).tiny))
        return output

    @property
    def _default_callbacks(self):
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            ("valid_acc", PassthroughScoring(name="valid_acc", lower_is_better=False)),
            ("print_log", PrintLog()),
        ]

    def initialize_criterion(self):
        """Make the loss; cross-entropy without `criterion`."""
        self.criterion_ = self._made_criterion()
        check_loss(self.criterion_, len(self.classes_))
        return self

    def _made_criterion(self):
        """Loss of its own for every fit: one with parameters is trained, too."""
        kwargs = copy.deepcopy(self.get_params_for("criterion"))
        criterion = nn.CrossEntropyLoss if self.criterion is None else self.criterion
        try:
            return copy.deepcopy(self.initialized_instance(criterion, kwargs))
        except TypeError as exc:
            raise ParameterError(
                f"skorch: `criterion` must be a loss class of torch that takes the "
                f"arguments {sorted(kwargs)}, or an instance; got "
                f"{getattr(criterion, '__name__', criterion)} ({exc}). Wrap a function "
                "of logits and codes in a torch.nn.Module."
            ) from exc

    def _initialize_criterion(self, reason=None):
        with self._current_init_context("criterion"):
            self.initialize_criterion()
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Make the optimiser; AdamW without `optimizer`."""
        named = self.get_all_learnable_params()
        args, kwargs = self.get_params_for_optimizer("optimizer", named)
        if kwargs.get("lr") is None:
            kwargs.pop("lr", None)
        if self.optimizer is None:
            kwargs.setdefault("lr", _DEFAULT_LR)
            self.optimizer_ = torch.optim.AdamW(*args, **kwargs)
        else:
            self.optimizer_ = self.optimizer(*args, **kwargs)
        return self

    def _scheduled(self):
        """Whether the learning rate follows one cycle."""
        if self.schedule == "auto":
            return self.optimizer is None
        return self.schedule == "one_cycle"

    def _note_peaks(self):
        """Keep the rate that was asked for each group: that of an earlier cycle, too.

        A training that goes on finds the last rate of the cycle before it, next to
        zero; another one was set by the user meanwhile.
        """
        for group in self.optimizer_.param_groups:
            if group["lr"] != group.get("set_lr"):
                group["peak_lr"] = group["lr"]

    def set_params(self, **params):
        """Set parameters; they take effect in the next `fit`, as in scikit-learn."""
        initialized, self.initialized_ = self.initialized_, False
        try:
            return super().set_params(**params)
        finally:
            self.initialized_ = initialized

    @contextlib.contextmanager
    def _on_device(self):
        """Module and loss on the device inside the block, on the CPU after it."""
        parts = [p for p in (self.module_, self.criterion_) if isinstance(p, nn.Module)]
        if self.device_.type == "cpu" or getattr(self, "is_placed_", False):
            yield
            return
        try:
            self.is_placed_ = True
            self._move(parts, self.device_)
            yield
        finally:
            self._move(parts, "cpu")
            self.is_placed_ = False
            give_memory_back(self.device_)

    def _move(self, parts, device):
        for part in parts:
            part.to(device)
        # Loading its own state moves an optimiser to where its parameters are.
        self.optimizer_.load_state_dict(self.optimizer_.state_dict())

    def initialize_callbacks(self):
        """Make the callbacks; one of them comes too late here."""
        super().initialize_callbacks()
        for name, callback in self.callbacks_:
            if isinstance(callback, InputShapeSetter):
                raise ParameterError(
                    f"skorch: the callback {name!r}, an InputShapeSetter, cannot be "
                    "used: the module is made before callbacks run. Leave it out, and "
                    "start the module with a lazy layer, torch.nn.LazyLinear for "
                    "example, which takes its width from the data."
                )
        return self

    def check_is_fitted(self, attributes=None, *args, msg=None, **kwargs):
        """Raise scikit-learn's NotFittedError before `fit`."""
        if msg is None or not self.initialized_:
            msg = "skorch: this %(name)s is not fitted yet. Call fit(X, y) first."
        super().check_is_fitted(attributes, *args, msg=msg, **kwargs)

    def load_params(self, *args, **kwargs):
        """Load what `save_params` or a Checkpoint saved; see skorch.

        It is read to the CPU, and goes from there to where the module is.
        """
        self.check_is_fitted()
        device, self.device = self.device, "cpu"
        try:
            super().load_params(*args, **kwargs)
        finally:
            self.device = device

    def __getstate__(self):
        # A Checkpoint may pickle the net while it trains.
        return {name: v for name, v in self.__dict__.items() if name != "lr_steps_"}

    def __setstate__(self, state):
        self.__dict__.update(state)


def _mean_weight(dataset):
    """Mean weight of the rows of a dataset, or of a subset of one."""
    weights = _weights_of(dataset)
    return 1.0 if weights is None else weights.mean().item()


def _weights_of(dataset):
    """Weights of the rows of a dataset, or of a subset of one; None without any."""
    if not isinstance(dataset, torch.utils.data.Subset):
        return getattr(dataset, "weights", None)
    weights = _weights_of(dataset.dataset)
    return None if weights is None else weights[dataset.indices]


def one_cycle(n_steps, peak=1.0):
    """Learning rates of every step: up to the peak in a third of them, then to zero.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.
    peak : float
        Largest learning rate.

    Yields
    ------
    rate : float
        For the next step; stays small after the last one.

    References
    ----------
    .. [1] Smith and Topin, "Super-convergence", arXiv:1708.07120 (2017).

    Examples
    --------
    >>> [round(rate, 3) for rate, _ in zip(one_cycle(6, 1.0), range(6))]
    [0.525, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    rise = max(1, n_steps // 3)
    step = 0
    while True:
        step += 1
        if step <= rise:
            yield peak * (0.05 + 0.95 * step / rise)
        else:
            done = min(1.0, (step - rise) / max(1, n_steps - rise))
            yield peak * max(1e-4, 0.5 * (1 + math.cos(math.pi * done)))
