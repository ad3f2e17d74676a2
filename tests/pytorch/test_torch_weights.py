"""`sample_weight` in training and validation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.dataset import ValidSplit  # noqa: E402
from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    ParameterError,
)
from tests.pytorch.conftest import (  # noqa: E402
    Probabilities,
    linear,
    net,
)


class TestWeights:
    """Of whole batches, so that rows left out change no other batch."""

    def whole(self, **params):
        settings = {"optimizer": torch.optim.SGD, "lr": 0.1, "batch_size": -1}
        return net(module=linear, **{**settings, "epochs": 20, **params})

    def test_a_weight_counts_rows(self, table):
        X, y = table
        counts = np.arange(160) % 3
        weighted = self.whole().fit(X, y, counts).predict_proba(X)
        again = self.whole().fit(np.repeat(X, counts, 0), np.repeat(y, counts))
        np.testing.assert_allclose(weighted, again.predict_proba(X), atol=1e-5)
        plain, ones = (
            self.whole().fit(X, y, weights).predict_proba(X)
            for weights in (None, np.full(160, 7))
        )
        np.testing.assert_allclose(ones, plain, atol=1e-5)
        assert abs(weighted - plain).max() > 1e-3

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(
                {"iterator_train__num_workers": 2},
                id="processes",
                marks=pytest.mark.forks,
            ),
            {"read_threads": 2},
            {"criterion": nn.NLLLoss, "module": Probabilities},
        ],
    )
    def test_they_reach_the_loss_by_every_way(self, table, other):
        X, y = table
        counts = np.arange(160) % 3
        expected = net(module=linear, batch_size=50).fit(X, y, counts)
        fitted = net(module=linear, batch_size=50).set_params(**other)
        fitted.fit(X, y, sample_weight=counts)
        np.testing.assert_allclose(
            fitted.predict_proba(X), expected.predict_proba(X), atol=1e-4
        )

    def test_validation_data_and_more_training(self, table):
        X, y = table
        none = np.where(y == 2, 0.0, 1.0)
        split = self.whole(train_split=ValidSplit(5)).fit(X, y, none)
        assert "valid_loss" in split.history[-1]
        before = split.predict_proba(X)[:, 2].mean()
        split.partial_fit(X, y, sample_weight=none)
        assert split.predict_proba(X)[:, 2].mean() < before

    @pytest.mark.parametrize("size", [7, -1])
    def test_validation_counts_rows_by_their_weights(self, table, size):
        X, y = table
        wrong = np.arange(160) % 4 == 1
        given = np.where(wrong, (y + 1) % 3, y)
        held_out = np.arange(120, 160)
        split = {"train_split": [(np.arange(120), held_out)], "epochs": 8}
        split["train_split"] = ValidSplit(split["train_split"])
        fitted = net(module=linear, iterator_valid__batch_size=size, **split)
        fitted.fit(X, given, np.where(wrong, 0, 1 + np.arange(160) % 3))
        right = held_out[~wrong[held_out]]
        weights = 1 + right % 3
        proba = fitted.predict_proba(X[right])
        losses = -np.log(proba[np.arange(len(right)), y[right]])
        last = fitted.history_[-1]
        assert last["valid_loss"] == pytest.approx(np.average(losses, weights=weights))
        hits = proba.argmax(1) == y[right]
        assert last["valid_acc"] == pytest.approx(np.average(hits, weights=weights))

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            (np.ones(3), r"each of the 160 rows; got ndarray of shape \(3,\)"),
            (["heavy"] * 160, "each of the 160 rows; got list. Pass"),
            (np.r_[np.ones(159), -1], "at least 0; got -1.0 in row 159"),
            (np.r_[np.ones(159), np.nan], "finite and at least 0; got nan in row 159"),
        ],
    )
    def test_what_cannot_be_weights(self, table, weights, message):
        with pytest.raises(ParameterError, match=message):
            net(module=linear).fit(*table, weights)

    def test_a_loss_that_has_no_rows(self, table):
        class Mean(nn.Module):
            def forward(self, logits, codes):
                return nn.functional.cross_entropy(logits, codes)

        fitted = net(module=linear, criterion=Mean).fit(*table)
        with pytest.raises(ParameterError, match="needs a loss for every row; .* Mean"):
            fitted.fit(*table, np.ones(160))

    @pytest.mark.parametrize(
        "criterion",
        [
            {"criterion__reduction": "sum"},
            {"criterion__weight": torch.tensor([1.0, 5.0, 0.2])},
            {"criterion__ignore_index": 0},
            {"criterion__label_smoothing": 0.3},
            {"criterion": nn.MultiMarginLoss},
        ],
    )
    def test_weights_of_one_change_nothing(self, table, criterion):
        X, y = table
        fitted = net(module=linear, optimizer=torch.optim.SGD, lr=0.01, **criterion)
        plain = fitted.fit(X, y).predict_proba(X)
        ones = fitted.fit(X, y, np.ones(160)).predict_proba(X)
        np.testing.assert_allclose(ones, plain, atol=1e-5)

    def test_auto_leaves_a_loss_alone_that_has_no_rows(self, table):
        class Mean(nn.Module):
            def forward(self, logits, codes):
                return nn.functional.cross_entropy(logits, codes)

        X, y = table
        cleaner = HubLabelCleaner(net(module=linear, criterion=Mean), cv=2)
        cleaner.set_params(correction="auto", random_state=0).fit(X, y)
        with pytest.raises(ParameterError, match="needs an estimator whose `fit`"):
            cleaner.set_params(correction="soft_labels").fit(X, y)

    def test_the_cleaner_trains_on_soft_labels(self, table):
        X, y = table
        given = np.where(np.arange(160) % 8, y, (y + 1) % 3)
        told = []
        taught = net(module=linear, epochs=30)  # enough that few labels seem wrong
        for correction in ("auto", "soft_labels", "prune"):
            cleaner = HubLabelCleaner(taught, correction=correction, random_state=0)
            told.append(cleaner.fit(X.astype(np.float32), given).predict_proba(X))
        np.testing.assert_array_equal(told[0], told[1])
        assert not np.allclose(told[0], told[2])
