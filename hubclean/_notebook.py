"""How a fitted cleaner shows itself in a notebook: what it found, then its diagram.

It imports nothing from hubclean.
"""

from html import escape

import numpy as np

_WORST = 5
_PAIRS = 3


class NotebookSummary:
    """Mixin, left of `BaseEstimator`: the summary above scikit-learn's diagram."""

    def _repr_html_inner(self):
        return summary_html(self) + super()._repr_html_inner()

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] = summary_html(self) + bundle["text/html"]
        return bundle


def summary_html(cleaner):
    """What a fitted cleaner found, as HTML; nothing before it is fitted.

    Parameters
    ----------
    cleaner : HubLabelCleaner
        Fitted or not.

    Returns
    -------
    html : str
        Without style sheets or scripts, and readable in light and dark.
    """
    issues = getattr(cleaner, "label_issues_", None)
    if issues is None:
        return ""
    n, found = len(issues), int(issues["is_label_issue"].sum())
    parts = [f"<p><strong>{found:,} of {n:,} labels look wrong</strong> "
             f"({found / max(n, 1):.1%}).{_pairs(cleaner)}</p>"]  # fmt: skip
    worst = issues[issues["is_label_issue"]].nsmallest(_WORST, "label_quality")
    if len(worst):
        parts.append(_table(worst))
    return f"<div>{''.join(parts)}</div>"


def _pairs(cleaner):
    """The commonest confusions, in words."""
    joint = np.array(
        getattr(cleaner, "confident_joint_", np.zeros((0, 0))), dtype=float
    )
    np.fill_diagonal(joint, 0)
    order = np.argsort(-joint, axis=None, kind="stable")[:_PAIRS]
    pairs = [np.unravel_index(i, joint.shape) for i in order if joint.flat[i] > 0]
    names = [escape(str(label)) for label in cleaner.classes_]
    told = ", ".join(f"{names[given]} for {names[true]}" for given, true in pairs)
    return f" Most often: {told}." if told else ""


def _table(worst):
    """The rows to look at first."""
    head = "<tr><th>row</th><th>quality</th><th>looks like</th></tr>"
    lines = "".join(
        f"<tr><td>{escape(str(row))}</td><td>{quality:.3f}</td>"
        f"<td>{escape(str(predicted))}</td></tr>"
        for row, quality, predicted in zip(
            worst.index,
            worst["label_quality"],
            worst["predicted_labels"],
            strict=True,
        )
    )
    return f"<table><thead>{head}</thead><tbody>{lines}</tbody></table>"
