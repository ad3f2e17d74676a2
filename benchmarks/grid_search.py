"""Time a grid search over folds, thresholds and rules with and without ``memory``.

    python benchmarks/grid_search.py [--quick] [--out docs/benchmarks/grid_search.md]

Each round runs the search without `memory` and then with it, in a new folder. The
table gives medians, their ratio, and whether the scores were the same to the last bit.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

import hubclean
from hubclean import HubLabelCleaner

OUTER_SPLITS = 3
GRID = {
    "cv": [3, 5],
    "threshold": [None, 0.05, 0.1, 0.2, 0.3],
    "filter_by": ["prune_by_noise_rate", "prune_by_class", "confident_learning"],
}


def digits_with_errors(n_rows):
    """Digits, 10 % of the labels changed: X, y."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:n_rows] / 16, y[:n_rows].copy()
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(y), len(y) // 10, replace=False)
    y[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return X, y


def search(X, y, memory):
    """Seconds, and the score of every candidate on every outer split."""
    hubclean.forget_models()
    cleaner = HubLabelCleaner(
        LogisticRegression(max_iter=500),
        score_by="self_confidence",
        random_state=0,
        memory=memory,
    )
    outer = StratifiedKFold(OUTER_SPLITS, shuffle=True, random_state=0)
    grid = GridSearchCV(cleaner, GRID, cv=outer, refit=False)
    start = time.perf_counter()
    found = grid.fit(X, y).cv_results_
    seconds = time.perf_counter() - start
    names = [f"split{split}_test_score" for split in range(OUTER_SPLITS)]
    return seconds, np.array([found[name] for name in names])


def measure(n_rows, rounds):
    """Seconds without and with memory, round by round, and fold trainings kept."""
    X, y = digits_with_errors(n_rows)
    seconds = {"without": [], "with": []}
    for _ in range(rounds):
        plain, expected = search(X, y, None)
        with tempfile.TemporaryDirectory() as folder:
            kept, scores = search(X, y, folder)
            n_folds = len(list(Path(folder, "hubclean").iterdir()))
        np.testing.assert_array_equal(scores, expected)
        seconds["without"].append(plain)
        seconds["with"].append(kept)
    return seconds, n_folds


def table(seconds, n_folds, command):
    """The result as Markdown."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    pairs = zip(seconds["without"], seconds["with"], strict=True)
    ratios = sorted(plain / kept for plain, kept in pairs)
    n_candidates = len(ParameterGrid(GRID))
    trained = sum(point["cv"] + 1 for point in ParameterGrid(GRID)) * OUTER_SPLITS
    lines = [
        "# Grid search with and without `memory`",
        "",
        f"`{command}`, {len(ratios)} rounds, each without and then with `memory`; "
        f"{n_candidates} candidates on {OUTER_SPLITS} outer splits of scikit-learn's "
        "digits with 10 % wrong labels, logistic "
        'regression, `score_by="self_confidence"`. The scores of all '
        "candidates on all splits were equal to the last bit in every round.",
        "",
        "| | median s | fastest s | slowest s | trainings |",
        "|---|---|---|---|---|",
        f"| without `memory` | {_spread(seconds['without'], medians['without'])} | "
        f"{trained} |",
        f"| with `memory` | {_spread(seconds['with'], medians['with'])} | {n_folds} "
        f"folds and at most {n_candidates * OUTER_SPLITS} refits |",
        "",
        f"Ratio of the medians: {medians['without'] / medians['with']:.2f}. Ratios of "
        f"the rounds: {ratios[0]:.2f} to {ratios[-1]:.2f}.",
        "",
        f"{os.cpu_count()} CPU cores ({platform.machine()}), Python "
        f"{platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "scikit-learn"))
        + f", hubclean {hubclean.__version__}, one BLAS thread.",
        "",
    ]
    return "\n".join(lines)


def _spread(times, median):
    return f"{median:.2f} | {min(times):.2f} | {max(times):.2f}"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    args = parser.parse_args(argv)
    n_rows, rounds = (300, 1) if args.quick else (1797, args.rounds)
    command = " ".join(["python benchmarks/grid_search.py", *(argv or sys.argv[1:])])
    text = table(*measure(n_rows, rounds), command)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
