"""Prune the issues or relabel them? Accuracy against the share that is pruned.

Run ``python benchmarks/prune_or_relabel.py``; table and figure go to docs/benchmarks.
Of the issues that hubclean's default rule finds, the worst share is pruned and the
rest is relabelled; a network that overfits is trained on what remains. Settings that
are in the table already are not run again.
"""

import sys

import numpy as np
import pandas as pd
from _settings import rounded
from _study import draw_panels, run_study, study_options

COLUMNS = (
    "dataset noise level seed correction prune_fraction rows planted flagged "
    "relabelled relabelled_right accuracy"
).split()
LEVELS = [0.0, 0.1, 0.2, 0.3, 0.45]
WAYS = [("prune_fraction", step / 10) for step in range(11)]
WAYS += [("relabel", ""), ("auto", ""), ("soft_labels", "")]


def line(problem, way, options, seed):
    """Accuracy after a correction."""
    correction, fraction = way
    corrected = problem.corrected(correction, fraction or 0.0)
    accuracy = problem.accuracy(corrected, options, seed)
    moved = corrected.labels != problem.labels[corrected.kept]
    right = moved & (corrected.labels == problem.true[corrected.kept])
    weights = np.ones(len(moved)) if corrected.weights is None else corrected.weights
    n_flagged = problem.found.is_label_issue.sum()
    counts = len(problem.labels), problem.wrong.sum(), n_flagged
    moved, right = (f"{weights[rows].sum():.6g}" for rows in (moved, right))
    return *counts, moved, right, rounded(accuracy)


def summary(path):
    """Mean accuracy of each correction, by noise and level."""
    results = pd.read_csv(path)
    results["correction"] += results["prune_fraction"].map(
        lambda share: "" if pd.isna(share) else f" {share:.1f}"
    )
    return results.pivot_table(
        index=["noise", "level"], columns="correction", values="accuracy", sort=False
    ).round(4)


def draw(path):
    """Accuracy against the prune fraction, a line for each level."""
    draw_panels(path, "share of the issues pruned", plot)


def plot(axes, results):
    """Mean of the seeds for every level, which has its colour in all panels."""
    from matplotlib import colormaps

    shares = results[results["correction"] == "prune_fraction"]
    for level, of_level in shares.groupby("level"):
        means = of_level.groupby("prune_fraction")["accuracy"].mean()
        colour = colormaps["plasma"](1.8 * level)
        axes.plot(means.index, means, "o-", color=colour, label=f"{level:.0%} wrong")


def main(arguments=None):
    parser = study_options(__doc__, "prune_or_relabel.csv", rows=10_000, levels=LEVELS)
    run_study(sys.modules[__name__], parser.parse_args(arguments))


if __name__ == "__main__":
    main()
