"""The rows whose labels look most wrong, to look at.

It imports only inside `hubclean.plotting`.
"""

import numpy as np

from hubclean.exceptions import ParameterError
from hubclean.plotting._content import (
    as_images,
    as_table,
    as_texts,
    check_kind,
    read_rows,
)
from hubclean.plotting._figure import INK, QUIET, SUSPECT, pyplot, shorten
from hubclean.plotting._table import check_rows_of, judged_labels, table_of_estimator

_TILE_INCHES = (1.45, 1.95)
_CAPTION_INCHES = 0.45
_NARROWEST_INCHES = 3.6  # the title needs them
_LETTERS_PER_INCH = 11
_FEW_LETTERS = 12  # a narrower caption tells the labels and the row only
_MOST_COLUMNS = 6


class WorstExamplesDisplay:
    """The worst rows with the given and the predicted label and the quality.

    Images are drawn as a contact sheet, text and table rows as a list, tables with
    their first six columns.

    Parameters
    ----------
    rows : ndarray of int, shape (n_examples,)
        Positions in X, the worst first.
    given, predicted : list of str
        Names of the given and of the predicted label of each row.
    label_quality : ndarray of float, shape (n_examples,)
        In [0, 1].
    content : list
        What to show of each row: an image array, a string, or a list of cells.
    kind : {"image", "text", "table"}
        What `content` is.
    columns : list of str, default=()
        Names of the cells of a table row.
    n_issues : int, default=None
        Issues in the whole table, for the title; None where other rows are shown, too.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One for each image; one for a list.
    ax_ : matplotlib Axes
        The axes around them.
    figure_ : matplotlib Figure
    """

    def __init__(
        self,
        rows,
        given,
        predicted,
        label_quality,
        content,
        kind,
        columns=(),
        n_issues=None,
    ):
        self.rows = rows
        self.given = given
        self.predicted = predicted
        self.label_quality = label_quality
        self.content = content
        self.kind = kind
        self.columns = columns
        self.n_issues = n_issues

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, **kwargs):
        """Draw for a fitted cleaner.

        Parameters
        ----------
        estimator : HubLabelCleaner
            Fitted cleaner, or a fitted pipeline with one.
        X, y : array-like of n_samples rows
            What it was fitted on.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs : dict
            Passed to `from_issues`.

        Returns
        -------
        display : WorstExamplesDisplay
        """
        issues = table_of_estimator(estimator, X, by=cls.__name__)
        return cls.from_issues(issues, y, X, ax=ax, **kwargs)

    @classmethod
    def from_issues(
        cls,
        issues,
        labels,
        X=None,
        *,
        n_examples=24,
        only_issues=True,
        class_names=None,
        kind="auto",
        image_shape=None,
        n_cols=None,
        ax=None,
    ):
        """Draw for a result table, the given labels and X.

        Parameters
        ----------
        issues : DataFrame of shape (n_samples, 3)
            The result table.
        labels : array-like of shape (n_samples,)
            The given labels.
        X : array-like, data frame, lazy column or None, default=None
            What the labels are of. Only the rows shown are read. None lists the
            positions of the rows.
        n_examples : int, default=24
            Most rows to show.
        only_issues : bool, default=True
            Show label issues only; False shows the lowest qualities of all rows.
        class_names : sequence of str or dict, default=None
            What to show for each class.
        kind : {"auto", "image", "text", "table"}, default="auto"
            What rows of X are.
        image_shape : tuple of int, default=None
            Shape of one image, where rows of X are images laid out flat.
        n_cols : int, default=None
            Images side by side; None chooses.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        display : WorstExamplesDisplay
        """
        judged = judged_labels(issues, labels, class_names=class_names, by=cls.__name__)
        check_rows_of(X, len(labels), by=cls.__name__)
        rows = judged.worst(n_examples, only_issues)
        kind = "image" if image_shape is not None else check_kind(kind, X, cls.__name__)
        content, columns = _content(X, rows, kind, image_shape)
        display = cls(
            rows=rows,
            given=[judged.names[i] for i in judged.given[rows]],
            predicted=[judged.names[i] for i in judged.predicted[rows]],
            label_quality=judged.label_quality[rows],
            content=content,
            kind=kind,
            columns=columns,
            n_issues=int(judged.is_label_issue.sum()) if only_issues else None,
        )
        return display.plot(ax=ax, n_cols=n_cols)

    def plot(self, ax=None, *, n_cols=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; its place is divided for images. None makes a figure of
            the right size.
        n_cols : int, default=None
            Images side by side; None chooses.

        Returns
        -------
        self : WorstExamplesDisplay
        """
        plt = pyplot(type(self).__name__)
        n = len(self.rows)
        images = self.kind == "image" and n > 0
        if ax is None:
            if images:
                n_cols = n_cols or min(n, 6 if n <= 24 else 8)
                size = (n_cols * _TILE_INCHES[0], -(-n // n_cols) * _TILE_INCHES[1])
                size = (max(size[0], _NARROWEST_INCHES), size[1] + 0.4)
            else:
                size = (9.0, 0.9 + 0.34 * n)
            _, ax = plt.subplots(figsize=size)
            ax.figure.subplots_adjust(0.02, 0.1 / size[1], 0.98, 1 - 0.5 / size[1])
        self.ax_, self.figure_ = ax, ax.figure
        ax.set_axis_off()
        ax.set_title(self._title(), loc="left", fontsize=11, color=INK)
        if images:
            self.axes_ = self._draw_images(ax, n_cols)
        else:
            self.axes_ = np.array([ax], dtype=object)
            self._draw_list(ax)
        return self

    def _title(self):
        """What is shown, in words."""
        n = len(self.rows)
        if not n and not self.n_issues:
            return "No label issues"
        of = f" of {self.n_issues:,} label issues" if self.n_issues else " rows"
        return f"The {n:,} worst{of}" if n != self.n_issues else f"{n:,} label issues"

    def _draw_images(self, ax, n_cols):
        """One small axes per image inside the place of `ax`, captions under them."""
        box = ax.get_window_extent()
        width, height = box.width / ax.figure.dpi, box.height / ax.figure.dpi
        n_cols = n_cols or _best_n_cols(len(self.content), width, height)
        n_lines = -(-len(self.content) // n_cols)
        step = (1 / n_cols, 1 / n_lines)
        caption = min(0.6 * step[1], _CAPTION_INCHES / height)
        axes = []
        for i, image in enumerate(self.content):
            line, column = divmod(i, n_cols)
            place = (column * step[0], 1 - (line + 1) * step[1] + caption)
            tile = ax.inset_axes((*place, 0.92 * step[0], 0.96 * step[1] - caption))
            tile.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            tile.set_anchor("SW")
            tile.set_xticks([])
            tile.set_yticks([])
            tile.spines[:].set_color("#cbd5e1")
            self._caption(ax, place, i, int(_LETTERS_PER_INCH * width * step[0]))
            axes.append(tile)
        return np.array(axes, dtype=object)

    def _caption(self, ax, place, i, n_letters):
        """Given label, predicted label and quality under an image."""
        given, told = f"given {self.given[i]}", f"row {self.rows[i]:,}"
        if n_letters < _FEW_LETTERS:
            given = self.given[i]
        else:
            told = f"{self.label_quality[i]:.3f}, {told}"
        lines = [
            (shorten(given, max(6, n_letters + 2)), INK, "normal"),
            (shorten(f"→ {self.predicted[i]}", max(6, n_letters)), SUSPECT, "bold"),
            (shorten(told, max(8, int(1.3 * n_letters))), QUIET, "normal"),
        ]
        for k, (text, color, weight) in enumerate(lines):
            ax.annotate(
                text,
                place,
                xycoords="axes fraction",
                xytext=(0, -2.5 - 9.5 * k),
                textcoords="offset points",
                va="top",
                fontsize=7.5 if k < 2 else 6.5,
                color=color,
                fontweight=weight,
                annotation_clip=False,
            ).set_in_layout(False)

    def _draw_list(self, ax):
        """One line per row: quality, given, predicted, and what the row holds."""
        if not len(self.rows):
            return
        names, width = self._list_columns()
        letters = _letters(len(names) - 3) if self.kind == "table" else 16
        n = len(self.rows) + 1
        for k, head in enumerate(names):
            most = 16 if k < 3 else letters
            ax.text(width[k], 1 - 0.5 / n, shorten(head, most), **_style(QUIET, ax))
        for i in range(len(self.rows)):
            cells = [
                f"{self.label_quality[i]:.3f}",
                shorten(self.given[i], 16),
                shorten("→ " + self.predicted[i], 18),
                *self._cells(i),
            ]
            colors = [QUIET, INK, SUSPECT, *[INK] * len(self._cells(i))]
            for x, text, color in zip(width, cells, colors, strict=True):
                ax.text(x, 1 - (i + 1.5) / n, text, **_style(color, ax))

    def _list_columns(self):
        """Headings of the list, and where each column starts."""
        heads = ["quality", "given", "predicted"]
        starts = [0.0, 0.09, 0.26]
        if self.kind == "table":
            columns = list(self.columns[:_MOST_COLUMNS])
            step = 0.54 / max(1, len(columns))
            return heads + columns, starts + [
                0.46 + step * k for k in range(len(columns))
            ]
        return [*heads, "row"], [*starts, 0.46]

    def _cells(self, i):
        """What one row holds, as short text."""
        if self.kind == "table":
            cells = self.content[i][:_MOST_COLUMNS]
            return [shorten(cell, _letters(len(cells))) for cell in cells]
        return [shorten(self.content[i], 62)]


def _letters(n_columns):
    """How many letters a column of a table has room for."""
    return 66 // max(1, n_columns)


def _best_n_cols(n, width, height):
    """Images side by side that may be largest, in so many inches."""

    def side(n_cols):
        line = height / -(-n // n_cols)
        return min(width / n_cols, max(line - _CAPTION_INCHES, 0.3 * line))

    return max(range(1, n + 1), key=side)


def _style(color, ax):
    """Of one text in a list."""
    return {"color": color, "fontsize": 8, "va": "center", "transform": ax.transAxes}


def _content(X, rows, kind, image_shape):
    """What to show of each row, and the names of table columns."""
    if X is None:
        return [f"row {i:,}" for i in rows.tolist()], ()
    found = read_rows(X, rows)
    if image_shape is not None:
        try:
            found = np.asarray(found).reshape(len(rows), *image_shape)
        except ValueError as exc:
            raise ParameterError(
                "WorstExamplesDisplay: `image_shape` must hold as many numbers as a "
                f"row of X; got {tuple(image_shape)} for X of shape "
                f"{np.shape(found)}."
            ) from exc
    if kind == "image":
        return as_images(found), ()
    if kind == "text":
        return as_texts(found), ()
    columns, cells = as_table(found)
    return cells, columns
