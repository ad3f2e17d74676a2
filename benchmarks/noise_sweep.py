"""Accuracy after cleaning, and rows flagged, as more and more labels are wrong.

Run ``python benchmarks/noise_sweep.py``; table and figure go to docs/benchmarks. A
network that overfits is trained on all rows, on what cleanlab's default keeps, on
what hubclean keeps, with its corrections and with a second kind of evidence, and on
the rows that are truly clean.
Settings that are in the table already are not run again.
"""

import sys

import numpy as np
import pandas as pd
from _settings import rounded
from _study import draw_panels, run_study, study_options
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score, f1_score

COLUMNS = (
    "dataset noise level seed kept rows planted flagged f1 average_precision accuracy"
).split()
LEVELS = [step / 100 for step in range(0, 50, 5)]
#: Way -> correction, and whether leave-one-out probabilities count too. The network
#: takes weights, but for "no weights".
FINDERS = {
    "cleanlab default": ("cleanlab", False),
    "cleanlab default, cv and leave_one_out": ("cleanlab", True),
    "hubclean, prune": ("prune", False),
    "hubclean, relabel": ("relabel", False),
    "hubclean, soft_labels": ("soft_labels", False),
    "hubclean, auto, no weights": ("auto", False),
    "hubclean, auto": ("auto", False),
    "hubclean, auto, cv and leave_one_out": ("auto", True),
}
WAYS = [(way,) for way in ("all rows", *FINDERS, "truly clean rows")]


def line(problem, way, options, seed):
    """What a way of cleaning finds, and the accuracy after it."""
    n_flagged, scores = 0, ("", "")
    if way[0] == "all rows":
        corrected = problem.only(np.ones(len(problem.labels), dtype=bool))
    elif way[0] == "truly clean rows":
        corrected, n_flagged = problem.only(~problem.wrong), problem.wrong.sum()
    else:
        corrected, issues, quality = cleaned(problem, way[0])
        n_flagged, scores = issues.sum(), found(problem.wrong, issues, quality)
    accuracy = problem.accuracy(corrected, options, seed)
    counts = len(problem.labels), problem.wrong.sum(), n_flagged
    return *counts, *scores, rounded(accuracy)


def cleaned(problem, way):
    """Correction, issues and label quality of cleanlab's or hubclean's default."""
    correction, both = FINDERS[way]
    if both:
        problem = problem.with_leave_one_out
    if correction == "cleanlab":
        issues = problem.cleanlab_issues
        quality = get_label_quality_scores(problem.labels, problem.pred_probs)
        return problem.only(~issues), issues, quality
    result = problem.found
    weighted = not way.endswith("no weights")
    corrected = problem.corrected(correction, weighted=weighted)
    return corrected, result.is_label_issue, result.label_quality


def found(wrong, issues, quality):
    """F1 and average precision; nothing to say where nothing is wrong."""
    if not wrong.any():
        return "", ""
    f1, precision = f1_score(wrong, issues), average_precision_score(wrong, -quality)
    return rounded(f1), rounded(precision)


def summary(path):
    """Mean accuracy and flagged rows of each way, by noise and level."""
    results = pd.read_csv(path)
    return results.pivot_table(
        index=["noise", "level"],
        columns="kept",
        values=["accuracy", "flagged", "f1", "average_precision"],
        sort=False,
    ).round(3)


def draw(path):
    """Accuracy against the share of wrong labels, one panel for each noise."""
    draw_panels(path, "share of wrong labels", plot)


def plot(axes, results):
    """Mean of the seeds, and their spread, for every way of cleaning.

    Without cleaning the network falls out of the picture.
    """
    cleaned = results[results["kept"] != "all rows"]
    axes.set_ylim(cleaned["accuracy"].min() - 0.01, cleaned["accuracy"].max() + 0.005)
    for name, of_way in results.groupby("kept", sort=False):
        by_level = of_way.groupby("level")["accuracy"].agg(["mean", "std"])
        spread = by_level["std"].fillna(0)  # of one seed
        axes.errorbar(by_level.index, by_level["mean"], spread, label=name, marker=".")


def main(arguments=None):
    parser = study_options(__doc__, "noise_sweep.csv", rows=10_000, levels=LEVELS)
    run_study(sys.modules[__name__], parser.parse_args(arguments))


if __name__ == "__main__":
    main()
