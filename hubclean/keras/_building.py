"""Build and compile the network of a classifier, from whatever `model` is."""

import gc
import weakref

import keras
import numpy as np
from scikeras._utils import (
    get_loss_class_function_or_string,
    get_metric_class,
    route_params,
    try_to_convert_strings_to_classes,
    unflatten_params,
)

from hubclean.exceptions import EstimatorError
from hubclean.keras._networks import application, default_network
from hubclean.keras._outputs import outputs_of, probe_outputs
from hubclean.keras._rebuild import (
    check_same_weights,
    compile_arguments,
    fresh_model,
)
from hubclean.keras._targets import (
    default_loss,
    is_own_loss,
    plan_targets,
    tried_targets,
)

_PROBED_ROWS = 8
_WAITING, _WAITING_BYTES = 3, 1 << 26
_used: weakref.WeakSet = weakref.WeakSet()


def build_network(classifier, sample):
    """Fresh, compiled network, and the plan of its targets.

    Parameters
    ----------
    classifier : KerasClassifier
        Its parameters say what to build; its `classes_` are known.
    sample : ndarray of shape (n, ...)
        Some rows of X as the network takes them.

    Returns
    -------
    network : keras.Model
        Built and compiled.
    targets : Targets
        What its loss wants and its outputs mean.

    Raises
    ------
    EstimatorError
        If there is no such network, or it fits neither the rows nor the labels.
    """
    network = _network(classifier, sample)
    outputs = probe_outputs(network, sample[:_PROBED_ROWS])
    if isinstance(classifier.model, keras.Model):
        check_same_weights(classifier.model, network)
    _compile(classifier, network, outputs)
    targets = plan_targets(
        network.loss, outputs, len(classifier.classes_), classifier.one_hot
    )
    if is_own_loss(network.loss):
        values = outputs_of(network, sample[:_PROBED_ROWS])
        targets = tried_targets(targets, network.loss, values, classifier.one_hot)
    # Keras makes the optimizer's variables while it traces the first training step,
    # and then has to trace that step twice.
    if not network.optimizer.built:  # building twice doubles what scales its losses
        network.optimizer.build(network.trainable_variables)
    _used.add(network)
    return network, targets


def free_networks():
    """Free the networks of earlier folds that nobody holds any more.

    They are cycles of references, which only the collector frees; it takes a while,
    so a few small ones may wait for the next time. `keras.utils.clear_session` would
    reset what the user's own models and settings rely on.
    """
    sizes = [sum(8 * np.prod(v.shape) for v in network.variables) for network in _used]
    if len(sizes) > _WAITING or sum(sizes) > _WAITING_BYTES:
        gc.collect()


def _network(classifier, sample):
    """Fresh network, compiled or not."""
    model, n_classes = classifier.model, len(classifier.classes_)
    own = route_params(_params(classifier), "model", set(), strict=True)
    if model is None:
        return default_network(sample, n_classes, **own)
    if isinstance(model, str):
        return application(model, sample, n_classes, **own)
    if isinstance(model, keras.Model):
        return fresh_model(model)
    if isinstance(model, type) and issubclass(model, keras.Model):
        return model(**own)
    if not callable(model):
        raise EstimatorError(
            "KerasClassifier: `model` must be a function that builds a Keras model, a "
            "Keras model, the name of a network of keras.applications, or None; got "
            f"{type(model).__name__}."
        )
    return _checked(classifier._build_keras_model())


def _checked(network):
    """A model function must build a new Keras model each time."""
    if not isinstance(network, keras.Model):
        raise EstimatorError(
            "KerasClassifier: the model function must return a keras.Model; got "
            f"{type(network).__module__}.{type(network).__name__}."
        )
    optimizer = getattr(network, "optimizer", None)
    steps = 0 if optimizer is None else int(np.asarray(optimizer.iterations))
    if network in _used or steps:
        raise EstimatorError(
            f"KerasClassifier: the model function returned the model {network.name!r}, "
            "which has been trained before, so trained weights would leak between "
            "folds. Build a new model on each call, or pass the model itself."
        )
    return network


def _compile(classifier, network, outputs):
    """Compile as the model was, with what the classifier was given on top."""
    template = network if network.compiled else classifier.model
    base = {}
    if isinstance(template, keras.Model):
        base = compile_arguments(template)
    given = given_arguments(classifier)
    optimizer = _optimizer(classifier, base.get("optimizer"))
    if not network.compiled or given or _has_own_optimizer(classifier):
        arguments = {**base, **given, "optimizer": optimizer}
        if arguments.get("loss") is None:
            arguments["loss"] = default_loss(outputs, len(classifier.classes_))
        network.compile(**arguments)
    if not network.loss:
        network.compile(
            **{**base, "loss": default_loss(outputs, len(classifier.classes_))}
        )


def given_arguments(classifier):
    """Arguments of `compile` that the classifier was given, but for the optimizer."""
    params = _params(classifier)
    arguments = route_params(params, "compile", classifier._compile_kwargs)
    arguments.pop("optimizer", None)
    for name, getter in (
        ("loss", get_loss_class_function_or_string),
        ("metrics", get_metric_class),
    ):
        value = try_to_convert_strings_to_classes(arguments.get(name), getter)
        arguments[name] = _fresh_metrics(
            unflatten_params(value, route_params(params, name, set()))
        )
    if not arguments.get("run_eagerly"):
        arguments.pop("run_eagerly", None)
    return {key: value for key, value in arguments.items() if value is not None}


def _fresh_metrics(value):
    """Metrics of their own for every network: they hold state."""
    if isinstance(value, keras.metrics.Metric):
        return type(value).from_config(value.get_config())
    if isinstance(value, (list, tuple)):
        return [_fresh_metrics(part) for part in value]
    return value


def _optimizer(classifier, compiled):
    """Fresh optimizer: the given one, else the compiled one, else Adam."""
    routed = route_params(_params(classifier), "optimizer", set(), strict=True)
    base = classifier.optimizer
    if base is None:
        base = compiled if compiled is not None else "adam"
    if isinstance(base, type):
        return base(**routed)
    base = keras.optimizers.get(base)
    return type(base).from_config({**base.get_config(), **routed})


def _has_own_optimizer(classifier):
    """Whether an optimizer, or one of its parameters, was given."""
    routed = route_params(_params(classifier), "optimizer", set())
    return classifier.optimizer is not None or bool(routed)


def _params(classifier):
    return classifier.get_params(deep=False)


def compile_kwargs(classifier):
    """What a model function gets as `compile_kwargs`."""
    arguments = {"loss": None, "metrics": None, **given_arguments(classifier)}
    return {**arguments, "optimizer": _optimizer(classifier, None)}
