"""How many labels of each class look wrong.

It imports only inside `hubclean.plotting`.
"""

import numpy as np

from hubclean.plotting._figure import (
    QUIET,
    SUSPECT,
    axes_for,
    quiet_frame,
    shorten,
)
from hubclean.plotting._table import judged_labels, table_of_estimator


class IssuesPerClassDisplay:
    """Label issues of each given class, most first.

    Parameters
    ----------
    class_names : list of str
        Names of the classes.
    n_issues, n_rows : ndarray of int, shape (n_classes,)
        Label issues, and rows, among the rows given that label.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
    """

    def __init__(self, class_names, n_issues, n_rows):
        self.class_names = class_names
        self.n_issues = n_issues
        self.n_rows = n_rows

    @classmethod
    def from_estimator(cls, estimator, X, y, *, class_names=None, ax=None, **kwargs):
        """Draw for a fitted cleaner.

        Parameters
        ----------
        estimator : HubLabelCleaner
            Fitted cleaner, or a fitted pipeline with one.
        X, y : array-like of n_samples rows
            What it was fitted on.
        class_names : sequence of str or dict, default=None
            What to show for each class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : IssuesPerClassDisplay
        """
        issues = table_of_estimator(estimator, X, by=cls.__name__)
        return cls.from_issues(issues, y, class_names=class_names, ax=ax, **kwargs)

    @classmethod
    def from_issues(cls, issues, labels, *, class_names=None, ax=None, **kwargs):
        """Draw for a result table and the given labels.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 3)
            The result table.
        labels : array-like of shape (n_samples,)
            The given labels.
        class_names : sequence of str or dict, default=None
            What to show for each class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : IssuesPerClassDisplay
        """
        display = cls.compute(issues, labels, class_names=class_names)
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def compute(cls, issues, labels, *, class_names=None):
        """The display with its numbers, not drawn yet."""
        judged = judged_labels(issues, labels, class_names=class_names, by=cls.__name__)
        n_classes = len(judged.classes)
        n_rows = np.bincount(judged.given, minlength=n_classes)
        n_issues = np.bincount(judged.given[judged.is_label_issue], minlength=n_classes)
        order = np.argsort(-n_issues, kind="stable")
        names = [judged.names[i] for i in order]
        return cls(names, n_issues[order], n_rows[order])

    def plot(self, ax=None, *, max_classes=30):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        max_classes : int, default=30
            Classes shown, those with most issues.

        Returns
        -------
        self : IssuesPerClassDisplay
        """
        shown = min(max_classes, len(self.class_names))
        ax = axes_for(self, ax, figsize=(6.4, 1.1 + 0.28 * max(2, shown)))
        names = [shorten(name, 30) for name in self.class_names[:shown]]
        counts, totals = self.n_issues[:shown], self.n_rows[:shown]
        self.bars_ = ax.barh(np.arange(shown), counts, color=SUSPECT, height=0.7)
        shares = [
            f"{n:,}  ({n / max(t, 1):.1%})" for n, t in zip(counts, totals, strict=True)
        ]
        ax.bar_label(self.bars_, shares, padding=4, fontsize="small", color=QUIET)
        ax.set_yticks(np.arange(shown), names)
        ax.invert_yaxis()
        ax.margins(x=0.18)
        ax.set_xlim(0, None if counts.any() else 1)
        ax.xaxis.get_major_locator().set_params(integer=True)
        n = len(self.class_names)
        left_out = f"; {shown} of {n:,} classes" if shown < n else ""
        ax.set(
            xlabel=f"label issues (share of the class){left_out}", ylabel="given label"
        )
        quiet_frame(ax)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        return self
