"""How the probability of a given label moved while a model was trained.

It imports only inside `hubclean.plotting`.
"""

import numpy as np

from hubclean.exceptions import ParameterError, ValidationError
from hubclean.plotting._figure import (
    SUSPECT,
    TRUSTED,
    axes_for,
    quiet_frame,
    shorten,
)
from hubclean.plotting._table import fitted_part

_LOWEST = 5  # rows that are shown when none are chosen
_MOST_NAMED = 10


class TrainingDynamicsDisplay:
    """What the model thought of the given label of some rows, epoch by epoch.

    Parameters
    ----------
    values : ndarray of float, shape (n_epochs, n_chosen)
        Probability or margin of the given label.
    names : list of str
        What to call each row.
    band : tuple of ndarray of float, each of shape (n_epochs,), or None, default=None
        Lower quartile, median and upper quartile over all rows, to compare with.
    value_name : str, default="probability of the given label"
        What the values are.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One for each row.
    """

    def __init__(
        self, values, names, band=None, value_name="probability of the given label"
    ):
        self.values = values
        self.names = names
        self.band = band
        self.value_name = value_name

    @classmethod
    def from_estimator(cls, estimator, X=None, y=None, *, rows=None, ax=None, **kwargs):
        """Draw the margins that a network recorded while it was trained.

        Parameters
        ----------
        estimator : TorchClassifier or KerasClassifier
            Fitted with ``record_margins=True``, so that it has `margin_history_`; or a
            pipeline with one.
        X, y : ignored
            For consistency with the other displays.
        rows : array-like of int, default=None
            Rows to show; None shows the five with the lowest mean margin.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to `from_dynamics`.

        Returns
        -------
        display : TrainingDynamicsDisplay
        """
        network = fitted_part(estimator, "margin_history_")
        history = getattr(network, "margin_history_", None)
        if history is None:
            raise ValidationError(
                f"{cls.__name__}: `estimator` must be a network that was fitted with "
                f"record_margins=True; got {type(estimator).__name__} without "
                "`margin_history_`. Set it and fit again, or use from_dynamics."
            )
        history = np.asarray(history, dtype=float)
        if rows is None:
            rows = np.argsort(_mean(history), kind="stable")[:_LOWEST]
        kwargs.setdefault("value_name", "margin of the given label")
        return cls.from_dynamics(history, rows, ax=ax, **kwargs)

    @classmethod
    def from_dynamics(cls, dynamics, rows, *, names=None, ax=None, **kwargs):
        """Draw for an array of values recorded during training.

        Parameters
        ----------
        dynamics : array-like of float, shape (n_epochs, n_samples)
            Probability or margin of the given label after each epoch.
        rows : array-like of int, shape (n_chosen,), or of bool, shape (n_samples,)
            Rows to show.
        names : sequence of str, default=None
            What to call each row; None uses its position.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to the constructor.

        Returns
        -------
        display : TrainingDynamicsDisplay
        """
        dynamics = np.asarray(dynamics, dtype=float)
        if dynamics.ndim != 2:
            raise ParameterError(
                f"{cls.__name__}: `dynamics` must have shape (n_epochs, n_samples); "
                f"got {dynamics.shape}. Take the column of the given label first."
            )
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        if rows.ndim != 1 or ((rows < 0) | (rows >= dynamics.shape[1])).any():
            raise ParameterError(
                f"{cls.__name__}: `rows` must hold positions from 0 to "
                f"{dynamics.shape[1] - 1}, columns of `dynamics`; got {rows.tolist()}."
            )
        names = [f"row {i:,}" for i in rows] if names is None else list(names)
        if len(names) != len(rows):
            raise ParameterError(
                f"{cls.__name__}: `names` must hold one name for each of the "
                f"{len(rows)} `rows`; got {len(names)}."
            )
        band = _quartiles(dynamics)
        return cls(dynamics[:, rows], names, band, **kwargs).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : TrainingDynamicsDisplay
        """
        ax = axes_for(self, ax, figsize=(6.4, 3.6))
        epochs = np.arange(1, len(self.values) + 1)
        named = []
        if self.band is not None:
            low, middle, high = self.band
            ax.fill_between(epochs, low, high, color=TRUSTED, alpha=0.3, lw=0)
            (all_rows,) = ax.plot(epochs, middle, color=TRUSTED)
            named.append((all_rows, "all rows: median, quartiles"))
        styles = ["-", "--", ":", "-."]
        self.lines_ = []
        for i in range(len(self.names)):
            (line,) = ax.plot(
                epochs,
                self.values[:, i],
                linestyle=styles[i % 4],
                marker="o" if len(epochs) == 1 else None,
                color=SUSPECT,
                alpha=1 - 0.6 * i / max(1, len(self.names)),
            )
            self.lines_.append(line)
        ax.set(xlabel="epoch", ylabel=self.value_name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        names = [shorten(name, 30) for name in self.names]
        named += list(zip(self.lines_, names, strict=True))[:_MOST_NAMED]
        n = len(names)
        title = f"{n:,} rows, {_MOST_NAMED} named" if n > _MOST_NAMED else None
        ax.legend(
            *zip(*named, strict=True), title=title, fontsize="small", edgecolor="none"
        )
        quiet_frame(ax)
        return self


def _quartiles(dynamics):
    """Lower quartile, median and upper quartile of each epoch; NaN where none is."""
    found = np.full((3, len(dynamics)), np.nan)
    known = ~np.isnan(dynamics).all(axis=1)
    found[:, known] = np.nanpercentile(dynamics[known], [25, 50, 75], axis=1)
    return tuple(found)


def _mean(history):
    """Mean of each row over the epochs in which it was trained on."""
    known = ~np.isnan(history)
    return np.where(known, history, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
