"""What `memory` keeps of PyTorch models and datasets, and when it trains again."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402

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
    assert len(list((tmp_path / "hubclean").iterdir())) == 6


def test_lazy_layers_are_kept(tmp_path):
    for _ in range(2):
        module = nn.Sequential(nn.LazyLinear(3))
        kept = probs(module=module, memory=tmp_path)
        np.testing.assert_array_equal(kept, probs(module=module))
    assert len(list((tmp_path / "hubclean").iterdir())) == 3
