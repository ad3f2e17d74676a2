"""What tells one network from another: its parts, and its weights where they stay.

PyTorch and Keras are recognised by the names of base classes, and are not imported.
"""

import copy
import functools
import re
import sys
import types

import numpy as np

_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_RESETS = ("reset_parameters", "_reset_parameters")
#: Weights, biases and statistics of torch's own layers, all of which these set.
_TORCHS_OWN = re.compile(
    r"(in_proj_|[qkv]_proj_)?(weight|bias)(_[a-z]{2}(_l\d+(_reverse)?)?)?|bias_[kv]"
    r"|running_(mean|var)|num_batches_tracked"
)


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
    parts = _kind(tensor)
    if _is_unsized(tensor):
        return parts
    try:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        content = flat.view(sys.modules["torch"].uint8).numpy()
    except (RuntimeError, TypeError) as exc:  # sparse or quantised
        raise TypeError(f"a tensor cannot be named by its content: {exc}") from exc
    return [*parts, content]


def module_parts(module, fresh):
    """Attributes of a module; of tensors that are drawn anew only their kind.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    fresh : bool
        Whether `reset_parameters` is called before every training. What is frozen
        counts as it is.

    Returns
    -------
    parts : list
        For a fingerprint.
    """
    state = _without_handles(vars(module))
    reset = next((name for name in _RESETS if hasattr(module, name)), None)
    if fresh and reset is not None:
        drawn = _drawn_anew(module, reset)
        for name in ("_parameters", "_buffers"):
            state[name] = {
                key: _kind(one) if key in drawn and one is not None else one
                for key, one in state.get(name, {}).items()
            }
    return [{name: _in_order(value) for name, value in state.items()}]


def _in_order(value):
    """Make a list of a dict: the order of parts is the order in which they run."""
    return list(value.items()) if isinstance(value, dict) else value


def is_frozen(module):
    """Whether a module has weights, and training changes none of them."""
    weights = list(module.parameters())
    return bool(weights) and not any(one.requires_grad for one in weights)


def _without_handles(state):
    """Attributes of a module, its hooks by their order.

    torch numbers the hooks of a process, so their numbers say nothing about a module.
    """
    hooks = [
        name for name in state if "_hooks" in name and isinstance(state[name], dict)
    ]
    numbers = sorted({number for name in hooks for number in state[name]})
    order = {number: position for position, number in enumerate(numbers)}
    ordered = {
        name: {order[number]: hook for number, hook in state[name].items()}
        for name in hooks
    }
    return {
        name: value
        for name, value in {**state, **ordered}.items()
        if not _has_base(value, "torch.utils.hooks", "RemovableHandle")
    }


def _drawn_anew(module, reset):
    """Names of the tensors that a reset sets, whatever was in them; frozen ones stay.

    Of a class that is not torch's own, or has further tensors, two copies that hold
    other numbers are reset with the same random ones: what differs was not drawn.
    """
    weights = module._parameters.items()
    learned = {name for name, one in weights if one is None or one.requires_grad}
    names = {*learned, *module._buffers}
    is_torchs = type(module).__module__.startswith("torch.nn.modules.")
    if is_torchs and all(map(_TORCHS_OWN.fullmatch, names)):
        return names
    try:
        one, other = (_after_reset(module, reset, number) for number in (0, 1))
    except Exception:  # anyone's code; all of it counts then
        return set()
    equal = sys.modules["torch"].equal
    return {
        name
        for name in names
        if one[name] is not None and equal(one[name], other[name])
    }


def _after_reset(module, reset, number):
    """Tensors of a copy of a module that was full of one number and is reset."""
    twin = copy.deepcopy(module).cpu()
    own = [*twin.parameters(recurse=False), *twin.buffers(recurse=False)]
    # Modules are reset by our adapter alone, which lends out torch's one generator.
    randomness = sys.modules["hubclean.pytorch._randomness"].Randomness(0)
    with sys.modules["torch"].no_grad(), randomness:
        for tensor in own:
            tensor.fill_(number)
        getattr(twin, reset)()
    return {**twin._parameters, **twin._buffers}


def _is_unsized(tensor):
    """Whether a tensor of a lazy layer has no shape yet."""
    return _has_base(tensor, "torch.nn.parameter", "UninitializedTensorMixin")


def _kind(tensor):
    shape = None if _is_unsized(tensor) else list(tensor.shape)
    return [str(tensor.dtype), shape, bool(tensor.requires_grad)]


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
