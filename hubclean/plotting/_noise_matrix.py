"""The noise matrix as a heat map.

It imports only inside `hubclean.plotting`.
"""

import numpy as np

from hubclean.exceptions import ValidationError
from hubclean.plotting._figure import axes_for, shorten
from hubclean.plotting._table import fitted_part, judged_labels

_MOST_NUMBERS = 15  # classes up to which every cell has its number


class NoiseMatrixDisplay:
    """P(given label | true label) as a heat map.

    Parameters
    ----------
    noise_matrix : ndarray of float, shape (n_classes, n_classes)
        Rows are given labels, columns true labels; each column sums to 1.
    class_names : list of str
        Names of the classes, in the order of rows and columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
    text_ : list of matplotlib Text
        The numbers in the cells; empty for many classes.
    """

    def __init__(self, noise_matrix, class_names):
        self.noise_matrix = noise_matrix
        self.class_names = class_names

    @classmethod
    def from_estimator(cls, estimator, X=None, y=None, *, class_names=None, ax=None):
        """Draw the `noise_matrix_` of a fitted cleaner.

        Parameters
        ----------
        estimator : HubLabelCleaner
            Fitted cleaner, or a fitted pipeline with one.
        X, y : ignored
            For consistency with the other displays.
        class_names : sequence of str, default=None
            Names in the order of ``estimator.classes_``; None shows the labels.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        display : NoiseMatrixDisplay
        """
        cleaner = fitted_part(estimator, "noise_matrix_")
        matrix = getattr(cleaner, "noise_matrix_", None)
        if matrix is None:
            raise ValidationError(
                f"{cls.__name__}: `estimator` must be a fitted cleaner with "
                f"`noise_matrix_`; got {type(estimator).__name__}. Call fit first."
            )
        names = cleaner.classes_ if class_names is None else class_names
        return cls(np.asarray(matrix), [str(name) for name in names]).plot(ax=ax)

    @classmethod
    def from_issues(cls, issues, labels, *, class_names=None, ax=None):
        """Draw the noise that a result table tells of.

        The true label of an issue is taken to be the predicted one, of any other row
        the given one.

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

        Returns
        -------
        display : NoiseMatrixDisplay
        """
        return cls.compute(issues, labels, class_names=class_names).plot(ax=ax)

    @classmethod
    def compute(cls, issues, labels, *, class_names=None):
        """The display with its numbers, not drawn yet."""
        judged = judged_labels(issues, labels, class_names=class_names, by=cls.__name__)
        true = np.where(judged.is_label_issue, judged.predicted, judged.given)
        n_classes = len(judged.classes)
        counts = np.bincount(
            judged.given * n_classes + true, minlength=n_classes * n_classes
        ).reshape(n_classes, n_classes)
        totals = counts.sum(axis=0, keepdims=True)
        matrix = np.divide(counts, totals, out=np.eye(n_classes), where=totals > 0)
        return cls(matrix, judged.names)

    def plot(self, ax=None):
        """Draw; colours show the wrong labels, so the diagonal is left pale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : NoiseMatrixDisplay
        """
        n_classes = len(self.noise_matrix)
        side = min(10.0, max(4.0, 0.5 * n_classes + 1.8))
        ax = axes_for(self, ax, figsize=(side * 1.15, side))
        wrong = np.ma.masked_where(np.eye(n_classes, dtype=bool), self.noise_matrix)
        top = float(wrong.max()) if wrong.count() else 0.0
        self.im_ = ax.imshow(wrong, cmap="Oranges", vmin=0, vmax=top or 1.0)
        ax.set_facecolor("#eef1f5")
        self.figure_.colorbar(self.im_, ax=ax, shrink=0.8, label="share labelled wrong")
        names = [shorten(name, 18) for name in self.class_names]
        step = max(1, n_classes // 30)
        ticks = range(0, n_classes, step)
        ax.set_xticks(ticks, names[::step], rotation=45, ha="right")
        ax.set_yticks(ticks, names[::step])
        ax.set(xlabel="true label (estimated)", ylabel="given label")
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        self.text_ = self._numbers(ax, top) if n_classes <= _MOST_NUMBERS else []
        return self

    def _numbers(self, ax, top):
        """Write the share into every cell that is not empty."""
        texts = []
        for (given, true), share in np.ndenumerate(self.noise_matrix):
            if share < 0.005:
                continue
            dark = given != true and share > 0.6 * top
            texts.append(
                ax.text(
                    true,
                    given,
                    f"{share:.2f}".removeprefix("0"),
                    ha="center",
                    va="center",
                    fontsize="x-small",
                    color="white" if dark else "#1e293b",
                )
            )
        return texts
