"""Training on noisy labels: problems, options and figures that the studies share."""

import argparse
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from _settings import Table, load_split, plant, true_pred_probs
from cleanlab.filter import find_label_issues
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier

from hubclean._judgement import correctable, judge
from hubclean._label_correction import Correction, correct
from hubclean._leave_one_out import ridge_pred_probs
from hubclean._weights import weight_parameter


def overfitting_network(epochs, rate, seed):
    """Return a network that is trained long enough to learn wrong labels by heart."""
    return MLPClassifier(
        (128,),
        alpha=0,
        learning_rate_init=rate,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )


def fold_network(epochs, seed):
    """Return the same network for the folds, at a rate of 0.001."""
    return overfitting_network(epochs, 1e-3, seed)


def noisy_problems(options, is_left):
    """Every setting that has something left to do, with out-of-sample probabilities.

    Yields
    ------
    keys : tuple
        Data set, noise, level, seed.
    problem : Problem
        Rows to learn from and to test on.
    """
    for seed in options.seeds:
        (X, y), held_out = load_split(
            options.dataset, options.data, options.rows, seed, pixels=options.pixels
        )
        reference = None
        if "instance_dependent" in options.noises:
            reference = true_pred_probs(X, y, seed)
        for level in options.levels:
            for noise in options.noises:
                keys = (options.dataset, noise, level, seed)
                again = level == 0 and noise != options.noises[0]  # no noise either
                if again or not is_left(keys):
                    continue
                labels, _ = plant(noise, y, level, reference, seed)
                probs = cross_val_predict(
                    fold_network(options.fold_epochs, seed),
                    X,
                    labels,
                    cv=StratifiedKFold(5, shuffle=True, random_state=seed),
                    method="predict_proba",
                )
                yield keys, Problem(X, y, labels, probs, held_out)


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows with wrong labels, what a network says of each unseen, and rows to test."""

    X: np.ndarray
    true: np.ndarray
    labels: np.ndarray
    pred_probs: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]

    @property
    def wrong(self):
        """Rows whose label was changed."""
        return self.labels != self.true

    @cached_property
    def with_leave_one_out(self):
        """The same rows; the mean of these and leave-one-out probabilities."""
        n_classes = self.pred_probs.shape[1]
        others = ridge_pred_probs(self.labels, self.X, n_classes)
        return replace(self, pred_probs=(self.pred_probs + others) / 2)

    @cached_property
    def found(self):
        """What hubclean's default finds, and all that its corrections need."""
        rule = {"filter_by": "auto", "score_by": "clean_probability"}
        judged = judge(self.labels, self.pred_probs, **rule)
        return correctable(self.labels, self.pred_probs, judged, credible=True)

    def corrected(self, correction, fraction=0.0, *, weighted=False):
        """Rows, labels and weights after a correction of hubclean."""
        return correct(self.found, correction, fraction, weighted=weighted)

    def only(self, mask):
        """Rows of a mask, with the given labels."""
        kept = np.flatnonzero(mask)
        return Correction(kept, self.labels[kept])

    @cached_property
    def cleanlab_issues(self):
        """Mask of what cleanlab's default finds."""
        return find_label_issues(self.labels, self.pred_probs, n_jobs=1)

    def accuracy(self, corrected, options, seed):
        """Of a network trained on corrected rows."""
        return self.score(
            overfitting_network(options.epochs, options.rate, seed), corrected
        )

    def score(self, model, corrected):
        """Accuracy of a clone of a model, trained on corrected rows."""
        weights = {}
        if corrected.weights is not None:
            weights[weight_parameter(model)] = corrected.weights
        rows = self.X[corrected.kept]
        final = clone(model).fit(rows, corrected.labels, **weights)
        return final.score(*self.held_out)


def study_options(description, out, **defaults):
    """Parser of the options that the studies of training on noisy labels share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", help="folder of the data; else HUBCLEAN_DATA")
    parser.add_argument("--out", default=f"docs/benchmarks/{out}")
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--rows", type=int, default=defaults["rows"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--pixels", action="store_true", help="all pixels, not 60 principal components"
    )
    levels = defaults["levels"]
    parser.add_argument("--levels", type=float, nargs="+", default=levels)
    noises = ["symmetric", "instance_dependent"]
    parser.add_argument("--noises", nargs="+", default=noises)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate")
    parser.add_argument("--fold-epochs", type=int, default=15)
    parser.add_argument("--ways", nargs="+", help="first words of a line; else all")
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    return parser


def quick_study(options):
    """Make the options those of a smoke run."""
    options.dataset, options.rows, options.seeds = "digits", 300, [0]
    options.levels, options.noises, options.epochs = [0.2], ["symmetric"], 20


def run_study(study, options):
    """Run what is not in the table, draw the figure, and print the summary.

    `study` has ``COLUMNS``, the first of them data set, noise, level, seed and those of
    a way; ``WAYS``, tuples of the latter; ``line(problem, way, options, seed)``, the
    rest of a table row; ``draw(path)`` and ``summary(path)``.
    """
    if options.quick:
        quick_study(options)
    warnings.filterwarnings("ignore")  # networks that stop before they converge
    table = Table(options.out, study.COLUMNS, n_keys=4 + len(study.WAYS[0]))

    ways = [way for way in study.WAYS if way[0] in (options.ways or [way[0]])]

    def left(keys):
        return [way for way in ways if not table.has(*keys, *way)]

    for keys, problem in noisy_problems(options, left):
        for way in left(keys):
            table.add([[*keys, *way, *study.line(problem, way, options, keys[-1])]])
    study.draw(options.out)
    print(study.summary(options.out).to_string())


def draw_panels(path, xlabel, plot):
    """Test accuracy beside the table, by ``plot(axes, results)`` for each noise."""
    from matplotlib.figure import Figure

    results = pd.read_csv(path)
    noises = list(results["noise"].unique())
    n_columns = min(3, len(noises) + 1)  # of the legend
    figure = Figure((3.5 * n_columns, 5), layout="constrained")
    panels = figure.subplots(1, len(noises), squeeze=False)[0]
    for axes, noise in zip(panels, noises, strict=True):
        plot(axes, results[results["noise"] == noise])
        axes.set(title=noise.replace("_", " "), xlabel=xlabel)
    panels[0].set_ylabel("test accuracy")
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=n_columns, fontsize="small")
    figure.savefig(Path(path).with_suffix(".png"), dpi=120)
