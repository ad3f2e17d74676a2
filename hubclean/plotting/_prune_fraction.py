"""Accuracy against the share of the issues that is pruned.

It imports only inside `hubclean.plotting`.
"""

import numpy as np
from sklearn.base import clone

from hubclean.exceptions import ValidationError
from hubclean.plotting._figure import QUIET, SUSPECT, axes_for, quiet_frame


class PruneFractionDisplay:
    """Accuracy on trusted labels against `prune_fraction`.

    Parameters
    ----------
    prune_fractions : array-like of float, shape (n_fractions,)
        Shares of the issues that are pruned; the rest is relabelled.
    scores : array-like of float, shape (n_fractions,) or (n_fractions, n_repeats)
        Score of the model trained on the corrected data.
    baseline : float, default=None
        Score without any cleaning.
    score_name : str, default="accuracy"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
    """

    def __init__(self, prune_fractions, scores, baseline=None, score_name="accuracy"):
        self.prune_fractions = prune_fractions
        self.scores = scores
        self.baseline = baseline
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        X_test,
        y_test,
        prune_fractions=(0.0, 0.25, 0.5, 0.75, 1.0),
        ax=None,
    ):
        """Fit a clone of the cleaner for each fraction, and score it.

        With `memory` set the out-of-sample probabilities are computed once.

        Parameters
        ----------
        estimator : HubLabelCleaner
            Fitted or not.
        X, y : array-like of n_samples rows
            Training data with wrong labels.
        X_test, y_test : array-like of n_test rows
            Data with labels that are trusted.
        prune_fractions : sequence of float, default=(0.0, 0.25, 0.5, 0.75, 1.0)
            Fractions to try, each in [0, 1].
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        display : PruneFractionDisplay
        """
        scores = []
        for fraction in prune_fractions:
            fitted = clone(estimator).set_params(prune_fraction=fraction).fit(X, y)
            scores.append(fitted.score(X_test, y_test))
        baseline = clone(fitted.estimator_).fit(X, y).score(X_test, y_test)
        return cls(list(prune_fractions), scores, baseline).plot(ax=ax)

    @classmethod
    def from_search(cls, search, *, ax=None, score_name="score"):
        """Draw what a grid search over `prune_fraction` found.

        The other parameters are those of the best candidate of each fraction.

        Parameters
        ----------
        search : GridSearchCV or RandomizedSearchCV
            Fitted search with a parameter that ends in ``prune_fraction``.
        ax : matplotlib Axes, default=None
            Where to draw.
        score_name : str, default="score"
            What the scores are.

        Returns
        -------
        display : PruneFractionDisplay
        """
        results = search.cv_results_
        name = next((k for k in results if k.endswith("prune_fraction")), None)
        if name is None:
            raise ValidationError(
                f"{cls.__name__}: `search` must have tried values of "
                "`prune_fraction`; its parameters are "
                f"{[k for k in results if k.startswith('param_')]}."
            )
        splits = [
            k for k in results if k.startswith("split") and k.endswith("_test_score")
        ]
        tried = np.asarray(results[name], dtype=float)
        means = np.nan_to_num(results["mean_test_score"], nan=-np.inf)
        fractions = np.unique(tried)
        best = [
            max(np.flatnonzero(tried == f), key=lambda i: means[i]) for f in fractions
        ]
        scores = np.array([[results[k][i] for k in splits] for i in best])
        return cls(fractions, scores, score_name=score_name).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : PruneFractionDisplay
        """
        ax = axes_for(self, ax, figsize=(5.6, 3.6))
        fractions = np.asarray(self.prune_fractions, dtype=float)
        scores = np.asarray(self.scores, dtype=float).reshape(len(fractions), -1)
        order = np.argsort(fractions, kind="stable")
        fractions, scores = fractions[order], scores[order]
        mean, spread = scores.mean(axis=1), scores.std(axis=1)
        (self.line_,) = ax.plot(fractions, mean, "o-", color=SUSPECT, label="cleaned")
        if scores.shape[1] > 1:
            low, high = mean - spread, mean + spread
            ax.fill_between(fractions, low, high, color=SUSPECT, alpha=0.15, lw=0)
        if self.baseline is not None:
            ax.axhline(
                self.baseline, color=QUIET, linestyle="--", label="without cleaning"
            )
            ax.legend(frameon=False)
        ax.set(
            xlabel="prune fraction (0: relabel all issues, 1: prune all)",
            ylabel=self.score_name,
        )
        quiet_frame(ax)
        return self
