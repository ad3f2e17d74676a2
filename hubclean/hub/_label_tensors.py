"""Write the result table into a dataset, and read it back.

Everything becomes visible in one commit: a process that dies at any moment leaves
the dataset as it was, or with the whole result.
"""

import logging

import hubclean
from hubclean.exceptions import DatasetChangedError, DatasetError
from hubclean.hub._contract import Version
from hubclean.hub._images import default_threads
from hubclean.hub._open import writing_store
from hubclean.hub._result_table import (
    KEY,
    TENSORS,
    as_text,
    digest_of_table,
    from_tensors,
    one_row_for_each,
    provenance_of,
    record_in,
    to_tensors,
)
from hubclean.hub._source import HubSource
from hubclean.hub._versions import (
    TENSORS_MESSAGE,
    all_harmless,
    branch_for_writing,
    branch_to_take_up,
    check_unchanged,
    newest_store,
)

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
        since it was opened, and knows the rows that it left out.
    label_issues : DataFrame of n_rows rows
        With the columns `is_label_issue`, `label_quality` and `predicted_labels`, in
        the order of the dataset. Rows that a source left out may be missing: they are
        written as not judged.
    branch : str, optional
        Write on a new branch of this name; on the branch that is open when None. A
        branch that a killed call left behind without a commit is taken up again.
    overwrite : bool, default=False
        Replace label tensors that are there already; with `branch`, also on a branch
        that holds nothing else.
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
    if isinstance(dataset, HubSource):
        label_issues = one_row_for_each(dataset, label_issues)
    tensors = to_tensors(store, label_issues, labels)
    judged = _judged_version(store, dataset, label_issues)
    check_unchanged(store, judged)
    if not overwrite:
        _refuse_existing(store, label_issues)
    provenance = provenance_of(
        label_issues,
        judged,
        bad_rows=getattr(dataset, "bad_rows", []),
        labels=labels,
        not_judged=tensors[TENSORS[2]].default,
    )
    message = (
        f"{TENSORS_MESSAGE}: {provenance['n_issues']} label issues in "
        f"{store.n_rows} rows, hubclean {hubclean.__version__}, judged {judged}"
    )
    n_bytes = sum(tensor.values.nbytes for tensor in tensors.values())
    with store.guarded(n_bytes):
        target = store
        if branch is not None:
            target = branch_for_writing(store, branch, overwrite=overwrite)
        with target.guarded(n_bytes):
            commit_id = _write(target, tensors, provenance, message)
    if verbose:
        _logger.info("%s: wrote %s (commit %s)", store.where, message, commit_id)
    return commit_id


def check_writable(dataset, branch=None, *, overwrite=False):
    """Refuse what `create_tensors` would refuse, before anything is judged.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        Where the table shall go.
    branch : str, optional
        Branch to write on.
    overwrite : bool, default=False
        Whether an earlier result may be replaced.

    Raises
    ------
    DatasetError
        If the tensors or the branch are there already, or the dataset cannot be
        written.
    """
    store = writing_store(dataset)
    if not overwrite:
        _refuse_existing(store)
    if branch is not None:
        branch_to_take_up(store, branch, overwrite=overwrite)


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
    return from_tensors(_store_with_tensors(dataset, branch, creds))


def open_judged(dataset, branch=None, *, images="images", labels=None):
    """Give back what `create_tensors` wrote, and the rows and labels it is about.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        It is read as it is now, even where a source was opened earlier.
    branch : str, optional
        Branch with the label tensors; the one that is open when None.
    images : str, default="images"
        Tensor that becomes X.
    labels : str, optional
        Tensor of the given labels; that of the table when None.

    Returns
    -------
    label_issues : DataFrame
        As `read_label_issues` gives it.
    provenance : dict
    source : HubSource
        At the version that was judged, with the labels that were judged.

    Raises
    ------
    DatasetError
        If the dataset has no label tensors, or they are about other labels.
    DatasetChangedError
        If rows or labels of the branch were changed since: which row of the table is
        about which row of the version is not known any more.
    """
    store = _store_with_tensors(dataset, branch)
    table, provenance = from_tensors(store)
    judged = provenance.get("dataset_version") or str(store.version)
    check_unchanged(store, judged)
    tensor = provenance.get("labels") or labels or "labels"
    if labels not in (None, tensor):
        raise DatasetError(
            f"{store.where}: the label tensors on branch {store.version.branch!r} are "
            f"about the labels {tensor!r}; got {labels!r}. Leave that out, or judge "
            "those labels and write the result on another branch."
        )
    source = HubSource(
        store.at(Version.parse(judged)),
        images,
        tensor,
        on_bad_rows="raise",
        n_threads=default_threads(),
        cache=None,
    )
    return table, provenance, source


def _store_with_tensors(dataset, branch=None, creds=None):
    """Store for reading that has the three tensors."""
    store = newest_store(dataset, branch=branch, creds=creds)
    if not all(name in store.columns for name in TENSORS):
        raise DatasetError(
            f"{store.where} has no label tensors on branch {store.version.branch!r}. "
            "Write them with hub.create_tensors(dataset, label_issues)."
        )
    return store


def _judged_version(store, dataset, table):
    """Version that the table is about: it says so itself, or the source does."""
    said = table.attrs.get("hubclean", {}).get("dataset_version")
    if said is None and isinstance(dataset, HubSource):
        said = dataset.version
    return said or str(store.version)


def _refuse_existing(store, table=None):
    there = [name for name in TENSORS if name in store.columns]
    if not there:
        return
    same = record_in(store, TENSORS[0], KEY) if TENSORS[0] in there else {}
    if table is not None and same.get("digest") == digest_of_table(table):
        raise DatasetError(
            f"{store.where} holds this very table already: nothing is left to do. "
            "Pass overwrite=True to write it again."
        )
    raise DatasetError(
        f"{store.where} has {', '.join(there)} already. Pass overwrite=True "
        "(--overwrite on the command line) to replace them, or branch=...; the commits "
        "before keep the old ones."
    )


def _write(store, tensors, provenance, message):
    """Replace the tensors in one commit; on any failure nothing is left pending."""
    n_rows, before = store.n_rows, len(store.lineage())
    try:
        for name, tensor in tensors.items():
            if name in store.columns:
                store.drop_column(name)
            store.add_column(name, tensor)
        store.set_metadata(TENSORS[0], KEY, as_text(provenance))
        commit_id = store.commit(message)
    except BaseException:
        store.rollback()
        raise
    if store.n_rows != n_rows or not all_harmless(store.lineage()[before:]):
        store.undo_last_commit(f"{TENSORS_MESSAGE}: taken back, changed meanwhile")
        raise DatasetChangedError(
            f"{store.where} was changed by somebody else while the tensors were "
            f"written: it had {n_rows} rows, and has {store.n_rows}, and labels may "
            "differ. They were taken back; judge the dataset again."
        )
    return commit_id
