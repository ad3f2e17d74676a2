"""Modules and losses: fresh weights, arguments, outputs."""

import numpy as np
import pytest
from sklearn.base import clone

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    EstimatorError,
    ParameterError,
)
from tests.pytorch.conftest import (  # noqa: E402
    Hidden,
    Probabilities,
    WithBody,
    linear,
    net,
)


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
