"""
Tables: Pipeline and GridSearchCV
=================================

The cleaner is a step like any other: it is tuned together with the model inside it.
"""

# %%
# One wrong label in five among records of breast cancer; the test labels are left as
# they are.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hubclean import HubLabelCleaner
from hubclean.datasets import symmetric_noise
from hubclean.plotting import PruneFractionDisplay, WorstExamplesDisplay

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = np.array(["malignant", "benign"])[y]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
given, wrong = symmetric_noise(y_train, 0.2, random_state=0)

# %%
# Thresholds, rules and the parameters of the model inside are searched like any others.
# `score` is the accuracy of the final model, which was trained on the corrected data.

pipe = Pipeline(
    [
        ("scale", StandardScaler()),
        ("clean", HubLabelCleaner(LogisticRegression(max_iter=500), random_state=0)),
    ]
)
grid = {
    "clean__threshold": [None, 0.2, 0.4],
    "clean__estimator__C": [0.1, 1.0],
}
search = GridSearchCV(pipe, grid, cv=3).fit(X_train, given)
plain = LogisticRegression(max_iter=500).fit(
    pipe["scale"].fit_transform(X_train), given
)
print("best:", search.best_params_)
print(f"accuracy with the cleaner    {search.score(X_test, y_test):.3f}")
print(
    f"accuracy without             "
    f"{plain.score(pipe['scale'].transform(X_test), y_test):.3f}"
)

# %%
# In a table of numbers a second model costs little: `evidence="auto"` averages the
# folds with a ridge classifier that leaves each row out. Average precision of the label
# quality, for the planted errors:

scaled = StandardScaler().fit(X_train)
for evidence in ("cv", "auto"):
    cleaner = HubLabelCleaner(
        LogisticRegression(max_iter=500), evidence=evidence, random_state=0
    ).fit(scaled.transform(X_train), given)
    quality = cleaner.label_issues_["label_quality"]
    print(f"{evidence:5} {average_precision_score(wrong, 1 - quality):.3f}")

# %%
# The rows to look at first.

cleaner = search.best_estimator_["clean"]
WorstExamplesDisplay.from_issues(cleaner.label_issues_, given, X_train, n_examples=12)

# %%
# Prune the issues or relabel them? With labels that are trusted, measure it.

scaled_test = scaled.transform(X_test)
PruneFractionDisplay.from_estimator(
    HubLabelCleaner(LogisticRegression(max_iter=500), random_state=0),
    scaled.transform(X_train),
    given,
    X_test=scaled_test,
    y_test=y_test,
)
