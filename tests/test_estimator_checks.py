"""scikit-learn's own checks of an estimator; nothing is expected to fail."""

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from hubclean import HubLabelCleaner, LabelCleaningSampler

ESTIMATORS = [
    cls(estimator)
    for cls in (HubLabelCleaner, LabelCleaningSampler)
    for estimator in (None, LogisticRegression(), RandomForestClassifier(10))
]


@pytest.mark.filterwarnings("ignore")  # the checks provoke scikit-learn's warnings
@parametrize_with_checks(ESTIMATORS)
def test_estimator_check(estimator, check):
    check(estimator)
