"""Prune the issues or relabel them? Accuracy against the share that is pruned.

Run ``python benchmarks/prune_or_relabel.py``; table and figure go to docs/benchmarks.
Of the issues that hubclean's default rule finds, the worst share is pruned and the
rest is relabelled; a network that overfits is trained on what remains. Settings that
are in the table already are not run again.
"""

import sys

import pandas as pd
from _settings import rounded
from _study import draw_panels, run_study, study_options

from hubclean._label_correction import CORRECTIONS
from hubclean._label_issues import correctable, judge

COLUMNS = (
    "dataset noise level seed rows correction prune_fraction planted flagged "
    "relabelled relabelled_right accuracy"
).split()
LEVELS = [0.0, 0.1, 0.2, 0.3, 0.45]
FRACTIONS = [step / 10 for step in range(11)]


def corrections(problem):
    """Name and prune fraction of each correction."""
    judged = judge(
        problem.labels,
        problem.pred_probs,
        filter_by="auto",
        score_by="clean_probability",
    )
    found = correctable(problem.labels, problem.pred_probs, judged, credible=True)
    for fraction in FRACTIONS:
        yield found, "prune_fraction", fraction
    for name in ("relabel", "auto"):
        yield found, name, ""


def lines(keys, problem, options):
    """Accuracy after every correction."""
    rows = []
    for found, name, fraction in corrections(problem):
        corrected = CORRECTIONS[name](found, fraction or 0.0)
        labels = problem.labels.copy()
        labels[corrected.kept] = corrected.labels
        moved = labels != problem.labels
        right = moved & (labels == problem.true)
        accuracy = problem.accuracy(corrected.kept, labels, options.epochs, keys[-1])
        counts = [problem.wrong.sum(), found.is_label_issue.sum()]
        counts += [moved.sum(), right.sum()]
        rows.append([*keys, len(labels), name, fraction, *counts, rounded(accuracy)])
    return rows


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
    """Mean of the seeds for every level."""
    shares = results[results["correction"] == "prune_fraction"]
    for level, of_level in shares.groupby("level"):
        means = of_level.groupby("prune_fraction")["accuracy"].mean()
        axes.plot(means.index, means, marker="o", label=f"{level:.0%} wrong")


def main(arguments=None):
    parser = study_options(__doc__, "prune_or_relabel.csv", rows=10_000, levels=LEVELS)
    run_study(sys.modules[__name__], COLUMNS, parser.parse_args(arguments))


if __name__ == "__main__":
    main()
