"""Apply a person's decisions to a dataset, on a branch of their own."""

import numpy as np

import hubclean
from hubclean._decisions import (
    check_given_labels,
    check_rows,
    codes_of_new_labels,
    digest_of,
    read_decisions,
)
from hubclean._labels_version import PREFIX, check_labels_version, labels_version
from hubclean.exceptions import DatasetChangedError, DatasetError
from hubclean.hub._open import writing_store
from hubclean.hub._reader import TensorReader, check_has_columns
from hubclean.hub._result_table import KEY, TENSORS, as_text, record_in
from hubclean.hub._versions import branch_for_writing, check_unchanged

#: Key in the metadata of the labels tensor, on the branch.
RECORD = "hubclean_decisions"


def apply_decisions(dataset, decisions, branch, *, labels=None):
    """Relabel and prune rows on a new branch, in one commit.

    The branch starts at the dataset as it is. Relabelled rows get their new label,
    pruned rows are deleted (rows after them move up), and where `create_tensors` wrote
    label tensors, rows that were decided about are not flagged any more. Nothing
    changes on the parent branch, where the labels before stay readable. The commit
    message, and the metadata of the labels tensor under ``"hubclean_decisions"``,
    record what was done.

    The same decisions a second time change nothing, and a call that was killed is
    finished by calling again; where the dataset was changed since, both are refused.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        Its branch that is open is the parent.
    decisions : DataFrame, or path of a CSV file
        With the columns `row` (position in the dataset), `decision` ("keep",
        "relabel" or "prune") and `new_label` (class name or code). `given_label` and
        `dataset_version` are checked where present.
    branch : str
        Name of the new branch.
    labels : str, optional
        Tensor of the labels; that of the source, else "labels".

    Returns
    -------
    commit_id : str
        The commit on the branch.

    Raises
    ------
    ValidationError
        If the decisions cannot be used.
    DatasetError
        If the branch is there with other content, or the dataset cannot be written.
    DatasetChangedError
        If the dataset is not the one that was judged.

    Examples
    --------
    >>> import pandas as pd
    >>> from hubclean import hub
    >>> dataset = hub.InMemoryDataset({"images": [[0.0]] * 3, "labels": [0, 1, 1]})
    >>> decisions = pd.DataFrame(
    ...     {"row": [1, 2], "decision": ["relabel", "prune"], "new_label": ["0", ""]}
    ... )
    >>> commit_id = hub.apply_decisions(dataset, decisions, branch="reviewed")
    >>> dataset.branches["reviewed"]["labels"], dataset["labels"]
    (array([0, 0]), array([0, 1, 1]))
    """
    who = "hub.apply_decisions"
    decisions = read_decisions(decisions, who)
    store = writing_store(dataset)
    name = labels or getattr(dataset, "labels", None) or "labels"
    check_has_columns(store, [name])
    judged = decisions.dataset_version or _version_of(dataset) or str(store.version)
    info = store.columns[name]
    check_rows(decisions, store.n_rows, who)
    given = TensorReader(store, name, as_labels=True).read(np.arange(store.n_rows))
    _check_judged(store, judged, given, info.class_names)
    options = {"class_names": info.class_names, "who": who}
    check_given_labels(decisions, given, **options)
    codes = codes_of_new_labels(decisions, given, **options)
    record = _record(decisions, codes, judged, store)
    done = _already_done(store, branch, name, record)
    if done:
        return done
    n_bytes = 2 * given.nbytes + store.n_rows + len(as_text(record))
    with store.guarded(n_bytes):
        target = branch_for_writing(store, branch)
        with target.guarded(n_bytes):
            return _write(target, name, decisions, codes, record)


def _check_judged(store, judged, given, class_names):
    """Refuse decisions about another version, or about other labels."""
    if not judged.startswith(PREFIX):
        check_unchanged(store, judged)
        return
    # A report that was made from arrays knows the labels only, as names or as codes.
    if class_names and given.dtype.kind in "iu":
        names = np.array(class_names, dtype=object)
        if judged == labels_version(names[given]):
            return
    check_labels_version(judged, given, who="hub.apply_decisions")


def _version_of(dataset):
    """Version that a source was opened at; None for anything else."""
    return dataset.version if hasattr(dataset, "bad_rows") else None


def _record(decisions, codes, judged, store):
    """What is done, as plain JSON values."""
    parameters = decisions.parameters
    if not parameters and TENSORS[0] in store.columns:
        parameters = record_in(store, TENSORS[0], KEY).get("parameters", {})
    return {
        "hubclean_version": hubclean.__version__,
        "dataset_version": judged,
        "parent_version": str(store.version),
        "parameters": parameters,
        "counts": decisions.counts(),
        "pruned_rows": decisions.rows_to("prune").tolist(),
        "relabelled_rows": decisions.rows_to("relabel").tolist(),
        "digest": digest_of(decisions, codes),
    }


def _already_done(store, branch, name, record):
    """Return the commit id on a branch that holds these decisions, else None."""
    if branch not in store.branch_names():
        return None
    there = store.open_branch(branch)
    if name not in there.columns:
        return None
    earlier = record_in(there, name, RECORD)
    if earlier.get("digest") != record["digest"]:
        return None
    try:
        check_unchanged(store, earlier.get("parent_version") or store.version)
    except DatasetChangedError:  # the branch lacks what was changed since
        return None
    commits = [commit for where, commit in there.lineage() if where == branch]
    for commit in reversed(commits):
        if record["digest"] in commit.message:
            return commit.id
    return there.version.commit


def _write(store, name, decisions, codes, record):
    """Make all changes in one commit; on any failure nothing is left pending."""
    counts = record["counts"]
    changed = counts["relabel"] + counts["prune"]
    message = (
        f"hubclean apply_decisions: {changed} rows changed ({counts['relabel']} "
        f"relabelled, {counts['prune']} pruned, {counts['keep']} kept), hubclean "
        f"{record['hubclean_version']}, judged {record['dataset_version']}, parameters "
        f"{as_text(record['parameters'])}, decisions "
        f"{record['digest']}"
    )
    if name not in store.columns:
        raise DatasetError(f"{store.where}: the branch has no tensor {name!r}.")
    try:
        relabelled = decisions.rows_to("relabel")
        if len(relabelled):
            values = _as_stored(codes, store.columns[name])
            store.set_rows(name, relabelled, values)
        if TENSORS[0] in store.columns and len(decisions.rows):
            unflagged = np.zeros(len(decisions.rows), dtype=bool)
            store.set_rows(TENSORS[0], decisions.rows, unflagged)
        if counts["prune"]:
            store.delete_rows(decisions.rows_to("prune"))
        store.set_metadata(name, RECORD, as_text(record))
        return store.commit(message)
    except BaseException:
        store.rollback()
        raise


def _as_stored(codes, info):
    """New labels in the type and shape of one row of the labels tensor."""
    if info.kind == "text":
        return [str(code) for code in codes]
    return np.asarray(codes, dtype=info.dtype).reshape(-1, *([1] * len(info.row_shape)))
