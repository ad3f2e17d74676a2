"""How a fitted cleaner shows itself in a notebook: what it found, then its diagram.

It imports nothing from hubclean.
"""

from collections import Counter
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
    found = issues[issues["is_label_issue"]]
    codes = getattr(cleaner, "_given_codes_of_issues", None)
    given = None if codes is None else np.asarray(cleaner.classes_)[codes]
    n = len(issues)
    parts = [f"<p><strong>{len(found):,} of {n:,} labels look wrong</strong> "
             f"({len(found) / max(n, 1):.1%}).{_pairs(given, found)}</p>"]  # fmt: skip
    if len(found):
        parts.append(_table(given, found))
    return f"<div>{''.join(parts)}</div>"


def _pairs(given, found):
    """The commonest pairs of given and predicted label, in words."""
    if given is None:
        return ""
    both = zip(given.tolist(), found["predicted_labels"].tolist(), strict=True)
    counts = Counter(pair for pair in both if pair[0] != pair[1])
    told = [
        f"{escape(str(label))} for {escape(str(predicted))} ({n:,})"
        for (label, predicted), n in counts.most_common(_PAIRS)
    ]
    return f" Most often: {', '.join(told)}." if told else ""


def _table(given, found):
    """The rows to look at first."""
    order = found["label_quality"].to_numpy(dtype=float).argsort(kind="stable")[:_WORST]
    worst = found.iloc[order]
    columns = {
        "row": worst.index,
        "quality": [f"{quality:.3f}" for quality in worst["label_quality"]],
        "given": None if given is None else given[order],
        "looks like": worst["predicted_labels"],
    }
    columns = {name: cells for name, cells in columns.items() if cells is not None}
    head = "".join(f"<th>{name}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>"
        for line in zip(*columns.values(), strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
