"""A fresh model like a given one: same layers, same compilation, new weights.

The given model is never trained. Its weights may have seen the labels that are to be
judged, so none of them is taken over, and a model of which that cannot be said is
refused.
"""

from inspect import isfunction

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from hubclean.exceptions import EstimatorError

_REMEDY = (
    "Pass a function that builds the model instead, "
    "scikeras(lambda meta: build_my_model(), ...): it is called once for each fold."
)
_PLAIN = (bool, int, float, str, type(None))


def fresh_model(model):
    """Build a model from the config of another one, uncompiled, with fresh weights.

    Parameters
    ----------
    model : keras.Model
        Sequential, functional or subclassed; built, trained and compiled or not.

    Returns
    -------
    fresh : keras.Model
        Shares no variable with `model`.

    Raises
    ------
    EstimatorError
        If the model cannot be rebuilt, or would lose what cannot be made again.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> fresh = fresh_model(model)
    >>> bool((fresh.get_weights()[0] == model.get_weights()[0]).any())
    False
    """
    _check_trainable(model)
    try:
        fresh = _from_config(model)
        _keep_adapted(model, fresh)
    except Exception as exc:  # get_config and from_config run anyone's code
        raise EstimatorError(
            f"KerasClassifier: the model {model.name!r} cannot be rebuilt from its "
            f"config with fresh weights for each fold ({_first_line(exc)}). "
            f"{_REMEDY} Or give {type(model).__name__} a get_config that returns the "
            "arguments of its constructor."
        ) from exc
    _check_separate(model, fresh)
    _check_same(model, fresh)
    return fresh


def _from_config(model):
    """Same layers and arguments, new variables."""
    # The config is of a live object of the user, not of a downloaded file.
    with (
        SafeModeScope(safe_mode=False),
        keras.saving.custom_object_scope(own_objects(model)),
    ):
        if type(model).__module__.startswith("keras."):
            return keras.models.clone_model(model, clone_function=_fresh_layer)
        return type(model).from_config(model.get_config())


def _fresh_layer(layer):
    """Layer of the same config; a lambda stays the same live function."""
    if isinstance(layer, keras.Model):
        return _from_config(layer)
    if isinstance(layer, keras.layers.Lambda):
        return keras.layers.Lambda(
            layer.function,
            output_shape=getattr(layer, "_output_shape", None),
            arguments=layer.arguments,
            name=layer.name,
        )
    return type(layer).from_config(layer.get_config())


def own_objects(model):
    """Classes and functions of the user in a model, by the names in its config."""
    parts = [type(part) for part in [model, *_all_layers(model)]]
    if getattr(model, "compiled", False):
        parts += [type(part) for part in (model.optimizer, *model.metrics)]
        loss = model.loss
        parts.append(loss if isfunction(loss) else type(loss))
    return {
        part.__name__: part
        for part in parts
        if part.__module__.partition(".")[0] not in ("keras", "builtins")
    }


def _all_layers(model):
    """Every layer in a model, those inside of layers too, in a fixed order."""
    return list(model._flatten_layers(include_self=False))


def _first_line(exc):
    """What an error says, without the examples that Keras adds."""
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return " ".join(lines[:2])


def _check_trainable(model):
    """Frozen layers hold weights that no training would bring back."""
    frozen = [
        layer.name
        for layer in [model, *_all_layers(model)]
        if not layer.trainable and layer.weights
    ]
    if frozen:
        raise EstimatorError(
            f"KerasClassifier: the model {model.name!r} has frozen layers "
            f"({', '.join(frozen[:3])}), whose weights would be lost: it is rebuilt "
            "with fresh weights for each fold, so that no trained weights leak into "
            "the judgement of the labels. Pass a function that builds the model and "
            "loads the weights it starts from."
        )


def _check_separate(model, fresh):
    """A config that hands live layers over would leak trained weights."""
    ours = {id(variable) for variable in fresh.variables}
    layers = {id(layer) for layer in _all_layers(fresh)}
    shared = [v.path for v in model.variables if id(v) in ours]
    shared += [layer.name for layer in _all_layers(model) if id(layer) in layers]
    if shared:
        raise EstimatorError(
            f"KerasClassifier: rebuilding the model {model.name!r} from its config "
            f"gives a model that shares {shared[0]!r} with it, so trained weights "
            f"would leak between folds. {_REMEDY}"
        )


def _check_same(model, fresh):
    """Keras forgets the constructor's arguments of subclasses without a get_config."""
    mine, theirs = _all_layers(fresh), _all_layers(model)
    same = len(mine) == len(theirs) or model.built  # some are made while building
    same &= all(map(_alike, theirs, mine)) if len(mine) == len(theirs) else True
    old, new = _settings(model), _settings(fresh)
    same &= all(old[name] == new[name] for name in old.keys() & new.keys())
    if not same:
        raise _not_the_same(model)


def _not_the_same(model):
    return EstimatorError(
        f"KerasClassifier: rebuilding the model {model.name!r} from its config gives "
        f"another model. Give {type(model).__name__} a get_config that returns the "
        f"arguments of its constructor. Or: {_REMEDY}"
    )


def check_same_weights(model, network):
    """Refuse a built network whose weights differ in shape from those of its model."""
    shapes = [[tuple(w.shape) for w in part.weights] for part in (model, network)]
    if model.built and shapes[0] != shapes[1]:
        raise _not_the_same(model)


def _alike(layer, other):
    """Whether two layers are of one kind and have one config, names aside."""
    if type(layer) is not type(other):
        return False
    if isinstance(layer, keras.layers.Lambda):
        return True
    try:
        return _nameless(layer.get_config()) == _nameless(other.get_config())
    except NotImplementedError:
        return True


def _nameless(config):
    """Config without the names that Keras counts up, and without shapes seen."""
    if isinstance(config, dict):
        dropped = ("name", "build_config", "vocabulary", "shared_object_id")
        return {k: _nameless(v) for k, v in config.items() if k not in dropped}
    if isinstance(config, (list, tuple)):
        return [_nameless(part) for part in config]
    return config if isinstance(config, _PLAIN) else type(config)


def _settings(model):
    """Plain attributes that a subclass gave itself."""
    usual = vars(keras.Model())
    return {
        name: value
        for name, value in vars(model).items()
        if name not in usual and name[0] != "_" and isinstance(value, _PLAIN)
    }


def _keep_adapted(model, fresh):
    """Bring over what layers learned from X alone, by `adapt`: means, vocabularies."""
    for old, new in zip(_all_layers(model), _all_layers(fresh), strict=False):
        if type(old) is not type(new) or not hasattr(old, "adapt"):
            continue
        if hasattr(old, "get_vocabulary"):
            new.set_vocabulary(old.get_vocabulary(include_special_tokens=False))
        elif isinstance(old, keras.layers.Normalization):
            _keep_normalization(old, new)
        elif getattr(old, "bin_boundaries", None) is not None:
            new.bin_boundaries = list(old.bin_boundaries)


def _keep_normalization(old, new):
    """Means and variances of a `Normalization` layer that was adapted."""
    if old.input_mean is None and old.built:
        if not new.built:
            new.build(old.get_build_config()["input_shape"])
        new.set_weights(old.get_weights())
        new.finalize_state()


def compile_arguments(model):
    """How a model was compiled, as fresh arguments of `compile`.

    Parameters
    ----------
    model : keras.Model
        Compiled or not.

    Returns
    -------
    arguments : dict
        Empty when the model is not compiled.

    Raises
    ------
    EstimatorError
        If its optimizer, loss or metrics cannot be made again.
    """
    if not getattr(model, "compiled", False):
        return {}
    try:
        config = dict(model.get_compile_config())
        config.pop("loss", None)
        with keras.saving.custom_object_scope(own_objects(model)):
            arguments = keras.saving.deserialize_keras_object(config)
    except Exception as exc:  # custom losses and metrics run anyone's code
        raise EstimatorError(
            f"KerasClassifier: how the model {model.name!r} was compiled cannot be "
            f"repeated ({exc}). Pass optimizer=, loss= and metrics= to scikeras() with "
            f"an uncompiled model. Or: {_REMEDY}"
        ) from exc
    return {**arguments, "loss": model.loss}
