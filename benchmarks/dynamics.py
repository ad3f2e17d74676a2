"""One training against five: training dynamics beside cross-validation.

The same network of 784-128-10, epochs and labels; the evidence is ``"cv"`` with 5
folds, or ``"dynamics"``. They take turns. Average precision is that of
``1 - label_quality`` for the planted errors. Run::

    HUBCLEAN_DATA=folder python benchmarks/dynamics.py

The table goes to docs/benchmarks; settings that are in it already are not run again.
"""

import argparse
import time

import numpy as np
import pandas as pd
from _settings import Table, data_file, rounded
from sklearn.metrics import average_precision_score

from hubclean import HubLabelCleaner
from hubclean.datasets import symmetric_noise

COLUMNS = (
    "rows epochs level seed evidence seconds cpu average_precision flagged".split()
)


def network():
    """Return the network that tutorials on Fashion-MNIST use."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
            )

        def forward(self, x):
            return self.layers(x)

    torch.set_num_threads(1)
    return Network


def evidence_of(kind, X, labels, epochs, seed):
    """Label quality, flagged rows, seconds and CPU seconds of one kind of evidence.

    The final model, which both train, is left out of the time: it stands for one
    training more on either side.
    """
    import torch

    from hubclean.pytorch import skorch

    estimator = skorch(
        module=network(), optimizer=torch.optim.Adam, lr=1e-3, epochs=epochs
    )
    cleaner = Watched(estimator, evidence=kind, random_state=seed)
    return cleaner.find(X, labels), cleaner.seconds


class Watched(HubLabelCleaner):
    """Judges labels, and notes how long the evidence took."""

    def find(self, X, labels):
        """Result table of the evidence alone."""
        clocks = time.perf_counter, time.process_time
        begin = [clock() for clock in clocks]
        self._find_issues(X, labels, {})
        self.seconds = [
            clock() - start for clock, start in zip(clocks, begin, strict=True)
        ]
        return self.label_issues_


def run(table, options):
    """Both kinds of evidence in turn, for every level and seed."""
    with np.load(data_file(options.data, "fashion_mnist.npz")) as stored:
        X_all, y_all = stored["X_train"], stored["y_train"].astype(np.int64)
    for seed in options.seeds:
        kept = np.random.default_rng(seed).permutation(len(y_all))[: options.rows]
        X, y = X_all[kept][:, None].astype(np.float32) / 255, y_all[kept]
        for level in options.levels:
            labels, wrong = symmetric_noise(y, level, random_state=seed)
            for kind in ("cv", "dynamics"):
                keys = (len(y), options.epochs, level, seed, kind)
                if table.has(*keys):
                    continue
                found, seconds = evidence_of(kind, X, labels, options.epochs, seed)
                score = average_precision_score(wrong, -found["label_quality"])
                line = [*map(rounded, (*seconds, score))]
                table.add([[*keys, *line, found["is_label_issue"].sum()]])


def summary(path):
    """Ratios of time and differences of average precision."""
    results = pd.read_csv(path)
    wide = results.pivot_table(
        index=["rows", "epochs", "level", "seed"],
        columns="evidence",
        values=["seconds", "cpu", "average_precision"],
    )
    out = pd.DataFrame(
        {
            "AP cv": wide["average_precision", "cv"],
            "AP dynamics": wide["average_precision", "dynamics"],
            "time / cv": wide["seconds", "dynamics"] / wide["seconds", "cv"],
            "CPU / cv": wide["cpu", "dynamics"] / wide["cpu", "cv"],
        }
    )
    return out.groupby(["rows", "epochs", "level"]).agg(["mean", "min", "max"]).round(3)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the data; else HUBCLEAN_DATA")
    parser.add_argument("--out", default="docs/benchmarks/dynamics.csv")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    levels = [0.05, 0.1, 0.2, 0.3, 0.45]
    parser.add_argument("--levels", type=float, nargs="+", default=levels)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rows, options.epochs = 300, 1
        options.seeds, options.levels = [0], [0.1]
    run(Table(options.out, COLUMNS, n_keys=5), options)
    print(summary(options.out).to_string())


if __name__ == "__main__":
    main()
