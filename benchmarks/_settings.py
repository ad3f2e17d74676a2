"""Data, noise and tables that the benchmarks share."""

import csv
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier

from hubclean.datasets import (
    class_conditional_noise,
    instance_dependent_noise,
    pair_flip_noise,
    symmetric_noise,
)

NOISES = ("symmetric", "class_conditional", "pair_flip", "instance_dependent")
WHERE = (
    "Fashion-MNIST: https://github.com/zalandoresearch/fashion-mnist; CIFAR-10 "
    "probabilities: https://github.com/cgnorthcutt/confidentlearning-reproduce"
)


def data_file(folder, name):
    """Path of a data file, or a message that says where to get it."""
    path = Path(folder or os.environ.get("HUBCLEAN_DATA", ".")) / name
    if not path.exists():
        raise SystemExit(
            f"{path} is missing. Set HUBCLEAN_DATA or --data to its folder. {WHERE}"
        )
    return path


def load_images(name, folder, rows, seed, *, pixels=False):
    """Images and true labels: seeded rows of the training set.

    Pixels are in [0, 1]; without `pixels`, where there are over 100, their first 60
    principal components.
    """
    images = _digits() if name == "digits" else _fashion_mnist(folder, "train")
    X, y = _shuffled(images, seed, rows)
    if X.shape[1] > 100:
        X = X.astype(np.float32) if pixels else PCA(60, random_state=0).fit_transform(X)
    return X, y


def load_split(name, folder, rows, seed, *, pixels=False):
    """Rows to learn from, and 10,000 (at most half) others to test on, with labels.

    Both are seeded rows of the training set. Where 10,000 would not be left of it, the
    rows to test on are those of the test set. `pixels` as in `load_images`.
    """
    if name != "digits" and rows > 50_000:
        X, y = _shuffled(_fashion_mnist(folder, "train"), seed, rows)
        X_test, y_test = _fashion_mnist(folder, "test")
        if pixels:
            return (X.astype(np.float32), y), (X_test.astype(np.float32), y_test)
        components = PCA(60, random_state=0).fit(X)
        X, X_test = components.transform(X), components.transform(X_test)
        return (X, y), (X_test, y_test)
    X, y = load_images(name, folder, None, seed, pixels=pixels)
    n_train = len(y) - min(len(y) // 2, 10_000)
    train, test = slice(0, min(rows, n_train)), slice(n_train, None)
    return (X[train], y[train]), (X[test], y[test])


def _digits():
    digits = load_digits()
    return digits.data / 16, digits.target


def _fashion_mnist(folder, part):
    with np.load(data_file(folder, "fashion_mnist.npz")) as stored:
        X, y = stored[f"X_{part}"], stored[f"y_{part}"]
    return X.reshape(-1, 784) / 255, y.astype(np.int64)


def _shuffled(images, seed, rows):
    X, y = images
    kept = np.random.default_rng(seed).permutation(len(y))[:rows]
    return X[kept], y[kept]


def true_pred_probs(X, y, seed):
    """Cross-validated probabilities of a network that learned from true labels."""
    network = MLPClassifier((100,), max_iter=15, random_state=seed, early_stopping=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return cross_val_predict(network, X, y, cv=folds, method="predict_proba")


def plant(noise, y, level, pred_probs, seed):
    """Noisy labels and the mask of what was changed."""
    if noise == "symmetric":
        return symmetric_noise(y, level, random_state=seed)
    if noise == "pair_flip":
        return pair_flip_noise(y, level, random_state=seed)
    if noise == "class_conditional":
        matrix = random_noise_matrix(y.max() + 1, level, seed)
        return class_conditional_noise(y, matrix, random_state=seed)
    return instance_dependent_noise(y, level, pred_probs=pred_probs, random_state=seed)


def random_noise_matrix(n_classes, level, seed):
    """Random P(given | true): uneven among classes, a few likely mistakes in each."""
    rng = np.random.default_rng(seed)
    wrong = rng.dirichlet(np.full(n_classes - 1, 0.5), size=n_classes)
    rates = level * (0.5 + rng.permutation(np.linspace(0, 1, n_classes)))
    matrix = np.empty((n_classes, n_classes))
    for k in range(n_classes):
        matrix[:, k] = np.insert(wrong[k] * rates[k], k, 1 - rates[k])
    return matrix


class Table:
    """Rows of a CSV file, written one by one, so that a stopped run goes on."""

    def __init__(self, path, columns, n_keys):
        self.path, self.columns, self.n_keys = Path(path), columns, n_keys
        self.done = set()
        if self.path.exists():
            with self.path.open(newline="") as file:
                for row in list(csv.reader(file))[1:]:
                    self.done.add(tuple(row[:n_keys]))
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append([columns])

    def _append(self, rows):
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def has(self, *keys):
        """Whether rows with these keys are there."""
        return tuple(map(str, keys)) in self.done

    def add(self, rows):
        """Append rows, all of them at once."""
        self._append(rows)
        self.done |= {tuple(map(str, row[: self.n_keys])) for row in rows}


def rounded(value):
    """Four digits are enough for a table."""
    return f"{value:.4f}"
