"""Walk through anything and hash what it says."""

import collections
import copyreg
import functools
import hashlib
import inspect
import os
import pickle
import types

import numpy as np
from sklearn.base import BaseEstimator

from hubclean._fingerprint._code import (
    class_members,
    closure_of,
    code_parts,
    function_module,
    globals_read,
    is_found_by_name,
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

_PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...)}
#: What `sklearn.base.clone` goes into; elsewhere estimators may stay fitted.
_CLONED = {"list", "tuple", "set", "estimator"}


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
        if type(value) in _PLAIN:
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
            digest = self._hash_parts(tag, parts)
        finally:
            self._above.pop()
        self._known[key] = (value, digest)
        return digest

    def _hash_parts(self, tag, parts):
        """Hash named parts; estimators stay fitted where no clone takes them apart."""
        before = self._frozen
        self._frozen = before or tag not in _CLONED
        try:
            return _hash(tag.encode(), [self.name(part) for part in parts])
        finally:
            self._frozen = before

    def _describe(self, value):
        """A tag, and the parts that tell the value from others with this tag."""
        for kinds, describe in _CONTAINERS:
            if isinstance(value, kinds):
                return describe(self, value)
        if type(value) in _BUILTIN:
            return _BUILTIN[type(value)](self, value)
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
        def name(part):
            return self._name_as(part, fresh=self._fresh, frozen=True)

        digests = sorted((name(key), name(value[key])) for key in value)
        return "dict", [part for pair in digests for part in pair]

    def _describe_sequence(self, value):
        return type(value).__name__, [len(value), *value]

    def _describe_set(self, value):
        return "set", sorted(self.name(item) for item in value)

    def _describe_array(self, value):
        head = [value.dtype.str, list(value.shape)]
        if value.dtype.names:
            head.append(repr(value.dtype))
        if value.dtype.hasobject:
            return "objects", [*head, value.ravel().tolist()]
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return "array", [*head, hashlib.sha256(content).digest()]

    def _describe_partial(self, value):
        return "partial", [value.func, list(value.args), value.keywords]

    def _describe_method(self, value):
        return "method", [value.__func__, value.__self__]

    def _describe_wrapped(self, value):
        if isinstance(value, property):
            return "property", [value.fget, value.fset, value.fdel]
        if isinstance(value, functools.cached_property):  # which holds a lock
            return "cached_property", [value.func]
        return type(value).__name__, [value.__func__]

    def _describe_function(self, value):
        module = module_of(value)
        who = [module, value.__qualname__]
        if is_found_by_name(value):
            return "installed", [*who, version_of(module)]
        parts = [value.__defaults__, value.__kwdefaults__, closure_of(value)]
        parts.append({k: v for k, v in vars(value).items() if k != "__wrapped__"})
        made_in = function_module(value)
        known = is_installed(made_in)  # what a package's function made
        parts.append(version_of(made_in) if known else globals_read(value))
        return "function", [*who, code_parts(value.__code__), *parts]

    def _describe_class(self, value):
        module = module_of(value)
        who = [module, value.__qualname__]
        if is_installed(module):
            return "installed", [*who, version_of(module)]
        members = [part for pair in class_members(value) for part in pair]
        return "class", [*who, type(value), list(value.__bases__), *members]

    def _describe_imported(self, value):
        if is_installed(value.__name__):
            return "import", [value.__name__, version_of(value.__name__)]
        return "import", [source_digest(value)]

    def _describe_module(self, value):
        fresh = self._fresh and not is_frozen(value)
        return "module", [
            type(value),
            self._name_as(module_parts(value, fresh), fresh=fresh, frozen=True),
        ]

    def _describe_estimator(self, value):
        cls = type(value)
        is_adapter = cls.__module__.startswith("hubclean.")
        own_clone = getattr(cls, "__sklearn_clone__", None)
        if own_clone not in (None, BaseEstimator.__sklearn_clone__) and not is_adapter:
            return "frozen", [cls, self._name_as(vars(value), frozen=True)]
        params = value.get_params(deep=False)
        told = {key: item for key, item in params.items() if _matters(cls, key, item)}
        fresh = is_adapter and not params.get("keep_weights", False)
        networks = [told.pop(name, None) for name in ("module", "model")]
        networks = self._name_as(networks, fresh=fresh)
        return "estimator", [cls, sorted(told.items()), _cloned_too(value), networks]

    def _name_as(self, value, *, fresh=False, frozen=False):
        """Name a value by other rules than what is around it."""
        before = self._fresh, self._frozen
        self._fresh, self._frozen = fresh, frozen
        try:
            return self.name(value)
        finally:
            self._fresh, self._frozen = before


#: Objects of subclasses have more to say than what is in them.
_BUILTIN = {
    dict: _Namer._describe_mapping,
    types.MappingProxyType: _Namer._describe_mapping,
    list: _Namer._describe_sequence,
    tuple: _Namer._describe_sequence,
    set: _Namer._describe_set,
    frozenset: _Namer._describe_set,
    np.ndarray: _Namer._describe_array,
    np.memmap: _Namer._describe_array,
}
_CONTAINERS = (
    (functools.partial, _Namer._describe_partial),
    (types.MethodType, _Namer._describe_method),
    (
        property | classmethod | staticmethod | functools.cached_property,
        _Namer._describe_wrapped,
    ),
    (types.FunctionType, _Namer._describe_function),
    (type, _Namer._describe_class),
    (types.ModuleType, _Namer._describe_imported),
)


def _plain_bytes(value):
    return value if isinstance(value, bytes) else repr(value).encode()


def _cloned_too(estimator):
    """What a clone has besides parameters: what was set for outputs and metadata."""
    known = getattr(estimator, "__dict__", {})
    asked = vars(known.get("_metadata_request", types.SimpleNamespace()))
    asked = {name: getattr(one, "requests", None) for name, one in asked.items()}
    # imbalanced-learn adds a method to all of them, for which nothing is asked.
    asked = {name: requests for name, requests in asked.items() if requests}
    return [known.get("_sklearn_output_config"), asked]


def _matters(cls, name, value):
    """Whether a parameter of a class changes what a training gives."""
    if name == "memory" and isinstance(value, str | os.PathLike):
        return not _keeps_in_memory(cls)
    if name == "memory":  # a number would be something else
        return not (value is None or hasattr(value, "location"))
    return not is_how(name)


@functools.cache
def _keeps_in_memory(cls):
    """Whether ``memory`` is where a class keeps things, as that of a pipeline is."""
    known = next(base for base in cls.__mro__ if is_installed(module_of(base)))
    return "memory" in inspect.signature(known.__init__).parameters


def _pandas_parts(value):
    """Names, types, index and values: functions look rows up by the index."""
    index = value.index
    parts = [list(index.names), str(index.dtype), index.to_numpy()]
    if not hasattr(value, "columns"):
        parts, value = [*parts, value.name], value.to_frame(0)
    parts += [list(value.columns), list(value.columns.names)]
    for position in range(value.shape[1]):
        column = value.iloc[:, position]
        parts += [str(column.dtype), column.to_numpy()]
        if hasattr(column.dtype, "categories"):
            parts += [column.dtype.categories.to_numpy(), column.dtype.ordered]
    return parts


def _describe_object(value):
    """What the pickle of an object would hold."""
    reduce = copyreg.dispatch_table.get(type(value))  # of ufuncs, say
    try:
        reduced = reduce(value) if reduce else value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return "global", _global_parts(value, reduced)
    except Exception as exc:  # anyone's code
        raise TypeError(
            f"{type(value).__module__}.{type(value).__qualname__} cannot be named by "
            f"its content: {exc}"
        ) from exc
    made_by, args, state, items, pairs = (*reduced, None, None, None)[:5]
    items = None if items is None else list(items)
    if pairs is not None:
        ordered = isinstance(value, collections.OrderedDict)
        pairs = list(pairs) if ordered else dict(pairs)
    return "object", [type(value), made_by, args, state, items, pairs]


def _global_parts(value, name):
    """Parts of what a pickle keeps by its name, which must be what is found there."""
    if hasattr(value, "__wrapped__"):  # a cached function of anybody's
        return [module_of(value), name, value.__wrapped__]
    found = pickle.dumps(value, protocol=4)
    return [found, version_of(getattr(value, "__module__", None) or "numpy")]
