"""Everything a report says, as one plain dict.

It imports inwards, and `hubclean.plotting`.
"""

import hashlib
import json

import numpy as np
import pandas as pd

import hubclean
from hubclean._labels_version import labels_version
from hubclean._rows import is_lazy
from hubclean.exceptions import LabelsError
from hubclean.plotting import LabelQualityDisplay, NoiseMatrixDisplay
from hubclean.plotting._content import as_table, as_texts, check_kind, read_rows
from hubclean.plotting._table import check_rows_of, judged_labels

_BY = "write_report"
_MOST_TEXT = 10_000_000  # characters of all rows together, shared among them
_ROW_TEXT = (2_000, 100_000)  # of one row: this many at least, and at most
_CELL_TEXT = 30  # of each cell at least, where those of a row are too long
_MOST_COLUMNS = 200
_MOST_MATRIX = 24  # classes up to which the noise matrix is told


def summarise(
    issues,
    labels,
    X=None,
    *,
    class_names=None,
    row_names=None,
    dataset_version=None,
    provenance=None,
    threshold=None,
    max_suspects=5000,
    kind="auto",
    title="Label review",
):
    """Tell what was found, in a dict of plain Python values.

    Parameters
    ----------
    issues : DataFrame of shape (n_samples, 3)
        The result table.
    labels : array-like of shape (n_samples,)
        The given labels.
    X : array-like, data frame, lazy column or None, default=None
        What the labels are of. Only the suspects are read, and images not at all.
    class_names : sequence of str or dict, default=None
        What to show for a class: by position for labels 0 to n_classes - 1, or by
        label. None shows the labels themselves.
    row_names : sequence of str, default=None
        What to call each row, its file name for example; None takes the index of
        `issues` where that is not just numbered.
    dataset_version : str, default=None
        Version of the data that was judged; None names the content of `labels`.
    provenance : dict, default=None
        How the table came about: estimator, parameters, versions.
    threshold : float, default=None
        The cut that was used, where it was one number.
    max_suspects : int, default=5000
        Most suspects to list, the worst.
    kind : {"auto", "image", "text", "table"}, default="auto"
        What rows of X are.
    title : str, default="Label review"
        Name of the report.

    Returns
    -------
    summary : dict
        With the keys `title`, `hubclean_version`, `dataset_version`, `report_id`,
        `provenance`, `n_rows`, `n_issues`, `n_not_judged`, `classes`, `pairs`,
        `quality_histogram`, `noise_matrix`, `kind`, `columns` and `suspects`. In
        `pairs` and `suspects`, `given_label` and `predicted_label` are labels, `given`
        and `predicted` their positions in `classes`.

    Examples
    --------
    >>> issues = pd.DataFrame(
    ...     {
    ...         "is_label_issue": [False, True],
    ...         "label_quality": [0.9, 0.1],
    ...         "predicted_labels": [20, 20],
    ...     }
    ... )
    >>> summary = summarise(issues, [20, 30])
    >>> summary["pairs"]
    [{'given': 1, 'predicted': 0, 'given_label': 30, 'predicted_label': 20,
      'n_issues': 1}]
    >>> summary["suspects"][0]["row"], summary["suspects"][0]["given_label"]
    (1, 30)
    """
    labels = np.asarray(labels)
    judged = judged_labels(issues, labels, class_names=class_names, by=_BY)
    if row_names is None and not isinstance(issues.index, pd.RangeIndex):
        row_names = [str(name) for name in issues.index]
    if row_names is not None and len(row_names) != len(labels):
        raise LabelsError(
            f"{_BY}: `row_names` must hold one name for each of the {len(labels)} "
            f"rows; got {len(row_names)}."
        )
    check_rows_of(X, len(labels), by=_BY)
    rows = judged.worst(max_suspects)
    kind = check_kind(kind, X, _BY)
    columns, content = _content(X, rows, kind)
    version = labels_version(labels) if dataset_version is None else dataset_version
    suspects = _suspects(judged, rows, _positions(X, len(labels)), row_names, content)
    histogram = LabelQualityDisplay.compute(issues, threshold=threshold)
    return {
        "title": str(title),
        "hubclean_version": hubclean.__version__,
        "dataset_version": str(version),
        "report_id": _report_id(version, suspects),
        "provenance": {str(k): _plain(v) for k, v in (provenance or {}).items()},
        "n_rows": len(labels),
        "n_issues": int(judged.is_label_issue.sum()),
        "n_not_judged": histogram.not_judged,
        "classes": _classes(judged, class_names),
        "pairs": _pairs(judged),
        "quality_histogram": {
            "bin_edges": histogram.bin_edges.tolist(),
            "suspects": histogram.suspects.tolist(),
            "trusted": histogram.trusted.tolist(),
            "threshold": None if threshold is None else float(threshold),
        },
        "noise_matrix": _noise_matrix(issues, labels, judged),
        "kind": kind,
        "columns": columns,
        "suspects": suspects,
    }


def _positions(X, n):
    """Position of every row in the dataset that decisions are for."""
    return np.asarray(X.row_ids) if X is not None and is_lazy(X) else np.arange(n)


def _content(X, rows, kind):
    """Names of the columns, and text or cells for each row; nothing for images."""
    if X is None or kind == "image":
        return [], [None] * len(rows)
    found = read_rows(X, rows)
    most = int(np.clip(_MOST_TEXT // max(1, len(rows)), *_ROW_TEXT))
    if kind == "text":
        return [], [_beginning(text, most) for text in as_texts(found)]
    columns, cells = as_table(found)
    n_more = len(columns) - _MOST_COLUMNS
    if n_more > 0:
        columns = [*columns[:_MOST_COLUMNS], "…"]
        told = f"{n_more:,} more columns"
        cells = [[*row[:_MOST_COLUMNS], told] for row in cells]
    return columns, [_short_cells(row, most) for row in cells]


def _short_cells(cells, most):
    """Cells of one row, the long ones cut where they are too long together."""
    if sum(map(len, cells)) <= most:
        return cells
    each = max(_CELL_TEXT, most // len(cells))
    return [_beginning(cell, each) for cell in cells]


def _beginning(text, most):
    """Text, cut where it is longer; it says so, as a person decides by it.

    Examples
    --------
    >>> _beginning("a long story", 6)
    'a long … (6 more characters)'
    """
    if len(text) <= most:
        return text
    return f"{text[:most]} … ({len(text) - most:,} more characters)"


def _suspects(judged, rows, positions, row_names, content):
    """One dict for each suspect."""
    return [
        {
            "row": int(positions[i]),
            "name": None if row_names is None else str(row_names[i]),
            **_both_labels(judged, int(judged.given[i]), int(judged.predicted[i])),
            "label_quality": _number(judged.label_quality[i]),
            "content": held,
        }
        for i, held in zip(rows.tolist(), content, strict=True)
    ]


def _both_labels(judged, given, predicted):
    """Positions in `classes`, and the labels that are there."""
    labels = judged.classes[[given, predicted]].tolist()
    return {
        "given": given,
        "predicted": predicted,
        "given_label": _plain(labels[0]),
        "predicted_label": _plain(labels[1]),
    }


def _classes(judged, class_names):
    """Label, name, rows and issues of each class, and its text in a decisions file."""
    n = len(judged.classes)
    texts = _texts(judged, class_names)
    n_rows = np.bincount(judged.given, minlength=n).tolist()
    n_issues = np.bincount(judged.given[judged.is_label_issue], minlength=n).tolist()
    return [
        {"label": _plain(label), "name": name, "text": t, "n_rows": r, "n_issues": i}
        for label, name, t, r, i in zip(
            judged.classes.tolist(), judged.names, texts, n_rows, n_issues, strict=True
        )
    ]


def _texts(judged, class_names):
    """How each class is written in a decisions file: its label, as text.

    Where the name of one class is the label of another, stars "1" to "5" coded from
    0 for example, a dataset with class names reads such a text as the name: so it is
    the names that are written. Classes without a row count: the dataset knows them.
    """
    known = {}
    if isinstance(class_names, dict):
        known = class_names
    elif class_names is not None and judged.classes.dtype.kind in "iu":
        known = dict(enumerate(class_names))
    present = dict(zip(judged.classes.tolist(), judged.names, strict=True))
    name_of = {str(label): str(name) for label, name in {**known, **present}.items()}
    names = name_of.values()
    mixed = any(name_of.get(name, name) != name for name in names)
    if mixed and len(set(names)) == len(names):
        return judged.names
    return [str(label) for label in present]


def _pairs(judged):
    """Given and predicted class of the issues, the commonest pair first."""
    flagged = judged.is_label_issue
    both = np.stack([judged.given[flagged], judged.predicted[flagged]], axis=1)
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [
        {**_both_labels(judged, given, predicted), "n_issues": count}
        for (given, predicted), count in zip(
            pairs[order].tolist(), counts[order].tolist(), strict=True
        )
    ]


def _noise_matrix(issues, labels, judged):
    """P(given | true) as nested lists, or None for many classes."""
    if not 2 <= len(judged.classes) <= _MOST_MATRIX:
        return None
    display = NoiseMatrixDisplay.compute(issues, labels)
    return np.round(display.noise_matrix, 6).tolist()


def _report_id(version, suspects):
    """Under which the browser keeps the decisions: the same for the same suspects."""
    rows = [(s["row"], s["given"]) for s in suspects]
    return hashlib.sha256(json.dumps([str(version), rows]).encode()).hexdigest()[:16]


def _number(value):
    """A float, or None where it is not a number."""
    return None if np.isnan(value) else round(float(value), 6)


def _plain(value):
    """A value that JSON can hold."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return str(value)
