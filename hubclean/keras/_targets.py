"""What the loss wants as targets, and what the network's outputs say about classes.

A loss that fits neither the labels nor the outputs is refused before training: Keras
itself trains on, to no end, when logits meet a loss that expects probabilities.
"""

import re
from dataclasses import dataclass, replace

import keras
import numpy as np

from hubclean.exceptions import EstimatorError
from hubclean.keras._outputs import OUT_OF_RANGE

_SPARSE = {"sparse_categorical_crossentropy"}
_ONE_COLUMN = {"binary_crossentropy", "binary_focal_crossentropy"}
_ONE_HOT = {"categorical_crossentropy", "categorical_focal_crossentropy"}
_HINGE = {"hinge", "squared_hinge"}
_SCORES = {
    "categorical_hinge",
    "cosine_similarity",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
}
_CROSSENTROPIES = _SPARSE | _ONE_COLUMN | _ONE_HOT
_TRIED_ROWS = 7
_KNOWN = _CROSSENTROPIES | _HINGE | _SCORES


@dataclass(frozen=True)
class Targets:
    """Labels as the loss wants them, and class probabilities from the outputs.

    Attributes
    ----------
    n_classes : int
        Number of classes.
    form : {"codes", "one_hot", "column"}
        Targets are class numbers, rows with a single 1, or one column of 0 and 1.
    scale : {"probabilities", "logits", "scores"}
        What the outputs are. Scores are class scores that need not sum to 1.
    """

    n_classes: int
    form: str
    scale: str

    def encode(self, codes):
        """Targets for class numbers, shape (n,), (n, n_classes) or (n, 1)."""
        if self.form == "one_hot":
            return np.eye(self.n_classes, dtype="float32")[codes]
        if self.form == "column":
            return np.asarray(codes, dtype="float32")[:, None]
        return np.asarray(codes, dtype="int32")

    def probabilities(self, outputs):
        """Probabilities, shape (n, n_classes), rows sum to 1, from the outputs."""
        outputs = np.asarray(outputs, dtype=np.float64)
        outputs = outputs.reshape(len(outputs), -1)
        if outputs.shape[1] == 1:
            p = outputs if self.scale != "logits" else _sigmoid(outputs)
            p = np.clip(p, 0, 1)
            return np.hstack([1 - p, p])
        if self.scale == "logits":
            outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return _normalised(outputs)

    def logits(self, outputs):
        """Class scores on the scale of logits, up to one number for each row."""
        outputs = np.asarray(outputs, dtype=np.float64).reshape(len(outputs), -1)
        if self.scale == "logits":
            if outputs.shape[1] == 1:
                return np.hstack([np.zeros_like(outputs), outputs])
            return outputs
        return np.log(np.maximum(self.probabilities(outputs), 1e-30))


def _sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def _normalised(scores):
    """Rows that sum to 1; a row without any score is spread evenly."""
    scores = np.clip(scores, 0, None)
    total = scores.sum(axis=1, keepdims=True)
    even = np.full_like(scores, 1 / scores.shape[1])
    return np.where(total > 0, scores / np.where(total > 0, total, 1), even)


def default_loss(outputs, n_classes):
    """Cross-entropy that fits these outputs."""
    logits = outputs.activation not in ("softmax", "sigmoid")
    if outputs.units == 1 or (outputs.activation == "sigmoid" and n_classes > 2):
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    if outputs.activation == "sigmoid":
        return keras.losses.BinaryCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def plan_targets(loss, outputs, n_classes, one_hot=None):
    """Decide what the targets look like and what the outputs mean.

    Parameters
    ----------
    loss : str, callable or keras.losses.Loss
        The loss the model is compiled with.
    outputs : Outputs
        What the model gives.
    n_classes : int
        Number of classes of the labels.
    one_hot : bool or None
        Whether the loss wants rows with a single 1; None goes by the loss.

    Returns
    -------
    targets : Targets
        The plan.

    Raises
    ------
    EstimatorError
        If labels, loss and outputs do not fit together.

    Examples
    --------
    >>> from hubclean.keras._outputs import Outputs
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> plan_targets(loss, Outputs(3, "linear"), 3)
    Targets(n_classes=3, form='codes', scale='logits')
    """
    loss = _single(loss)
    name = _name(loss)
    _check_units(outputs.units, n_classes)
    form = _form(loss, name, outputs.units, one_hot)
    _check_scale(loss, name, outputs)
    return Targets(n_classes, form, _scale(loss, name, outputs))


def _single(loss):
    """Take the one loss out of a list or dict of losses."""
    parts = list(loss.values()) if isinstance(loss, dict) else loss
    if isinstance(parts, (list, tuple)):
        if len(parts) != 1:
            raise EstimatorError(
                f"KerasClassifier: the model is compiled with {len(parts)} losses; one "
                "output with one loss is needed to tell the classes of a row."
            )
        return parts[0]
    return parts


def _name(loss):
    """Name of the loss of Keras that this one is, or derives from; "" for others."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    kinds = loss.__mro__ if isinstance(loss, type) else type(loss).__mro__
    names = [getattr(loss, "__name__", "")] + [kind.__name__ for kind in kinds]
    known = (_snake_case(name) for name in names)
    return next((name for name in known if name in _KNOWN), "")


def _snake_case(name):
    """KLDivergence as kl_divergence."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _check_units(units, n_classes):
    """The last layer has one output for each class, or a single one for two."""
    if units == n_classes or (units == 1 and n_classes == 2):
        return
    raise EstimatorError(
        f"KerasClassifier: the labels have {n_classes} classes, but the model has "
        f"{units} output(s). Give its last layer {n_classes} units (a model function "
        "finds that number in meta['n_classes_']), or, if these rows lack some "
        "classes, name all of them with `classes`."
    )


def _form(loss, name, units, one_hot):
    """How the loss wants the targets."""
    if units == 1:
        if name in _SPARSE | _ONE_HOT:
            raise EstimatorError(
                f"KerasClassifier: the loss {name} expects one output for each class, "
                "but the model has a single one. Use binary_crossentropy with it, or "
                "give the last layer two units and a softmax."
            )
        return "column"
    if one_hot is not None:
        return "one_hot" if one_hot else "codes"
    if name in _HINGE:
        raise EstimatorError(
            f"KerasClassifier: the loss {name} is for a single output, but the model "
            f"has {units}. Use categorical_hinge or a cross-entropy."
        )
    if name in _ONE_HOT | _ONE_COLUMN | _SCORES:
        return "one_hot"
    return "codes"


def _from_logits(loss):
    """Whether the loss says that it takes logits; None when it does not say."""
    value = getattr(loss, "from_logits", None)
    if value is None and isinstance(loss, keras.losses.Loss):
        try:
            value = loss.get_config().get("from_logits")
        except NotImplementedError:
            value = None
    if value is None and _name(loss) in _CROSSENTROPIES:
        value = False
    return value


def _check_scale(loss, name, outputs):
    """Logits meet a loss for logits, probabilities one for probabilities."""
    from_logits = _from_logits(loss)
    if name not in _CROSSENTROPIES or from_logits is None:
        return
    if from_logits and outputs.activation in ("softmax", "sigmoid"):
        raise EstimatorError(
            f"KerasClassifier: the loss {name} has from_logits=True, but the model "
            f"ends in a {outputs.activation}, which gives probabilities. Set "
            "from_logits=False, or take the activation off."
        )
    if not from_logits and outputs.activation not in ("softmax", "sigmoid", None):
        what = f"the model ends in {outputs.activation!r} outputs"
        if outputs.activation == OUT_OF_RANGE:
            what = "outputs of the model are not between 0 and 1"
        raise EstimatorError(
            f"KerasClassifier: the loss {name} expects probabilities, but {what}. Give "
            f"the last layer a {'sigmoid' if outputs.units == 1 else 'softmax'}, or "
            "the loss from_logits=True."
        )
    if name in _SPARSE | _ONE_HOT and outputs.activation == "sigmoid":
        raise EstimatorError(
            f"KerasClassifier: the loss {name} expects outputs that sum to 1, but the "
            "model ends in a sigmoid. Use a softmax, or binary_crossentropy."
        )


def _scale(loss, name, outputs):
    """What the outputs are: probabilities, logits or scores."""
    if outputs.activation in ("softmax", "sigmoid"):
        return "probabilities"
    if _from_logits(loss):
        return "logits"
    if name in _CROSSENTROPIES:
        return "probabilities"
    return "scores" if name in _SCORES else "logits"


def is_own_loss(loss):
    """Whether a loss is none that is known here, nor derives from one.

    Examples
    --------
    >>> is_own_loss("mse"), is_own_loss(lambda y_true, y_pred: 0.0)
    (False, True)
    """
    return not _name(_single(loss))


def tried_targets(targets, loss, outputs, one_hot=None):
    """Targets that a loss of the user can be computed from, by trying.

    Nothing else tells whether it wants class numbers or one-hot rows.

    Parameters
    ----------
    targets : Targets
        The plan.
    loss : callable or keras.losses.Loss
        The loss the model is compiled with.
    outputs : ndarray of shape (n, n_units)
        Some rows of outputs.
    one_hot : bool or None
        What the user said that it wants.

    Returns
    -------
    targets : Targets
        The plan, or one-hot rows in place of class numbers.

    Raises
    ------
    EstimatorError
        If the loss fails with each of them.
    """
    loss = _single(loss)
    plans, failures = [targets], []
    if one_hot is None and targets.form == "codes":
        plans.append(replace(targets, form="one_hot"))
    n = _TRIED_ROWS + (targets.n_classes == _TRIED_ROWS)  # no square to broadcast in
    outputs = keras.ops.convert_to_tensor(np.resize(outputs, (n, outputs.shape[1])))
    for plan in plans:
        try:
            y = plan.encode(np.arange(n) % targets.n_classes)
            loss(keras.ops.convert_to_tensor(y, dtype=outputs.dtype), outputs)
        except Exception as exc:  # anyone's code
            failures.append(exc)
        else:
            return plan
    name = getattr(loss, "__name__", type(loss).__name__)
    raise EstimatorError(
        f"KerasClassifier: the loss {name} cannot be computed from targets of shape "
        f"{y.shape} and outputs of shape {tuple(outputs.shape)}: {failures[-1]} It is "
        "called with (y_true, y_pred). Set one_hot=True for rows with a single 1, "
        "one_hot=False for class numbers."
    ) from failures[-1]
