"""A view of a dataset without the rows whose label is wrong."""

import numpy as np

from hubclean.exceptions import DatasetChangedError, DatasetError
from hubclean.hub._result_table import TENSORS, check_order, flag_for_each
from hubclean.hub._source import HubSource
from hubclean.hub._versions import check_unchanged, newest_store


def clean_view(dataset, label_issues=None, *, branch=None, creds=None):
    """View of the dataset with the flagged rows filtered out.

    Parameters
    ----------
    dataset : str, path, deeplake dataset, HubSource or InMemoryDataset
        It is read as it is now, even where a source was opened earlier.
    label_issues : DataFrame or array of bool, optional
        The table with `is_label_issue`, one row for each row of the dataset, or of a
        source that left rows out. When None, the tensors that `create_tensors` wrote
        are read.
    branch : str, optional
        Branch to read; the one that is open when None.
    creds : dict, optional
        Credentials for the bucket.

    Returns
    -------
    view : deeplake.DatasetView or InMemoryView
        Read-only; train on it as on the dataset (``view.pytorch()``).

    Raises
    ------
    DatasetError
        If there is no table and the dataset has no label tensors, or the table is
        sorted or holds no flags.
    DatasetChangedError
        If the table is not of this dataset.
    """
    store = newest_store(dataset, branch=branch, creds=creds)
    if label_issues is None:
        if TENSORS[0] not in store.columns:
            raise DatasetError(
                f"{store.where} has no label tensors. Pass `label_issues`, or write "
                "them first with hub.create_tensors(dataset, label_issues)."
            )
        flags = np.asarray(store.read(TENSORS[0], np.arange(store.n_rows)), dtype=bool)
        return store.select(np.flatnonzero(~flags), flags=TENSORS[0])
    flags = _flags(label_issues)
    if isinstance(dataset, HubSource):
        flags = flag_for_each(dataset, flags)
    judged = getattr(label_issues, "attrs", {}).get("hubclean", {})
    check_unchanged(store, judged.get("dataset_version") or store.version)
    if len(flags) != store.n_rows:
        raise DatasetChangedError(
            f"hub.clean_view: `label_issues` must have one row for each row of "
            f"{store.where}, which has {store.n_rows}; got {len(flags)}."
        )
    return store.select(np.flatnonzero(~flags))


def _flags(label_issues):
    """Boolean column of a table, or a mask as it is."""
    if hasattr(label_issues, "columns"):
        if "is_label_issue" not in label_issues.columns:
            raise DatasetError(
                "hub.clean_view: `label_issues` must have the column is_label_issue; "
                f"got {', '.join(map(str, label_issues.columns))}."
            )
        label_issues = label_issues["is_label_issue"]
    if hasattr(label_issues, "index") and hasattr(label_issues, "iloc"):
        check_order(label_issues, "hub.clean_view")
    flags = np.asarray(label_issues)
    if flags.ndim != 1 or (len(flags) and not _are_boolean(flags)):
        raise DatasetError(
            "hub.clean_view: `label_issues` must be one boolean for each row, True for "
            f"a wrong label; got {flags.dtype} of shape {flags.shape}. Pass the table, "
            "or its column is_label_issue."
        )
    return flags.astype(bool)


def _are_boolean(flags):
    """Whether all are True or False, or 1 or 0."""
    if flags.dtype == object:
        return all(isinstance(flag, (bool, np.bool_)) for flag in flags)
    return flags.dtype.kind in "biuf" and np.isin(flags, (0, 1)).all()
