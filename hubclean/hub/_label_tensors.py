"""Write the result table into a dataset, and read it back.

Everything becomes visible in one commit: a process that dies at any moment leaves
the dataset as it was, or with the whole result.
"""

import hashlib
import json
import logging

import numpy as np
import pandas as pd

import hubclean
from hubclean.exceptions import DatasetChangedError, DatasetError, LabelsError
from hubclean.hub._contract import Version
from hubclean.hub._open import reading_store, writing_store

GROUP = "label_issues"
TENSORS = tuple(
    f"{GROUP}/{name}"
    for name in ("is_label_issue", "label_quality", "predicted_labels")
)
COLUMNS = tuple(name.partition("/")[2] for name in TENSORS)
KEY = "hubclean"
_MESSAGE = "hubclean create_tensors"
_logger = logging.getLogger("hubclean")


def create_tensors(
    dataset, label_issues, branch=None, overwrite=False, verbose=True, *, labels=None
):
    """Write the result table into the dataset, as three tensors in one commit.

    The tensors are ``label_issues/is_label_issue``, ``label_issues/label_quality``
    and ``label_issues/predicted_labels``, the last with the class names. What they
    were made from is stored with them (see `read_label_issues`).

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        Where the labels came from. A source refuses a dataset that was changed
        since it was opened.
    label_issues : DataFrame of n_rows rows
        With the columns `is_label_issue`, `label_quality` and `predicted_labels`, in
        the order of the dataset.
    branch : str, optional
        Write on a new branch of this name; on the branch that is open when None. A
        branch that a killed call left behind without a commit is taken up again.
    overwrite : bool, default=False
        Replace label tensors that are there already.
    verbose : bool, default=True
        Log what was written, at level INFO.
    labels : str, optional
        Tensor of the given labels; that of the source, else "labels".

    Returns
    -------
    commit_id : str
        The commit that holds the tensors.

    Raises
    ------
    DatasetError
        If the table does not fit, the tensors or the branch are there already, or
        the dataset cannot be written. The dataset is unchanged.
    DatasetChangedError
        If the dataset is not the version that was judged.

    Examples
    --------
    >>> import pandas as pd
    >>> from hubclean import hub
    >>> dataset = hub.InMemoryDataset({"images": [[0.0], [1.0]], "labels": [0, 1]})
    >>> table = pd.DataFrame(
    ...     {
    ...         "is_label_issue": [False, True],
    ...         "label_quality": [0.9, 0.1],
    ...         "predicted_labels": [0, 0],
    ...     }
    ... )
    >>> commit_id = hub.create_tensors(dataset, table)
    >>> len(hub.clean_view(dataset))
    1
    """
    store = writing_store(dataset)
    labels = labels or getattr(dataset, "labels", None) or "labels"
    columns = _checked_columns(store, label_issues, labels)
    provenance = _provenance(store, dataset, label_issues)
    check_unchanged(store, provenance["dataset_version"])
    if not overwrite:
        _refuse_existing(store, columns)
    if branch is not None:
        store = branch_for_writing(store, branch)
    message = (
        f"{_MESSAGE}: {provenance['n_issues']} label issues in {store.n_rows} rows, "
        f"hubclean {hubclean.__version__}, judged {provenance['dataset_version']}"
    )
    commit_id = _write(store, columns, provenance, message)
    if verbose:
        _logger.info("%s: wrote %s (commit %s)", store.where, message, commit_id)
    return commit_id


def read_label_issues(dataset, branch=None, *, creds=None):
    """Give back what `create_tensors` wrote.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        It is read as it is now, even where a source was opened earlier.
    branch : str, optional
        Branch to read; the one that is open when None.
    creds : dict, optional
        Credentials for the bucket.

    Returns
    -------
    label_issues : DataFrame
        With the columns `is_label_issue`, `label_quality` and `predicted_labels`.
    provenance : dict
        `hubclean_version`, `dataset_version` (that was judged), `parameters`,
        `n_rows`, `n_issues`, `bad_rows` and `digest` of the table.

    Raises
    ------
    DatasetError
        If the dataset has no label tensors.
    """
    store = newest_store(dataset, branch=branch, creds=creds)
    if not all(name in store.columns for name in TENSORS):
        raise DatasetError(
            f"{store.where} has no label tensors on branch {store.version.branch!r}. "
            "Write them with hub.create_tensors(dataset, label_issues)."
        )
    flags, quality, predicted = (
        np.asarray(store.read(name, np.arange(store.n_rows))) for name in TENSORS
    )
    provenance = record_in(store, TENSORS[0], KEY)
    if provenance.get("predicted_are_names"):
        names = np.array(store.columns[TENSORS[2]].class_names, dtype=object)
        predicted = names[predicted.astype(np.intp)]
    elif "predicted_dtype" in provenance:
        predicted = predicted.astype(provenance["predicted_dtype"])
    table = pd.DataFrame(
        dict(zip(COLUMNS, (flags.astype(bool), quality, predicted), strict=True))
    )
    return table, provenance


def as_text(record):
    """JSON text of a record: Deep Lake's metadata would turn integers into floats."""
    return json.dumps(record, sort_keys=True, default=str)


def record_in(store, name, key):
    """Record stored with a column by `as_text`; empty where there is none."""
    text = store.metadata(name).get(key)
    return json.loads(text) if text else {}


def newest_store(dataset, *, branch=None, creds=None):
    """Store for reading the newest commit, also of a source opened earlier."""
    store = reading_store(dataset, creds=creds, branch=branch)
    return store.head() if hasattr(dataset, "bad_rows") else store


def check_unchanged(store, judged):
    """Refuse a dataset that somebody else changed since it was judged.

    Commits of `create_tensors` do not count: they touch neither data nor labels.
    """
    judged = Version.parse(judged)
    if judged is None or judged == store.version:
        return
    if judged.dataset_id == store.version.dataset_id:
        lineage = [(b, c.id, c.message) for b, c in store.lineage()]
        places = [entry[:2] for entry in lineage]
        place = (judged.branch, judged.commit)
        if place in places:
            later = lineage[places.index(place) + 1 :]
            if all(_is_harmless(message) for _, _, message in later):
                return
    raise DatasetChangedError(
        f"{store.where} was changed since it was judged: expected version {judged}, "
        f"got {store.version}. Judge it again, and write the new table."
    )


def _is_harmless(message):
    return message.startswith((_MESSAGE, "Branch created from "))


def branch_for_writing(store, name):
    """Create a branch, or take up one that a killed call left without a commit."""
    if name not in store.branch_names():
        return store.create_branch(name)
    if store.is_empty_branch_of(name, store.version):
        return store.open_branch(name)
    raise DatasetError(
        f"{store.where}: the branch {name!r} exists and holds commits of its own, or "
        "starts elsewhere. Choose another name, or open that branch and write there."
    )


def _checked_columns(store, table, labels):
    """Values of the three tensors: ``{name: (values, kind, class_names)}``."""
    missing = [name for name in COLUMNS if name not in getattr(table, "columns", ())]
    if missing:
        raise DatasetError(
            "hub.create_tensors: `label_issues` must be a DataFrame with the columns "
            f"{', '.join(COLUMNS)}; {', '.join(missing)} missing."
        )
    if len(table) != store.n_rows:
        raise DatasetChangedError(
            f"hub.create_tensors: `label_issues` must have one row for each row of "
            f"{store.where}, which has {store.n_rows}; got {len(table)}. Pass the "
            "table of this dataset, or judge it again if rows came or went."
        )
    flags = table[COLUMNS[0]].to_numpy()
    if flags.dtype != bool:
        raise DatasetError(
            f"hub.create_tensors: `is_label_issue` must be boolean; got {flags.dtype}."
        )
    quality = np.asarray(table[COLUMNS[1]], dtype=np.float64)
    codes, names = _coded(store, np.asarray(table[COLUMNS[2]]), labels)
    values = (
        (flags, "array", None),
        (quality, "array", None),
        (codes, "class_label", names),
    )
    return dict(zip(TENSORS, values, strict=True))


def _coded(store, predicted, labels):
    """Predicted labels as class codes, and the class names."""
    info = store.columns.get(labels)
    names = None if info is None else info.class_names
    if predicted.dtype.kind not in "OUST":
        if (
            names
            and len(predicted)
            and not 0 <= predicted.min() <= predicted.max() < (len(names))
        ):
            raise LabelsError(
                f"hub.create_tensors: `predicted_labels` must be codes 0 to "
                f"{len(names) - 1} of the {len(names)} class names of {labels!r}; got "
                f"{predicted.min()} to {predicted.max()}."
            )
        return predicted, names
    if names is None:
        names = tuple(sorted({str(name) for name in predicted}))
    code_of = {name: code for code, name in enumerate(names)}
    unknown = sorted({str(name) for name in predicted} - set(code_of))
    if unknown:
        raise LabelsError(
            f"hub.create_tensors: `predicted_labels` must be class names of {labels!r} "
            f"({', '.join(map(repr, names))}); got {', '.join(map(repr, unknown))}."
        )
    return np.array([code_of[str(name)] for name in predicted], dtype=np.int64), names


def _provenance(store, dataset, table):
    """What the table was made from, as plain JSON values."""
    attrs = dict(table.attrs.get("hubclean", {}))
    judged = attrs.get("dataset_version") or getattr(dataset, "bad_rows", None)
    if not isinstance(judged, str):
        judged = dataset.version if judged is not None else str(store.version)
    predicted = table[COLUMNS[2]].to_numpy()
    are_names = predicted.dtype.kind in "OUST"
    return {
        "hubclean_version": hubclean.__version__,
        "dataset_version": judged,
        "parameters": attrs.get("parameters", {}),
        "bad_rows": list(attrs.get("bad_rows", getattr(dataset, "bad_rows", []))),
        "n_rows": len(table),
        "n_issues": int(table[COLUMNS[0]].sum()),
        "predicted_are_names": are_names,
        "predicted_dtype": "object" if are_names else predicted.dtype.name,
        "digest": _digest(table),
    }


def _digest(table):
    """Recognise the same table again."""
    hashed = pd.util.hash_pandas_object(table[list(COLUMNS)], index=False)
    return hashlib.blake2b(hashed.to_numpy().tobytes(), digest_size=16).hexdigest()


def _refuse_existing(store, columns):
    there = [name for name in columns if name in store.columns]
    if there:
        raise DatasetError(
            f"{store.where} has {', '.join(there)} already. Pass overwrite=True to "
            "replace them (the commits before keep the old ones), or branch=..."
        )


def _write(store, columns, provenance, message):
    """Replace the tensors in one commit; on any failure nothing is left pending."""
    n_rows = store.n_rows
    try:
        for name, (values, kind, class_names) in columns.items():
            if name in store.columns:
                store.drop_column(name)
            metadata = {KEY: as_text(provenance)} if name == TENSORS[0] else None
            store.add_column(
                name, values, kind=kind, class_names=class_names, metadata=metadata
            )
        commit_id = store.commit(message)
    except BaseException:
        store.rollback()
        raise
    if store.n_rows != n_rows:
        store.undo_last_commit(f"{_MESSAGE}: taken back, rows changed meanwhile")
        raise DatasetChangedError(
            f"{store.where} was changed by somebody else while the tensors were "
            f"written: it had {n_rows} rows, and has {store.n_rows}. They were taken "
            "back; judge the dataset again."
        )
    return commit_id
