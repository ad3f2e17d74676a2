"""
Text: wrong topics
==================

X may be a list of strings: it goes to the model inside as it is.
"""

# %%
# Short messages about three topics, made from words that the topics share in part.

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hubclean import HubLabelCleaner
from hubclean.datasets import symmetric_noise
from hubclean.plotting import WorstExamplesDisplay

WORDS = {
    "billing": "invoice refund charge card payment price plan month".split(),
    "bug": "crash error screen freeze button version log month".split(),
    "shipping": "parcel late courier address box tracking door price".split(),
}
rng = np.random.default_rng(0)
topics = rng.choice(list(WORDS), size=600)
filler = "the my please since it was about again help".split()
messages = [
    " ".join(rng.permutation([*rng.choice(WORDS[t], 4), *rng.choice(filler, 5)]))
    for t in topics
]
given, wrong = symmetric_noise(topics, 0.08, random_state=0)

# %%
# Labels are strings, and stay strings.

model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=3))
cleaner = HubLabelCleaner(model, random_state=0).fit(messages, given)
issues = cleaner.label_issues_
flagged = issues["is_label_issue"].to_numpy()
print(f"{flagged.sum()} flagged, {wrong[flagged].sum()} of {wrong.sum()} errors found")

# %%
WorstExamplesDisplay.from_estimator(cleaner, messages, given, n_examples=12)

# %%
# The other arrangement has the cleaner as the last step. The words are then counted
# once, on all messages, and parameters are named ``clean__estimator__C`` in a search;
# inside, they are counted in every fold anew, and named
# ``estimator__logisticregression__C``. Only with rows of numbers can leave-one-out
# evidence be averaged in.

pipe = make_pipeline(
    TfidfVectorizer(),
    HubLabelCleaner(
        LogisticRegression(C=3), evidence=["cv", "leave_one_out"], random_state=0
    ),
)
pipe.fit(messages, given)
flagged = pipe[-1].label_issues_["is_label_issue"].to_numpy()
print(f"{flagged.sum()} flagged, {wrong[flagged].sum()} of {wrong.sum()} errors found")
