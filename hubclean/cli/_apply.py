"""``hubclean apply``: put the decisions of a review into the data."""

import io
import itertools
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from hubclean._compat import require
from hubclean._decisions import apply_decisions_to_arrays, read_decisions
from hubclean._folder import FolderSource
from hubclean.cli._console import print_json, print_summary, writing
from hubclean.cli._records import BOM, field_of, split_records, with_field
from hubclean.cli._sources import (
    check_options,
    check_output,
    check_table_name,
    is_parquet,
    kind_of_dataset,
    labels_of_table,
    read_table,
    reviewed_folder,
    separator_of,
    write_table,
    written_whole,
)
from hubclean.exceptions import DatasetChangedError, DatasetError

typer = require("typer", extra="cli", by="The command hubclean")

_BRANCH = "reviewed"


def apply(
    decisions: Path = typer.Argument(
        ...,
        exists=True,
        dir_okay=False,
        metavar="DECISIONS",
        help="The decisions.csv that the report exported.",
    ),
    dataset: str = typer.Argument(
        ..., metavar="DATASET", help="The dataset that was judged."
    ),
    branch: str = typer.Option(
        None,
        show_default=_BRANCH,
        help="New branch of a Hub dataset for the corrected data.",
    ),
    output: Path = typer.Option(
        None,
        "--output",
        "-o",
        help="New file for a corrected table, or new folder for corrected images.",
    ),
    labels: str = typer.Option("labels", help="Tensor of a Hub dataset with labels."),
    target: str = typer.Option(None, help="Column of a table with the labels."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
):
    """Put the decisions of a review into DATASET, or into a corrected copy of it.

    For example:

    hubclean apply decisions.csv s3://bucket/animals --branch reviewed

    hubclean apply decisions.csv ./animals --output ./animals-reviewed

    hubclean apply decisions.csv customers.csv --target churned -o corrected.csv
    """
    kind = kind_of_dataset(dataset)
    check_options(dataset, kind, branch=branch, labels=labels, target=target)
    _check_copy(output, kind, dataset, decisions)
    checked = read_decisions(decisions)
    result = {"dataset": dataset, **checked.counts()}
    if kind == "hub":
        hub = require("hubclean.hub", extra="hub", by="hubclean apply")
        result["branch"] = branch = branch or _BRANCH
        with writing(f"the branch {branch!r}"):
            result["commit"] = hub.apply_decisions(
                dataset, checked, branch, labels=labels
            )
    else:
        result["output"] = str(output)
        with writing(str(output)):
            if kind == "folder":
                _apply_to_folder(checked, Path(dataset), output)
            else:
                _apply_to_table(checked, Path(dataset), target, output)
    if json:
        print_json(result)
    else:
        facts = {key.capitalize(): value for key, value in result.items()}
        print_summary("Decisions applied", facts)


def _check_copy(output, kind, dataset, decisions):
    """Refuse a place where a corrected copy cannot be, or must not be."""
    if kind == "hub":
        if output is not None:
            raise typer.BadParameter(
                "--output is for a folder or a table; a Hub dataset gets a --branch."
            )
        return
    if output is None:
        raise typer.BadParameter(
            "--output is needed for a folder or a table: it stays as it is, and the "
            "corrected copy is written there."
        )
    if output.exists():
        raise typer.BadParameter(f"--output must be new; {output} is there already.")
    if kind == "folder" and output.resolve().is_relative_to(Path(dataset).resolve()):
        raise typer.BadParameter(
            f"--output must lie outside {dataset}: the copy would be a class of it. "
            f"Choose another place, {reviewed_folder(dataset)} for example."
        )
    if kind == "table":
        check_table_name(output, "--output")
    check_output(output, "--output", [dataset, decisions])


def _apply_to_table(decisions, path, target, output):
    """Write the corrected table; what was not decided about stays as it is written."""
    frame = read_table(path)
    labels = labels_of_table(frame, target, path).to_numpy()
    kept, corrected = apply_decisions_to_arrays(
        np.arange(len(frame)), labels, decisions
    )
    changed = np.isin(kept, decisions.rows_to("relabel"))
    if is_parquet(path) or is_parquet(output):
        numbered = isinstance(frame.index, pd.RangeIndex)
        cell_of = dict(zip(labels.tolist(), frame[target], strict=True))
        frame = frame.iloc[kept].copy()
        if changed.any():
            cells = [cell_of[label] for label in corrected[changed].tolist()]
            frame.iloc[changed, frame.columns.get_loc(target)] = cells
        write_table(frame.reset_index(drop=True) if numbered else frame, output)
        return
    column = frame.columns.get_loc(target)
    text = _corrected_text(path, column, labels, kept, corrected, changed)
    if separator_of(path) != separator_of(output):
        cells = pd.read_csv(io.BytesIO(text), sep=separator_of(path), header=None,
                            dtype=str, keep_default_na=False)  # fmt: skip
        write_table(cells.fillna(""), output, header=False)
        return
    with written_whole(output) as partial:
        partial.write_bytes(text)


def _corrected_text(path, column, labels, kept, corrected, changed):
    """Text of a CSV or TSV file with other labels in some of the rows kept."""
    data, separator = path.read_bytes(), separator_of(path).encode()
    mark = BOM if data.startswith(BOM) else b""
    header, *records = split_records(data[len(mark) :], separator)
    if len(records) != len(labels):
        raise DatasetError(
            f"{path}: the header and {len(labels)} rows were expected; got "
            f"{1 + len(records)} records. Remove rows that hold nothing."
        )
    rows = range(len(labels) - 1, -1, -1)  # so that the first of a label stays
    row_of = dict(zip(labels[::-1].tolist(), rows, strict=True))
    new = {}
    for row, label in zip(kept[changed], corrected[changed].tolist(), strict=True):
        example = field_of(records[row_of[label]], column, separator)
        new[row] = with_field(records[row], column, separator, example)
    return mark + header + b"".join(new.get(row, records[row]) for row in kept)


def _apply_to_folder(decisions, folder, output):
    """Write a corrected copy of the folder; it is there whole, or not at all."""
    source = FolderSource(folder)
    version = decisions.dataset_version
    if version is not None and version != source.version:
        raise DatasetChangedError(
            f"{folder}: the decisions are about version {version!r} of the folder; it "
            f"is {source.version!r} now. Apply them to the folder that was judged, or "
            "run `hubclean find` again."
        )
    rows, corrected = apply_decisions_to_arrays(
        np.arange(len(source)), source.y, replace(decisions, dataset_version=None)
    )
    places = _places(source.names, rows.tolist(), corrected.tolist())
    unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        for row, place in zip(rows.tolist(), places, strict=True):
            copy = unfinished / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / source.names[row], copy)
        os.chmod(unfinished, 0o755)
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _places(names, rows, labels):
    """Where each image of these rows goes: none on another one's place."""
    taken = set(names)
    places = []
    for row, label in zip(rows, labels, strict=True):
        given, _, name = names[row].partition("/")
        place = names[row] if label == given else _free(label, name, given, taken)
        taken.add(place)
        places.append(place)
    return places


def _free(label, name, given, taken):
    """Name of an image in another class that no image has.

    Examples
    --------
    >>> _free("cat", "1.png", "dog", {"dog/1.png"})
    'cat/1.png'
    >>> _free("cat", "1.png", "dog", {"cat/1.png", "cat/1-from-dog.png"})
    'cat/1-from-dog-2.png'
    """
    place = PurePosixPath(label, name)
    endings = ["", f"-from-{given}"]
    for number in itertools.count(2):
        for ending in endings:
            free = str(place.with_name(f"{place.stem}{ending}{place.suffix}"))
            if free not in taken:
                return free
        endings = [f"-from-{given}-{number}"]
