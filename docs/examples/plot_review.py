"""
Find, look, decide, apply
=========================

The whole way on images of digits: find the labels that look wrong, look at them,
decide, and put the decisions into the data.
"""

# %%
# Scikit-learn's digits, with one label in ten made wrong. In life nobody tells which.

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from hubclean import HubLabelCleaner, apply_decisions_to_arrays
from hubclean.datasets import symmetric_noise
from hubclean.plotting import (
    IssuesPerClassDisplay,
    LabelQualityDisplay,
    NoiseMatrixDisplay,
    WorstExamplesDisplay,
)

digits = load_digits()
X = digits.data / 16
given, wrong = symmetric_noise(digits.target, 0.1, random_state=0)

# %%
# Every row is judged by a model that has not seen its label.

from sklearn.calibration import CalibratedClassifierCV

model = CalibratedClassifierCV(SVC(C=5), ensemble=False, cv=3)
cleaner = HubLabelCleaner(model, cv=5, random_state=0).fit(X, given)
issues = cleaner.label_issues_
print(f"{issues['is_label_issue'].sum()} of {len(issues)} labels look wrong")

# %%
# The worst of them. Only the rows shown are read, so this works on datasets of any
# size.

WorstExamplesDisplay.from_estimator(
    cleaner, X, given, image_shape=(8, 8), n_examples=18
)

# %%
# A heap at the left that stands apart: the model is sure about these.

LabelQualityDisplay.from_estimator(cleaner)

# %%
# Which digits were taken for which. The errors here were planted at random, so no pair
# stands out.

NoiseMatrixDisplay.from_estimator(cleaner)

# %%
IssuesPerClassDisplay.from_estimator(cleaner, X, given)

# %%
# ``hubclean.report.write_report("report.html", issues, given, X, image_shape=(8, 8))``
# writes the page on which a person decides. Its ``decisions.csv`` looks like this; here
# every label that is flagged is relabelled, as a person might who trusts the model.

rows = np.flatnonzero(issues["is_label_issue"])
decisions = pd.DataFrame(
    {
        "row": rows,
        "decision": "relabel",
        "new_label": issues["predicted_labels"].to_numpy()[rows],
        "given_label": given[rows],
    }
)
X_new, y_new = apply_decisions_to_arrays(X, given, decisions)
print(f"wrong labels before: {wrong.sum()}, after: {(y_new != digits.target).sum()}")
