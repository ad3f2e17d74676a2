"""Accuracy after cleaning, and rows flagged, as more and more labels are wrong.

Run ``python benchmarks/noise_sweep.py``; the table goes to docs/benchmarks. A network
that overfits is trained on all rows, on what cleanlab's default keeps, on what
hubclean keeps, and on the rows that are truly clean. Settings that are in the table
already are not run again.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from _settings import Table, load_images, plant, rounded, true_pred_probs
from cleanlab.filter import find_label_issues as cleanlab_issues
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier

from hubclean import find_label_issues

COLUMNS = "dataset noise level seed rows kept planted flagged accuracy".split()


def network(epochs, seed):
    """Return a network that is trained long enough to learn wrong labels by heart."""
    return MLPClassifier((128,), alpha=0, max_iter=epochs, random_state=seed)


def keepers(labels, wrong, pred_probs):
    """Name and mask of the rows that each way of cleaning keeps."""
    yield "all rows", np.ones(len(labels), dtype=bool)
    yield "cleanlab default", ~cleanlab_issues(labels, pred_probs, n_jobs=1)
    found = find_label_issues(
        labels, pred_probs, filter_by="auto", score_by="clean_probability"
    )
    yield "hubclean auto", ~found["is_label_issue"].to_numpy()
    yield "truly clean rows", ~wrong


def run(table, options):
    """Train at every level, noise and seed that is not in the table."""
    for seed in options.seeds:
        X, y = load_images(options.dataset, options.data, None, seed)
        rows = slice(0, min(options.rows, len(y) // 2))
        test = slice(-min(len(y) // 2, 10_000), None)
        reference = true_pred_probs(X[rows], y[rows], seed)
        for level in options.levels:
            for noise in options.noises:
                keys = (options.dataset, noise, level, seed)
                if table.has(*keys):
                    continue
                labels, wrong = plant(noise, y[rows], level, reference, seed)
                folds = StratifiedKFold(5, shuffle=True, random_state=seed)
                probs = cross_val_predict(
                    network(options.fold_epochs, seed),
                    X[rows],
                    labels,
                    cv=folds,
                    method="predict_proba",
                )
                lines = []
                for name, keep in keepers(labels, wrong, probs):
                    final = network(options.epochs, seed)
                    final.fit(X[rows][keep], labels[keep])
                    counts = [len(labels), name, wrong.sum(), (~keep).sum()]
                    accuracy = rounded(final.score(X[test], y[test]))
                    lines.append([*keys, *counts, accuracy])
                table.add(lines)


def summary(path):
    """Mean accuracy and flagged rows of each way, by noise and level."""
    results = pd.read_csv(path)
    return results.pivot_table(
        index=["noise", "level"], columns="kept", values=["accuracy", "flagged"]
    ).round(3)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder of the data; else HUBCLEAN_DATA")
    parser.add_argument("--out", default="docs/benchmarks/noise_sweep.csv")
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    levels = [step / 100 for step in range(0, 50, 5)]
    parser.add_argument("--levels", type=float, nargs="+", default=levels)
    noises = ["symmetric", "instance_dependent"]
    parser.add_argument("--noises", nargs="+", default=noises)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--fold-epochs", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args(arguments)
    if options.quick:
        options.dataset, options.rows, options.seeds = "digits", 300, [0]
        options.levels, options.noises, options.epochs = [0.2], ["symmetric"], 20
    warnings.filterwarnings("ignore")  # networks that stop before they converge
    run(Table(options.out, COLUMNS, n_keys=4), options)
    print(summary(options.out).to_string())


if __name__ == "__main__":
    main()
