"""LabelCleaningSampler, alone and in imbalanced-learn's pipeline."""

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import Pipeline as ResamplingPipeline
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from hubclean import HubLabelCleaner, LabelCleaningSampler


def test_drops_what_the_cleaner_flags(small):
    X, given, _, _ = small
    sampler = LabelCleaningSampler(GaussianNB(), random_state=0)
    X_clean, y_clean = sampler.fit_resample(X, given)
    issues = HubLabelCleaner(GaussianNB(), random_state=0).fit(X, given).label_issues_
    kept = np.flatnonzero(~issues["is_label_issue"])
    np.testing.assert_array_equal(sampler.sample_indices_, kept)
    np.testing.assert_array_equal(X_clean, X[kept])
    np.testing.assert_array_equal(y_clean, given[kept])
    pd.testing.assert_frame_equal(sampler.label_issues_, issues)
    assert 0 < len(kept) < 400


def test_relabels_the_share_that_is_not_pruned(small):
    X, given, true, wrong = small
    sampler = LabelCleaningSampler(GaussianNB(), random_state=0, prune_fraction=0.25)
    X_clean, y_clean = sampler.fit_resample(X, given)
    issues = sampler.label_issues_
    n_issues = int(issues["is_label_issue"].sum())
    assert len(X_clean) == 400 - round(0.25 * n_issues)
    changed = y_clean != given[sampler.sample_indices_]
    assert changed.sum() == n_issues - round(0.25 * n_issues)
    kept = sampler.sample_indices_
    assert (y_clean == true[kept]).mean() > (given == true).mean()


def test_containers_come_back_as_they_came(small):
    X, given, _, _ = small
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(400) * 2)
    labels = pd.Series(np.array(["x", "y", "z"])[given], frame.index, name="kind")
    sampler = LabelCleaningSampler(GaussianNB(), random_state=0, prune_fraction=0.5)
    X_clean, y_clean = sampler.fit_resample(frame, labels.astype("category"))
    pd.testing.assert_frame_equal(X_clean, frame.iloc[sampler.sample_indices_])
    assert y_clean.dtype == "category"
    assert y_clean.name == "kind"
    np.testing.assert_array_equal(y_clean.index, X_clean.index)


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers how many rows it was trained on and asked about."""

    trained, asked = [], []

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        Witness.trained.append(len(X))
        return self

    def predict(self, X):
        Witness.asked.append(len(X))
        return np.full(len(X), self.classes_[0])


def test_cleans_training_folds_and_never_held_out_rows(small):
    X, given, _, _ = small
    Witness.trained, Witness.asked = [], []
    pipe = ResamplingPipeline(
        [
            ("scale", StandardScaler()),
            ("clean", LabelCleaningSampler(GaussianNB(), random_state=0)),
            ("model", Witness()),
        ]
    )
    cross_validate(pipe, X, given, cv=4)
    assert sorted(Witness.asked) == [100] * 4
    assert all(200 < n < 300 for n in Witness.trained)


def test_cleaning_inside_the_pipeline_helps(digits):
    X, given, true, _ = digits
    pipe = ResamplingPipeline(
        [
            ("clean", LabelCleaningSampler(LogisticRegression(), random_state=0)),
            ("model", KNeighborsClassifier(1)),
        ]
    )
    pipe.fit(X[:1200], given[:1200])
    plain = KNeighborsClassifier(1).fit(X[:1200], given[:1200])
    gain = pipe.score(X[1200:], true[1200:]) - plain.score(X[1200:], true[1200:])
    assert gain > 0.03


def test_grid_search_and_clone(small):
    X, given, _, _ = small
    pipe = ResamplingPipeline(
        [("clean", LabelCleaningSampler(GaussianNB())), ("model", GaussianNB())]
    )
    grid = {"clean__cv": [2, 3], "clean__threshold": [None, 0.2]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, given)
    assert search.best_params_.keys() == grid.keys()
    assert clone(pipe).get_params()["clean__cv"] == 5


def test_it_is_no_transformer():
    assert not hasattr(LabelCleaningSampler(), "transform")
    assert not hasattr(HubLabelCleaner(), "fit_resample")


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_same_seed_same_rows(small, n_jobs):
    X, given, _, _ = small
    sampler = LabelCleaningSampler(GaussianNB(), random_state=5, n_jobs=n_jobs)
    one = sampler.fit(X, given).sample_indices_
    other = clone(sampler).set_params(n_jobs=None).fit(X, given).sample_indices_
    np.testing.assert_array_equal(one, other)


def test_metadata_routing_reaches_the_sampler_in_a_pipeline(small):
    X, given, _, _ = small
    weights = np.random.default_rng(0).uniform(0.1, 2, 400)
    metadata = {"groups": np.arange(400) // 40, "sample_weight": weights}
    with config_context(enable_metadata_routing=True):
        inside = GaussianNB().set_fit_request(sample_weight=True)
        sampler = LabelCleaningSampler(inside, random_state=0)
        model = GaussianNB().set_fit_request(sample_weight=False)
        pipe = ResamplingPipeline([("clean", sampler), ("model", model)])
        pipe.fit(X, given, **metadata)
        alone = clone(sampler).fit(X, given, **metadata)
    np.testing.assert_array_equal(pipe[0].pred_probs_, alone.pred_probs_)
