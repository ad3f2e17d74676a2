"""What every Display shares: axes to draw on, colours, short class names.

It imports only `hubclean._compat`.
"""

from hubclean._compat import require

#: One strong colour for suspects, quiet ones for the rest: readable in print, on
#: both light and dark pages, and for every kind of colour vision.
SUSPECT = "#c2410c"
TRUSTED = "#94a3b8"
INK = "#1e293b"
QUIET = "#64748b"


def pyplot(by):
    """Matplotlib's pyplot, or an error that says how to install it."""
    return require("matplotlib.pyplot", extra="plot", by=by)


def axes_for(display, ax, *, figsize=None):
    """Axes to draw on, new ones where `ax` is None; sets ``ax_`` and ``figure_``."""
    if ax is None:
        plt = pyplot(type(display).__name__)
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def quiet_frame(ax):
    """Leave only the lines that help to read the plot."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(color=QUIET)


def shorten(text, width):
    """Text of at most `width` characters on one line; dollars are not mathematics.

    Examples
    --------
    >>> shorten("T-shirt/top", 8)
    'T-shirt…'
    """
    text = " ".join(str(text).split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.replace("$", r"\$")
