"""
Keras: find wrong labels in Fashion-MNIST
=========================================

The network of 784-128-10 units that so many tutorials begin with finds the labels that
are wrong in its own training data.
"""

# %%
# Fashion-MNIST has 60,000 grey images of clothes in ten classes. The tutorial takes a
# few thousand of them from the folder in ``HUBCLEAN_DATA``; without that folder, it
# takes scikit-learn's digits, drawn as large, so that it always runs. On Fashion-MNIST
# the worst labels of 3,000 are these:
#
# .. image:: /_static/keras_fashion_mnist_worst.png
#    :alt: Images of clothes with the given and the predicted label of each.

import os
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from hubclean import HubLabelCleaner, scikeras
from hubclean.datasets import symmetric_noise
from hubclean.plotting import (
    LabelQualityDisplay,
    NoiseMatrixDisplay,
    TrainingDynamicsDisplay,
    WorstExamplesDisplay,
)

CLOTHES = "T-shirt,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
n_rows = int(os.environ.get("HUBCLEAN_TUTORIAL_ROWS", 3000))
file = Path(os.environ.get("HUBCLEAN_DATA", "."), "fashion_mnist.npz")
rng = np.random.default_rng(0)

if file.exists():
    with np.load(file) as data:
        rows = rng.permutation(len(data["y_train"]))[:n_rows]
        X, y = data["X_train"][rows], data["y_train"][rows]
    names = np.array(CLOTHES.split(","))
else:
    digits = load_digits()
    large = np.kron(digits.images * 15, np.ones((3, 3)))
    X = np.pad(large, [(0, 0), (2, 2), (2, 2)]).astype(np.uint8)[:n_rows]
    y = digits.target[:n_rows]
    names = digits.target_names.astype(str)

print(X.shape, X.dtype)

# %%
# Every tenth label is made wrong. In life nobody tells which.

given, wrong = symmetric_noise(names[y], 0.1, random_state=0)

# %%
# The network, as one would write it for Keras alone. It is a template: each fold gets
# the same layers with fresh weights, and this one is never trained.

network = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

# %%
# `HubLabelCleaner` takes it as it is. `scikeras` says how to train; labels may be
# strings, and images stay images.

model = scikeras(network, epochs=8, batch_size=64)
cleaner = HubLabelCleaner(model, cv=3, random_state=0).fit(X, given)
issues = cleaner.label_issues_
flagged = issues["is_label_issue"].to_numpy()
print(f"{flagged.sum()} flagged, {wrong[flagged].sum()} of {wrong.sum()} errors found")

# %%
# The worst of them, with the label that was given and the label that was predicted.

WorstExamplesDisplay.from_estimator(cleaner, X, given, n_examples=18)

# %%
# A heap at the left that stands apart: the network is sure about these.

LabelQualityDisplay.from_estimator(cleaner)

# %%
# Which clothes were taken for which.

NoiseMatrixDisplay.from_estimator(cleaner)

# %%
# One training can tell a lot by itself. ``record_margins`` notes, in the training
# passes themselves, by how much the given label wins or loses against the best other
# one. Wrong labels lose while the network still learns what is common to a class.

recorded = scikeras(network, epochs=8, record_margins=True, random_state=0)
recorded.fit(X, given)
suspects = np.argsort(recorded.margins_)[: wrong.sum()]
print(f"{wrong[suspects].mean():.0%} of the {wrong.sum()} lowest margins are wrong")

# %%
# The margins of the five lowest, epoch by epoch, next to those of all rows.

TrainingDynamicsDisplay.from_estimator(recorded)
