"""PyTorch modules in the cleaner."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    TrainingError,
)
from tests.pytorch.conftest import (  # noqa: E402
    Hidden,
    linear,
    net,
)


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


@pytest.mark.parametrize(
    ("make", "exact"),
    [
        (torch.tensor, True),
        (lambda values: torch.tensor(values).float().requires_grad_(), True),
        (lambda values: nn.Parameter(torch.tensor(values).float()) * 1, True),
        (lambda values: torch.tensor(values, dtype=torch.bfloat16), False),
    ],
    ids=["plain", "leaf", "of a network", "bfloat16"],
)
@pytest.mark.parametrize("estimator", [None, "network"])
def test_tensors_that_numpy_does_not_read(table, make, exact, estimator):
    """With a gradient, the end of the training itself failed."""
    X, y = table
    X = X.astype(np.float32).astype(np.float64)
    estimator = estimator and net(epochs=8)
    plain = HubLabelCleaner(estimator, evidence="auto", cv=2, random_state=0)
    cleaner = clone(plain).fit(make(X), make(y))
    found = cleaner.transform(make(X))
    np.testing.assert_array_equal(found[:, 1], cleaner.label_issues_["label_quality"])
    assert len(cleaner.evidence_.kinds) == 2  # tensors are tables of numbers, too
    expected = plain.fit(X, y).pred_probs_
    tolerance = 1e-4 if exact else 0.1
    np.testing.assert_allclose(cleaner.pred_probs_, expected, atol=tolerance)


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
