"""The scikeras classifier that builds fresh networks and feeds whole batches."""

import keras
import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from hubclean._compat import _check_feature_names
from hubclean._hooks import epochs_to_average
from hubclean._label_validation import check_labels, code_labels
from hubclean.exceptions import LabelsError, ParameterError, ValidationError
from hubclean.keras._building import build_network, free_networks
from hubclean.keras._datasets import is_tf_dataset, parts_of, read_dataset
from hubclean.keras._feeding import Feed, Rows, batch_rows, check_epochs
from hubclean.keras._mending import MendedClassifier
from hubclean.keras._randomness import draw_seed, seeded
from hubclean.keras._sample_rows import row_weights, split_validation
from hubclean.keras._training import (
    Evaluation,
    Margins,
    Watch,
    own_callbacks,
    watched,
)

_SAMPLE_ROWS = 64


class KerasClassifier(MendedClassifier):
    """Classifier around a Keras model, for folds of any X.

    It is scikeras's `KerasClassifier`, mended: scikit-learn knows it for a classifier,
    every `fit` starts from a fresh network, one seed decides the result, batches are
    read whole, and a loss that does not fit is refused before training. Make one with
    `scikeras`, which describes the parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels seen in `fit`, or the parameter `classes`, sorted.
    model_ : keras.Model
        The trained network.
    history_ : dict of str to list of float
        Loss and metrics of every epoch.
    callbacks_ : list of keras.callbacks.Callback
        Copies of the given callbacks, as the training left them.
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
        model=None,
        *,
        epochs=10,
        batch_size=64,
        optimizer=None,
        loss=None,
        metrics=None,
        transform=None,
        transform_valid=None,
        dataset=None,
        one_hot=None,
        callbacks=None,
        validation_split=0.0,
        validation_batch_size=None,
        shuffle=True,
        class_weight=None,
        warm_start=False,
        run_eagerly=False,
        random_state=None,
        classes=None,
        fold=None,
        record_margins=False,
        average_epochs=0.5,
        verbose=0,
        **kwargs,
    ):
        super().__init__(
            model,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_batch_size=validation_batch_size,
            shuffle=shuffle,
            class_weight=class_weight,
            warm_start=warm_start,
            run_eagerly=run_eagerly,
            random_state=random_state,
            verbose=verbose,
            **kwargs,
        )
        self.transform = transform
        self.transform_valid = transform_valid
        self.dataset = dataset
        self.one_hot = one_hot
        self.classes = classes
        self.fold = fold
        self.record_margins = record_margins
        self.average_epochs = average_epochs

    # -- fitting ---------------------------------------------------------------

    def fit(self, X=None, y=None, sample_weight=None, *, evaluate=None, **fit_params):
        """Train a network with fresh weights.

        Parameters
        ----------
        X : array-like, lazy column or tf.data.Dataset of n_samples rows, or None
            What the network takes; None takes `dataset`.
        y : array-like of shape (n_samples,) or None
            Labels; None takes them from a dataset of (x, y) or (x, y, weights).
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows; None takes those of a dataset of (x, y, weights).
        evaluate : rows like X or None
            Held-out rows to predict while training: see ``evaluated_proba_``.
        **fit_params : dict
            For `keras.Model.fit`; ``epochs`` and others take the place of the
            parameters of the same name, and ``validation_data``, which is (X, y),
            (X, y, weights) or a dataset with labels as in `y`, that of a split.

        Returns
        -------
        self : KerasClassifier
            Fitted.

        Raises
        ------
        ValidationError
            If rows, labels, network or a parameter cannot be used.
        TrainingError
            If the loss stops being a finite number.
        """
        if not (self.warm_start and self.initialized_):
            self._forget()
        self._fit(X, y, sample_weight, evaluate, None, **fit_params)
        return self

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
        """Train one epoch more, with the weights as they are.

        Parameters
        ----------
        X, y, sample_weight, evaluate, **fit_params
            As in `fit`.
        classes : array-like or None
            All labels there will be, in place of the parameter `classes`; used by the
            first call only.

        Returns
        -------
        self : KerasClassifier
            Fitted.
        """
        start = self.current_epoch
        fit_params = {"epochs": 1, "initial_epoch": start, **fit_params}
        self._fit(X, y, sample_weight, evaluate, classes, **fit_params)
        return self

    def initialize(self, X, y=None):
        """Build the network without training it.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        self : KerasClassifier
            With ``model_``, ready to predict.
        """
        self._forget()
        X, y, _ = self._rows_and_labels(X, y)
        self._prepare(X, y, None)
        return self

    def _fit(self, X, y, sample_weight, evaluate, classes, **fit_params):
        """Build the network unless there is one, and train it."""
        X, y, sample_weight = self._rows_and_labels(X, y, sample_weight)
        rows, codes = self._prepare(X, y, classes)
        weights = row_weights(
            self.class_weight, self.classes_[codes], sample_weight, rows.n
        )
        self._train(rows, codes, weights, evaluate, fit_params)

    def _forget(self):
        """Drop what an earlier fit learned, and the memory of its network."""
        learned = [name for name in vars(self) if name.endswith("_")]
        for name in learned:
            delattr(self, name)
        free_networks()

    def _prepare(self, X, y, classes):
        """Rows and class numbers; learns the classes and builds the network."""
        rows = Rows(X, self._transform_of(training=True))
        labels = check_labels(y, by="KerasClassifier", n_samples=rows.n)
        if self.initialized_:
            return rows, code_labels(labels, self.classes_, by="KerasClassifier")
        classes = self.classes if classes is None else classes
        self.classes_ = np.unique(labels if classes is None else classes)
        codes = code_labels(labels, self.classes_, by="KerasClassifier")
        if len(self.classes_) < 2:
            raise LabelsError(
                "KerasClassifier: `y` must have at least 2 classes; got 1 class, "
                f"{self.classes_.tolist()[0]!r}."
            )
        sample = self._learn_shape(X, rows, labels)
        self.seed_ = draw_seed(self.random_state)
        with seeded(self.seed_):
            self.model_, self.targets_ = build_network(self, sample)
            # The default network is sized and scaled by these rows, the others by one.
            self._sample = sample if self.model is None else sample[:1]
            self._initialize_callbacks()
        # What a pickle builds the network with again, whatever is set meanwhile.
        self._built_with = self.get_params(deep=False)
        self._policy = keras.config.dtype_policy().name
        return rows, codes

    def _rows_and_labels(self, X, y=None, weights=None):
        """Rows, labels and weights, which X or the parameter may bring along."""
        X, y, weights = parts_of(self.dataset if X is None else X, y, weights)
        if X is None or y is None:
            raise ParameterError(
                "KerasClassifier: fit needs X and y, or a dataset of (x, y) pairs as X "
                "or as the parameter `dataset`."
            )
        return X, y, weights

    def _transform_of(self, training):
        """Transform of the rows while training, or while predicting."""
        transform = self.transform
        if not training and self.transform_valid is not None:
            transform = self.transform_valid
        if isinstance(transform, dict):
            named = {
                key: value for key, value in transform.items() if value is not None
            }
            if set(named) - {"images"}:
                raise ParameterError(
                    "KerasClassifier: a transform given as a dict may have the key "
                    f"'images' only, with others None; got {sorted(named)}."
                )
            return named.get("images")
        return transform

    def _learn_shape(self, X, rows, labels):
        """Set what model functions read in `meta`; give some rows."""
        spread = np.linspace(0, rows.n - 1, min(rows.n, _SAMPLE_ROWS)).astype(int)
        sample = rows.read(spread)
        self.X_shape_ = (rows.n, *sample.shape[1:])
        self.X_dtype_ = sample.dtype
        if sample.ndim > 1:
            self.n_features_in_ = sample.shape[1]
        if hasattr(X, "columns"):
            _check_feature_names(self, X, reset=True)
        self.n_classes_ = len(self.classes_)
        self.target_type_ = "binary" if self.n_classes_ == 2 else "multiclass"
        self.n_outputs_ = self.n_outputs_expected_ = self.y_ndim_ = 1
        self.y_dtype_ = labels.dtype
        return sample

    def _train(self, rows, codes, weights, evaluate, fit_params):
        """Run the epochs."""
        arguments = {**self._keras_arguments("fit"), **fit_params}
        epochs = check_epochs(arguments.pop("epochs"))
        batch_size = batch_rows(arguments.pop("batch_size", None), rows.n)
        validation = arguments.pop("validation_data", None)
        split = arguments.pop("validation_split", 0.0) if validation is None else 0.0
        shuffle = bool(arguments.pop("shuffle", True))
        train, held_out = split_validation(codes, split, self.seed_)

        def feed_of(part, size, **order):
            targets = self.targets_.encode(codes[part])
            part_weights = None if weights is None else weights[part]
            return Feed(rows, size, part, targets, part_weights, **order)

        feed = feed_of(train, batch_size, seed=self.seed_, shuffle=shuffle)
        size = arguments.get("validation_batch_size") or batch_size
        if held_out is not None:
            held = feed_of(held_out, batch_rows(size, rows.n))
            arguments["validation_data"] = held.for_keras()
        elif validation is not None:
            held = self._validation_feed(validation, size)
            arguments["validation_data"] = held.for_keras()
        start = arguments.pop("initial_epoch", 0)
        hooks = self._hooks(feed, rows.n, evaluate, epochs, start)
        self.callbacks_ = own_callbacks(self._fit_callbacks)
        self.callbacks_ += own_callbacks(arguments.pop("callbacks", None) or [])
        with feed.own_errors(), watched(hooks["margins"], self.model_):
            history = self.model_.fit(
                feed.for_keras(),
                epochs=start + epochs,
                initial_epoch=start,
                shuffle=False,
                callbacks=[hook for hook in hooks.values() if hook] + self.callbacks_,
                **arguments,
            )
        self._keep(history.history, hooks, start)

    def _validation_feed(self, data, batch_size):
        """Rows that `fit` was given as `validation_data`, as Keras takes them."""
        is_tuple = isinstance(data, tuple | list) and len(data) in (2, 3)
        X, y, weights = parts_of(*data) if is_tuple else parts_of(data)
        if y is None:
            raise ParameterError(
                "KerasClassifier: `validation_data` must be (X, y), (X, y, weights) or "
                f"a tf.data.Dataset of them; got {type(data).__name__}."
            )
        rows = self._rows_to_predict(X)
        labels = check_labels(y, by="KerasClassifier", n_samples=rows.n)
        targets = self.targets_.encode(
            code_labels(labels, self.classes_, by="KerasClassifier")
        )
        weights = row_weights(None, labels, weights, rows.n)
        return Feed(rows, batch_rows(batch_size, rows.n), None, targets, weights)

    def _hooks(self, feed, n_rows, evaluate, epochs, start):
        """Callbacks of hubclean's own."""
        hooks = {"watch": Watch(feed, self.fold), "evaluation": None, "margins": None}
        if evaluate is not None:
            first = start + epochs_to_average(epochs, self.average_epochs)
            other = self._feed_to_predict(evaluate)
            data = other.for_keras()
            hooks["evaluation"] = Evaluation(lambda: self._probabilities(data), first)
        if self.record_margins:
            hooks["margins"] = Margins(feed, self.targets_, n_rows)
        return hooks

    def _keep(self, history, hooks, start):
        """Store what the training left."""
        if not start or not hasattr(self, "history_"):
            self.history_ = {}
        for name, values in history.items():
            self.history_[name] = self.history_.get(name, []) + values
        if hooks["evaluation"] is not None:
            self.evaluated_proba_ = hooks["evaluation"].mean()
        if hooks["margins"] is not None:
            self.margin_history_ = np.stack(hooks["margins"].history)
            self.margins_ = self.margin_history_.mean(axis=0, dtype=np.float64)
            self.training_proba_ = hooks["margins"].mean_proba()

    # -- predicting ------------------------------------------------------------

    def predict_proba(self, X, **predict_params):
        """Class probabilities.

        Parameters
        ----------
        X : array-like, lazy column or tf.data.Dataset of n_samples rows
            Of the shape that `fit` saw.
        **predict_params : dict
            For `keras.Model.predict`.

        Returns
        -------
        pred_probs : ndarray of float, shape (n_samples, n_classes)
            Columns follow `classes_`; rows sum to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called before.
        ValidationError
            If the rows have another shape.
        """
        check_is_fitted(self, "model_")
        feed = self._feed_to_predict(X, predict_params.pop("batch_size", None))
        if not feed.rows.n:
            return np.empty((0, len(self.classes_)))
        with feed.own_errors():
            return self._probabilities(feed.for_keras(), **predict_params)

    def predict(self, X, **predict_params):
        """Most probable labels.

        Parameters
        ----------
        X, **predict_params
            As in `predict_proba`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            In the dtype of the labels that `fit` saw.
        """
        columns = self.predict_proba(X, **predict_params).argmax(axis=1)
        return self.classes_[columns]

    def score(self, X, y, sample_weight=None):
        """Accuracy of `predict`.

        Parameters
        ----------
        X : rows as in `predict_proba`
            Of n_samples rows.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        accuracy : float
            In [0, 1].
        """
        return accuracy_score(
            np.asarray(y), self.predict(X), sample_weight=sample_weight
        )

    def _feed_to_predict(self, X, batch_size=None):
        """Rows in order, without targets."""
        rows = self._rows_to_predict(X)
        given = self._keras_arguments("predict").get("batch_size")
        return Feed(rows, batch_rows(batch_size or given, rows.n))

    def _rows_to_predict(self, X):
        """Rows of the shape that `fit` saw."""
        if is_tf_dataset(X):
            X = read_dataset(X)[0]
        if hasattr(X, "columns") and hasattr(self, "feature_names_in_"):
            _check_feature_names(self, X, reset=False)
        rows = Rows(X, self._transform_of(training=False))
        if rows.n:
            shape, expected = rows.read(np.arange(1)).shape[1:], self.X_shape_[1:]
            if shape != expected:
                raise ValidationError(
                    f"KerasClassifier: X has rows of shape {shape}, but was fitted "
                    f"with rows of shape {expected}."
                )
        return rows

    def _probabilities(self, data, **predict_params):
        """Class probabilities from the network as it is now."""
        arguments = {**self._keras_arguments("predict"), **predict_params}
        arguments.pop("batch_size", None)
        outputs = self.model_.predict(data, **arguments)
        return self.targets_.probabilities(outputs)

    def _keras_arguments(self, method):
        """Parameters that go to `keras.Model.fit` or `predict`."""
        passed = self._fit_kwargs if method == "fit" else self._predict_kwargs
        params = self.get_params(deep=False)
        given = {name: params[name] for name in passed if name in params}
        start = f"{method}__"
        routed = {k[len(start) :]: v for k, v in params.items() if k.startswith(start)}
        routed.pop("callbacks", None)
        return {**given, **{k: v for k, v in routed.items() if "__" not in k}}
