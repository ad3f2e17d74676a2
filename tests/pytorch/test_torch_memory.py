"""What `memory` keeps of PyTorch models and datasets, and when it trains again."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402
from hubclean.exceptions import LabelQualityWarning  # noqa: E402

# Small nets that learn little.
pytestmark = pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
X[np.arange(60), Y] += 4


def probs(data=(X, Y), memory=None, **params):
    net = hp.skorch(**{"epochs": 2, "batch_size": 16, **params})
    cleaner = HubLabelCleaner(net, cv=3, random_state=0, memory=memory)
    return cleaner.fit(*data).pred_probs_


class Scaled(nn.Linear):
    def __init__(self, scale):
        super().__init__(4, 8)
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, x):
        return super().forward(x * self.scale)


def test_a_buffer_that_no_reset_sets_tells_models_apart(tmp_path):
    for scale in (1.0, 0.0):
        module = nn.Sequential(Scaled(scale), nn.ReLU(), nn.Linear(8, 3))
        kept = probs(module=module, memory=tmp_path)
        np.testing.assert_array_equal(kept, probs(module=module))
    assert n_kept(tmp_path) == 6


def test_frozen_layers_tell_models_apart(tmp_path):
    for scale in (1.0, 0.0):
        first = nn.Linear(4, 8).requires_grad_(False)
        first.weight.data *= scale
        module = nn.Sequential(first, nn.ReLU(), nn.Linear(8, 3))
        kept = probs(module=module, memory=tmp_path)
        np.testing.assert_array_equal(kept, probs(module=module))


def test_lazy_layers_are_kept(tmp_path):
    for _ in range(2):
        module = nn.Sequential(nn.LazyLinear(3))
        kept = probs(module=module, memory=tmp_path)
        np.testing.assert_array_equal(kept, probs(module=module))
    assert n_kept(tmp_path) == 3


class Rows(torch.utils.data.Dataset):
    """A dataset of somebody's own, which could read any file."""

    def __init__(self, scale=1.0, transform=None, log=None):
        self.scale, self.transform, self.log = scale, transform, log

    def __len__(self):
        return 60

    def __getitem__(self, i):
        row = X[i] * self.scale
        return row if self.transform is None else self.transform(row), int(Y[i])


def n_kept(memory):
    return len(list((memory / "hubclean").iterdir()))


def pairs():
    return torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))


@pytest.mark.parametrize(
    "make",
    [
        pairs,
        lambda: torch.utils.data.Subset(pairs(), range(0, 60, 2)),
        lambda: torch.utils.data.ConcatDataset([pairs(), pairs()]),
        lambda: list(zip(X, Y.tolist(), strict=True)),
    ],
)
def test_datasets_in_memory_are_known_by_their_content(tmp_path, make):
    """Another object is what another process has."""
    kept = [probs(hp.from_dataset(make()), tmp_path) for _ in range(2)]
    assert n_kept(tmp_path) == 3
    np.testing.assert_array_equal(*kept)


def test_tensors_that_were_changed_train_again(tmp_path):
    dataset = pairs()
    columns = hp.from_dataset(dataset)
    probs(columns, tmp_path)
    dataset.tensors[0][::3] = 0
    np.testing.assert_array_equal(probs(columns, tmp_path), probs(columns))


@pytest.mark.filterwarnings("ignore:.*another process:UserWarning")
def test_datasets_that_were_changed_train_again(tmp_path):
    dataset = Rows()
    columns = hp.from_dataset(dataset)
    first = probs(columns, tmp_path)
    np.testing.assert_array_equal(probs(columns, tmp_path), first)
    assert n_kept(tmp_path) == 3
    dataset.scale = 0.5
    np.testing.assert_array_equal(probs(columns, tmp_path), probs(columns))
    for code in ("row", "-row"):  # a cell that is edited and run again
        names = {"__name__": "__main__"}
        exec(f"def edited(row): return {code}", names)
        dataset.transform = names["edited"]
        np.testing.assert_array_equal(probs(columns, tmp_path), probs(columns))


def test_datasets_of_anyones_class_say_that_they_are_not_shared(tmp_path):
    with pytest.warns(
        LabelQualityWarning,
        match=r"HubLabelCleaner: `memory` cannot share a fold with another process: "
        r"what a Rows gives.*Pass from_dataset\(dataset, version='1'\)",
    ):
        probs(hp.from_dataset(Rows()), tmp_path)


def test_a_version_names_the_rows_in_every_process(tmp_path):
    def kept(version, **params):
        probs(hp.from_dataset(Rows(**params), version), tmp_path)
        return n_kept(tmp_path)

    assert kept("1") == kept("1") == 3
    assert kept("1", scale=2.0) == 6
    assert kept("2") == 9


def test_datasets_that_cannot_be_named(tmp_path):
    with open(tmp_path / "log", "w") as log:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            told = probs(hp.from_dataset(Rows(log=log)), tmp_path)
        assert "keeps nothing of this run" in str(caught[-1].message)
        assert not (tmp_path / "hubclean").exists()
        kept = probs(hp.from_dataset(Rows(log=log), "1"), tmp_path)
    assert n_kept(tmp_path) == 3
    np.testing.assert_array_equal(told, kept)


def test_features_of_a_dataset_that_was_changed():
    dataset = Rows()
    columns = hp.from_dataset(dataset)
    before = probs(columns, features=nn.Flatten())
    np.testing.assert_array_equal(probs(columns, features=nn.Flatten()), before)
    dataset.scale = 0.0
    assert not np.array_equal(probs(columns, features=nn.Flatten()), before)
