"""Accuracy after cleaning, and rows flagged, as more and more labels are wrong.

Run ``python benchmarks/noise_sweep.py``; table and figure go to docs/benchmarks. A
network that overfits is trained on all rows, on what cleanlab's default keeps, on
what hubclean keeps, with its corrections, and on the rows that are truly clean.
Settings that are in the table already are not run again.
"""

import sys

import numpy as np
import pandas as pd
from _settings import rounded
from _study import draw_panels, run_study, study_options
from cleanlab.filter import find_label_issues as cleanlab_issues

COLUMNS = "dataset noise level seed kept rows planted flagged accuracy".split()
LEVELS = [step / 100 for step in range(0, 50, 5)]
WAYS = [
    ("all rows",),
    ("cleanlab default",),
    ("hubclean auto",),
    ("hubclean auto, relabel",),
    ("hubclean auto, auto",),
    ("truly clean rows",),
]


def cleaned(problem, way):
    """Rows kept, labels and number flagged of a way of cleaning."""
    labels = problem.labels
    if way == "all rows":
        return np.ones(len(labels), dtype=bool), labels, 0
    if way == "truly clean rows":
        return ~problem.wrong, labels, problem.wrong.sum()
    if way == "cleanlab default":
        issues = cleanlab_issues(labels, problem.pred_probs, n_jobs=1)
        return ~issues, labels, issues.sum()
    correction = way.partition(", ")[2] or "prune"
    return *problem.corrected(correction), problem.found.is_label_issue.sum()


def line(problem, way, options, seed):
    """Accuracy after a way of cleaning."""
    kept, labels, n_flagged = cleaned(problem, *way)
    accuracy = problem.accuracy(kept, labels, options.epochs, seed)
    return len(labels), problem.wrong.sum(), n_flagged, rounded(accuracy)


def summary(path):
    """Mean accuracy and flagged rows of each way, by noise and level."""
    results = pd.read_csv(path)
    return results.pivot_table(
        index=["noise", "level"],
        columns="kept",
        values=["accuracy", "flagged"],
        sort=False,
    ).round(3)


def draw(path):
    """Accuracy against the share of wrong labels, one panel for each noise."""
    draw_panels(path, "share of wrong labels", plot)


def plot(axes, results):
    """Mean of the seeds, and their spread, for every way of cleaning."""
    for name, of_way in results.groupby("kept", sort=False):
        by_level = of_way.groupby("level")["accuracy"].agg(["mean", "std"])
        spread = by_level["std"].fillna(0)  # of one seed
        axes.errorbar(by_level.index, by_level["mean"], spread, label=name, marker=".")


def main(arguments=None):
    parser = study_options(__doc__, "noise_sweep.csv", rows=10_000, levels=LEVELS)
    run_study(sys.modules[__name__], parser.parse_args(arguments))


if __name__ == "__main__":
    main()
