"""What needs a process of its own: another backend, and what is imported when."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scikeras")

TORCH_BACKEND = """
import numpy as np
import keras
assert keras.backend.backend() == "torch"
from hubclean import HubLabelCleaner
from hubclean.keras import scikeras

rng = np.random.default_rng(0)
y = np.repeat([0, 1, 2], 20)
X = rng.normal(size=(60, 4))
X[np.arange(60), y] += 5
given = np.array(["a", "b", "c"])[y]
wrong = [3, 30, 50]
given[wrong] = ["b", "c", "a"]

class Column:
    identity, dtype = ("column",), X.dtype
    def __init__(self, row_ids):
        self.row_ids, self.shape = row_ids, (len(row_ids), 4)
    def __len__(self):
        return len(self.row_ids)
    def __getitem__(self, index):
        return Column(self.row_ids[index])
    def read(self, indices=None):
        return X[self.row_ids if indices is None else self.row_ids[indices]]

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
classifier = scikeras(model, epochs=6, batch_size=8, optimizer__learning_rate=0.1,
                      record_margins=True, validation_split=0.1, random_state=0)
cleaner = HubLabelCleaner(classifier, cv=3, random_state=0).fit(X, given)
issues = cleaner.label_issues_
assert set(issues.sort_values("label_quality").index[:3]) == set(wrong)

first = classifier.fit(X, given).predict_proba(X)
column = Column(np.arange(60))
again = classifier.fit(column, given, evaluate=column[[1, 2]])
np.testing.assert_array_equal(again.predict_proba(column), first)
assert again.evaluated_proba_.shape == (2, 3)
classifier.set_params(optimizer__learning_rate=0.0, validation_split=0.0)
classifier.fit(X, given)
logits = classifier.model_.predict(X.astype("float32"), verbose=0)
codes = np.searchsorted(classifier.classes_, given)
others = np.where(np.eye(3, dtype=bool)[codes], -np.inf, logits).max(axis=1)
expected = logits[np.arange(60), codes] - others
np.testing.assert_allclose(classifier.margins_, expected, rtol=1e-4, atol=1e-5)
np.testing.assert_allclose(classifier.training_proba_, classifier.predict_proba(X),
                           rtol=1e-4, atol=1e-5)
"""

NOTHING_LOADED = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
import hubclean

def loaded():
    return {"tensorflow", "keras", "scikeras"} & set(sys.modules)

assert not loaded(), loaded()
X, y = np.random.default_rng(0).normal(size=(60, 3)), np.repeat([0, 1], 30)
hubclean.HubLabelCleaner(LogisticRegression(), cv=2).fit(X, y)
assert not loaded(), loaded()
try:
    import torch
    from hubclean.pytorch import skorch
except ImportError:
    pass
else:
    hubclean.HubLabelCleaner(skorch(epochs=1), cv=2).fit(X, y)
    assert not loaded(), loaded()
"""

HUB = """
import tempfile
import keras  # before deeplake, which aborts the process if nobody takes care
import numpy as np
from hubclean import HubLabelCleaner, datasets, hub, scikeras

source = hub.open(datasets.write_digits(tempfile.mkdtemp() + "/digits"))
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
classifier = scikeras(model, epochs=2, random_state=0)
X, y = source.X[:200], source.y[:200]
lazy = HubLabelCleaner(classifier, cv=2, random_state=0).fit(X, y)
plain = HubLabelCleaner(classifier, cv=2, random_state=0)
plain.fit(np.asarray(X), np.asarray(y))
np.testing.assert_array_equal(lazy.pred_probs_, plain.pred_probs_)
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_torch_backend_of_keras():
    pytest.importorskip("torch")
    run(TORCH_BACKEND, KERAS_BACKEND="torch")


def test_a_hub_dataset_after_tensorflow():
    pytest.importorskip("deeplake")
    run(HUB)


def test_the_tutorial_runs_without_its_data(tmp_path):
    pytest.importorskip("matplotlib")
    script = Path(__file__).parent.parent / "docs/examples/plot_keras_fashion_mnist.py"
    few = {"HUBCLEAN_TUTORIAL_ROWS": "300", "HUBCLEAN_DATA": str(tmp_path)}
    run(script.read_text(), MPLBACKEND="agg", **few)


def test_keras_is_loaded_for_keras_models_only():
    run(NOTHING_LOADED)


def test_without_scikeras_the_message_says_what_to_install(monkeypatch):
    from hubclean._compat import require
    from hubclean.exceptions import MissingPackageError

    monkeypatch.setitem(sys.modules, "scikeras.wrappers", None)
    with pytest.raises(MissingPackageError, match=r"hubclean\[tensorflow\]"):
        require("scikeras.wrappers", extra="tensorflow", by="hubclean.keras")
