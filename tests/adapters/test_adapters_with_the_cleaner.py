"""Every adapter inside the cleaner, in scikit-learn's tools, on a Hub source."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from hubclean import HubLabelCleaner, hub

NAMES = ["cat", "dog", "zebra"]


@pytest.fixture
def source(images):
    """A source in memory whose every tenth label is wrong; which ones are."""
    X, y = images
    wrong = np.zeros(len(y), dtype=bool)
    wrong[::10] = True
    given = np.where(wrong, (y + 1) % 3, y)
    dataset = hub.InMemoryDataset(
        {"images": X, "labels": given}, class_names={"labels": NAMES}
    )
    return hub.open(dataset), wrong


def test_the_cleaner_finds_planted_errors(make_classifier, source):
    source, wrong = source
    cleaner = HubLabelCleaner(make_classifier(epochs=8), cv=3, random_state=0)
    table = cleaner.fit(source.X, source.y).label_issues_
    quality = table["label_quality"].to_numpy()
    assert quality[wrong].mean() < 0.5 < quality[~wrong].mean()
    assert table["is_label_issue"][wrong].mean() > 0.6
    assert cleaner.predict(source.X[:5]).shape == (5,)


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_grid_search_in_a_pipeline_on_a_source(make_classifier, source, lr):
    source, _ = source
    pipe = Pipeline(
        [
            ("unchanged", FunctionTransformer()),
            ("clean", HubLabelCleaner(make_classifier(epochs=2), random_state=0)),
        ]
    )
    rates = [1e-6, 0.02]
    grid = [
        {"clean__cv": [2], f"clean__estimator__{lr}": rates},
        {
            "clean__cv": [3],
            "clean__threshold": [0.2],
            f"clean__estimator__{lr}": [1e-6],
        },
    ]
    search = GridSearchCV(pipe, grid, cv=2).fit(source.X, source.y)
    assert search.best_params_[f"clean__estimator__{lr}"] == 0.02
    assert search.predict_proba(source.X[[3, 1]]).shape == (2, 3)
