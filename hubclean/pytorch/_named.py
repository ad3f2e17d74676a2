"""Models of torchvision and timm by name, with a head for the classes at hand."""

import difflib
import importlib

import torch
from torch import nn

from hubclean.exceptions import MissingPackageError, ParameterError

_LIBRARIES = ("torchvision", "timm")
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class NormalisedModel(nn.Module):
    """A model of images that are brought to a mean and deviation first.

    Parameters
    ----------
    model : torch.nn.Module
        Takes images (n, channels, height, width).
    mean, std : sequence of float
        One for each channel.
    """

    def __init__(self, model, mean, std):
        super().__init__()
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            values = torch.as_tensor(values, dtype=torch.float32)
            self.register_buffer(name, values.reshape(1, -1, 1, 1))

    def forward(self, x):
        """Output of the model."""
        return self.model((x - self.mean) / self.std)


def named_model(name, n_outputs, pretrained=False):
    """Model of torchvision or timm with another number of outputs.

    Parameters
    ----------
    name : str
        "resnet18", or with its library, "timm/resnet18".
    n_outputs : int or None
        Outputs of the new last layer; None leaves it out, so that the model gives
        features.
    pretrained : bool
        With the weights that the library offers, which it may download.

    Returns
    -------
    model : NormalisedModel
        Takes images of three channels between 0 and 1.

    Raises
    ------
    MissingPackageError
        If the library is not installed, or does not fit the installed torch.
    ParameterError
        If no library knows the name.
    """
    library, package, name = _find(name)
    if library == "timm":
        model = package.create_model(
            name, pretrained=pretrained, num_classes=n_outputs or 0
        )
        config = getattr(model, "default_cfg", {})
        scale = (config.get("mean", _IMAGENET[0]), config.get("std", _IMAGENET[1]))
        return NormalisedModel(model, *scale)
    weights = "DEFAULT" if pretrained else None
    model = package.models.get_model(name, weights=weights)
    return NormalisedModel(replace_head(model, n_outputs), *_IMAGENET)


def _find(name):
    """Library, imported, that has a model of this name, and the name in it."""
    asked, _, rest = name.partition("/")
    if asked in _LIBRARIES:
        package = _load(asked, name)
        known = {asked: (package, _names(asked, package))}
        name = rest
    else:
        known = _known(name)
    for library, (package, names) in known.items():
        if name in names:
            return library, package, name
    every = [each for _, names in known.values() for each in names]
    close = ", ".join(difflib.get_close_matches(name, every, 3)) or "none like it"
    raise ParameterError(
        f"skorch: no model is named {name!r} in {' or '.join(known)}; there is {close}."
    )


def _known(name):
    """Names of the models of every library that can be imported."""
    known, failure = {}, None
    for library in _LIBRARIES:
        try:
            package = _load(library, name)
        except MissingPackageError as exc:
            failure = failure or exc
        else:
            known[library] = (package, _names(library, package))
    if not known:
        raise failure
    return known


def _names(library, package):
    """Names of the models of a library."""
    if library == "timm":
        return package.list_models()
    return package.models.list_models(module=package.models)


def _load(library, name):
    """Import a library; torchvision fails with a RuntimeError beside another torch."""
    try:
        return importlib.import_module(library)
    except (ImportError, RuntimeError) as exc:
        raise MissingPackageError(
            f"skorch: the model {name!r} needs the package {library!r}, which cannot "
            f"be imported ({exc}). Install it with: pip install 'hubclean[vision]' "
            "(beside a CPU build of torch, take torchvision from that build's index). "
            "Without `module`, a small network that needs neither is used."
        ) from exc


def replace_head(model, n_outputs):
    """Give the last layer of a model another number of outputs.

    Parameters
    ----------
    model : torch.nn.Module
        Ends in a linear layer, or a convolution.
    n_outputs : int or None
        Outputs of the new last layer; None puts nothing in its place.

    Returns
    -------
    model : torch.nn.Module
        The same object.

    Examples
    --------
    >>> replace_head(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 5)), 3)[-1]
    Linear(in_features=8, out_features=3, bias=True)
    """
    name, last = _last(model, nn.Linear) or _last(model, nn.Conv2d) or (None, None)
    if name is None:
        raise ParameterError(
            f"skorch: {type(model).__name__} has no linear layer or convolution whose "
            "outputs could be replaced. Pass the module itself."
        )
    if n_outputs is None:
        new = nn.Identity()
    elif isinstance(last, nn.Linear):
        new = nn.Linear(last.in_features, n_outputs)
    else:
        new = nn.Conv2d(last.in_channels, n_outputs, last.kernel_size)
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, new)
    return model


def _last(model, kind):
    """Name and module of the last layer of a kind, or None."""
    found = [(name, part) for name, part in model.named_modules() if type(part) is kind]
    return found[-1] if found else None
