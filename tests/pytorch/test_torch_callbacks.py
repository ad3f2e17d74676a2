"""Callbacks of skorch, checkpoints and splits."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.callbacks import (  # noqa: E402
    BatchScoring,
    Checkpoint,
    EpochScoring,
    InputShapeSetter,
)
from skorch.dataset import Dataset, ValidSplit  # noqa: E402
from skorch.helper import predefined_split  # noqa: E402

from hubclean.exceptions import (  # noqa: E402
    ParameterError,
)
from tests.pytorch.conftest import (  # noqa: E402
    Probabilities,
    accuracy_of,
    linear,
    net,
)


class TestCallbacks:
    """skorch's own, which see rows and labels as this adapter keeps them."""

    @pytest.fixture
    def animals(self, table):
        return table[0], np.array(["cat", "dog", "eel"])[table[1]]

    @pytest.mark.parametrize("on_train", [True, False])
    @pytest.mark.parametrize("use_caching", [True, False])
    def test_scores_of_epochs(self, animals, on_train, use_caching):
        X, y = animals
        X_valid, y_valid = X[1::4], y[1::4]
        scores = [
            EpochScoring(name, False, on_train=on_train, name=name)
            for name in ("accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr")
        ]
        if not use_caching:
            scores = [EpochScoring(accuracy_of, False, on_train, use_caching=False)]
        fitted = net(
            module=Probabilities,
            train_split=ValidSplit([(np.arange(160)[::2], np.arange(160)[1::4])]),
            callbacks=[(f"s{i}", score) for i, score in enumerate(scores)],
        ).fit(X, y)
        last = fitted.history_[-1]
        score = last["accuracy" if use_caching else "accuracy_of"]
        if on_train and use_caching:  # while the network changed
            assert 0.2 < score < 1
        else:
            rows = (X[::2], y[::2]) if on_train else (X_valid, y_valid)
            assert score == pytest.approx(fitted.score(*rows))
        assert fitted.predict(X[:1])[0] in {"cat", "dog", "eel"}

    def test_scores_of_batches_and_validation_data(self, animals):
        X, y = animals
        fitted = net(
            module=linear,
            valid_dataset=(X[:50], y[:50]),
            callbacks=[
                BatchScoring("accuracy", False, name="of_batches"),
                EpochScoring("accuracy", False, name="of_epoch"),
            ],
        ).fit(X[50:], y[50:])
        last = fitted.history_[-1]
        expected = fitted.score(X[:50], y[:50])
        for name in ("of_batches", "of_epoch", "valid_acc"):
            assert last[name] == pytest.approx(expected)

    def test_a_binary_score(self, table):
        X, y = table
        y = np.where(y == 0, "no", "yes")
        fitted = net(
            train_split=ValidSplit(4), callbacks=[EpochScoring("roc_auc", False)]
        ).fit(X, y)
        assert fitted.history_[-1, "roc_auc"] > 0.5

    @pytest.mark.parametrize("kind", ["torch", "skorch"])
    def test_a_split_defined_ahead(self, table, kind):
        X, y = table[0].astype(np.float32), table[1]
        valid = Dataset(X[:40], y[:40])
        if kind == "torch":
            tensors = torch.from_numpy(X[:40]), torch.from_numpy(y[:40])
            valid = torch.utils.data.TensorDataset(*tensors)
        ahead = net(module=linear, train_split=predefined_split(valid)).fit(X, y)
        named = net(module=linear, valid_dataset=(X[:40], y[:40])).fit(X, y)
        assert ahead.history_[:, "valid_loss"] == named.history_[:, "valid_loss"]

    def test_validation_rows_are_not_changed_as_training_rows_are(self, table):
        X, y = table
        rows = {"transform": lambda row: 0 * row, "transform_valid": lambda row: row}
        fitted = net(module=linear, train_split=ValidSplit(4), **rows).fit(X, y)
        assert fitted.history_[-1, "valid_loss"] != pytest.approx(
            fitted.history_[-1, "train_loss"], abs=0.05
        )

    def test_a_checkpoint_gives_the_best_weights_back(self, table, tmp_path):
        X, y = table
        best = Checkpoint(dirname=tmp_path, load_best=True, f_pickle="net.pkl")
        fitted = net(
            module=linear,
            optimizer=torch.optim.SGD,
            lr=5.0,
            schedule="one_cycle",
            epochs=6,
            valid_dataset=(X[:40], y[:40]),
            callbacks=[best],
        ).fit(X[40:], y[40:])
        losses = fitted.history_[:, "valid_loss"]
        proba = fitted.predict_proba(X[:40])
        loss = -np.log(proba[np.arange(40), y[:40]]).mean()
        assert loss == pytest.approx(min(losses), rel=1e-4)
        assert fitted.device == "auto"

    def test_weights_are_saved_and_loaded(self, table, tmp_path):
        fitted = net(module=linear).fit(*table)
        fitted.save_params(f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt")
        other = net(module=linear, random_state=1).fit(*table)
        other.load_params(f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt")
        np.testing.assert_array_equal(
            other.predict_proba(table[0]), fitted.predict_proba(table[0])
        )

    def test_a_callback_that_comes_too_late(self, table):
        late = [("width", InputShapeSetter("n_inputs"))]
        with pytest.raises(ParameterError, match="'width', an Input.*LazyLinear"):
            net(module=linear, callbacks=late).fit(*table)

    @pytest.mark.parametrize(
        ("name", "value", "instead"),
        [
            ("iterator_train__drop_last", True, "every row is trained on"),
            ("iterator_train__sampler", [0, 1], "pass `sample_weight`"),
            ("iterator_valid__collate_fn", len, "`transform`"),
            ("iterator_train__generator", torch.Generator(), "`random_state`"),
            ("iterator_valid__shuffle", True, "in their order"),
        ],
    )
    def test_loader_arguments_that_have_no_place(self, table, name, value, instead):
        with pytest.raises(ParameterError, match=f"`{name}` cannot .*{instead}"):
            net(**{name: value}).fit(*table)
        net(**{name: None}, epochs=1).fit(*table)
