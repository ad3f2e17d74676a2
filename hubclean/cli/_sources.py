"""What DATASET may be: a Hub dataset, a folder of images, or a table in a file."""

import contextlib
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hubclean._compat import require
from hubclean._folder import SUFFIXES, FolderSource, class_folders
from hubclean._labels_version import labels_version
from hubclean.cli._console import say
from hubclean.cli._sized import SizedColumn, some_shapes
from hubclean.exceptions import DatasetError
from hubclean.plotting._content import kind_of

_PARQUET = (".parquet", ".pq")
_TABLES = {".csv": ",", ".tsv": "\t", **dict.fromkeys(_PARQUET)}
_SIDE = 96  # pixels of an image where those of a dataset differ in size
#: What an option is for, and its value where it is not given.
_ONLY_FOR = {
    "--target": ("table", None),
    "--drop": ("table", ()),
    "--images": ("hub", "images"),
    "--labels": ("hub", "labels"),
    "--branch": ("hub", None),
}
_KINDS = {"table": "tables", "hub": "Hub datasets", "folder": "folders of images"}


@dataclass
class Data:
    """What was opened.

    Attributes
    ----------
    kind : {"hub", "folder", "table"}
    X : rows for the estimator
    labels : ndarray of shape (n_samples,)
    shown : rows for the report
    names : list of str or None
        What to call each row.
    class_names : list of str or None
    version : str
    source : object
        A `HubSource`, a `FolderSource` or a whole data frame.
    """

    kind: str
    X: Any
    labels: np.ndarray
    shown: Any
    names: Any
    class_names: Any
    version: str
    source: Any

    @property
    def indices(self):
        """Positions in the dataset; rows that cannot be read are left out."""
        return np.asarray(self.X.row_ids) if self.kind != "table" else None


def kind_of_dataset(dataset):
    """Tell what DATASET is by its name and what lies there.

    Parameters
    ----------
    dataset : str
        Path or URL.

    Returns
    -------
    kind : {"hub", "folder", "table"}

    Raises
    ------
    FileNotFoundError
        If there is nothing at a local path.
    DatasetError
        If it is a file that is no table, or a folder of images without classes.
    """
    if "://" in dataset:
        return "hub"
    path = Path(dataset)
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file or folder", dataset)
    if path.suffix.lower() in _TABLES and path.is_file():
        return "table"
    if path.is_file():
        raise DatasetError(
            f"{dataset}: expected a Hub dataset, a folder of images sorted by class, "
            "or a file that ends in .csv, .tsv or .parquet."
        )
    if class_folders(path):
        return "folder"
    image = next((p for p in path.iterdir() if p.suffix.lower() in SUFFIXES), None)
    if image is not None and not _may_be_hub(dataset):
        raise DatasetError(
            f"{dataset}: expected one folder for each class, with images inside; got "
            f"images in the folder itself, {image.name} for example. Sort them into "
            "folders that are named like their classes."
        )
    return "hub"


def check_options(dataset, kind, **options):
    """Refuse options that say nothing about this kind of dataset.

    Parameters
    ----------
    dataset : str
        Path or URL.
    kind : {"hub", "folder", "table"}
    **options : object
        Value of each option.
    """
    for name, value in options.items():
        needed, default = _ONLY_FOR[f"--{name}"]
        given = tuple(value) if isinstance(value, (list, tuple)) else value
        if kind != needed and given != default:
            typer = require("typer", extra="cli", by="The command hubclean")
            raise typer.BadParameter(
                f"--{name} is for {_KINDS[needed]}; {dataset} is none."
            )


def open_data(dataset, *, images, labels, target, branch=None, dropped=()):
    """Open DATASET for finding and for reporting.

    Parameters
    ----------
    dataset : str
        Path or URL.
    images, labels : str
        Tensors of a Hub dataset.
    target : str or None
        Column with the labels of a table.
    branch : str, default=None
        Branch of a Hub dataset.
    dropped : sequence of str, default=()
        Columns of a table that are shown, but not learned from.

    Returns
    -------
    data : Data
    """
    kind = kind_of_dataset(dataset)
    check_options(
        dataset, kind, target=target, drop=dropped, images=images, labels=labels
    )
    if kind == "table":
        return _open_table(Path(dataset), target, dropped)
    if kind == "folder":
        return _open_folder(dataset)
    hub = require("hubclean.hub", extra="hub", by="hubclean find")
    try:
        source = hub.open(dataset, images, labels, branch=branch)
    except DatasetError as exc:
        if _may_be_hub(dataset):
            raise
        raise DatasetError(
            f"{exc} For images without a Hub dataset, there must be one folder for "
            f"each class, with files that end in {', '.join(sorted(SUFFIXES))}."
        ) from exc
    given = np.asarray(source.y)
    _check_codes(dataset, labels, given, source.class_names)
    return Data("hub", source.X, given, source.X, None, source.class_names,
                source.version, source)  # fmt: skip


def _may_be_hub(dataset):
    """Whether a URL is meant, or a folder where some Deep Lake wrote."""
    signs = ("_deeplake_log", "dataset_meta.json", "dataset_lock.lock")
    return "://" in dataset or any(Path(dataset, sign).exists() for sign in signs)


def _check_codes(dataset, name, labels, class_names):
    """Refuse labels that are the number of no class: no result could name them."""
    if class_names is None or labels.dtype.kind not in "iu" or not len(labels):
        return
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise DatasetError(
            f"{dataset}: the tensor {name!r} names {len(class_names)} classes, so its "
            f"labels must be 0 to {len(class_names) - 1}; got {labels.min()} to "
            f"{labels.max()}. Name every class, or mend the labels."
        )


def bring_to_size(data, size):
    """Images of one size for the estimator; for the report they stay as they are.

    Parameters
    ----------
    data : Data
        What was opened.
    size : int or None
        Pixels high and wide. None leaves images as they are, where they are alike.

    Returns
    -------
    data : Data
        With another X, where that is needed.
    """
    if kind_of(data.X) != "image":
        if size is not None:
            typer = require("typer", extra="cli", by="The command hubclean")
            raise typer.BadParameter("--size is for images; these rows are none.")
        return data
    if data.kind == "hub":
        return replace(data, X=_sized_column(data.X, size))
    if size is None and None in data.X.shape:
        size = _told_size(_SIDE)
    if size is None:
        return data
    return replace(data, X=FolderSource(data.source.folder, size=size).X)


def _sized_column(X, size):
    """Column of a Hub dataset, whose schema does not tell whether sizes differ."""
    if size is None and None not in X.shape:
        return X
    if size is None and X.dtype in (np.uint8, np.uint16):
        shapes = some_shapes(X)
        sides = {side for shape in shapes for side in shape[:2]}
        if len(shapes) > 1:  # perhaps in their channels only
            size = _told_size(sides.pop() if len(sides) == 1 else _SIDE)
    return SizedColumn(X, size)


def _told_size(size):
    """Tell the size that was chosen."""
    say(f"The images differ: they are fitted into {size} x {size} pixels.")
    return size


def _open_folder(dataset):
    """Open a folder of images."""
    source = FolderSource(dataset)
    _check_class_folders(dataset, np.unique(source.y).tolist())
    names = [_as_text(name) for name in source.names]
    return Data("folder", source.X, source.y, source.X, names, None,
                source.version, source)  # fmt: skip


def _as_text(name):
    """Name of a file as text that can be written, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _check_class_folders(dataset, names):
    """Refuse classes whose names are no text: no file can say them."""
    bad = [_as_text(name) for name in names if _as_text(name) != name]
    if bad:
        raise DatasetError(
            f"{dataset}: the name of a class must be text in UTF-8; got {bad[0]}. "
            "Rename the folder."
        )


def name_of_dataset(dataset):
    """Last part of a path or URL; the name of the folder itself for ``.``.

    Examples
    --------
    >>> name_of_dataset("s3://bucket/animals"), name_of_dataset("./animals/")
    ('animals', 'animals')
    """
    return Path(dataset if "://" in dataset else os.path.abspath(dataset)).name


def reviewed_folder(dataset):
    """Path to advise for a corrected copy of a folder: never inside it.

    Examples
    --------
    >>> reviewed_folder("no/such/animals")
    'animals-reviewed'
    """
    path = f"{name_of_dataset(dataset)}-reviewed"
    if Path(path).resolve().is_relative_to(Path(dataset).resolve()):
        beside = os.path.join(os.path.dirname(os.path.abspath(dataset)), path)
        return os.path.relpath(beside)
    return path


def is_parquet(path):
    """Whether the name of a file says that it is a Parquet table."""
    return Path(path).suffix.lower() in _PARQUET


def separator_of(path):
    """What stands between the fields of a table; None for a Parquet table."""
    return _TABLES[Path(path).suffix.lower()]


def check_table_format(path):
    """Refuse a Parquet file where the package that reads and writes it is missing."""
    if is_parquet(path):
        require("pyarrow", extra="parquet", by=f"The file {path}")


def check_output(path, option, inputs):
    """Refuse, before any work, a file that cannot be written or must not be.

    Parameters
    ----------
    path : str or Path
        File to write.
    option : str
        What named it.
    inputs : sequence of str, Path or None
        Files that are read, or written too; None where there is none.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    typer.BadParameter
        If the file may not be written, or is one of the others.
    """
    typer = require("typer", extra="cli", by="The command hubclean")
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            2, "there is no such folder", str(path.absolute().parent)
        )
    for other in inputs:
        local = other is not None and "://" not in str(other)
        if local and path.resolve() == Path(other).resolve():
            raise typer.BadParameter(
                f"{option} must name a file of its own; {path} would be lost. Choose "
                "another name."
            )
    try:
        partial = partial_of(path)
        partial.open("x").close()
        partial.unlink()
    except FileExistsError:  # of a run that was killed
        pass
    except OSError as exc:
        raise typer.BadParameter(
            f"{option} must name a place that can be written; {path}: {exc.strerror}. "
            "Choose another one."
        ) from exc


def check_table_name(path, option):
    """Refuse a name that tells no format of a table, or one that cannot be written."""
    if Path(path).suffix.lower() not in _TABLES:
        typer = require("typer", extra="cli", by="The command hubclean")
        raise typer.BadParameter(
            f"{option} must name a file that ends in {', '.join(_TABLES)}; got {path}."
        )
    check_table_format(path)


def read_table(path):
    """Whole data frame of a CSV, TSV or Parquet file."""
    check_table_format(path)
    separator = separator_of(path)
    try:
        if separator is None:
            return pd.read_parquet(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Whole columns: parts of a large file would have types of their own.
            return pd.read_csv(path, sep=separator, index_col=False, low_memory=False)
    except pd.errors.ParserWarning as exc:
        raise DatasetError(
            f"{path}: the rows have more fields than the header. Name every field, or "
            "take out the separator at the end of the rows."
        ) from exc
    except (ValueError, UnicodeError) as exc:  # ParserError is a ValueError
        raise DatasetError(f"{path}: cannot be read as a table ({exc}).") from exc


def partial_of(path):
    """File beside another one that is written first, and takes its place then."""
    return path.with_name(path.name + ".partial")


@contextlib.contextmanager
def written_whole(path):
    """Give a file to write; it takes the place of another when all of it is there."""
    partial = partial_of(Path(path))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(frame, path, *, header=True):
    """Write a data frame in the format that the name of the file tells."""
    check_table_format(path)
    separator = separator_of(path)
    with written_whole(path) as partial:
        if separator is None:
            frame.to_parquet(partial)
        else:
            frame.to_csv(partial, sep=separator, index=False, header=header)


def labels_of_table(frame, target, path):
    """Labels of a table, dates as text, and a clear word where there is no column."""
    if target is None or target not in frame.columns:
        typer = require("typer", extra="cli", by="The command hubclean")
        came = "it is missing" if target is None else f"got {target!r}"
        raise typer.BadParameter(
            f"--target must name the column of {path} that holds the labels; {came}. "
            f"Columns: {', '.join(map(str, frame.columns[:20]))}."
        )
    labels = frame[target]
    if labels.dtype.kind in "mM":
        return labels.astype(str).where(labels.notna())
    return labels


def _learned_from(frame, dropped, path):
    """Columns but those of --drop; a clear word where there is none of that name."""
    if not len(frame.columns):
        raise DatasetError(
            f"{path}: a column besides the labels is needed to learn from; there is "
            "none."
        )
    unknown = [name for name in dropped if name not in frame.columns]
    rest = frame.columns.difference(dropped, sort=False)
    if unknown or not len(rest):
        typer = require("typer", extra="cli", by="The command hubclean")
        got = f"got {unknown[0]!r}" if unknown else "no column is left"
        raise typer.BadParameter(
            f"--drop must name columns of {path} besides the labels, and leave one; "
            f"{got}. Columns: {', '.join(map(str, frame.columns[:20]))}."
        )
    return frame[rest]


def _open_table(path, target, dropped):
    frame = read_table(path)
    labels = labels_of_table(frame, target, path)
    if not len(frame):
        raise DatasetError(
            f"{path}: expected rows below the header; got none. Pass a table with rows."
        )
    shown = frame.drop(columns=target)
    X = _learned_from(shown, dropped, path)
    given = labels.to_numpy()
    if labels.dtype.kind in "OU" or isinstance(labels.dtype, pd.StringDtype):
        given = labels.to_numpy(dtype=object, na_value=None)
    missing = np.flatnonzero(labels.isna())
    if len(missing):
        raise DatasetError(
            f"{path}: every row must have a label in the column {target!r}; "
            f"{len(missing)} have none, the first is row {missing[0]}. Label them or "
            "leave them out. In a CSV file the texts NA, N/A, nan, null and None stand "
            "for no label, too: a class that is called so needs another name."
        )
    return Data("table", X, given, shown, None, None, labels_version(given), frame)
