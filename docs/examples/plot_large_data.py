"""
Large data: keep what was trained, judge from a file
====================================================

A grid search that trains no fold twice, and labels judged from probabilities that stay
in a file.
"""

# %%
# A table of 4,000 rows stands in for a large one; every tenth label is made wrong.

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from hubclean import HubLabelCleaner, find_label_issues
from hubclean.datasets import symmetric_noise
from hubclean.plotting import LabelQualityDisplay

X, y = make_classification(
    4000,
    20,
    n_informative=10,
    n_classes=5,
    n_clusters_per_class=1,
    class_sep=2.0,
    random_state=0,
)
given, wrong = symmetric_noise(y, 0.1, random_state=0)
folder = Path(tempfile.mkdtemp())

# %%
# `memory` names a folder for the probabilities of trained folds. Six candidates on
# three splits ask for 72 folds; those that differ in the threshold alone share theirs,
# so 24 are trained, and for the refit as many as the best `cv` says. A run that is
# killed goes on from the same folder.

cleaner = HubLabelCleaner(
    LogisticRegression(max_iter=300), memory=folder / "cache", random_state=0
)
search = GridSearchCV(cleaner, {"cv": [3, 5], "threshold": [None, 0.1, 0.3]}, cv=3)
search.fit(X, given)
trained = len(list((folder / "cache").rglob("probs.npy")))
print(f"best: {search.best_params_}; folds in the cache: {trained}")

# %%
# The refit on all rows is kept, too: the same call again trains no fold.

best = search.best_estimator_
issues = best.label_issues_["is_label_issue"].to_numpy()
print(f"{issues.sum()} flagged, {wrong[issues].sum()} of {wrong.sum()} errors found")

# %%
# Probabilities of any origin may stay in a file that is larger than the memory. The
# rules read it in blocks, on all cores, with memory for a few numbers per row.

np.save(folder / "probs.npy", best.pred_probs_.astype(np.float32))
mapped = np.load(folder / "probs.npy", mmap_mode="r")
table = find_label_issues(given, mapped, classes=best.classes_)
found = table["is_label_issue"].to_numpy()
print(f"{found.sum()} flagged from the file, {wrong[found].mean():.0%} of them wrong")

# %%
# The quality of all labels, and the cut.

LabelQualityDisplay.from_issues(table)
