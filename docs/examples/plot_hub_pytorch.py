"""
Images in a Hub dataset, with PyTorch
=====================================

The workflow of the prototype for Hub: a dataset, a network, the result written back
into the dataset, and a view without the labels that look wrong.
"""

# %%
# A Hub dataset of real images: scikit-learn's digits as PNG files, with their class
# names. Yours may lie in a bucket.

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from hubclean import HubLabelCleaner, datasets, hub, skorch
from hubclean.plotting import LabelQualityDisplay, WorstExamplesDisplay

folder = Path(tempfile.mkdtemp())
address = datasets.write_digits(folder / "digits")
print(hub.open(address))

# %%
# For the tutorial every tenth label is made wrong, on a branch. In life nobody tells
# which.

true = np.asarray(hub.open(address).y)
noisy, wrong = datasets.symmetric_noise(true, 0.1, random_state=0)
rows = np.flatnonzero(wrong)
planted = pd.DataFrame({"row": rows, "decision": "relabel", "new_label": noisy[rows]})
hub.apply_decisions(address, planted, branch="planted")

# %%
# `X` and `y` are lazy: images are read in batches while the network trains. Without
# `module`, a small residual network is sized from the data; pass your own
# `torch.nn.Module`, or the name of one of torchvision's.

source = hub.open(address, branch="planted")
network = skorch(epochs=4)
cleaner = HubLabelCleaner(network, cv=3, random_state=0)
cleaner.fit(source.X, source.y)
issues = cleaner.label_issues_
flagged = issues["is_label_issue"].to_numpy()
print(f"{flagged.sum()} flagged, {wrong[flagged].sum()} of {wrong.sum()} errors found")

# %%
WorstExamplesDisplay.from_estimator(
    cleaner, source.X, source.y, class_names=source.class_names, n_examples=18
)

# %%
LabelQualityDisplay.from_estimator(cleaner)

# %%
# The result becomes three tensors of the dataset, in one commit on a branch, so that
# queries and viewers see it.

commit = hub.create_tensors(source, issues, branch="label-issues", verbose=False)
view = hub.clean_view(address, branch="label-issues")
print(f"{len(view)} of {len(true)} rows are left to train on")

# %%
# A person who wants to look first writes the report, decides in a browser, and applies
# the decisions on another branch:
#
# .. code-block:: console
#
#    $ hubclean report DATASET --branch label-issues --output report.html
#    $ hubclean apply decisions.csv DATASET --branch reviewed
