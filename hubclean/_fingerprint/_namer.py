"""Walk through anything and hash what it says."""

import functools
import hashlib
import os
import types

import numpy as np
from sklearn.base import BaseEstimator

from hubclean._fingerprint._code import (
    class_members,
    closure_of,
    code_parts,
    globals_read,
    is_installed,
    module_of,
    source_digest,
    version_of,
)
from hubclean._fingerprint._networks import (
    is_frozen,
    is_keras_object,
    is_torch_module,
    is_torch_tensor,
    keras_parts,
    module_parts,
    tensor_parts,
)

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def is_how(name):
    """Whether a parameter only says how a training runs, not what it gives.

    Examples
    --------
    >>> is_how("n_jobs"), is_how("step__verbose"), is_how("C")
    (True, True, False)
    """
    return name.rpartition("__")[2] in ("verbose", "n_jobs")


def fingerprint(*values):
    """Hash what some values say, the same in every process.

    Estimators are named by their class and parameters, without ``verbose`` and
    ``n_jobs``; functions and classes by the code they hold and the globals they read,
    so a model function edited in a notebook is another one. Anything else is named by
    what its pickle would hold.

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
    try:
        return _Namer().name(values).hex()
    except RecursionError as exc:
        raise TypeError(f"it is nested too deeply: {exc}") from exc


def _hash(tag, parts=()):
    digest = hashlib.sha256(tag)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


class _Namer:
    """Names of values, each worked out once."""

    def __init__(self):
        self._known = {}  # the value is kept as well, so that its id stays its own
        self._above = []
        self._fresh = False  # whether weights are drawn anew for every training
        self._frozen = False  # whether an estimator stays fitted

    def name(self, value):
        """Digest of a value, 32 bytes."""
        if isinstance(value, _PLAIN):
            return _hash(b"plain", [type(value).__name__.encode(), _plain_bytes(value)])
        key = (id(value), self._fresh, self._frozen)
        if key in self._known:
            return self._known[key][1]
        if id(value) in self._above:
            depth = len(self._above) - self._above.index(id(value))
            return _hash(b"above", [b"%d" % depth])
        self._above.append(id(value))
        try:
            tag, parts = self._describe(value)
            digest = _hash(tag.encode(), [self.name(part) for part in parts])
        finally:
            self._above.pop()
        self._known[key] = (value, digest)
        return digest

    def _describe(self, value):
        """A tag, and the parts that tell the value from others with this tag."""
        for kinds, describe in _CONTAINERS:
            if isinstance(value, kinds):
                return describe(self, value)
        if is_torch_tensor(value):
            return "tensor", tensor_parts(value)
        if is_torch_module(value):
            return self._describe_module(value)
        if is_keras_object(value):
            return "keras", keras_parts(value, self._fresh)
        if hasattr(value, "iloc"):
            return "pandas", _pandas_parts(value)
        if all(hasattr(value, name) for name in ("identity", "row_ids", "read")):
            known = "content" if hasattr(type(value), "content") else "identity"
            return "lazy", [list(getattr(value, known)), np.asarray(value.row_ids)]
        if hasattr(value, "get_params") and not self._frozen:
            return self._describe_estimator(value)
        return _describe_object(value)

    def _describe_mapping(self, value):
        digests = sorted((self.name(key), self.name(value[key])) for key in value)
        return "dict", [part for pair in digests for part in pair]

    def _describe_sequence(self, value):
        return type(value).__name__, [len(value), *value]

    def _describe_set(self, value):
        return "set", sorted(self.name(item) for item in value)

    def _describe_array(self, value):
        head = [value.dtype.str, list(value.shape)]
        if value.dtype.hasobject:
            return "objects", [*head, value.ravel().tolist()]
        if value.dtype.names:
            head.append(repr(value.dtype))
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return "array", [*head, hashlib.sha256(content).digest()]

    def _describe_partial(self, value):
        return "partial", [value.func, list(value.args), value.keywords]

    def _describe_method(self, value):
        return "method", [value.__func__, value.__self__]

    def _describe_wrapped(self, value):
        if isinstance(value, property):
            return "property", [value.fget, value.fset, value.fdel]
        return type(value).__name__, [value.__func__]

    def _describe_function(self, value):
        module = module_of(value)
        who = [module, value.__qualname__]
        if is_installed(module):
            made = "<locals>" in value.__qualname__ or "<lambda>" in value.__qualname__
            inside = [closure_of(value), value.__defaults__] if made else []
            inside += [code_parts(value.__code__)] if made else []
            return "installed", [*who, version_of(module), *inside]
        parts = [value.__defaults__, value.__kwdefaults__, closure_of(value)]
        return "function", [
            *who,
            code_parts(value.__code__),
            *parts,
            globals_read(value),
        ]

    def _describe_class(self, value):
        module = module_of(value)
        who = [module, value.__qualname__]
        if is_installed(module):
            return "installed", [*who, version_of(module)]
        members = [part for pair in class_members(value) for part in pair]
        return "class", [*who, list(value.__bases__), *members]

    def _describe_imported(self, value):
        if is_installed(value.__name__):
            return "import", [value.__name__, version_of(value.__name__)]
        return "import", [source_digest(value)]

    def _describe_module(self, value):
        fresh = self._fresh and not is_frozen(value)
        return "module", [
            type(value),
            self._name_as(module_parts(value, fresh), fresh=fresh, frozen=self._frozen),
        ]

    def _describe_estimator(self, value):
        cls = type(value)
        is_adapter = cls.__module__.startswith("hubclean.")
        own_clone = getattr(cls, "__sklearn_clone__", None)
        if own_clone not in (None, BaseEstimator.__sklearn_clone__) and not is_adapter:
            return "frozen", [cls, self._name_as(vars(value), frozen=True)]
        params = value.get_params(deep=False)
        told = {key: item for key, item in params.items() if _matters(key, item)}
        fresh = is_adapter and not params.get("keep_weights", False)
        networks = [told.pop(name, None) for name in ("module", "model")]
        return "estimator", [cls, told, self._name_as(networks, fresh=fresh)]

    def _name_as(self, value, *, fresh=False, frozen=False):
        """Name a value by other rules than what is around it."""
        before = self._fresh, self._frozen
        self._fresh, self._frozen = fresh, frozen
        try:
            return self.name(value)
        finally:
            self._fresh, self._frozen = before


_CONTAINERS = (
    (dict | types.MappingProxyType, _Namer._describe_mapping),
    (list | tuple, _Namer._describe_sequence),
    (set | frozenset, _Namer._describe_set),
    (np.ndarray, _Namer._describe_array),
    (functools.partial, _Namer._describe_partial),
    (types.MethodType, _Namer._describe_method),
    (property | classmethod | staticmethod, _Namer._describe_wrapped),
    (types.FunctionType, _Namer._describe_function),
    (type, _Namer._describe_class),
    (types.ModuleType, _Namer._describe_imported),
)


def _plain_bytes(value):
    return value if isinstance(value, bytes) else repr(value).encode()


def _matters(name, value):
    """Whether a parameter changes what a training gives."""
    if name == "memory":  # where things are kept; a number would be something else
        is_place = value is None or isinstance(value, str | os.PathLike)
        return not (is_place or hasattr(value, "location"))
    return not is_how(name)


def _pandas_parts(value):
    """Names, types and values; the index says nothing about a training."""
    if not hasattr(value, "columns"):
        value = value.to_frame(0)
    parts = [list(value.columns)]
    for position in range(value.shape[1]):
        column = value.iloc[:, position]
        parts += [str(column.dtype), column.to_numpy()]
        if hasattr(column.dtype, "categories"):
            parts += [column.dtype.categories.to_numpy(), column.dtype.ordered]
    return parts


def _describe_object(value):
    """What the pickle of an object would hold."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as exc:  # anyone's code
        raise TypeError(
            f"{type(value).__module__}.{type(value).__qualname__} cannot be named by "
            f"its content: {exc}"
        ) from exc
    if isinstance(reduced, str):
        module = module_of(value) or type(value).__module__
        return "global", [module, reduced, getattr(value, "__wrapped__", None)]
    made_by, args, state, items, pairs = (*reduced, None, None, None)[:5]
    listed = [None if more is None else list(more) for more in (items, pairs)]
    return "object", [type(value), made_by, args, state, *listed]
