"""The skorch classifier that feeds whole batches and ends as scikit-learn expects."""

import contextlib
import math

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochTimer, PassthroughScoring, PrintLog
from torch import nn

from hubclean._out_of_sample import draw_seed, random_generator
from hubclean._progress import epoch_done
from hubclean.exceptions import (
    EstimatorError,
    LabelsError,
    ParameterError,
    TrainingError,
)
from hubclean.pytorch._columns import as_rows, is_map_dataset, labels_of
from hubclean.pytorch._data import BatchDataset, BatchLoader, BatchOrder
from hubclean.pytorch._devices import choose_device, give_memory_back
from hubclean.pytorch._labels import encode, label_array
from hubclean.pytorch._modules import first_output, fresh_module, try_module
from hubclean.pytorch._networks import default_network
from hubclean.pytorch._randomness import Randomness, device_seed, seeded, thread_count
from hubclean.pytorch._recording import HeldOutRecorder, MarginRecorder
from hubclean.pytorch._tensors import plan_input, prepare

_TRIED_ROWS = 64
_DEFAULT_LR = 0.01


class _EarlyStop(Exception):
    """A callback asked to stop, as skorch's EarlyStopping does."""


class TorchClassifier(NeuralNetClassifier):
    """Classifier around a PyTorch module, for folds of any X.

    It is skorch's `NeuralNetClassifier` with other ways of reading, starting and
    ending: batches are read whole, every `fit` starts from fresh weights, labels may
    be strings, and one seed decides the result. Make one with `skorch`, which
    describes the parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in `fit`, sorted.
    module_ : torch.nn.Module
        Trained, on the CPU.
    history_ : skorch.history.History
        Losses of every epoch.
    margins_ : ndarray of float, shape (n_samples,)
        With ``record_margins=True``: mean margin of the given label.
    margin_history_ : ndarray of float32, shape (n_epochs, n_samples)
        With ``record_margins=True``: the margins of every epoch.
    evaluated_proba_ : ndarray of float, shape (n_evaluated, n_classes)
        After ``fit(X, y, evaluate=rows)``: their probabilities, averaged over epochs.
    """

    def __init__(
        self,
        module=None,
        *,
        criterion=None,
        optimizer=None,
        lr=None,
        max_epochs=10,
        batch_size=64,
        train_split=None,
        callbacks=None,
        verbose=0,
        device="auto",
        transform=None,
        transform_valid=None,
        shuffle=True,
        valid_dataset=None,
        random_state=None,
        fold=None,
        record_margins=False,
        average_epochs=0.5,
        schedule="auto",
        keep_weights=False,
        amp=False,
        num_threads=1,
        read_threads=1,
        images="images",
        labels="labels",
        **kwargs,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            callbacks=callbacks,
            verbose=verbose,
            device=device,
            **kwargs,
        )
        self.transform = transform
        self.transform_valid = transform_valid
        self.shuffle = shuffle
        self.valid_dataset = valid_dataset
        self.random_state = random_state
        self.fold = fold
        self.record_margins = record_margins
        self.average_epochs = average_epochs
        self.schedule = schedule
        self.keep_weights = keep_weights
        self.amp = amp
        self.num_threads = num_threads
        self.read_threads = read_threads
        self.images = images
        self.labels = labels

    # -- fitting ---------------------------------------------------------------

    def fit(self, X, y=None, *, evaluate=None, **fit_params):
        """Train a network with fresh weights.

        Parameters
        ----------
        X : array-like, lazy column or map-style dataset of n_samples rows
            Images, rows of numbers, or what `module` takes.
        y : array-like of shape (n_samples,) or None
            Labels; None takes them from a dataset of (input, label) pairs.
        evaluate : rows like X or None
            Held-out rows to predict while training: see ``evaluated_proba_``.
        **fit_params : dict
            For skorch: arguments of the module's ``forward``.

        Returns
        -------
        self : TorchClassifier
            Fitted.

        Raises
        ------
        ValidationError
            If rows, labels, module or a parameter cannot be used.
        TrainingError
            If the loss stops being a finite number.
        """
        if self.warm_start:
            raise ParameterError(
                "skorch: `warm_start` must be False: a network that goes on from one "
                "fold to the next has seen the rows it is to judge. Call partial_fit "
                "to go on training."
            )
        rows, labels = self._rows_and_labels(X, y)
        self._learn_classes(labels)
        self.seed_ = draw_seed(random_generator(self.random_state))
        self.randomness_ = Randomness(self.seed_)
        self.device_ = choose_device(self.device, self.fold)
        dataset = self.get_dataset(rows, encode(labels, self.classes_))
        with thread_count(self.num_threads), device_seed(self.device_, self.seed_):
            self.tried_rows_ = self._some_rows(rows)
            self.initialize()
            self._train(dataset, evaluate, fit_params)
        return self

    def partial_fit(self, X, y=None, classes=None, *, evaluate=None, **fit_params):
        """Go on training, with the weights as they are.

        Parameters
        ----------
        X, y, evaluate, **fit_params
            As in `fit`.
        classes : array-like or None
            All labels there will be; used by the first call only.

        Returns
        -------
        self : TorchClassifier
            Fitted.
        """
        if not self.initialized_:
            if classes is not None and self.classes is None:
                self.classes = np.unique(classes)
            return self.fit(X, y, evaluate=evaluate, **fit_params)
        rows, labels = self._rows_and_labels(X, y)
        dataset = self.get_dataset(rows, encode(labels, self.classes_))
        with thread_count(self.num_threads), device_seed(self.device_, self.seed_):
            self._train(dataset, evaluate, fit_params)
        return self

    def _rows_and_labels(self, X, y):
        """Rows and labels, which a source or a dataset of pairs brings along."""
        if y is None and hasattr(X, "X") and hasattr(X, "y"):
            X, y = X.X, X.y
        elif y is None and is_map_dataset(X):
            y = labels_of(X)
        elif y is None:
            raise ParameterError(
                "skorch: fit needs `y`, unless X is a dataset of (input, label) pairs."
            )
        rows = as_rows(X)
        return rows, label_array(y, len(rows))

    def _learn_classes(self, labels):
        """Set `classes_`; at least two of them."""
        self.classes_inferred_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise LabelsError(
                "skorch: `y` must have at least 2 classes; got 1 class, "
                f"{self.classes_[0]!r}."
            )

    def _some_rows(self, rows):
        """A few rows spread over the data, to size and try the network with."""
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), _TRIED_ROWS)).astype(int)
        data = BatchDataset(rows, transform=self._transform(False), seed=self.seed_)
        return data.__getitems__(chosen)[0]

    def _transform(self, training):
        """Transform of the images while training, or while predicting."""
        transform = self.transform
        if not training and self.transform_valid is not None:
            transform = self.transform_valid
        if isinstance(transform, dict):
            return transform.get(self.images)
        return transform

    def _train(self, dataset, evaluate, fit_params):
        """Run the epochs, write down what is asked for, leave the module on the CPU."""
        epochs = fit_params.get("epochs") or self.max_epochs
        self.recorder_ = MarginRecorder(len(dataset)) if self.record_margins else None
        self.held_out_ = None
        if evaluate is not None:
            rows = as_rows(evaluate)
            self.held_out_ = HeldOutRecorder(rows, epochs, self.average_epochs)
        self.lr_steps_ = None
        with self._on_device():
            self.notify("on_train_begin", X=dataset, y=dataset.codes)
            with contextlib.suppress(_EarlyStop):
                self.fit_loop(dataset, dataset.codes, **fit_params)
            self.notify("on_train_end", X=dataset, y=dataset.codes)
            if self.held_out_ is not None:
                self.evaluated_proba_ = self.held_out_.mean(self.predict_proba)
        if self.recorder_ is not None:
            self.margin_history_ = self.recorder_.history()
            self.margins_ = self.recorder_.mean()
        del self.recorder_, self.held_out_, self.lr_steps_

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
            raise _EarlyStop from exc

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Start the records of an epoch; know how many steps there will be."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        base = getattr(dataset_train, "dataset", dataset_train)
        if isinstance(base, BatchDataset):
            base.epoch = len(self.history)
        if self.recorder_ is not None:
            self.recorder_.start_epoch()
        if self.lr_steps_ is None and self._scheduled():
            per_epoch = len(BatchOrder(len(dataset_train), self.batch_size))
            self.lr_steps_ = one_cycle(per_epoch * self.max_epochs, self._peak_lr())

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Set the learning rate of the step."""
        super().on_batch_begin(net, batch, training, **kwargs)
        if training and self.lr_steps_ is not None:
            lr = next(self.lr_steps_)
            for group in self.optimizer_.param_groups:
                group["lr"] = lr

    # -- one step --------------------------------------------------------------

    def train_step_single(self, batch, **fit_params):
        """Forward, loss and gradients of one batch; stop when the loss is no number."""
        self._set_training(True)
        inputs, codes = batch
        codes = codes.to(self.device_, non_blocking=True)
        with self.randomness_:
            output = self.infer(inputs, **fit_params)
        loss = self.get_loss(output, codes, X=inputs, training=True)
        if not math.isfinite(loss.item()):
            raise TrainingError(self._no_number(loss.item()))
        loss.backward()
        if self.recorder_ is not None:
            self.recorder_.record(self._logits(output), codes, batch.rows)
        return {"loss": loss, "y_pred": output}

    def validation_step(self, batch, **fit_params):
        """Loss of one batch of validation data."""
        self._set_training(False)
        inputs, codes = batch
        codes = codes.to(self.device_)
        with torch.no_grad():
            output = self.infer(inputs, **fit_params)
            loss = self.get_loss(output, codes, X=inputs, training=False)
        return {"loss": loss, "y_pred": output}

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
        if not self.amp:
            return contextlib.nullcontext()
        return torch.autocast(self.device_.type, dtype=torch.bfloat16)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of outputs that are logits or probabilities."""
        logits = self._logits(y_pred)
        if isinstance(self.criterion_, nn.NLLLoss):
            logits = torch.log_softmax(logits, 1)
        return self.criterion_(logits, y_true)

    def _logits(self, output):
        """Logits, which are the logarithms of probabilities where those came."""
        output = output.float()
        if self.gives_probabilities_:
            return torch.log(output.clamp_min(torch.finfo(output.dtype).tiny))
        return output

    # -- predicting ------------------------------------------------------------

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : rows as in `fit`
            Of n_samples rows.

        Returns
        -------
        proba : ndarray of float64, shape (n_samples, n_classes)
            Columns in the order of ``classes_``; rows sum to 1.
        """
        self.check_is_fitted()
        rows = as_rows(X)
        dataset = BatchDataset(rows, None, self._transform(False), self.seed_)
        proba = np.empty((len(rows), len(self.classes_)))
        with self._on_device(), thread_count(self.num_threads), torch.inference_mode():
            self._set_training(False)
            for batch in self.get_iterator(dataset, training=False):
                logits = self._logits(self.infer(batch[0])).double()
                proba[batch.rows] = torch.softmax(logits, 1).cpu().numpy()
        return proba

    def predict(self, X):
        """Label with the largest probability, shape (n_samples,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    # -- parts that skorch asks for ----------------------------------------------

    @property
    def _default_callbacks(self):
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            ("print_log", PrintLog()),
        ]

    def check_data(self, X, y):
        """Nothing: `fit` has checked rows and labels."""

    def get_dataset(self, X, y=None):
        """Dataset of whole batches of training rows, for any X."""
        if isinstance(X, BatchDataset):
            return X
        return BatchDataset(as_rows(X), y, self._transform(True), self.seed_)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Training and validation data; `valid_dataset` before skorch's split."""
        if self.valid_dataset is None:
            return super().get_split_datasets(X, y, **fit_params)
        pair = isinstance(self.valid_dataset, tuple) and len(self.valid_dataset) == 2
        rows, labels = self._rows_and_labels(
            *(self.valid_dataset if pair else (self.valid_dataset, None))
        )
        codes = encode(labels, self.classes_)
        return X, BatchDataset(rows, codes, self._transform(False), self.seed_)

    def get_iterator(self, dataset, training=False):
        """Loader of whole batches; torch's own where processes are asked for."""
        kwargs = self.get_params_for("iterator_train" if training else "iterator_valid")
        kind = self.iterator_train if training else self.iterator_valid
        batch_size = kwargs.pop("batch_size", self.batch_size)
        batch_size = len(dataset) if batch_size == -1 else batch_size
        seed = self.seed_ if training and kwargs.pop("shuffle", self.shuffle) else None
        if not kwargs and kind is torch.utils.data.DataLoader:
            base = getattr(dataset, "dataset", dataset)
            threads = self.read_threads if getattr(base, "slow", True) else 0
            return BatchLoader(dataset, batch_size, seed, threads)
        return kind(
            dataset,
            batch_sampler=BatchOrder(len(dataset), batch_size, seed),
            collate_fn=_as_fetched,
            generator=seeded(self.seed_),
            **kwargs,
        )

    def initialize_module(self):
        """Make a module with fresh weights, and try it on a few rows."""
        if not hasattr(self, "tried_rows_"):
            raise EstimatorError(
                "skorch: the network is sized from the data; call fit(X, y), not "
                "initialize()."
            )
        kwargs = self.get_params_for("module")
        given = None
        with self.randomness_:
            if self.module is not None:
                given = fresh_module(self.module, kwargs, self.keep_weights)
            from_transform = self._transform(False) is not None
            self.input_plan_ = plan_input(
                self.tried_rows_, module=given, from_transform=from_transform
            )
            if given is None:
                ready = prepare(self.tried_rows_, self.input_plan_, "cpu")
                given = default_network(ready, len(self.classes_))
            self.gives_probabilities_ = try_module(
                given, self.tried_rows_[:2], self.input_plan_, len(self.classes_)
            )
        self.module_ = given.to(memory_format=torch.channels_last)
        return self

    def _initialize_module(self, reason=None):
        # skorch would move the module to the device "auto", which torch does not know.
        with self._current_init_context("module"):
            self.initialize_module()
        if self.compile:
            self.module_.compile(**self.get_params_for("compile"))
        return self

    def initialize_criterion(self):
        """Make the loss; cross-entropy without `criterion`."""
        kwargs = self.get_params_for("criterion")
        criterion = nn.CrossEntropyLoss if self.criterion is None else self.criterion
        self.criterion_ = self.initialized_instance(criterion, kwargs)
        return self

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

    def _peak_lr(self):
        """Learning rate that was asked for."""
        return self.optimizer_.param_groups[0]["lr"]

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
        away = self.device_.type != "cpu"
        nested = any(p.device == self.device_ for p in self.module_.parameters())
        if not away or nested:
            yield
            return
        try:
            self._move(parts, self.device_)
            yield
        finally:
            self._move(parts, "cpu")
            give_memory_back(self.device_)

    def _move(self, parts, device):
        for part in parts:
            part.to(device)
        # Loading its own state moves an optimiser to where its parameters are.
        self.optimizer_.load_state_dict(self.optimizer_.state_dict())

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)


def _as_fetched(batch):
    return batch


def one_cycle(n_steps, peak):
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
