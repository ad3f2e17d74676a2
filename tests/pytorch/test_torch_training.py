"""Training: schedules, seeds, devices, precision, images that move."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.callbacks import (  # noqa: E402
    EarlyStopping,
    LRScheduler,
)
from skorch.dataset import ValidSplit  # noqa: E402
from torch import nn  # noqa: E402

from hubclean.exceptions import (  # noqa: E402
    EstimatorError,
    LabelsError,
    ParameterError,
    TrainingError,
)
from hubclean.pytorch._devices import choose_device  # noqa: E402
from hubclean.pytorch._networks import default_network  # noqa: E402
from tests.pytorch.conftest import Hidden, linear, net  # noqa: E402


class TestTraining:
    def test_a_loss_that_is_no_number_names_epoch_and_fold(self, table):
        X = table[0].copy()
        X[100, 2] = np.nan
        with pytest.raises(
            TrainingError, match="loss became nan in epoch 1 of fold 3.*lower `lr`"
        ):
            net(module=linear, fold=3).fit(X, table[1])

    def test_rows_to_predict_that_are_no_numbers(self, table):
        X = table[0].copy()
        X[7, 0] = np.inf
        with pytest.raises(ParameterError, match="for 1 rows of X, row 7 first"):
            net(module=linear).fit(*table).predict(X)

    def test_a_learning_rate_that_is_too_high(self, table):
        sgd = {"optimizer": torch.optim.SGD, "lr": 1e38, "epochs": 20}
        with pytest.raises(TrainingError, match=r"became (nan|inf) in epoch \d+, "):
            net(module=linear, **sgd).fit(*table)

    def test_early_stopping_ends_the_training_and_nothing_else(self, table):
        X, y = table
        stop = EarlyStopping(patience=2, threshold=10.0)
        fitted = net(
            module=linear, epochs=30, callbacks=[stop], valid_dataset=(X, y)
        ).fit(X, y, evaluate=X[:5])
        assert len(fitted.history_) == 3
        assert fitted.history_[-1, "valid_loss"] > 0
        assert 0 <= fitted.history_[-1, "valid_acc"] <= 1
        assert fitted.evaluated_proba_.shape == (5, 3)

    def test_an_interrupt_is_not_mistaken_for_early_stopping(self, table):
        class Interrupted(Hidden):
            def forward(self, x):
                if self.training:
                    raise KeyboardInterrupt
                return super().forward(x)

        with pytest.raises(KeyboardInterrupt):
            net(module=Interrupted, module__hidden=4).fit(*table)

    def test_skorchs_own_split_and_schedules(self, table):
        halved = LRScheduler("StepLR", step_size=1, gamma=0.5, event_name="rate")
        fitted = net(
            module=linear,
            optimizer=torch.optim.Adam,
            lr=0.08,
            callbacks=[halved],
            train_split=ValidSplit(4, stratified=True),
            record_margins=True,
        ).fit(*table)
        assert fitted.history_[:, "rate"] == pytest.approx([0.08, 0.04, 0.02])
        assert np.isnan(fitted.margins_).sum() == 40  # the validation rows
        proba = fitted.training_proba_
        assert np.isnan(proba).any(axis=1).sum() == 40
        np.testing.assert_allclose(
            np.nansum(proba, axis=1), 1 - np.isnan(proba[:, 0]), rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("sizes", "n_steps"),
        [
            ({}, 30),
            ({"batch_size": -1}, 3),
            ({"iterator_train__batch_size": 8, "batch_size": 256}, 60),
            ({"iterator_train__batch_size": -1}, 3),
        ],
    )
    def test_the_default_rate_rises_and_falls(self, table, sizes, n_steps):
        settings = {"optimizer": NotingRates, "schedule": "one_cycle", "lr": 0.1}
        fitted = net(module=linear, **settings, **sizes).fit(*table)
        (rates,) = zip(*fitted.optimizer_.rates, strict=True)
        assert len(rates) == n_steps
        assert np.argmax(rates) == n_steps // 3 - 1
        assert max(rates) == pytest.approx(0.1)
        assert rates[-1] < 1e-4

    def test_groups_of_parameters_have_peaks_of_their_own(self, table):
        fitted = net(
            module=linear,
            optimizer=NotingRates,
            schedule="one_cycle",
            lr=0.1,
            optimizer__param_groups=[("bias", {"lr": 1e-6})],
        ).fit(*table)
        bias, weight = zip(*fitted.optimizer_.rates, strict=True)
        assert max(bias) == pytest.approx(1e-6)
        assert max(weight) == pytest.approx(0.1)

    def test_more_training_is_a_cycle_of_its_own(self, table):
        settings = {"optimizer": NotingRates, "schedule": "one_cycle", "lr": 0.1}
        fitted = net(module=linear, **settings).fit(*table)
        fitted.partial_fit(*table)
        assert max(fitted.optimizer_.rates[30:]) == (pytest.approx(0.1),)
        fitted.set_params(lr=0.02).partial_fit(*table)
        assert max(fitted.optimizer_.rates[60:]) == (pytest.approx(0.02),)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"schedule": "cosine"}, "'auto', 'one_cycle' or None; got 'cosine'"),
            ({"batch_size": 0}, "`batch_size` must be a whole .*-1 for all .*got 0"),
            ({"batch_size": 2.5}, "`batch_size` must be a whole number"),
            ({"iterator_train__batch_size": 0}, "`iterator_train__batch_size` must be"),
            ({"average_epochs": 5}, r"`average_epochs` must be .*\[0, 1\].*got 5"),
            ({"epochs": -1}, "`epochs` must be a whole number from 0 on; got -1"),
            ({"epochs": 0, "record_margins": True}, "at least 1 to record margins"),
            ({"criterion": nn.BCEWithLogitsLoss}, "BCEWithLogitsLoss wants other"),
            ({"criterion": nn.MSELoss()}, "MSELoss wants other targets. Use"),
            (
                {"criterion__weight": torch.ones(4)},
                r"must have 3 numbers for CrossEntropyLoss.*shape \(4,\)",
            ),
            ({"criterion": nn.functional.cross_entropy}, "got cross_entropy .* Wrap"),
            ({"criterion": nn.GaussianNLLLoss}, "must take logits of shape .*cannot:"),
        ],
    )
    def test_parameters_that_cannot_be_used(self, table, params, message):
        with pytest.raises(ParameterError, match=message):
            net(module=linear, **params).fit(*table)

    def test_a_loss_may_make_other_targets_itself(self, table):
        class Brier(nn.MSELoss):
            def forward(self, logits, codes):
                wanted = nn.functional.one_hot(codes, 3).float()
                return super().forward(logits.softmax(1), wanted)

        assert net(module=linear, criterion=Brier, epochs=9).fit(*table)

    def test_no_epochs_need_no_margins(self, table):
        fitted = net(module=linear, record_margins=True).fit(*table, epochs=0)
        assert fitted.margin_history_.shape == (0, 160)
        assert np.isnan(fitted.margins_).all()

    def test_rows_to_predict_of_another_shape(self, table, images):
        fitted = net(module=linear).fit(*table)
        with pytest.raises(
            ParameterError, match=r"rows of shape \(6,\), as in `fit`; got .*\(5,\)"
        ):
            fitted.predict(table[0][:, :5])
        with pytest.raises(ParameterError, match=r"must have 3 dim.*\(16, 144\)"):
            net(epochs=1).fit(*images).predict(images[0].reshape(60, 144))

    def test_warm_start_is_refused(self, table):
        with pytest.raises(ParameterError, match="`warm_start` must be False"):
            net(warm_start=True).fit(*table)

    def test_partial_fit_goes_on(self, table):
        X, y = table
        once = net(module=linear, module__n_outputs=4, epochs=1)
        once.partial_fit(X[:50], np.zeros(50), classes=[0, 1, 2, 9])
        assert once.classes_.tolist() == [0, 1, 2, 9]
        before = once.module_.weight.clone()
        once.partial_fit(X, y)
        assert 0 < (once.module_.weight - before).abs().max() < 0.5

    def test_classes_can_be_named_ahead(self, table):
        X, y = table
        fitted = net(classes=[0, 1, 2, 5]).fit(X, y)
        assert fitted.predict_proba(X).shape == (160, 4)
        with pytest.raises(LabelsError, match="one of the 2 classes.*got 2 in row"):
            net(classes=[0, 1]).fit(X, y)

    @pytest.mark.forks
    def test_threads_and_processes_give_the_same_answer(self, images, table):
        X, y = images
        flip = RandomFlip()
        plain = net(transform=flip, read_threads=0).fit(X, y).predict_proba(X)
        threads = net(transform=flip, read_threads=3).fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(plain, threads)
        processes = net(transform=flip, iterator_train__num_workers=1).fit(X, y)
        np.testing.assert_array_equal(plain, processes.predict_proba(X))

    @pytest.mark.parametrize("backend", ["loky", "threading"])
    def test_jobs_side_by_side_give_the_same_answer(self, table, backend):
        from joblib import Parallel, delayed

        X, y = table
        dropping = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 3))
        nets = [net(module=dropping, random_state=seed) for seed in (0, 1, 2)]
        alone = [each.fit(X, y).predict_proba(X) for each in nets]
        with Parallel(n_jobs=2, backend=backend) as parallel:
            fitted = parallel(delayed(each.fit)(X, y) for each in nets)
        for one, other in zip(alone, fitted, strict=True):
            np.testing.assert_array_equal(one, other.predict_proba(X))

    def test_torchs_own_random_numbers_are_left_alone(self, images):
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        net().fit(*images).predict_proba(images[0])
        assert torch.equal(torch.rand(3), expected)

    def test_the_number_of_threads_is_put_back(self, table):
        before = torch.get_num_threads()
        net(num_threads=before + 1).fit(*table)
        assert torch.get_num_threads() == before

    @pytest.mark.parametrize("amp", [True, "bfloat16"])
    def test_mixed_precision(self, table, amp):
        X, y = table
        assert net(amp=amp, epochs=10).fit(X, y).score(X, y) > 0.8

    def test_an_unknown_precision(self, table):
        with pytest.raises(ParameterError, match="`amp` must be.*'int8'"):
            net(amp="int8").fit(*table)

    def test_compile_is_passed_on(self, table, monkeypatch):
        calls = []
        monkeypatch.setattr(
            nn.Module, "compile", lambda self, **kwargs: calls.append(kwargs)
        )
        net(module=linear, compile=True, compile__dynamic=True).fit(*table)
        assert calls == [{"dynamic": True}]

    def test_parameters_set_later_count_at_the_next_fit(self, table):
        fitted = net(module=Hidden, module__hidden=4).fit(*table)
        fitted.set_params(module__hidden=6)
        assert fitted.module_.body[0].out_features == 4
        assert fitted.fit(*table).module_.body[0].out_features == 6

    def test_clones_share_the_data_they_were_given(self, table):
        data = (table[0], table[1])
        given = net(dataset=data, module=linear())
        twin = clone(given)
        assert twin.dataset is data
        assert twin.module is given.module
        assert twin.fit().score(*table) > 0.5

    def test_a_pickle_holds_no_rows(self, images):
        X = np.zeros((60, 64, 64, 3), dtype=np.uint8)
        fitted = net(module=nn.Sequential(nn.Flatten(), nn.Linear(12288, 3)), epochs=1)
        fitted.fit(X, images[1])
        weights = 12288 * 3 * 4
        assert len(pickle.dumps(fitted)) < 4 * weights + 50_000  # with AdamW's moments

    def test_it_must_be_fitted_first(self, table):
        for use in (net().predict_proba, net().predict, net().load_params):
            with pytest.raises(NotFittedError, match="not fitted yet. Call fit"):
                use(table[0])
        with pytest.raises(EstimatorError, match="call fit"):
            net().initialize()


class NotingRates(torch.optim.AdamW):
    """Note the learning rates of the groups at every step."""

    def step(self, closure=None):
        self.__dict__.setdefault("rates", [])
        self.rates.append(tuple(group["lr"] for group in self.param_groups))
        return super().step(closure)


class RandomFlip:
    """Turn some images upside down, by torch's random numbers."""

    def __call__(self, image):
        return image[::-1] if torch.rand(()) < 0.5 else image


class TestDevices:
    def test_a_device_that_is_not_there(self, table):
        with pytest.raises(ParameterError, match="'cuda:99' is not there"):
            net(device="cuda:99").fit(*table)
        with pytest.raises(ParameterError, match="`device` must be 'auto'.*'gpu'"):
            net(device="gpu").fit(*table)

    @pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
    def test_a_kind_of_device_that_is_not_there(self, device):
        if getattr(torch, device, None) and getattr(torch, device).is_available():
            pytest.skip("it is there")
        with pytest.raises(ParameterError, match=f"'{device}' is not there.*'cpu'"):
            choose_device(device)

    def test_folds_are_dealt_out_to_the_gpus(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: ([3, 8][i], 9))
        assert [choose_device("auto", fold).index for fold in range(3)] == [0, 1, 0]
        assert choose_device("auto").index == 1

    def test_the_memory_of_another_device_is_given_back(self, table, monkeypatch):
        from hubclean.pytorch import _loop

        moves, given_back = [], []
        monkeypatch.setattr(
            _loop.TrainingLoop, "_move", lambda self, parts, to: moves.append(str(to))
        )
        monkeypatch.setattr(_loop, "give_memory_back", given_back.append)
        fitted = net(module=linear).fit(*table)
        assert moves == given_back == []
        fitted.device_ = FakeDevice()
        with fitted._on_device(), fitted._on_device():
            pass
        assert moves == ["fake", "cpu"]
        assert given_back == [fitted.device_]

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    def test_on_a_gpu(self, images):
        X, y = images
        before = torch.cuda.memory_allocated()
        fitted = net(device="cuda", amp=True, epochs=10).fit(X, y, evaluate=X)
        assert next(fitted.module_.parameters()).device.type == "cpu"
        assert torch.cuda.memory_allocated() == before
        assert fitted.score(X, y) > 0.9
        half = net(device="cuda", amp="float16", epochs=10).fit(X, y)
        assert half.score(X, y) > 0.9
        np.testing.assert_allclose(
            pickle.loads(pickle.dumps(fitted)).predict_proba(X),
            fitted.predict_proba(X),
            atol=1e-4,
        )


class FakeDevice:
    type = "fake"

    def __str__(self):
        return "fake"


class TestMovedImages:
    """The default network looks at images a pixel to each side, too."""

    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return default_network(torch.rand(8, 1, 20, 18), 3)

    def test_predictions_are_the_mean_over_five_places(self, network):
        network.eval()
        x = torch.rand(4, 1, 20, 18)
        framed = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
        framed = torch.cat([framed[..., :1], framed, framed[..., -1:]], dim=3)
        logits = [
            network._logits(
                (framed[:, :, top : top + 20, left : left + 18] - network.mean)
                / network.std
            )
            for top, left in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
        ]
        torch.testing.assert_close(network(x), torch.stack(logits).mean(dim=0))

    def test_training_moves_batches_by_the_seed(self, network):
        network.train()
        x = torch.rand(4, 1, 20, 18)
        seen = []
        network.body.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for _ in range(20):
            network(x)
        assert len({tuple(batch.flatten().tolist()) for batch in seen}) > 3
        assert {batch.shape for batch in seen} == {x.shape}

    def test_small_images_stay_where_they_are(self):
        network = default_network(torch.rand(8, 1, 8, 8), 3).train()
        x = torch.rand(4, 1, 8, 8)
        seen = []
        network.body.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for _ in range(5):
            network(x)
        assert all(torch.equal(batch, seen[0]) for batch in seen)
