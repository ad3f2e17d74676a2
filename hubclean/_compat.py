"""Optional packages, and the private names of scikit-learn that hubclean uses.

Everything that may move between versions of another package is imported here, and
nowhere else. It imports only `hubclean.exceptions`.
"""

import contextlib
import importlib
import os
import sys

from sklearn.base import _fit_context
from sklearn.utils._metadata_requests import METHODS
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils._tags import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_feature_names, _check_n_features

from hubclean.exceptions import MissingPackageError

__all__ = [
    "HasMethods",
    "Interval",
    "METHODS",
    "MetadataRouter",
    "MethodMapping",
    "StrOptions",
    "_check_feature_names",
    "_check_n_features",
    "_fit_context",
    "_get_output_config",
    "_routing_enabled",
    "get_tags",
    "process_routing",
    "load_deeplake_first",
    "require",
    "validate_parameter_constraints",
]


def require(package, *, extra, by):
    """Import an optional package, or say how to install it.

    Parameters
    ----------
    package : str
        Import name, ``"deeplake"`` for example; dotted names import a submodule.
    extra : str
        The extra of hubclean that installs it, ``"hub"`` for example.
    by : str
        Who asks for it, named in the message.

    Returns
    -------
    module : module
        The imported package.

    Raises
    ------
    MissingPackageError
        If the package is not installed, or an import inside it fails.
    KeyboardInterrupt
        If it was stopped with Ctrl-C, whatever the package made of that.

    Examples
    --------
    >>> require("json", extra="hub", by="an example").dumps([1])
    '[1]'
    """
    try:
        with _own_symbols(package, by):
            return importlib.import_module(package)
    except ImportError as exc:
        if _was_stopped(exc):
            raise KeyboardInterrupt from exc
        raise MissingPackageError(
            f"{by} needs the package {package.partition('.')[0]!r}, which cannot be "
            f"imported ({exc}). Install it with: pip install 'hubclean[{extra}]'"
        ) from exc


def _was_stopped(error):
    """Whether Ctrl-C stands behind an error: compiled packages say ImportError."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _deeplake_would_abort():
    """Whether a plain import of Deep Lake would end the process now.

    TensorFlow's library on Linux shows the process its own copy of OpenSSL, which
    Deep Lake 4.7 meets with abort() when it is loaded after it. The other order works.
    """
    loaded = sys.modules
    return (
        sys.platform.startswith("linux")
        and "tensorflow" in loaded
        and "deeplake" not in loaded
    )


@contextlib.contextmanager
def _own_symbols(package, by):
    """Let Deep Lake prefer its own OpenSSL where TensorFlow's would end the process."""
    if package.partition(".")[0] != "deeplake" or not _deeplake_would_abort():
        yield
        return
    if not hasattr(os, "RTLD_DEEPBIND"):  # musl has none
        raise MissingPackageError(
            f"{by} needs the package 'deeplake', which ends the process when it is "
            "imported after TensorFlow. Start again, and import deeplake (or "
            "hubclean.keras, which does) before tensorflow and keras."
        )
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)


def load_deeplake_first():
    """Import Deep Lake, where there is one, before TensorFlow is imported."""
    if not _deeplake_would_abort():
        with contextlib.suppress(MissingPackageError):
            require("deeplake", extra="hub", by="hubclean.keras")
