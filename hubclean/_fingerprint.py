"""Name what a training depends on: the estimator, its code, its parameters, its data.

Two fingerprints are equal when a training would give the same model. It imports
nothing from hubclean.
"""

import functools
import hashlib
import inspect
import sys
import types

import joblib
import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def fingerprint(*values):
    """Hash what some values say, the same in every process.

    Estimators are named by their class and parameters, functions and classes by the
    code they hold, so a model function edited in a notebook is another one. Anything
    else is named by its pickled content.

    Parameters
    ----------
    *values : object
        Parameters, arrays, estimators, functions, modules.

    Returns
    -------
    name : str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        If a value cannot be named: it cannot be pickled.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> fingerprint(LogisticRegression(C=1)) == fingerprint(LogisticRegression(C=1))
    True
    >>> fingerprint(LogisticRegression(C=1)) == fingerprint(LogisticRegression(C=2))
    False
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 2)
    False
    """
    digest = hashlib.sha256()
    for value in values:
        for part in _describe(value, ()):
            digest.update(part)
            digest.update(b"\0")
    return digest.hexdigest()


def _describe(value, above):
    """Yield bytes that tell a value from another; `above` are its containers."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__}:{value!r}".encode()
    elif any(value is one for one in above):
        yield b"itself"
    elif isinstance(value, dict):
        yield b"dict"
        for key, item in sorted(value.items(), key=lambda pair: repr(pair[0])):
            yield from _describe(key, above)
            yield from _describe(item, (*above, value))
    elif isinstance(value, list | tuple):
        yield type(value).__name__.encode() + b"%d" % len(value)
        for item in value:
            yield from _describe(item, (*above, value))
    elif isinstance(value, np.ndarray) and value.dtype != object:
        yield f"array{value.shape}{value.dtype.str}".encode()
        yield hashlib.sha256(np.ascontiguousarray(value)).digest()
    else:
        yield from _describe_object(value, above)


def _describe_object(value, above):
    above = (*above, value)
    if isinstance(value, functools.partial):
        yield b"partial"
        yield from _describe([value.func, value.args, value.keywords], above)
    elif isinstance(value, types.MethodType):
        yield from _describe([value.__func__, value.__self__], above)
    elif isinstance(value, types.FunctionType):
        yield from _describe_function(value, above)
    elif isinstance(value, type):
        yield from _describe_class(value, above)
    elif hasattr(value, "get_params"):
        yield from _describe_class(type(value), above)
        yield from _describe(value.get_params(deep=False), above)
    else:
        yield from _describe_class(type(value), above)
        yield _content(value)


def _content(value):
    """Hash of the pickled content."""
    try:
        return str(joblib.hash(value)).encode()
    except Exception as exc:
        raise TypeError(
            f"{type(value).__module__}.{type(value).__qualname__} cannot be named by "
            f"its content: {exc}"
        ) from exc


def _describe_function(function, above):
    yield f"{function.__module__}.{function.__qualname__}".encode()
    if _is_installed(function.__module__):
        yield _version(function.__module__)
        return
    yield from _describe_code(function.__code__)
    yield from _describe([function.__defaults__, function.__kwdefaults__], above)
    for cell in function.__closure__ or ():
        yield from _describe(cell.cell_contents, above)


def _describe_code(code):
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _describe_code(constant)
        else:
            yield repr(constant).encode()


def _describe_class(cls, above):
    """Name, version, and for a user's own class the code of its methods."""
    for base in cls.__mro__[:-1]:
        yield f"{base.__module__}.{base.__qualname__}".encode()
        if _is_installed(base.__module__):
            yield _version(base.__module__)
            continue
        for name, member in sorted(vars(base).items()):
            inner = inspect.unwrap(getattr(member, "__func__", member))
            if isinstance(inner, types.FunctionType) and not any(
                inner is one for one in above
            ):
                yield name.encode()
                yield from _describe_code(inner.__code__)


@functools.cache
def _is_installed(module):
    """Whether code comes from an installed package, which its version names."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module not in ("__main__", "__mp_main__")
    return "site-packages" in file or "dist-packages" in file


@functools.cache
def _version(module):
    package = sys.modules.get(module.partition(".")[0])
    return str(getattr(package, "__version__", "")).encode()
