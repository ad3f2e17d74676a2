"""Decisions of a person about labels: keep, relabel, or prune.

A table with one row for each decision, as the report exports it, is checked here and
applied to arrays; `hubclean.hub` applies it to datasets. It imports `_rows`,
`_labels_version` and `exceptions`.
"""

import collections
import dataclasses
import difflib
import hashlib
import os
import warnings

import numpy as np
import pandas as pd

from hubclean._labels_version import check_labels_version
from hubclean._rows import as_rows, n_rows, take_rows
from hubclean.exceptions import (
    DatasetChangedError,
    LabelsError,
    ParameterError,
    ValidationError,
)

#: What can be decided about a row.
DECISIONS = ("keep", "relabel", "prune")
_REQUIRED = ("row", "decision")
_OPTIONAL = ("new_label", "given_label", "dataset_version")
_CLOSE = 0.75  # likeness of a misspelt column: "given_labels" 0.96, "old_label" 0.67
_NAMED = 10
_MOST_ROWS = 2**53  # whole numbers up to there are exact


@dataclasses.dataclass(frozen=True)
class Decisions:
    """Checked decisions: no row twice, rows ascending."""

    #: Positions in the dataset that was judged, ascending.
    rows: np.ndarray
    #: One of `DECISIONS` for each.
    actions: np.ndarray
    #: Class name or code for a relabelled row, else None.
    new_labels: tuple
    #: The labels that were judged, where the table has them.
    given_labels: tuple | None = None
    #: Version of the dataset that was judged, where the table has it.
    dataset_version: str | None = None
    #: What the judgement was made with, where the table has it.
    parameters: dict = dataclasses.field(default_factory=dict)

    def rows_to(self, action):
        """Rows with this decision."""
        return self.rows[self.actions == action]

    def counts(self):
        """Return the number of rows for each decision.

        Examples
        --------
        >>> table = pd.DataFrame({"row": [4, 2], "decision": ["keep", "prune"]})
        >>> read_decisions(table).counts()
        {'keep': 1, 'relabel': 0, 'prune': 1}
        """
        return {action: int((self.actions == action).sum()) for action in DECISIONS}


def read_decisions(decisions, who="apply_decisions"):
    """Read and check a table of decisions.

    Parameters
    ----------
    decisions : DataFrame, or path of a CSV file
        With the columns `row` (position in the dataset) and `decision` ("keep",
        "relabel" or "prune"), `new_label` where rows are relabelled, and optionally
        `given_label` and `dataset_version`, which guard against changed data; a blank
        one guards nothing. Other columns, notes for example, are passed over. Cells of
        a file are separated by commas, semicolons or tabs.
    who : str
        Named in messages.

    Returns
    -------
    decisions : Decisions

    Raises
    ------
    ValidationError
        If a column is missing or misspelt, a row is named twice or is no position, or
        a decision is none of the three.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"row": [7, 3], "decision": ["relabel", "prune"], "new_label": ["cat", ""]}
    ... )
    >>> checked = read_decisions(table)
    >>> checked.rows, checked.actions, checked.new_labels
    (array([3, 7]), array(['prune', 'relabel'], dtype=object), (None, 'cat'))
    """
    if isinstance(decisions, Decisions):
        return decisions
    table = _as_table(decisions, who)
    _check_columns(table, who)
    rows = _positions(table["row"], who)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    actions = _actions(table["decision"], rows, order, who)
    new_labels = [None] * len(rows)
    if "new_label" in table.columns:
        given = table["new_label"].tolist()
        new_labels = [
            given[i] if action == "relabel" else None
            for i, action in zip(order, actions, strict=True)
        ]
    _check_new_labels(rows, actions, new_labels, who)
    attrs = table.attrs.get("hubclean", {})
    given = None
    if "given_label" in table.columns:
        column = [None if _is_blank(label) else label for label in table["given_label"]]
        given = tuple(column[i] for i in order)
    return Decisions(
        rows=rows,
        actions=actions,
        new_labels=tuple(new_labels),
        given_labels=given,
        dataset_version=_one_version(table, who) or attrs.get("dataset_version"),
        parameters=dict(attrs.get("parameters", {})),
    )


def apply_decisions_to_arrays(X, y, decisions, *, class_names=None):
    """Corrected copies of X and y.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or lazy column of n_samples rows
        It is only indexed by rows.
    y : array-like of shape (n_samples,)
        Given labels.
    decisions : DataFrame, path of a CSV file, or Decisions
        See `read_decisions`. A new label is a class of `y`, or one of `class_names`.
    class_names : sequence of str, optional
        Names of the classes, where `y` holds codes: name ``class_names[k]`` is
        label ``k``.

    Returns
    -------
    X : same container as X
        Rows that were not pruned, in order; of a sparse matrix in CSR format.
    y : ndarray or Series
        Their labels, in the dtype of `y` (wider, where a new string label is longer);
        a Series where `y` is one, with its index and name.

    Raises
    ------
    ValidationError
        If the table cannot be used, or a row or new label is unknown.
    DatasetChangedError
        If the table has given labels, and they are not those of `y`, or it names
        the version of other labels.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array(["cat", "dog", "dog"])
    >>> table = pd.DataFrame(
    ...     {"row": [1, 2], "decision": ["relabel", "prune"], "new_label": ["cat", ""]}
    ... )
    >>> apply_decisions_to_arrays(X, y, table)
    (array([[0.],
           [1.]]), array(['cat', 'cat'], dtype='<U3'))
    """
    who = "apply_decisions_to_arrays"
    decisions = read_decisions(decisions, who)
    X, labels = as_rows(X), np.array(y)
    if labels.ndim != 1 or len(labels) != n_rows(X):
        raise LabelsError(
            f"{who}: `y` must have one label for each row of X, "
            f"which has {n_rows(X)}; got an array of shape {labels.shape}."
        )
    check_labels_version(decisions.dataset_version, labels, who=who)
    check_rows(decisions, len(labels), who)
    check_given_labels(decisions, labels, class_names, who)
    relabelled = decisions.rows_to("relabel")
    if len(relabelled):
        new = np.asarray(codes_of_new_labels(decisions, labels, class_names, who))
        if labels.dtype.kind in "US":
            labels = labels.astype(np.promote_types(labels.dtype, new.dtype))
        labels[relabelled] = new
    kept = np.setdiff1d(np.arange(len(labels)), decisions.rows_to("prune"))
    corrected = labels[kept]
    if isinstance(y, pd.Series):
        corrected = pd.Series(corrected, y.index[kept], y.dtype, name=y.name)
    return take_rows(X, kept), corrected


def check_rows(decisions, n_rows, who="apply_decisions"):
    """Raise `DatasetChangedError` for rows that the data does not have."""
    outside = decisions.rows[decisions.rows >= n_rows]
    if len(outside):
        raise DatasetChangedError(
            f"{who}: `decisions` name rows {_some(outside)}, but the data has "
            f"{n_rows} rows. Pass the decisions about this data."
        )


def check_given_labels(decisions, labels, class_names=None, who="apply_decisions"):
    """Raise `DatasetChangedError` where labels are not those that were judged."""
    if decisions.given_labels is None:
        return
    classes = {} if class_names is None else _classes_by_text(class_names)
    differ = [
        int(row)
        for row, given in zip(decisions.rows, decisions.given_labels, strict=True)
        if given is not None and not _stands_for(given, labels[row], classes)
    ]
    if differ:
        raise DatasetChangedError(
            f"{who}: `given_label` differs from the labels of the data in "
            f"{len(differ)} rows ({_some(differ)}): the data was changed since it was "
            "judged. Judge it again."
        )


def codes_of_new_labels(decisions, labels, class_names=None, who="apply_decisions"):
    """Labels, as the data holds them, for the rows to relabel.

    Parameters
    ----------
    decisions : Decisions
        With new labels as class names, or as labels.
    labels : ndarray of shape (n_samples,)
        Labels of the data; its classes, where there are no names.
    class_names : sequence of str, optional
        Name ``class_names[k]`` stands for label ``k``.
    who : str
        Named in the message.

    Returns
    -------
    new_labels : list
        In the order of ``decisions.rows_to("relabel")``.

    Raises
    ------
    LabelsError
        If a new label is no class of the data.
    """
    if class_names is None:
        known = labels[~pd.isna(labels)]
        classes = {str(label): label for label in np.unique(known)}
        classes = {_text(label): label for label in classes.values()} | classes
    else:
        classes = _classes_by_text(class_names)
    relabelled = [
        (int(row), _name_of_class(new, classes))
        for row, new in zip(decisions.rows, decisions.new_labels, strict=True)
        if new is not None
    ]
    unknown = [(row, name) for row, name in relabelled if name not in classes]
    if unknown:
        unique = class_names is not None and len(set(class_names)) == len(class_names)
        names = class_names if unique else classes
        named = ", ".join(f"{new!r} (row {row})" for row, new in unknown[:_NAMED])
        raise LabelsError(
            f"{who}: `new_label` must be one of the classes "
            f"{', '.join(map(repr, names))}; got {named}."
        )
    return [classes[name] for _, name in relabelled]


def _name_of_class(new, classes):
    """Text of a class; "3.0", as a table writes 3 beside a blank, means "3"."""
    text = _text(new)
    whole, point, zeros = text.partition(".")
    if text not in classes and whole in classes and point and not zeros.strip("0"):
        return whole
    return text


def _classes_by_text(class_names):
    """Code of each class by its name, and by the code as text.

    A name goes before a code. Where a name stands twice it means no class, and codes
    go first: they are what the report writes then.
    """
    names = [str(name) for name in class_names]
    counts = collections.Counter(names)
    by_code = {str(code): code for code in range(len(names))}
    by_name = {name: code for code, name in enumerate(names) if counts[name] == 1}
    if len(by_name) == len(names):
        return {**by_code, **by_name}
    return {**by_name, **by_code}


def digest_of(decisions, codes):
    """Recognise the same decisions again, whatever they were written as.

    Parameters
    ----------
    decisions : Decisions
        They are read only.
    codes : sequence
        New labels of the relabelled rows, as the data holds them.

    Returns
    -------
    digest : str
        Of rows, decisions and new labels.
    """
    lines = [decisions.rows.tolist(), decisions.actions.tolist(), list(map(str, codes))]
    return hashlib.blake2b(repr(lines).encode(), digest_size=16).hexdigest()


def _as_table(decisions, who):
    """Data frame of decisions; text of a CSV file is taken as it is written."""
    if isinstance(decisions, (str, os.PathLike)):
        return _as_written(decisions, who)
    if not hasattr(decisions, "columns") or not hasattr(decisions, "iloc"):
        raise ValidationError(
            f"{who}: `decisions` must be a DataFrame or the path of a CSV "
            f"file; got {type(decisions).__name__}."
        )
    return decisions


def _as_written(path, who):
    """Data frame of a CSV file, every cell a text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # A class may be called "NA" or "null": nothing is a missing value here.
            table = pd.read_csv(
                path,
                sep=_separator(path),
                dtype=str,
                keep_default_na=False,
                index_col=False,
            )
    except (pd.errors.ParserWarning, ValueError) as exc:  # pandas' own are ValueErrors
        raise ValidationError(
            f"{who}: {path} must be a CSV file with a line for each decision, in "
            f"UTF-8; got one in which {_fault(exc)}. Mend it, or export it from the "
            "report again."
        ) from exc
    blank = (table == "").all(axis=1)  # lines that a spreadsheet left at the end
    return table[~blank] if blank.any() else table


def _separator(path):
    """What stands between cells; a semicolon, where a comma stands in numbers."""
    for separator in ",;\t":
        head = pd.read_csv(path, sep=separator, nrows=0, index_col=False)
        if set(_REQUIRED) <= set(head.columns):
            return separator
    return ","


def _fault(exc):
    """What is wrong with a file, in one line."""
    if isinstance(exc, pd.errors.EmptyDataError):
        return "there is nothing"
    if isinstance(exc, pd.errors.ParserWarning):
        return "lines have more cells than the first one"
    if isinstance(exc, UnicodeDecodeError):
        return f"there are other bytes ({exc})"
    return "a line cannot be read (" + " ".join(str(exc).split()) + ")"


def _check_columns(table, who):
    """Refuse a table that lacks a column; others than the known ones are passed over.

    One that looks like a known column which is not there is refused as well: it could
    hold the new labels, or guard against changed data.
    """
    absent = [n for n in (*_REQUIRED, *_OPTIONAL) if n not in table.columns]
    missing = [name for name in _REQUIRED if name in absent]
    likely = {str(name): _meant_by(str(name), absent) for name in table.columns}
    misspelt = [f"{name!r} for {meant}" for name, meant in likely.items() if meant]
    if missing or misspelt:
        came = [f"{', '.join(missing)} missing"] if missing else []
        came += [f"what looks like {', '.join(misspelt)}"] if misspelt else []
        raise ValidationError(
            f"{who}: `decisions` must have the columns {', '.join(_REQUIRED)}, and may "
            f"have {', '.join(_OPTIONAL)} and others that are passed over; got "
            f"{' and '.join(came)}. Add or rename it."
        )


def _meant_by(name, absent):
    """The column that a name is likely meant for, of those that are not there.

    Examples
    --------
    >>> _meant_by("New labels", _OPTIONAL), _meant_by("note", _OPTIONAL)
    ('new_label', None)
    """
    name = "_".join(name.casefold().replace("-", " ").split())
    if name in _REQUIRED or name in _OPTIONAL:
        return name if name in absent else None
    close = difflib.get_close_matches(name, absent, n=1, cutoff=_CLOSE)
    close += [column for column in absent if name in column.split("_")]
    return next(iter(close), None)


def _positions(column, who):
    """Rows as integers, none twice."""
    rows = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(rows < _MOST_ROWS) | (rows < 0) | (rows != np.floor(rows))
    if bad.any():
        raise ParameterError(
            f"{who}: `row` must hold positions 0, 1, 2 and so on; got "
            f"{_some(column[bad].tolist())}."
        )
    rows = rows.astype(np.intp)
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise ParameterError(
            f"{who}: there must be one decision for a row; rows "
            f"{_some(values[counts > 1])} have more. Leave one line of each."
        )
    return rows


def _actions(column, rows, order, who):
    actions = np.array([str(a).strip().lower() for a in column], dtype=object)[order]
    bad = ~np.isin(actions.astype(str), DECISIONS)
    if bad.any():
        raise ParameterError(
            f"{who}: `decision` must be {', '.join(DECISIONS)}; got "
            f"{actions[bad][0]!r} in row {rows[bad][0]}."
        )
    return actions


def _check_new_labels(rows, actions, new_labels, who):
    lacking = [
        int(row)
        for row, action, new in zip(rows, actions, new_labels, strict=True)
        if action == "relabel" and _is_blank(new)
    ]
    if lacking:
        raise ParameterError(
            f"{who}: a row to relabel needs a class in `new_label`; rows "
            f"{_some(lacking)} have none."
        )


def _one_version(table, who):
    """Return the version in the table; all rows must agree on it."""
    if "dataset_version" not in table.columns:
        return None
    versions = {str(v) for v in table["dataset_version"] if not _is_blank(v)}
    if len(versions) > 1:
        raise ValidationError(
            f"{who}: all decisions must be about one version of the dataset; "
            f"`dataset_version` holds {len(versions)}: {_some(sorted(versions))}."
        )
    return versions.pop() if versions else None


def _is_blank(value):
    return value is None or value is pd.NA or value != value or value == ""


def _text(value):
    """Text of a class; a whole float is a code that a table turned into a float."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def _stands_for(given, label, classes):
    """Whether a text in a table is this label; read as a new label would be."""
    meant = classes.get(_name_of_class(given, classes))
    if meant is not None:
        return meant == label
    return str(given) == _text(label) or _equal_numbers(given, label)


def _equal_numbers(given, label):
    try:
        return float(given) == float(label)
    except (TypeError, ValueError):
        return False


def _some(values):
    named = ", ".join(map(str, list(values)[:_NAMED]))
    more = len(list(values)) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
