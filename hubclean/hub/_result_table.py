"""The result table as tensors of a dataset, and back.

It imports `_reader` of this folder.
"""

import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd

import hubclean
from hubclean.exceptions import DatasetChangedError, DatasetError, LabelsError
from hubclean.hub._reader import TensorReader

GROUP = "label_issues"
TENSORS = tuple(
    f"{GROUP}/{name}"
    for name in ("is_label_issue", "label_quality", "predicted_labels")
)
COLUMNS = tuple(name.partition("/")[2] for name in TENSORS)
#: Key of the provenance in the metadata of the first tensor.
KEY = "hubclean"
#: Code in rows that were added after the table was written.
_NOT_JUDGED = -1
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class NewTensor:
    """A tensor to write: a value for every row, and for rows that will be added."""

    values: np.ndarray
    default: object
    kind: str = "array"
    class_names: tuple | None = None


def one_row_for_each(source, table):
    """Give rows that a source left out a place in the table, as not judged.

    Parameters
    ----------
    source : HubSource
        Opened with ``on_bad_rows="skip"``, perhaps.
    table : DataFrame
        The result table of ``source.X`` and ``source.y``.

    Returns
    -------
    table : DataFrame
        The same where it has a row for each row of the dataset already, or is no
        result table of the source.
    """
    fits = isinstance(table, pd.DataFrame) and set(table.columns) == set(COLUMNS)
    if not source.bad_rows or not fits or len(table) != len(source):
        return table
    check_order(table, "hub.create_tensors")
    kept = source.X.row_ids
    predicted = source.given_labels().copy()
    judged = table[COLUMNS[2]].to_numpy()
    if judged.dtype.kind in "OUST" and source.class_names is not None:
        predicted = np.array(source.class_names, dtype=object)[predicted]
    predicted[kept] = judged
    quality = np.full(source.n_rows, np.nan)
    quality[kept] = table[COLUMNS[1]].to_numpy()
    whole = pd.DataFrame(
        {
            COLUMNS[0]: flag_for_each(source, table[COLUMNS[0]].to_numpy()),
            COLUMNS[1]: quality,
            COLUMNS[2]: predicted,
        }
    )
    whole.attrs.update(table.attrs)
    return whole


def flag_for_each(source, flags):
    """Flags of every row of the dataset; rows that a source left out have none."""
    if not source.bad_rows or len(flags) != len(source):
        return flags
    whole = np.zeros(source.n_rows, dtype=bool)
    whole[source.X.row_ids] = flags
    return whole


def to_tensors(store, table, labels):
    """Check a result table, and make the three tensors of it.

    Parameters
    ----------
    store : Store
        The dataset that was judged.
    table : DataFrame
        The result table.
    labels : str
        Tensor of the given labels.

    Returns
    -------
    tensors : dict of str to NewTensor

    Raises
    ------
    DatasetError
        If it is no result table, or not of this dataset.
    """
    _check_table(table)
    if len(table) != store.n_rows:
        raise DatasetChangedError(
            "hub.create_tensors: `label_issues` must have one row for each row of "
            f"{store.where}, which has {store.n_rows}; got {len(table)}. Pass the "
            "table of this dataset, or judge it again if rows came or went; where "
            "hub.open left rows out, pass its source, which knows them."
        )
    flags, quality, predicted = (table[name] for name in COLUMNS)
    tensors = (
        NewTensor(flags.to_numpy(), False),
        NewTensor(quality.to_numpy(dtype=np.float64), float("nan")),
        _coded(store, np.asarray(predicted), labels),
    )
    return dict(zip(TENSORS, tensors, strict=True))


def check_order(table, who):
    """Raise `DatasetError` for a table that was sorted: rows are known by position."""
    index = table.index
    if index.dtype.kind not in "iu" or index.is_monotonic_increasing:
        return
    if np.array_equal(np.sort(index.to_numpy()), np.arange(len(index))):
        raise DatasetError(
            f"{who}: `label_issues` must be in the order of the dataset; got a table "
            f"whose index begins {', '.join(map(str, index[:_SHOWN]))}, as if it was "
            "sorted. Pass label_issues.sort_index(); or reset_index(drop=True), if its "
            "rows are in the order of the dataset."
        )


def from_tensors(store):
    """Give back the table and the provenance that are stored in a dataset."""
    rows = np.arange(store.n_rows)
    flags, quality, codes = (np.asarray(store.read(name, rows)) for name in TENSORS)
    provenance = record_in(store, TENSORS[0], KEY)
    table = pd.DataFrame(
        {
            COLUMNS[0]: flags.astype(bool),
            COLUMNS[1]: quality.astype(np.float64),
            COLUMNS[2]: _predicted(store, codes.reshape(len(codes)), provenance),
        }
    )
    table.attrs["hubclean"] = {
        key: provenance[key]
        for key in ("dataset_version", "parameters", "bad_rows")
        if key in provenance
    }
    return table, provenance


def provenance_of(table, judged, bad_rows, labels, not_judged):
    """What the table was made from, as plain JSON values."""
    attrs = table.attrs.get("hubclean", {})
    predicted = np.asarray(table[COLUMNS[2]])
    are_names = predicted.dtype.kind in "OUST"
    return {
        "hubclean_version": hubclean.__version__,
        "dataset_version": judged,
        "parameters": attrs.get("parameters", {}),
        "bad_rows": list(attrs.get("bad_rows", bad_rows)),
        "labels": labels,
        "n_rows": len(table),
        "n_issues": int(table[COLUMNS[0]].sum()),
        "predicted_are_names": are_names,
        "predicted_dtype": "object" if are_names else predicted.dtype.name,
        "not_judged": None if not_judged != not_judged else not_judged,
        "digest": digest_of_table(table),
    }


def as_text(record):
    """JSON text of a record: Deep Lake's metadata would turn integers into floats."""
    return json.dumps(record, sort_keys=True, default=str)


def record_in(store, name, key):
    """Record stored with a column by `as_text`; empty where there is none."""
    text = store.metadata(name).get(key)
    return json.loads(text) if text else {}


def _check_table(table):
    """Raise `DatasetError` unless it is a result table."""
    who = "hub.create_tensors: `label_issues`"
    if not isinstance(table, pd.DataFrame):
        raise DatasetError(
            f"{who} must be a DataFrame with the columns {', '.join(COLUMNS)}; got "
            f"{type(table).__name__}."
        )
    missing = [name for name in COLUMNS if name not in table.columns]
    unknown = [str(name) for name in table.columns if name not in COLUMNS]
    if missing or unknown:
        came = [f"{', '.join(missing)} missing"] if missing else []
        came += [f"unknown {', '.join(unknown)}"] if unknown else []
        raise DatasetError(
            f"{who} must have the columns {', '.join(COLUMNS)} and no other; got "
            f"{' and '.join(came)}."
        )
    for name, kinds, what in ((COLUMNS[0], "b", "boolean"), (COLUMNS[1], "f", "float")):
        if getattr(table[name].dtype, "kind", "O") not in kinds:
            raise DatasetError(
                f"hub.create_tensors: `{name}` must be {what}; got {table[name].dtype}."
            )
    check_order(table, "hub.create_tensors")


def _coded(store, predicted, labels):
    """Tensor of predicted labels: class codes, with the class names."""
    info = store.columns.get(labels)
    names = None if info is None else info.class_names
    if predicted.dtype.kind in "OUST":
        names, codes = _codes_of_names(predicted, names, labels)
    else:
        codes = predicted
        if names and len(codes):
            _check_codes(codes, names, labels)
    if codes.dtype.kind == "f":
        return NewTensor(codes, float("nan"))
    low, high = (codes.min(), codes.max()) if len(codes) else (0, 0)
    default = min(_NOT_JUDGED, int(low) - 1)
    dtype = np.promote_types(np.min_scalar_type(default), np.min_scalar_type(high))
    if dtype.kind == "f":  # numpy's for uint64 beside a negative number
        dtype = np.dtype(np.int64)
        if high > np.iinfo(dtype).max:
            raise LabelsError(
                "hub.create_tensors: `predicted_labels` must fit into int64; got "
                f"{high}. Number the classes from 0."
            )
    return NewTensor(codes.astype(dtype), default, "class_label", names)


def _codes_of_names(predicted, names, labels):
    """Class names, and the code of every predicted one."""
    texts = [str(name) for name in predicted]
    if names is None:
        names = tuple(sorted(set(texts)))
    code_of = {name: code for code, name in enumerate(names)}
    unknown = sorted(set(texts) - set(code_of))
    if unknown:
        raise LabelsError(
            f"hub.create_tensors: `predicted_labels` must be class names of {labels!r} "
            f"({', '.join(map(repr, names))}); got {', '.join(map(repr, unknown))}."
        )
    return names, np.array([code_of[text] for text in texts], dtype=np.int64)


def _check_codes(codes, names, labels):
    """Raise `LabelsError` for codes without a class name."""
    if not 0 <= codes.min() <= codes.max() < len(names):
        raise LabelsError(
            f"hub.create_tensors: `predicted_labels` must be codes 0 to "
            f"{len(names) - 1} of the {len(names)} class names of {labels!r}; got "
            f"{codes.min()} to {codes.max()}."
        )


def _predicted(store, codes, provenance):
    """Predicted labels in the type they had; the given ones in rows added since."""
    absent = provenance.get("not_judged")  # None stands for NaN
    added = np.isnan(codes) if absent is None else codes == absent
    if provenance.get("predicted_are_names"):
        names = np.array(store.columns[TENSORS[2]].class_names, dtype=object)
        predicted = names[codes.astype(np.intp)]
    else:
        predicted = codes.astype(provenance.get("predicted_dtype", codes.dtype))
    if added.any():
        reader = TensorReader(store, provenance["labels"], as_labels=True)
        predicted[added] = reader.read(np.flatnonzero(added))
    return predicted


def digest_of_table(table):
    """Recognise the same table again."""
    hashed = pd.util.hash_pandas_object(table[list(COLUMNS)], index=False)
    return hashlib.blake2b(hashed.to_numpy().tobytes(), digest_size=16).hexdigest()
