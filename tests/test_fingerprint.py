import collections
import functools
import importlib
import os
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path

import imblearn  # noqa: F401  - clones lose what was asked for before it is imported
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hubclean._fingerprint import fingerprint

WIDTH = 3


def reads_a_global(x):
    return x * WIDTH


def made(code, name, **names):
    """What a notebook cell defines."""
    names["__name__"] = "__main__"
    exec(code, names)
    return names[name]


def with_attribute(base, value):
    """Object of a subclass that says more than what is in it."""
    item = type("Own", (base,), {})()
    item.value = value
    return item


def with_scale(scale):
    function = made("def f(x): return x * f.scale", "f")
    function.scale = scale
    return function


def wrapped(scale):
    """Function that has the name of one of NumPy's."""

    @functools.wraps(np.linalg.svd)
    def wrapper(x):
        return scale * x

    return wrapper


def asking(name):
    with config_context(enable_metadata_routing=True):
        return LogisticRegression().set_fit_request(sample_weight=name)


class Remembering(BaseEstimator):
    def __init__(self, memory):
        self.memory = memory


PARTIAL = "from functools import partialmethod\nclass A:\n def f(self, k): pass\n"
CACHED = "from functools import cached_property\nclass A:\n @cached_property\n"
FITTED = [StandardScaler().fit([[0.0], [k]]) for k in (1, 2)]
DIFFERENT = {
    "nesting": ({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}),
    "lists": ([[1], [2]], [[1, 2], []]),
    "list and tuple": ([1], (1,)),
    "number and text": ([1], ["1"]),
    "number and truth": (1, True),
    "array type": (np.zeros(2), np.zeros(2, np.float32)),
    "array shape": (np.zeros((2, 1)), np.zeros((1, 2))),
    "objects": (np.array([1, "a"], object), np.array(["1", "a"], object)),
    "frames by name": (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    "index of a frame": (
        pd.DataFrame({"a": [1]}, index=[3]),
        pd.DataFrame({"a": [1]}, index=[4]),
    ),
    "index of a series": (
        pd.Series([1, 2], index=["a", "b"]),
        pd.Series([1, 2], index=["b", "a"]),
    ),
    "masked arrays": (
        np.ma.array([1, 2], mask=[True, False]),
        np.ma.array([1, 2], mask=[False, True]),
    ),
    "names of fields": (
        np.array([(1, 2)], dtype=[("a", object), ("b", object)]),
        np.array([(1, 2)], dtype=[("b", object), ("a", object)]),
    ),
    "values of missing keys": (
        collections.defaultdict(functools.partial(int, 0)),
        collections.defaultdict(functools.partial(int, 1)),
    ),
    "order of an ordered dict": (
        collections.OrderedDict(a=1, b=2),
        collections.OrderedDict(b=2, a=1),
    ),
    "class of a list": (with_attribute(list, 1), with_attribute(list, 2)),
    "class of a text": (with_attribute(str, 1), with_attribute(str, 2)),
    "fields": (
        collections.namedtuple("P", "x y")(1, 2),
        collections.namedtuple("P", "y x")(1, 2),
    ),
    "attributes of a function": (with_scale(1), with_scale(2)),
    "wrappers of a library's function": (wrapped(1), wrapped(2)),
    "ufuncs": (FunctionTransformer(np.log1p), FunctionTransformer(np.expm1)),
    "partial methods": (
        made(f"{PARTIAL} __call__ = partialmethod(f, k=1)", "A"),
        made(f"{PARTIAL} __call__ = partialmethod(f, k=2)", "A"),
    ),
    "cached properties": (
        made(f"{CACHED} def n(self): return 1", "A"),
        made(f"{CACHED} def n(self): return 2", "A"),
    ),
    "fitted in a dict": [{"by": fitted} for fitted in FITTED],
    "fitted in a closure": [(lambda by: lambda x: by.transform(x))(k) for k in FITTED],
    "fitted in a partial": [functools.partial(print, fitted) for fitted in FITTED],
    "method of a fitted one": [
        FunctionTransformer(fitted.transform) for fitted in FITTED
    ],
    "output of a step": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(
            StandardScaler().set_output(transform="pandas"), LogisticRegression()
        ),
    ),
    "metadata asked for": (asking("a"), asking("b")),
    "a memory of one's own": (Remembering("short"), Remembering("long")),
    "sparse": (sparse.csr_array(np.eye(2)), sparse.csr_array(2 * np.eye(2))),
    "parameters": (LogisticRegression(C=1), LogisticRegression(C=2)),
    "class": (LogisticRegression(), RandomForestClassifier()),
    "inside": (
        make_pipeline(StandardScaler(), LogisticRegression(C=1)),
        make_pipeline(StandardScaler(), LogisticRegression(C=2)),
    ),
    "lambdas": (
        FunctionTransformer(lambda x: x + 1),
        FunctionTransformer(lambda x: x + 2),
    ),
    "partials": (functools.partial(np.sum, axis=0), functools.partial(np.sum, axis=1)),
    "closures": ((lambda k: lambda x: x + k)(1), (lambda k: lambda x: x + k)(2)),
    "defaults": (
        made("def f(x, n=1): return n", "f"),
        made("def f(x, n=2): return n", "f"),
    ),
    "code": (made("def f(x): return x", "f"), made("def f(x): return -x", "f")),
    "globals": (
        made("def f(x): return x * WIDTH", "f", WIDTH=1),
        made("def f(x): return x * WIDTH", "f", WIDTH=2),
    ),
    "functions called": (
        made("def g(): return 1\ndef f(): return g()", "f"),
        made("def g(): return 2\ndef f(): return g()", "f"),
    ),
    "class body": (made("class A: n = 1", "A"), made("class A: n = 2", "A")),
    "method": (
        made("class A:\n def fit(self): return 1", "A"),
        made("class A:\n def fit(self): return 2", "A"),
    ),
    "property": (
        made("class A:\n @property\n def n(self): return 1", "A"),
        made("class A:\n @property\n def n(self): return 2", "A"),
    ),
    "base class": (
        made("class B: n = 1\nclass A(B): pass", "A"),
        made("class B: n = 2\nclass A(B): pass", "A"),
    ),
    "frozen": (
        FrozenEstimator(LogisticRegression().fit([[0], [1]], [0, 1])),
        FrozenEstimator(LogisticRegression().fit([[0], [3]], [0, 1])),
    ),
    "random states": (np.random.RandomState(0), np.random.RandomState(1)),
    "a memory that is a number": (
        types.SimpleNamespace(memory=1),
        types.SimpleNamespace(memory=2),
    ),
}
SAME = {
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "how it runs": (
        RandomForestClassifier(n_jobs=1, verbose=0),
        RandomForestClassifier(n_jobs=2, verbose=1),
    ),
    "where steps are kept": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), LogisticRegression(), memory="somewhere"),
    ),
    "fitted or not": (
        LogisticRegression(),
        LogisticRegression().fit([[0], [1]], [0, 1]),
    ),
    "layout of an array": (np.eye(3)[:, :2], np.ascontiguousarray(np.eye(3)[:, :2])),
    "sharing": ([[1], [1]], [[1]] * 2),
    "main module": (
        made("def f(x): return x", "f"),
        made("__name__ = '__mp_main__'\ndef f(x): return x", "f"),
    ),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_tells_apart(pair):
    assert fingerprint(pair[0]) != fingerprint(pair[1])


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_takes_for_the_same(pair):
    assert fingerprint(pair[0]) == fingerprint(pair[1])


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_the_same_again(pair):
    assert fingerprint(pair[0]) == fingerprint(pair[0])
    if isinstance(pair[0], BaseEstimator):
        assert fingerprint(pair[0]) == fingerprint(clone(pair[0]))


def test_methods_for_which_nothing_is_asked_say_nothing():
    one, more = asking("a"), asking("a")
    more._metadata_request.another = types.SimpleNamespace(requests={})
    assert fingerprint(one) == fingerprint(more)


def test_values_of_several_arguments_stay_apart():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint([1], [2]) != fingerprint([1, [2]])


def test_an_edited_global_counts(monkeypatch):
    before = fingerprint(reads_a_global)
    monkeypatch.setitem(globals(), "WIDTH", 4)
    assert fingerprint(reads_a_global) != before


def test_what_is_in_a_module_counts(tmp_path, monkeypatch):
    """Set since, or edited in the file and not imported again."""
    file = tmp_path / "own_helpers.py"
    file.write_text("SCALE = 1\ndef f(x): return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_helpers")
    function = made("def g(x): return m.f(x) * m.SCALE", "g", m=module)
    one = fingerprint(function)
    assert fingerprint(function) == one
    monkeypatch.setattr(module, "SCALE", 2)
    assert fingerprint(function) != one
    monkeypatch.setattr(module, "SCALE", 1)
    file.write_text("SCALE = 1\ndef f(x): return -x\n")
    old_code = fingerprint(function)
    monkeypatch.setattr(module, "f", made("def f(x): return -x", "f"))
    assert len({one, old_code, fingerprint(function)}) == 3


def test_cycles_end():
    ring = [1]
    ring.append(ring)
    other = [2]
    other.append(other)
    assert fingerprint(ring) != fingerprint(other)
    recursive = made("def f(n): return f(n - 1)", "f")
    assert fingerprint(recursive) == fingerprint(recursive)
    chain = []
    for _ in range(10_000):
        chain = [chain]
    with pytest.raises(TypeError, match="nested too deeply"):
        fingerprint(chain)


@pytest.mark.parametrize("thing", [threading.Lock(), (n for n in ())])
def test_what_cannot_be_named(thing):
    with pytest.raises(TypeError, match="cannot be named by its content"):
        fingerprint({"key": thing})


def test_an_open_file_cannot_be_named(tmp_path):
    with open(tmp_path / "file", "w") as handle:
        with pytest.raises(TypeError, match="cannot be named by its content"):
            fingerprint(LogisticRegression(C=handle))


CODE = """
from hubclean._fingerprint import fingerprint
from sklearn.preprocessing import FunctionTransformer
class Net:
    names = {"alpha", "beta", "gamma", "delta"}
    def fit(self, x):
        return super().__repr__() if x in {"one", "two", "three"} else [y for y in x]
net = Net()
print(fingerprint(FunctionTransformer(lambda x: x in {"a", "b", "c"}), Net, net))
"""


def test_every_process_gives_the_same_name():
    """Whatever the seed of Python's hashes is, and where a set's items lie."""
    names = set()
    for seed in "01":
        env = {**os.environ, "PYTHONHASHSEED": seed}
        env["PYTHONPATH"] = str(Path(__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, env=env
        )
        assert done.stderr == ""
        names.add(done.stdout)
    assert len(names) == 1


def test_pickling_does_not_rename_a_class():
    """Python adds __slotnames__ to a class when an object of it is pickled."""
    cls = made("class A:\n def fit(self): return 1", "A")
    before = fingerprint(cls)
    cls.__slotnames__ = []
    assert fingerprint(cls) == before


def test_torch_networks():
    torch = pytest.importorskip("torch")
    from hubclean.pytorch import skorch

    def net(width=4):
        return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU())

    one = skorch(module=net())
    assert fingerprint(one) == fingerprint(clone(one))
    assert fingerprint(one) == fingerprint(pickle.loads(pickle.dumps(one)))
    # The weights are drawn anew for every fold, so those of the instance do not count.
    assert fingerprint(one) == fingerprint(skorch(module=net()))
    assert fingerprint(one) != fingerprint(skorch(module=net(5)))
    assert fingerprint(one) != fingerprint(skorch(module=net(), batch_size=7))
    kept = [skorch(module=net(), keep_weights=True) for _ in range(2)]
    assert fingerprint(kept[0]) != fingerprint(kept[1])
    assert fingerprint(kept[0]) == fingerprint(clone(kept[0]))


def test_the_order_of_layers_counts():
    """Not that of their names: their kinds and weights are the same."""
    nn = pytest.importorskip("torch").nn
    layers = {"one": nn.LayerNorm(4), "two": nn.ReLU()}
    orders = (["one", "two"], ["two", "one"])
    nets = [
        nn.Sequential(collections.OrderedDict((k, layers[k]) for k in order))
        for order in orders
    ]
    assert fingerprint(nets[0]) != fingerprint(nets[1])


def test_tensors_that_no_reset_sets_count():
    torch = pytest.importorskip("torch")
    from hubclean.pytorch import skorch

    class Scaled(torch.nn.Linear):
        def __init__(self, scale):
            super().__init__(3, 4)
            self.register_buffer("scale", torch.tensor(scale))
            self.shift = torch.nn.Parameter(torch.tensor([scale]))

    class Drawn(Scaled):
        def reset_parameters(self):
            super().reset_parameters()
            if hasattr(self, "shift"):
                torch.nn.init.uniform_(self.shift)

    class Follows(Scaled):
        def reset_parameters(self):
            if hasattr(self, "scale"):
                self.weight.data[:] = self.scale

    def masked(mask):
        layer = torch.nn.Linear(3, 4)
        layer.register_buffer("mask", torch.tensor(mask), persistent=False)
        return layer

    def name(module):
        return fingerprint(skorch(module=torch.nn.Sequential(module)))

    before = torch.get_rng_state()
    for kind in (Scaled, Drawn, masked):
        numbers = [kind(1.0), kind(1.0), kind(0.0)]
        torch.set_rng_state(before)
        one, again, other = map(name, numbers)
        assert one == again != other
        assert torch.equal(torch.get_rng_state(), before)
    shifted = Drawn(1.0)
    shifted.shift.data += 1
    assert name(shifted) == name(Drawn(1.0))
    assert name(Follows(1.0)) != name(Follows(0.0))


def test_frozen_layers_count_as_they_are():
    """Training changes nothing in them, and no reset is meant for them."""
    torch = pytest.importorskip("torch")
    from hubclean.pytorch import skorch

    def body(mean=0.0):
        norm = torch.nn.BatchNorm1d(4, affine=False)
        norm.running_mean.fill_(mean)
        return torch.nn.Sequential(torch.nn.Linear(3, 4), norm)

    def name(part):
        return fingerprint(skorch(module=torch.nn.Sequential(part, torch.nn.ReLU())))

    learned = body()
    learned[0].bias.requires_grad_(False)
    again = body()
    again.load_state_dict(learned.state_dict())
    again[0].weight.data += 1
    again[0].bias.requires_grad_(False)
    assert name(learned) == name(again)
    again[0].bias.data += 1
    assert name(learned) != name(again)

    frozen = body().requires_grad_(False)
    statistics = body(1.0).requires_grad_(False)
    statistics[0].load_state_dict(frozen[0].state_dict())
    assert name(frozen) == name(frozen) != name(statistics)
    assert name(frozen) != name(body().requires_grad_(False))
    assert name(body()) == name(body(1.0))


def test_lazy_layers_and_hooks():
    torch = pytest.importorskip("torch")
    from hubclean.pytorch import skorch

    def name(*layers, **params):
        return fingerprint(skorch(module=torch.nn.Sequential(*layers), **params))

    def hooked(hook):
        layer = torch.nn.Linear(2, 2)
        layer.register_forward_hook(hook)
        return layer

    lazy = torch.nn.LazyLinear
    assert name(lazy(3)) == name(lazy(3)) != name(lazy(4))
    assert name(lazy(3), keep_weights=True) == name(lazy(3), keep_weights=True)
    assert name(lazy(3)) != name(torch.nn.Linear(2, 3))
    assert name(hooked(print)) == name(hooked(print)) != name(hooked(repr))


def test_keras_models():
    keras = pytest.importorskip("keras")
    from hubclean.keras import scikeras

    def model(width=4):
        layers = [keras.Input((3,)), keras.layers.Dense(width), keras.layers.Dense(2)]
        return keras.Sequential(layers)

    one = scikeras(model())
    assert fingerprint(one) == fingerprint(clone(one))
    assert fingerprint(one) == fingerprint(pickle.loads(pickle.dumps(one)))
    assert fingerprint(one) == fingerprint(scikeras(model()))  # dense_2, not dense
    assert fingerprint(one) != fingerprint(scikeras(model(5)))
    assert fingerprint(one) != fingerprint(scikeras(model(), epochs=3))
