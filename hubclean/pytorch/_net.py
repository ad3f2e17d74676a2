"""The skorch classifier that feeds whole batches and ends as scikit-learn expects."""

import contextlib
import copy
from numbers import Integral

import numpy as np
import torch
from sklearn.base import clone

from hubclean._label_validation import check_labels, code_labels
from hubclean._out_of_sample import draw_seed, random_generator
from hubclean._weights import check_sample_weight
from hubclean.exceptions import (
    EstimatorError,
    HubcleanError,
    LabelsError,
    ParameterError,
)
from hubclean.pytorch._checks import check_parameters
from hubclean.pytorch._columns import as_rows, is_map_dataset, labels_of
from hubclean.pytorch._data import BatchDataset
from hubclean.pytorch._devices import choose_device
from hubclean.pytorch._features import EmbeddedRows, embed, features_key
from hubclean.pytorch._feeding import is_whole
from hubclean.pytorch._loop import EarlyStop, TrainingLoop
from hubclean.pytorch._modules import fresh_module, mark_trained, try_module
from hubclean.pytorch._named import named_model
from hubclean.pytorch._networks import default_network
from hubclean.pytorch._randomness import Randomness, device_seed, thread_count
from hubclean.pytorch._recording import HeldOutRecorder, MarginRecorder
from hubclean.pytorch._tensors import plan_input, prepare

_SIZING_ROWS = 64
_PLAIN = {"dataset", "valid_dataset", "transform", "transform_valid", "features"}
_SHARED = {"dataset", "valid_dataset", "module", "features"}


class TorchClassifier(TrainingLoop):
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
    training_proba_ : ndarray of float32, shape (n_samples, n_classes)
        With ``record_margins=True``: mean probabilities of the training passes.
    evaluated_proba_ : ndarray of float, shape (n_evaluated, n_classes)
        After ``fit(X, y, evaluate=rows)``: their probabilities, averaged over epochs.
    """

    def __init__(
        self,
        module=None,
        *,
        dataset=None,
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
        average_epochs=0.4,
        schedule="auto",
        pretrained=None,
        features=None,
        resize=None,
        keep_weights=False,
        amp=False,
        num_threads=1,
        read_threads=1,
        images="images",
        labels="labels",
        **kwargs,
    ):
        self.transform = transform
        self.transform_valid = transform_valid
        self.shuffle = shuffle
        self.valid_dataset = valid_dataset
        self.random_state = random_state
        self.fold = fold
        self.record_margins = record_margins
        self.average_epochs = average_epochs
        self.schedule = schedule
        self.pretrained = pretrained
        self.features = features
        self.resize = resize
        self.keep_weights = keep_weights
        self.amp = amp
        self.num_threads = num_threads
        self.read_threads = read_threads
        self.images = images
        self.labels = labels
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
            dataset=dataset,
            **kwargs,
        )

    def __setattr__(self, name, value):
        # A transform or a feature network may be a module; skorch must not train it.
        if name in _PLAIN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def fit(self, X=None, y=None, sample_weight=None, *, evaluate=None, **fit_params):
        """Train a network with fresh weights.

        Parameters
        ----------
        X : array-like, lazy column or map-style dataset of n_samples rows
            Images, rows of numbers, or what `module` takes; None takes `dataset`.
        y : array-like of shape (n_samples,) or None
            Labels; None takes them from a source, or a dataset of (input, label)
            pairs.
        sample_weight : array-like of shape (n_samples,) or None
            What each row counts for in the loss of its batch, at least 0; None means
            all count the same.
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
        self._start()
        rows, labels = self._rows_and_labels(self.dataset if X is None else X, y)
        self._fit_rows(rows, labels, None, sample_weight, evaluate, fit_params)
        return self

    def _start(self):
        """Choose seed and device of a training that starts from nothing."""
        check_parameters(self.get_params(deep=False))
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = draw_seed(random_generator(seed))
        self.seed_ = int(seed)
        self.randomness_ = Randomness(self.seed_)
        self.device_ = choose_device(self.device, self.fold)

    def _fit_rows(self, rows, labels, classes, sample_weight, evaluate, fit_params):
        """Make the network for these rows, and train it."""
        self._learn_classes(labels if classes is None else classes)
        dataset = self._training_data(rows, labels, sample_weight)
        with thread_count(self.num_threads), device_seed(self.device_, self.seed_):
            self.tried_rows_ = self._some_rows(rows)
            self.initialize()
            del self.tried_rows_
            self._train(dataset, evaluate, fit_params)

    def _training_data(self, rows, labels, sample_weight):
        """Rows, codes and weights to train on."""
        codes = code_labels(labels, self.classes_, by="skorch")
        dataset = self.get_dataset(rows, codes)
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, len(rows), by="skorch")
            dataset.weights = torch.from_numpy(weights.astype(np.float32))
        return dataset

    def partial_fit(
        self,
        X,
        y=None,
        classes=None,
        sample_weight=None,
        *,
        evaluate=None,
        **fit_params,
    ):
        """Go on training, with the network as it is.

        Parameters
        ----------
        X, y, sample_weight, evaluate, **fit_params
            As in `fit`.
        classes : array-like or None
            All labels there will be; used by the first call only.

        Returns
        -------
        self : TorchClassifier
            Fitted.
        """
        if not self.initialized_:
            self._start()
            rows, labels = self._rows_and_labels(X, y)
            self._fit_rows(rows, labels, classes, sample_weight, evaluate, fit_params)
            return self
        rows, labels = self._rows_and_labels(X, y)
        dataset = self._training_data(rows, labels, sample_weight)
        with thread_count(self.num_threads), device_seed(self.device_, self.seed_):
            self._train(dataset, evaluate, fit_params)
        return self

    def _rows_and_labels(self, X, y):
        """Rows and labels, which a source, a pair or a dataset of pairs brings."""
        if y is None and isinstance(X, tuple) and len(X) == 2:
            X, y = X
        elif y is None and hasattr(X, "X") and hasattr(X, "y"):
            X, y = X.X, X.y
        elif y is None and is_map_dataset(X):
            y = labels_of(X)
        elif y is None:
            raise ParameterError(
                "skorch: fit needs X and `y`, or a dataset of (input, label) pairs as "
                f"X or as `dataset`; got {type(X).__name__} without `y`."
            )
        rows = self._rows(X)
        if isinstance(self.transform, dict) and self.transform.get(self.labels):
            y = [self.transform[self.labels](label) for label in np.asarray(y)]
        if isinstance(y, torch.Tensor):
            y = y.detach().cpu().numpy()
        return rows, check_labels(y, by="skorch", n_samples=len(rows))

    def _rows(self, X):
        """Rows to feed; features of them where a frozen network makes those."""
        rows = as_rows(X)
        if self.features is None or isinstance(rows, EmbeddedRows):
            return rows
        transform = self._transform(False)
        data = BatchDataset(rows, None, transform, self.seed_, self.resize)
        pretrained = self.pretrained is not False
        return embed(
            rows,
            features_key(self.features, transform, self.resize, pretrained),
            self.features,
            pretrained=pretrained,
            fetch=lambda chosen: (data.__getitems__(chosen)[0], transform is not None),
            device=self.device_,
            resize=self.resize,
            batch_size=self.batch_size if self.batch_size > 0 else _SIZING_ROWS,
        )

    def _learn_classes(self, labels):
        """Set `classes_`; at least two of them."""
        self.classes_inferred_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise LabelsError(
                "skorch: `y` must have at least 2 classes; got 1 class, "
                f"{self.classes_.tolist()[0]!r}."
            )

    def _some_rows(self, rows):
        """A few rows spread over the data, to size and try the network with."""
        count = min(len(rows), 2 if self.module is not None else _SIZING_ROWS)
        chosen = np.linspace(0, len(rows) - 1, count).astype(int)
        return self._dataset(rows, None, training=False).__getitems__(chosen)[0]

    def _dataset(self, rows, codes, training):
        """Rows and codes with the transform that belongs to them."""
        embedded = isinstance(rows, EmbeddedRows)
        transform = None if embedded else self._transform(training)
        return BatchDataset(rows, codes, transform, self.seed_, self.resize)

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
        epochs = fit_params.get("epochs")
        self.planned_epochs_ = self.max_epochs if epochs is None else epochs
        self.recorder_ = None
        if self.record_margins:
            self.recorder_ = MarginRecorder(len(dataset), len(self.classes_))
        self.held_out_ = None
        if evaluate is not None:
            rows = self._rows(evaluate)
            self.held_out_ = HeldOutRecorder(
                rows, self.planned_epochs_, self.average_epochs
            )
        self.lr_steps_ = None
        self.start_precision()
        with self._on_device():
            self.notify("on_train_begin", X=dataset, y=dataset.codes)
            with contextlib.suppress(EarlyStop):
                self.fit_loop(dataset, dataset.codes, **fit_params)
            self.notify("on_train_end", X=dataset, y=dataset.codes)
            if self.held_out_ is not None:
                self.evaluated_proba_ = self.held_out_.mean(self.predict_proba)
        if self.recorder_ is not None:
            self.margin_history_ = self.recorder_.history()
            self.margins_ = self.recorder_.mean()
            self.training_proba_ = self.recorder_.mean_proba()
        del self.recorder_, self.held_out_, self.lr_steps_

    def __sklearn_clone__(self):
        """Clone without copying data, which no fit changes, nor the module."""
        params = self.get_params(deep=False)
        for name in set(params) - _SHARED:
            params[name] = clone(params[name], safe=False)
        twin = type(self)(**params)
        if hasattr(self, "_metadata_request"):
            twin._metadata_request = copy.deepcopy(self._metadata_request)
        return twin

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
        if self._is_scoring():
            logits = torch.cat(list(self.forward_iter(X, device="cpu")))
            proba = torch.softmax(logits.double(), 1).numpy()
        else:
            proba = self._predicted(X)
        bad = np.flatnonzero(~np.isfinite(proba).all(1))
        if len(bad):
            raise ParameterError(
                f"skorch: the network gives no probabilities for {len(bad)} rows of X, "
                f"row {bad[0]} first. Look for NaN or huge values in them."
            )
        return proba

    def _predicted(self, X):
        """Probabilities of rows, or of a dataset that a callback hands on."""
        dataset = X
        if not is_whole(X):
            dataset = self._dataset(self._rows(X), None, training=False)
        # Made whole first: small results between the batches would split the memory
        # that the next batch needs in one piece.
        proba, n_done = np.empty((len(dataset), len(self.classes_))), 0
        with self._on_device(), thread_count(self.num_threads), torch.inference_mode():
            self._set_training(False)
            for inputs, _ in self.get_iterator(dataset, training=False):
                logits = self._evaluated(inputs).cpu().double()
                proba[n_done : n_done + len(logits)] = torch.softmax(logits, 1).numpy()
                n_done += len(logits)
        return proba

    def _evaluated(self, inputs):
        """Logits of a batch; what fails for rows of another shape says so."""
        try:
            return self._logits(self.infer(inputs))
        except (HubcleanError, torch.cuda.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as exc:
            given = tuple(inputs.shape[1:])
            if given == self.row_shape_:
                raise
            raise ParameterError(
                f"skorch: X must have rows of shape {self.row_shape_}, as in `fit`; "
                f"got rows of shape {given}, which the module cannot take ({exc})."
            ) from exc

    def _is_scoring(self):
        """Whether a callback of skorch scores outputs that it has kept."""
        return "forward_iter" in vars(self)

    def predict(self, X):
        """Label with the largest probability, shape (n_samples,).

        Callbacks that score, such as skorch's EpochScoring, compare with the labels of
        batches, which are codes: they get codes.
        """
        codes = self.predict_proba(X).argmax(1)
        return codes if self._is_scoring() or is_whole(X) else self.classes_[codes]

    def initialize_module(self):
        """Make a module with fresh weights, and try it on a few rows."""
        if not hasattr(self, "tried_rows_"):
            raise EstimatorError(
                "skorch: the network is sized from the data; call fit(X, y), not "
                "initialize()."
            )
        n_classes = len(self.classes_)
        self.row_shape_ = tuple(self.tried_rows_.shape[1:])
        with self.randomness_:
            module = self._made_module(n_classes)
            self.input_plan_ = plan_input(
                self.tried_rows_,
                module=module,
                from_transform=self._transform(False) is not None,
                resize=self.resize,
            )
            if module is None:
                ready = prepare(self.tried_rows_, self.input_plan_, "cpu")
                module = default_network(ready, n_classes, self.features is not None)
            self.trains_on_probabilities_ = None  # told by the first batch
            self.gives_probabilities_ = try_module(
                module, self.tried_rows_[:2], self.input_plan_, n_classes
            )
        mark_trained(module)
        self.module_ = module.to(memory_format=torch.channels_last)
        return self

    def _made_module(self, n_classes):
        """Module that was asked for, with fresh weights; None for the default."""
        kwargs = self.get_params_for("module")
        if isinstance(self.module, str):
            return named_model(self.module, n_classes, bool(self.pretrained))
        if self.module is None:
            return None
        return fresh_module(self.module, kwargs, self.keep_weights)

    def _initialize_module(self, reason=None):
        # skorch would move the module to the device "auto", which torch does not know.
        with self._current_init_context("module"):
            self.initialize_module()
        if self.compile:
            self.module_.compile(**self.get_params_for("compile"))
        return self
