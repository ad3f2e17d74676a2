"""How the label quality is distributed, and where the suspects lie in it.

It imports only inside `hubclean.plotting`.
"""

import numpy as np

from hubclean.plotting._figure import QUIET, SUSPECT, TRUSTED, axes_for, quiet_frame
from hubclean.plotting._table import fitted_part, judged_labels, table_of_estimator


class LabelQualityDisplay:
    """Distribution of the label quality, suspects apart, with the cut.

    Parameters
    ----------
    bin_edges : ndarray of float, shape (n_bins + 1,)
        Edges of the bins, from 0 to 1.
    suspects, trusted : ndarray of int, shape (n_bins,)
        Rows in each bin that are label issues, and that are not.
    threshold : float or None
        The quality under which a row is an issue; None where each class has its own
        rule.
    not_judged : int, default=0
        Rows without a quality, left out.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, bin_edges, suspects, trusted, threshold=None, not_judged=0):
        self.bin_edges = bin_edges
        self.suspects = suspects
        self.trusted = trusted
        self.threshold = threshold
        self.not_judged = not_judged

    @classmethod
    def from_estimator(cls, estimator, X=None, y=None, *, ax=None, **kwargs):
        """Draw for a fitted cleaner.

        Parameters
        ----------
        estimator : HubLabelCleaner
            Fitted cleaner, or a fitted pipeline with one.
        X, y : ignored
            For consistency with the other displays.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to `from_issues`.

        Returns
        -------
        display : LabelQualityDisplay
        """
        issues = table_of_estimator(estimator, None, by=cls.__name__)
        cleaner = fitted_part(estimator, "label_issues_")
        kwargs.setdefault("threshold", getattr(cleaner, "threshold", None))
        return cls.from_issues(issues, ax=ax, **kwargs)

    @classmethod
    def from_issues(cls, issues, labels=None, *, threshold=None, bins=40, ax=None):
        """Draw for a result table.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 3)
            The result table.
        labels : ignored
            For consistency with the other displays.
        threshold : float, default=None
            The cut that was used, where it was one number.
        bins : int, default=40
            Number of bars.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        display : LabelQualityDisplay
        """
        return cls.compute(issues, threshold=threshold, bins=bins).plot(ax=ax)

    @classmethod
    def compute(cls, issues, *, threshold=None, bins=40):
        """The display with its numbers, not drawn yet."""
        labels = issues.get("predicted_labels", ()) if hasattr(issues, "get") else ()
        judged = judged_labels(issues, labels, by=cls.__name__)
        quality, known = judged.label_quality, ~np.isnan(judged.label_quality)
        edges = np.linspace(0, 1, bins + 1)
        suspects = quality[known & judged.is_label_issue]
        trusted = quality[known & ~judged.is_label_issue]
        return cls(
            bin_edges=edges,
            suspects=np.histogram(suspects, edges)[0],
            trusted=np.histogram(trusted, edges)[0],
            threshold=threshold,
            not_judged=int((~known).sum()),
        )

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : LabelQualityDisplay
        """
        ax = axes_for(self, ax, figsize=(6.4, 3.6))
        left, width = self.bin_edges[:-1], np.diff(self.bin_edges) * 0.92
        n = int(self.suspects.sum())
        ax.bar(
            left,
            self.suspects,
            width,
            align="edge",
            color=SUSPECT,
            label=f"label issues ({n:,})",
        )
        ax.bar(
            left,
            self.trusted,
            width,
            self.suspects,
            align="edge",
            color=TRUSTED,
            label=f"other rows ({int(self.trusted.sum()):,})",
        )
        if self.threshold is not None:
            ax.axvline(self.threshold, color=QUIET, linestyle="--", linewidth=1)
            ax.annotate(
                f"threshold {self.threshold:g}",
                (self.threshold, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -2),
                textcoords="offset points",
                va="top",
                fontsize="small",
                color=QUIET,
            )
        if max(self.suspects.max(initial=0), self.trusted.max(initial=0)) > 200:
            ax.set_yscale("symlog", linthresh=10)
            ax.set_ylim(bottom=0)
        ax.set(xlim=(0, 1), xlabel="label quality", ylabel="rows")
        if self.not_judged:
            ax.set_xlabel(f"label quality ({self.not_judged:,} rows not judged)")
        ax.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0
        )
        ax.margins(y=0.1)
        quiet_frame(ax)
        return self
