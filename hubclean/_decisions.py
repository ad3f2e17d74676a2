"""Decisions that a person took in the review: read, checked, put into arrays.

A decisions file is CSV with the columns `row`, `decision` (keep, relabel or prune),
`new_label` (for relabel), `given_label` and `dataset_version`.

It imports only `hubclean._rows` and `hubclean.exceptions`.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from hubclean._rows import n_rows, take_rows
from hubclean.exceptions import DatasetChangedError, DatasetError, LabelsError

COLUMNS = ("row", "decision", "new_label", "given_label", "dataset_version")
DECISIONS = ("keep", "relabel", "prune")


def labels_version(labels):
    """Name the content of some labels, to know them again.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Given labels.

    Returns
    -------
    version : str
        ``"labels-"`` and 16 hexadecimal digits. Equal labels in equal order have
        equal versions, whatever their container.

    Examples
    --------
    >>> labels_version([0, 1]) == labels_version(np.array([0, 1], dtype="uint8"))
    True
    """
    texts = "\x1f".join(map(str, np.asarray(labels).tolist()))
    digest = hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest()
    return f"labels-{digest[:16]}"


def read_decisions(decisions):
    """Read a decisions file, and check what does not need the data.

    Parameters
    ----------
    decisions : str, Path or DataFrame
        A file as the review exports it, or its content.

    Returns
    -------
    decisions : DataFrame
        `row` as int, the other columns as str; one line per row, in row order.

    Raises
    ------
    DatasetError
        If the file cannot be read, a column is missing, or a value is not allowed.
    """
    name = "decisions"
    if not isinstance(decisions, pd.DataFrame):
        name = str(decisions)
        decisions = _read_csv(Path(decisions))
    missing = [column for column in COLUMNS if column not in decisions.columns]
    if missing:
        raise DatasetError(
            f"{name}: a decisions file must have the columns {', '.join(COLUMNS)}; "
            f"{', '.join(missing)} missing. Export it from the report again."
        )
    decisions = decisions.loc[:, list(COLUMNS)].fillna("")
    rows = pd.to_numeric(decisions["row"], errors="coerce")
    whole = rows.notna() & (rows >= 0) & (rows == np.floor(rows))
    _refuse(decisions, ~whole, name, "row", "a whole number from 0 on")
    known = decisions["decision"].isin(DECISIONS)
    _refuse(decisions, ~known, name, "decision", "keep, relabel or prune")
    decisions = decisions.astype(str).assign(row=rows.astype(np.int64))
    empty = (decisions["decision"] == "relabel") & (decisions["new_label"] == "")
    _refuse(decisions, empty, name, "new_label", "the new label of a relabelled row")
    twice = decisions["row"].duplicated(keep=False)
    _refuse(decisions, twice, name, "row", "a row that stands in one line only")
    return decisions.sort_values("row", ignore_index=True)


def _read_csv(path):
    """Text of every cell, as it stands in the file."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise DatasetError(f"{path}: no such file.") from exc
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as exc:
        raise DatasetError(f"{path}: cannot be read as CSV ({exc}).") from exc


def _refuse(decisions, wrong, name, column, expected):
    """Raise for the first line with a value that is not allowed."""
    wrong = np.flatnonzero(np.asarray(wrong))
    if len(wrong):
        value = decisions[column].iloc[wrong[0]]
        raise DatasetError(
            f"{name}: `{column}` must be {expected}; got {value!r} in line "
            f"{wrong[0] + 2} ({len(wrong)} such lines)."
        )


def check_version(decisions, dataset_version):
    """Refuse decisions that were made for another version of the data.

    Parameters
    ----------
    decisions : DataFrame
        What `read_decisions` gives.
    dataset_version : str
        Version of the data that they shall be applied to.

    Raises
    ------
    DatasetChangedError
        If any decision was made for another version.
    """
    made_for = [v for v in decisions["dataset_version"].unique() if v]
    other = [version for version in made_for if version != str(dataset_version)]
    if other:
        raise DatasetChangedError(
            f"apply_decisions: the decisions were made for version {other[0]!r}, and "
            f"the data are version {str(dataset_version)!r}. Apply them to the data "
            "that was judged, or make a new report and load decisions.csv there."
        )


def decided_labels(decisions, labels):
    """Labels after the decisions, and which rows stay.

    Parameters
    ----------
    decisions : DataFrame
        What `read_decisions` gives.
    labels : ndarray of shape (n_samples,)
        Given labels.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        With the relabelled rows changed, in the same dtype where it can hold them.
    kept : ndarray of bool, shape (n_samples,)
        False for rows that are pruned.

    Raises
    ------
    DatasetError
        If a row does not exist.
    DatasetChangedError
        If a row has another label than the one that was judged.
    LabelsError
        If a new label is not one of the classes.
    """
    rows = decisions["row"].to_numpy()
    if len(rows) and rows.max() >= len(labels):
        raise DatasetError(
            f"apply_decisions: the data has {len(labels):,} rows; a decision is for "
            f"row {rows.max():,}. Apply the decisions to the data that was judged."
        )
    given = np.array([str(label) for label in labels[rows].tolist()], dtype=object)
    judged = decisions["given_label"].to_numpy(dtype=object)
    changed = np.flatnonzero((judged != "") & (judged != given))
    if len(changed):
        i = changed[0]
        raise DatasetChangedError(
            f"apply_decisions: row {rows[i]:,} was judged with the label {judged[i]!r} "
            f"and now has {given[i]!r} ({len(changed):,} such rows). Apply the "
            "decisions to the data that was judged."
        )
    relabel = (decisions["decision"] == "relabel").to_numpy()
    by_text = {str(label): label for label in np.unique(labels).tolist()}
    corrected = labels.copy()
    corrected[rows[relabel]] = _from_text(decisions["new_label"][relabel], by_text)
    kept = np.ones(len(labels), dtype=bool)
    kept[rows[(decisions["decision"] == "prune").to_numpy()]] = False
    return corrected, kept


def _from_text(texts, by_text):
    """Labels for their text."""
    unknown = sorted(set(texts) - by_text.keys())
    if unknown:
        raise LabelsError(
            f"apply_decisions: a new label must be one of the {len(by_text)} classes; "
            f"got {unknown[0]!r}."
        )
    return [by_text[text] for text in texts]


def apply_decisions(X, y, decisions, *, dataset_version=None):
    """Put the decisions of a review into arrays.

    Parameters
    ----------
    X : array-like, data frame or sparse matrix of n_samples rows
        The data that was judged.
    y : array-like of shape (n_samples,)
        Its given labels.
    decisions : str, Path or DataFrame
        ``decisions.csv`` as the report exports it, or its content.
    dataset_version : str, default=None
        Version of the data; None takes the version of `y`, as `write_report` does.

    Returns
    -------
    X : of n_kept rows
        Without the pruned rows, in the container it came in.
    y : ndarray or Series of shape (n_kept,)
        With the relabelled rows changed.

    Raises
    ------
    DatasetChangedError
        If the decisions were made for other labels.
    DatasetError
        If the decisions cannot be read.

    Examples
    --------
    >>> decisions = pd.DataFrame(
    ...     {
    ...         "row": [0, 2],
    ...         "decision": ["relabel", "prune"],
    ...         "new_label": ["b", ""],
    ...         "given_label": ["a", "b"],
    ...         "dataset_version": "",
    ...     }
    ... )
    >>> apply_decisions([[1], [2], [3]], ["a", "a", "b"], decisions)
    ([[1], [2]], array(['b', 'a'], dtype='<U1'))
    """
    decisions = read_decisions(decisions)
    labels = np.asarray(y)
    if n_rows(X) != len(labels):
        raise LabelsError(
            f"apply_decisions: `y` must hold one label for each of the {n_rows(X)} "
            f"rows of X; got {len(labels)}."
        )
    version = labels_version(labels) if dataset_version is None else dataset_version
    check_version(decisions, version)
    corrected, kept = decided_labels(decisions, labels)
    if isinstance(y, pd.Series):
        corrected = pd.Series(corrected, index=y.index, name=y.name)
    return take_rows(X, np.flatnonzero(kept)), corrected[kept]
