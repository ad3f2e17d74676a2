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

from hubclean._label_correction import CORRECTIONS
from hubclean._label_issues import correctable, judge

COLUMNS = "dataset noise level seed rows kept planted flagged accuracy".split()
LEVELS = [step / 100 for step in range(0, 50, 5)]


def ways(problem):
    """Name, rows kept, labels and number flagged of each way of cleaning."""
    labels, wrong = problem.labels, problem.wrong
    everything = np.ones(len(labels), dtype=bool)
    yield "all rows", everything, labels, 0
    theirs = cleanlab_issues(labels, problem.pred_probs, n_jobs=1)
    yield "cleanlab default", ~theirs, labels, theirs.sum()
    judged = judge(
        labels, problem.pred_probs, filter_by="auto", score_by="clean_probability"
    )
    n_flagged = judged.is_label_issue.sum()
    yield "hubclean auto", ~judged.is_label_issue, labels, n_flagged
    found = correctable(labels, problem.pred_probs, judged, credible=True)
    for name in ("relabel", "auto"):
        corrected = CORRECTIONS[name](found)
        after = labels.copy()
        after[corrected.kept] = corrected.labels
        yield f"hubclean auto, {name}", corrected.kept, after, n_flagged
    yield "truly clean rows", ~wrong, labels, wrong.sum()


def lines(keys, problem, options):
    """Accuracy after every way of cleaning."""
    found = []
    for name, kept, labels, n_flagged in ways(problem):
        accuracy = problem.accuracy(kept, labels, options.epochs, keys[-1])
        counts = [len(labels), name, problem.wrong.sum(), n_flagged]
        found.append([*keys, *counts, rounded(accuracy)])
    return found


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
    run_study(sys.modules[__name__], COLUMNS, parser.parse_args(arguments))


if __name__ == "__main__":
    main()
