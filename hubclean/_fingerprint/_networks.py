"""What tells one network from another: its parts, and its weights where they stay.

PyTorch and Keras are recognised by the names of base classes, and are not imported.
"""

import functools
import re
import sys
import types

import numpy as np

_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_RESETS = ("reset_parameters", "_reset_parameters")


def _has_base(value, module, *names):
    return any(
        base.__module__.startswith(module) and base.__name__ in names
        for base in type(value).__mro__
    )


def is_torch_tensor(value):
    """Whether a value is a `torch.Tensor`."""
    return _has_base(value, "torch", "Tensor")


def is_torch_module(value):
    """Whether a value is a `torch.nn.Module`."""
    return _has_base(value, "torch.nn.modules.module", "Module")


def is_keras_object(value):
    """Whether a value is a model, layer, optimizer, loss or the like of Keras."""
    if isinstance(value, type) or not hasattr(value, "get_config"):
        return False
    return any(base.__module__.startswith("keras.") for base in type(value).__mro__)


def tensor_parts(tensor):
    """Type, shape and content of a tensor."""
    parts = [str(tensor.dtype), list(tensor.shape), bool(tensor.requires_grad)]
    try:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        content = flat.view(sys.modules["torch"].uint8).numpy()
    except (RuntimeError, TypeError) as exc:  # sparse or quantised
        raise TypeError(f"a tensor cannot be named by its content: {exc}") from exc
    return [*parts, content]


def module_parts(module, fresh):
    """Attributes of a module; of weights drawn anew only their kind.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    fresh : bool
        Whether `reset_parameters` is called before every training.

    Returns
    -------
    parts : list
        For a fingerprint.
    """
    state = dict(vars(module))
    if fresh and any(hasattr(module, name) for name in _RESETS):
        for name in ("_parameters", "_buffers"):
            state[name] = {
                key: None if one is None else _kind(one)
                for key, one in state.get(name, {}).items()
            }
    return [state]


def _kind(tensor):
    return [str(tensor.dtype), list(tensor.shape), bool(tensor.requires_grad)]


def keras_parts(value, fresh):
    """Class, config, layers' code, compilation and weights of a Keras object.

    Parameters
    ----------
    value : object
        With ``get_config``.
    fresh : bool
        Whether a model is built anew from its config before every training.

    Returns
    -------
    parts : list
        For a fingerprint.

    Raises
    ------
    TypeError
        If it has no config.
    """
    is_model = _has_base(value, "keras.", "Model")
    try:
        config = {"class_name": type(value).__name__, "config": value.get_config()}
        parts = [type(value), _unnumbered(config)]
        for layer in _layers_of(value):
            parts += [type(layer), *_own_code(layer), *_adapted(layer)]
        if not _is_layer(value):
            parts += _own_code(value)
        if is_model and getattr(value, "compiled", False):
            parts += [_unnumbered(value.get_compile_config()), value.loss]
        if not (is_model and fresh) and hasattr(value, "get_weights"):
            parts += [np.asarray(weight) for weight in value.get_weights()]
    except Exception as exc:  # configs run anyone's code
        raise TypeError(
            f"{type(value).__qualname__} cannot be named by its config: {exc}"
        ) from exc
    return parts


def _is_layer(value):
    return _has_base(value, "keras.", "Layer")


def _layers_of(value):
    """Layers in a layer or model, itself and those inside of layers too."""
    return value._flatten_layers() if _is_layer(value) else []


def _own_code(value):
    """Functions and classes of the user that the config knows by their names alone."""
    for _, part in sorted(getattr(value, "__dict__", {}).items()):
        if isinstance(part, _FUNCTIONS):
            if not _is_of_keras(part):
                yield part
        elif is_keras_object(part) and not _is_layer(part):
            if not type(part).__module__.startswith("keras."):
                yield type(part)
            yield from _own_code(part)


def _is_of_keras(function):
    """Whether Keras wrote it; what it wraps a layer's methods in is named like them."""
    function = getattr(function, "func", function)
    known = getattr(getattr(function, "__func__", function), "__globals__", {})
    return known.get("__name__", "").startswith("keras.")


def _adapted(layer):
    """What a layer learned from rows by `adapt`, which every training starts from."""
    if not hasattr(layer, "adapt"):
        return []
    parts = [getattr(layer, "bin_boundaries", None)]
    if hasattr(layer, "get_vocabulary"):
        parts.append(layer.get_vocabulary())
    return parts + [np.asarray(weight) for weight in layer.get_weights()]


def _unnumbered(config):
    """Config of Keras objects, where names that Keras counts up are positions.

    The second model of a session has layers ``dense_1`` where the first has ``dense``.
    """
    positions = {name: f"layer {n}" for n, name in enumerate(_counted_names(config))}
    return _renamed(config, positions)


def _counted_names(config):
    """Names in a config that Keras made of a class and a number, in order."""
    if isinstance(config, list | tuple):
        for item in config:
            yield from _counted_names(item)
    elif isinstance(config, dict):
        inner = config.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        made_of = str(config.get("class_name", "")).lower()
        if isinstance(name, str) and made_of:
            if re.sub(r"(_\d+)?$", "", name).replace("_", "") == made_of:
                yield name
        for item in config.values():
            yield from _counted_names(item)


def _renamed(config, positions):
    """Replace names by positions, and tuples by the lists that files make of them."""
    if isinstance(config, list | tuple):
        return [_renamed(item, positions) for item in config]
    if isinstance(config, dict):
        return {key: _renamed(item, positions) for key, item in config.items()}
    return positions.get(config, config) if isinstance(config, str) else config
