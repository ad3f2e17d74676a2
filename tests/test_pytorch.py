"""What only the PyTorch adapter does: modules, losses, devices, training."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.callbacks import (  # noqa: E402
    BatchScoring,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LRScheduler,
)
from skorch.dataset import Dataset, ValidSplit  # noqa: E402
from skorch.helper import predefined_split  # noqa: E402
from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    EstimatorError,
    LabelsError,
    ParameterError,
    TrainingError,
)
from hubclean.pytorch._devices import choose_device  # noqa: E402
from hubclean.pytorch._networks import default_network  # noqa: E402


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        160, 6, n_informative=4, n_classes=3, class_sep=2, random_state=0
    )
    return X, y


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.integers(0, 120, (60, 12, 12), dtype=np.uint8)
    for row, k in zip(X, y, strict=True):
        row[4 * k : 4 * k + 4] += 130
    return X, y


def net(**params):
    return hp.skorch(**{"epochs": 3, "batch_size": 16, "random_state": 0, **params})


def linear(n_outputs=3, n_inputs=6):
    return nn.Linear(n_inputs, n_outputs)


class Hidden(nn.Module):
    def __init__(self, hidden, n_classes=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, n_classes)
        )

    def forward(self, x):
        return self.body(x)


class WithBody(nn.Module):
    def __init__(self, body, others=()):
        super().__init__()
        self.body = body
        self.head = linear(n_inputs=8)

    def forward(self, x):
        return self.head(self.body(x))


class Probabilities(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = linear()

    def forward(self, x):
        return torch.softmax(self.body(x), 1)


class TestModules:
    def test_a_class_gets_its_arguments(self, table):
        fitted = net(module=Hidden, module__hidden=5).fit(*table)
        assert fitted.module_.body[0].out_features == 5

    def test_a_function_may_make_the_module(self, table):
        assert net(module=linear).fit(*table).module_.out_features == 3

    def test_a_class_that_needs_arguments_says_so(self, table):
        with pytest.raises(
            EstimatorError, match=r"Hidden cannot be made.*'hidden'.*module__hidden=64"
        ):
            net(module=Hidden).fit(*table)

    def test_a_function_that_makes_something_else(self, table):
        with pytest.raises(EstimatorError, match="it made a list"):
            net(module=lambda: []).fit(*table)

    def test_no_module_at_all(self, table):
        with pytest.raises(EstimatorError, match="`module` must be.*got int"):
            net(module=3).fit(*table)

    def test_an_instance_starts_every_fit_with_fresh_weights(self, table):
        X, y = table
        given = Hidden(8)
        before = {k: v.clone() for k, v in given.state_dict().items()}
        with torch.no_grad():
            for parameter in given.parameters():
                parameter.fill_(7.0)  # weights that would leak
        leaky = {k: v.clone() for k, v in given.state_dict().items()}
        fitted = net(module=given).fit(X, y)
        assert fitted.module_ is not given
        assert not any((p == 7).all() for p in fitted.module_.parameters())
        for name, value in given.state_dict().items():
            assert torch.equal(value, leaky[name])
            assert before[name].shape == value.shape
        again = clone(fitted).fit(X, y)
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))

    def test_batch_statistics_of_an_instance_are_forgotten_too(self, images):
        norm = nn.BatchNorm2d(1)
        norm.running_mean.fill_(50.0)
        module = nn.Sequential(norm, nn.Flatten(), nn.Linear(144, 3))
        fitted = net(module=module).fit(*images)
        assert fitted.module_[0].running_mean.abs().item() < 10
        assert norm.running_mean.item() == 50.0

    def test_an_instance_that_cannot_reset_itself_says_why_that_matters(self, table):
        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(3))
                self.last = nn.Linear(6, 3)

            def forward(self, x):
                return self.last(x) * self.scale

        with pytest.raises(
            EstimatorError, match=r"the module itself \(Scaled\).*have seen the rows"
        ):
            net(module=Scaled()).fit(*table)
        net(module=Scaled).fit(*table)
        net(module=Scaled(), keep_weights=True).fit(*table)

    def test_weights_are_kept_only_where_asked(self, table):
        module = linear()
        kept = net(module=module, keep_weights=True, epochs=0).fit(*table)
        assert torch.equal(kept.module_.weight, module.weight)
        assert kept.module_ is not module
        fresh = net(module=module, epochs=0).fit(*table)
        assert not torch.equal(fresh.module_.weight, module.weight)

    def test_a_function_must_make_a_new_module_each_time(self, table):
        made = linear()
        again = net(module=lambda: made).fit(*table)
        with pytest.raises(EstimatorError, match=r"part \(Linear\) .* trained before"):
            again.fit(*table)
        body = nn.Linear(6, 4)
        with pytest.raises(EstimatorError, match="leak between folds. Make new parts"):
            HubLabelCleaner(
                net(module=lambda: nn.Sequential(body, nn.Linear(4, 3))), cv=2
            ).fit(*table)
        frozen = nn.Linear(6, 4).requires_grad_(False)
        shared = net(module=lambda: nn.Sequential(frozen, nn.Linear(4, 3)))
        shared.fit(*table).fit(*table)

    def test_modules_among_the_arguments_start_fresh_too(self, table):
        body = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        given = body[0].weight.clone()
        fitted = net(module=WithBody, module__body=body).fit(*table)
        first = fitted.predict_proba(table[0])
        assert torch.equal(body[0].weight, given)
        np.testing.assert_array_equal(fitted.fit(*table).predict_proba(table[0]), first)
        drawn = fitted.set_params(max_epochs=0).fit(*table).module_.body[0].weight
        assert not torch.equal(drawn, given)
        kept = fitted.set_params(keep_weights=True).fit(*table).module_.body[0].weight
        assert torch.equal(kept, given)
        several = [body[0], {"last": body}]
        fitted = net(module=WithBody, module__body=body, module__others=several)
        assert torch.equal(fitted.fit(*table) and body[0].weight, given)

    def test_a_loss_with_parameters_starts_fresh_too(self, table):
        class Tempered(nn.Module):
            def __init__(self):
                super().__init__()
                self.heat = nn.Parameter(torch.ones(()))

            def forward(self, logits, codes):
                return nn.functional.cross_entropy(logits * self.heat, codes)

        loss = Tempered()
        fitted = net(module=linear, criterion=loss).fit(*table)
        first = fitted.predict_proba(table[0])
        assert loss.heat.item() == 1 != fitted.criterion_.heat.item()
        np.testing.assert_array_equal(fitted.fit(*table).predict_proba(table[0]), first)

    def test_frozen_parts_of_an_instance_are_kept(self, table):
        norm = nn.BatchNorm1d(6, affine=False)
        backbone = nn.Sequential(nn.Linear(6, 6), norm).requires_grad_(False)
        norm.running_mean.fill_(9.0)
        half = nn.Linear(6, 6)
        half.weight.requires_grad_(False)
        module = nn.Sequential(backbone, half, linear(), nn.BatchNorm1d(3))
        module[3].running_mean.fill_(9.0)
        fresh = net(module=module, epochs=0).fit(*table).module_
        assert torch.equal(fresh[0][0].weight, backbone[0].weight)
        assert torch.equal(fresh[0][1].running_mean, norm.running_mean)
        assert torch.equal(fresh[1].weight, half.weight)
        assert not torch.equal(fresh[1].bias, half.bias)
        assert not torch.equal(fresh[2].weight, module[2].weight)
        assert not fresh[3].running_mean.any()
        trained = net(module=module).fit(*table).module_
        assert torch.equal(trained[0][0].weight, backbone[0].weight)

    def test_a_module_with_nothing_to_train(self, table):
        frozen = linear().requires_grad_(False)
        with pytest.raises(EstimatorError, match="Linear has nothing to train"):
            net(module=frozen).fit(*table)
        assert net(module=frozen, epochs=0).fit(*table).score(*table) >= 0

    def test_kept_weights_and_other_arguments_do_not_go_together(self, table):
        with pytest.raises(EstimatorError, match="another Hidden .* module__hidden"):
            net(module=Hidden(8), keep_weights=True, module__hidden=4).fit(*table)
        fitted = net(module=Hidden(8), module__hidden=4).fit(*table)
        assert fitted.module_.body[0].out_features == 4

    def test_lazy_layers_are_sized_from_the_data(self, table):
        module = nn.Sequential(nn.LazyLinear(7), nn.ReLU(), nn.LazyLinear(3))
        assert net(module=module).fit(*table).module_[0].in_features == 6

    def test_attention_can_reset_itself(self, table):
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
                self.last = nn.Linear(6, 3)

            def forward(self, x):
                rows = x.unsqueeze(1)
                return self.last(self.attention(rows, rows, rows)[0][:, 0])

        net(module=Attention()).fit(*table)

    @pytest.mark.parametrize("n_outputs", [1, 2, 4])
    def test_a_wrong_number_of_outputs(self, table, n_outputs):
        with pytest.raises(
            EstimatorError, match=rf"must have 3 outputs.*\(2, {n_outputs}\)"
        ):
            net(module=linear(n_outputs)).fit(*table)

    def test_rows_that_the_module_cannot_take(self, table):
        with pytest.raises(
            EstimatorError, match=r"cannot take a batch of shape \(2, 6\)"
        ):
            net(module=linear(n_inputs=5)).fit(*table)

    def test_outputs_may_be_logits_probabilities_or_their_logarithms(self, table):
        X, y = table
        heads = [nn.Identity(), nn.Softmax(1), nn.LogSoftmax(1)]
        several = [
            net(module=lambda h=h: nn.Sequential(linear(), h), epochs=8).fit(X, y)
            for h in heads
        ]
        first, *others = [each.predict_proba(X) for each in several]
        np.testing.assert_allclose(first.sum(1), 1, atol=1e-6)
        for other in others:
            np.testing.assert_allclose(first, other, atol=1e-4)

    @pytest.mark.parametrize("mode", [True, False])
    def test_outputs_may_be_probabilities_in_one_mode_only(self, table, mode):
        class InOneMode(Probabilities):
            def forward(self, x):
                logits = self.body(x)
                return logits.softmax(1) if self.training is mode else logits

        X, y = table
        settings = {"epochs": 8, "record_margins": True}
        expected = net(module=Probabilities, **settings).fit(X, y)
        fitted = net(module=InOneMode, **settings).fit(X, y)
        np.testing.assert_allclose(
            fitted.predict_proba(X), expected.predict_proba(X), atol=1e-4
        )
        np.testing.assert_allclose(fitted.margins_, expected.margins_, atol=1e-3)

    def test_outputs_that_are_others_in_training(self, table):
        class Wider(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = linear(4)

            def forward(self, x):
                return self.body(x) if self.training else self.body(x)[:, :3]

        with pytest.raises(EstimatorError, match=r"\(16, 4\) in training mode"):
            net(module=Wider).fit(*table)

    def test_the_negative_log_likelihood_gets_logarithms(self, table):
        X, y = table
        plain = net(module=linear).fit(X, y)
        other = net(module=linear, criterion=nn.NLLLoss).fit(X, y)
        np.testing.assert_allclose(
            plain.predict_proba(X), other.predict_proba(X), atol=1e-5
        )

    def test_the_first_of_several_outputs_counts(self, table):
        class Pair(Hidden):
            def forward(self, x):
                return super().forward(x), "hidden state"

        assert net(module=Pair, module__hidden=4).fit(*table).predict(
            table[0]
        ).shape == (160,)

    def test_a_module_that_returns_no_tensor(self, table):
        class Texts(Hidden):
            def forward(self, x):
                return "logits"

        with pytest.raises(EstimatorError, match="must return a tensor.*a str"):
            net(module=Texts, module__hidden=4).fit(*table)

    def test_tokens_stay_integers(self):
        X = np.random.default_rng(0).integers(0, 30, (90, 5))
        module = nn.Sequential(nn.Embedding(30, 4), nn.Flatten(), nn.Linear(20, 2))
        fitted = net(module=module, epochs=10, lr=0.05).fit(X, X[:, 0] > 14)
        assert fitted.score(X, X[:, 0] > 14) > 0.9

    @pytest.mark.parametrize("channels", [3, 1])
    def test_grey_images_get_the_channels_of_the_module(self, images, channels):
        module = nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(400, 3)
        )
        assert net(module=module).fit(*images).predict(images[0]).shape == (60,)

    def test_transparency_is_left_out(self, images):
        X = np.repeat(images[0][..., None], 4, axis=-1)
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 3))
        net(module=module).fit(X, images[1])

    def test_channels_that_cannot_be_brought_together(self, images):
        X = np.repeat(images[0][..., None], 3, axis=-1)
        module = nn.Sequential(nn.Conv2d(5, 4, 3), nn.Flatten(), nn.Linear(400, 3))
        with pytest.raises(ParameterError, match="takes 5 channels; the images have 3"):
            net(module=module).fit(X, images[1])

    def test_as_estimator(self, table):
        module = linear()
        made = hp.as_estimator(module)
        assert made.get_params()["module"] is module
        assert hp.as_estimator(made) is made
        with pytest.raises(EstimatorError, match="expected a torch.nn.Module.*str"):
            hp.as_estimator("resnet18")


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
        with pytest.raises(ParameterError, match=r"shape \(12, 12\).*shape \(144,\)"):
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


def accuracy_of(fitted, dataset, y=None):
    """Score without what EpochScoring keeps: it is handed the dataset."""
    codes = np.array([int(code) for _, code in dataset])
    return (fitted.predict(dataset) == codes).mean()


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
            {"iterator_train__num_workers": 2},
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


@pytest.mark.parametrize("module", [Hidden(8), lambda: Hidden(8)])
@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_a_bare_module_goes_straight_into_the_cleaner(table, module):
    from hubclean import HubLabelCleaner

    X, y = table
    if isinstance(module, nn.Module):
        before = module.body[0].weight.clone()
        cleaner = HubLabelCleaner(module, cv=2, random_state=0)
        cleaner.fit(X.astype(np.float32), y)
        assert torch.equal(module.body[0].weight, before)
    else:
        cleaner = HubLabelCleaner(net(module=module), cv=2, random_state=0).fit(X, y)
    assert len(cleaner.label_issues_) == len(X)
    assert isinstance(cleaner.estimator_, hp.TorchClassifier)


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_a_module_may_be_evidence(table):
    alone, wrapped = (
        HubLabelCleaner(net(), evidence=evidence, random_state=0).fit(*table)
        for evidence in (linear(), hp.skorch(module=linear()))
    )
    np.testing.assert_array_equal(alone.pred_probs_, wrapped.pred_probs_)


@pytest.mark.filterwarnings("ignore::hubclean.exceptions.LabelQualityWarning")
@pytest.mark.parametrize("names", [np.arange(3), np.array(["cat", "dog", "eel"])])
def test_folds_may_lack_a_class_that_the_module_knows(table, names):
    X, y = table
    y = np.where(y == 1, 2, y)
    y[5] = 1  # the only one: a fold trains without it
    cleaner = HubLabelCleaner(net(module=linear), cv=2, random_state=0)
    cleaner.set_params(correction="weight").fit(X, names[y])
    assert cleaner.pred_probs_.shape == (160, 3)
    np.testing.assert_allclose(cleaner.pred_probs_.sum(1), 1, atol=1e-5)
    groups = np.arange(160) % 4
    groups[y == 2] = 0
    cleaner.fit(X, names[y], groups=groups)
    assert (cleaner.predict(X[y == 0]) == names[0]).mean() > 0.7
    piped = clone(cleaner).set_params(estimator=make_pipeline(net(module=linear)))
    piped.fit(X, names[y], groups=groups)
    np.testing.assert_array_equal(piped.pred_probs_, cleaner.pred_probs_)


def test_jobs_of_the_cleaner_change_nothing(images):
    from hubclean import HubLabelCleaner

    X, y = images
    tables = [
        HubLabelCleaner(hp.skorch(epochs=1), cv=2, random_state=0, n_jobs=n_jobs)
        .fit(X, y)
        .label_issues_
        for n_jobs in (1, 2)
    ]
    assert tables[0].equals(tables[1])


def test_an_error_names_the_fold_of_the_cleaner(table):
    from hubclean import HubLabelCleaner

    sgd = {"optimizer": torch.optim.SGD, "lr": 1e38, "epochs": 20}
    cleaner = HubLabelCleaner(net(module=linear, **sgd), cv=2, random_state=0)
    with pytest.raises(TrainingError, match=r"epoch \d+ of fold 0"):
        cleaner.fit(*table)


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
