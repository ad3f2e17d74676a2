"""A module with fresh weights for every fold, tried on a few rows before training."""

import copy
import inspect
import weakref

import torch
from torch.nn.parameter import is_lazy

from hubclean.exceptions import EstimatorError
from hubclean.pytorch._tensors import prepare

_RESETS = ("reset_parameters", "_reset_parameters")
_trained: weakref.WeakSet = weakref.WeakSet()


def fresh_module(module, kwargs, keep_weights=False):
    """Module with weights that no fold has trained.

    Parameters
    ----------
    module : torch.nn.Module class, instance, or callable that makes one
        A class or callable is called; an instance is copied, and its copy reset.
        What is frozen in it stays as it is.
    kwargs : dict
        Arguments of the class or callable. They are copied, and modules among them
        reset like an instance.
    keep_weights : bool
        Start every fold from the weights of the instances, which then must come from
        other data.

    Returns
    -------
    fresh : torch.nn.Module
        Never the object that was passed.

    Raises
    ------
    EstimatorError
        If the class lacks arguments, the instance cannot reset itself, or the callable
        gives a module that has been trained.
    """
    is_instance = isinstance(module, torch.nn.Module)
    if is_instance and kwargs and keep_weights:
        named = ", ".join(f"module__{name}" for name in sorted(kwargs))
        raise EstimatorError(
            "skorch: `keep_weights=True` starts from the weights of the `module` "
            f"instance, but another {type(module).__name__} would have to be made for "
            f"{named}. Make the instance with these arguments, or pass the class."
        )
    if is_instance and not kwargs:
        fresh = copy.deepcopy(module)
        if not keep_weights:
            _reset(fresh, "module")
        return fresh
    kwargs = copy.deepcopy(kwargs)
    if not keep_weights:
        for name in kwargs:
            for part in _modules_in(kwargs[name]):
                _reset(part, f"module__{name}")
    return _made(type(module) if is_instance else module, kwargs)


def _modules_in(value):
    """Modules that a value is, or holds."""
    if isinstance(value, torch.nn.Module):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [part for item in value for part in _modules_in(item)]
    return []


def mark_trained(module):
    """Remember a module that will be trained, so that it is not taken for fresh."""
    for part in module.modules():
        if _learns(part):
            _trained.add(part)


def _learns(part):
    """Whether a part has parameters of its own that training changes."""
    return any(p.requires_grad for p in part.parameters(recurse=False))


def _made(factory, kwargs):
    """Call a class or function that makes a module."""
    name = getattr(factory, "__name__", type(factory).__name__)
    if not callable(factory):
        raise EstimatorError(
            "skorch: `module` must be a torch.nn.Module class or instance, a function "
            f"that makes one, or the name of a model; got {name}."
        )
    _check_arguments(factory, name, kwargs)
    made = factory(**kwargs)
    if not isinstance(made, torch.nn.Module):
        raise EstimatorError(
            f"skorch: `module` {name} must make a torch.nn.Module; it made a "
            f"{type(made).__name__}."
        )
    old = [part for part in made.modules() if part in _trained and _learns(part)]
    if old:
        raise EstimatorError(
            f"skorch: the module that `module` {name} made has a part "
            f"({type(old[0]).__name__}) that has been trained before, so trained "
            "weights would leak between folds. Make new parts on each call, or pass "
            "the module itself."
        )
    return made


def _check_arguments(factory, name, kwargs):
    """Say which arguments a class lacks, before Python does so without a remedy."""
    try:
        inspect.signature(factory).bind(**kwargs)
    except ValueError:  # no signature to be had
        return
    except TypeError as exc:
        raise EstimatorError(
            f"skorch: `module` {name} cannot be made with the arguments "
            f"{sorted(kwargs)}: {exc}. Pass them with a prefix, as in "
            "skorch(module=Net, module__hidden=64), or pass an instance."
        ) from exc


def _reset(module, parameter):
    """Draw the weights of every part anew, but for those that are frozen."""
    stuck, frozen = [], _frozen_parts(module)
    fixed = [p for p in module.parameters() if not (p.requires_grad or is_lazy(p))]
    kept = [(weights, weights.detach().clone()) for weights in fixed]
    for name, part in module.named_modules():
        if part in frozen:
            continue
        reset = next((getattr(part, r) for r in _RESETS if hasattr(part, r)), None)
        if reset is not None:
            reset()
        elif _learns(part):
            stuck.append(f"{name or 'the module itself'} ({type(part).__name__})")
    with torch.no_grad():
        for weights, value in kept:
            weights.copy_(value)
    if stuck:
        raise EstimatorError(
            f"skorch: the `{parameter}` instance cannot be given fresh weights for "
            "each fold, because these parts have no reset_parameters(): "
            f"{', '.join(stuck)}. Weights kept from fold to fold have seen the rows "
            "they are to judge, and no wrong label would be found. Pass the class, "
            "with its arguments as module__NAME=...; or, if the weights were trained "
            "on other data, pass keep_weights=True."
        )


def _frozen_parts(module):
    """Parts whose weights are all frozen, with all that is inside of them."""
    frozen = set()
    for part in module.modules():
        weights = list(part.parameters())
        if weights and not any(p.requires_grad for p in weights):
            frozen.update(part.modules())
    return frozen


def first_output(output):
    """Tensor of scores in what a module returned.

    Examples
    --------
    >>> first_output((torch.zeros(1), "attention"))
    tensor([0.])
    """
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, tuple | list) and output:
        return first_output(output[0])
    logits = getattr(output, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    raise EstimatorError(
        "skorch: `module` must return a tensor of shape (n_samples, n_classes), or a "
        f"tuple that starts with one; it returned a {type(output).__name__}."
    )


def try_module(module, batch, plan, n_classes):
    """Run a few rows through a module, and check what comes out.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU.
    batch : Tensor of shape (n, ...)
        Rows as they are read.
    plan : InputPlan
        How they are made ready.
    n_classes : int
        Classes of `y`.

    Returns
    -------
    gives_probabilities : bool
        Whether the outputs are probabilities already, and not logits, in evaluation
        mode; training may differ.

    Raises
    ------
    EstimatorError
        If the module cannot take the rows, or has another number of outputs.
    """
    module.eval()
    ready = prepare(batch, plan, "cpu")
    try:
        with torch.no_grad():
            output = module(ready)
    except (RuntimeError, ValueError, TypeError, IndexError) as exc:
        raise EstimatorError(
            f"skorch: `module` {type(module).__name__} cannot take a batch of shape "
            f"{tuple(ready.shape)} and type {ready.dtype}: {exc} Build it for this "
            "shape (images have channels first), or change the rows with `transform`."
        ) from exc
    return checked_output(first_output(output), module, len(batch), n_classes)


def checked_output(output, module, n_rows, n_classes):
    """Whether the outputs of a batch are probabilities; an error if they are too few.

    Parameters
    ----------
    output : Tensor
        What the module gave.
    module : torch.nn.Module
        Named in the error.
    n_rows, n_classes : int
        Rows of the batch, and classes of `y`.

    Returns
    -------
    gives_probabilities : bool
        Whether they are probabilities already, and not logits.

    Raises
    ------
    EstimatorError
        If there is not one output for each class.
    """
    if output.ndim != 2 or output.shape[1] != n_classes:
        mode = "training" if module.training else "evaluation"
        raise EstimatorError(
            f"skorch: `module` {type(module).__name__} must have {n_classes} outputs, "
            f"one per class of `y`; for {n_rows} rows it gave the shape "
            f"{tuple(output.shape)} in {mode} mode. Change its last layer to "
            f"{n_classes} outputs (2 for two classes, not 1), or, if these rows lack "
            "some classes, name all of them with `classes`."
        )
    return are_probabilities(output.detach())


def are_probabilities(output):
    """Whether every row is non-negative and sums to 1.

    Examples
    --------
    >>> are_probabilities(torch.tensor([[0.25, 0.75]]))
    True
    >>> are_probabilities(torch.tensor([[0.3, 2.0]]))
    False
    """
    rounding = 1e-3 if output.dtype == torch.float32 else 2e-2
    totals = output.float().sum(1)
    return bool((output >= 0).all() and ((totals - 1).abs() <= rounding).all())
