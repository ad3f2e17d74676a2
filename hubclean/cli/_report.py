"""``hubclean report`` and ``hubclean demo``."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from hubclean._compat import require
from hubclean.cli._console import print_json, print_summary
from hubclean.cli._find import _DATASET, check_report_name, write_data_report
from hubclean.cli._sources import (
    Data,
    check_options,
    check_output,
    check_table_name,
    is_parquet,
    kind_of_dataset,
    name_of_dataset,
    open_data,
    read_table,
    separator_of,
)
from hubclean.exceptions import DatasetChangedError, DatasetError

typer = require("typer", extra="cli", by="The command hubclean")

_COLUMNS = ["is_label_issue", "label_quality", "predicted_labels"]


def report(
    dataset: str = _DATASET,
    output: Path = typer.Option(
        "report.html",
        "--output",
        "-o",
        dir_okay=False,
        help="File to write: .html to review, .md or .json.",
    ),
    issues: Path = typer.Option(
        None,
        exists=True,
        dir_okay=False,
        help="Table that `hubclean find --issues` wrote.",
    ),
    branch: str = typer.Option(
        None, help="Branch of the Hub dataset that `hubclean find --branch` wrote."
    ),
    images: str = typer.Option("images", help="Tensor of a Hub dataset to show."),
    labels: str = typer.Option(
        None,
        help="Tensor of a Hub dataset with labels; by default the one that the stored "
        "result is about, and labels with --issues.",
    ),
    target: str = typer.Option(None, help="Column of a table with the labels."),
    max_suspects: int = typer.Option(5000, min=1, help="Most rows in the report."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
):
    """Write a report of what `hubclean find` found earlier.

    For example:

    hubclean report s3://bucket/animals --branch label-issues -o report.html

    hubclean report customers.csv --target churned --issues issues.csv
    """
    check_output(output, "--output", [dataset, issues])
    check_report_name(output, "--output")
    kind = kind_of_dataset(dataset)
    asked = {"images": images, "labels": labels or "labels", "target": target}
    check_options(dataset, kind, **asked)
    provenance: dict = {}
    if issues is not None:
        data = open_data(dataset, **asked)
        table = _stored_table(issues, data)
    elif kind == "hub":
        data, table, provenance = _stored_in_dataset(dataset, branch, images, labels)
    else:
        raise typer.BadParameter(
            "--issues FILE is needed for a folder or a table: the file that "
            "`hubclean find --issues FILE` wrote."
        )
    write_data_report(
        output,
        data,
        table,
        title=f"Labels of {name_of_dataset(dataset)}",
        provenance=provenance,
        max_suspects=max_suspects,
    )
    result = {"report": str(output), "n_issues": int(table[_COLUMNS[0]].sum())}
    if json:
        print_json(result)
    else:
        print_summary(f"Wrote {output}", {"Label issues": f"{result['n_issues']:,}"})


def _stored_in_dataset(dataset, branch, images, labels):
    """What was judged, at its version, with the result table and its parameters."""
    tensors = require("hubclean.hub._label_tensors", extra="hub", by="hubclean report")
    table, provenance, source = tensors.open_judged(
        dataset, branch, images=images, labels=labels
    )
    names = source.class_names
    data = Data(
        kind="hub",
        X=source.X,
        labels=np.asarray(source.y),
        shown=source.X,
        names=None,
        class_names=names,
        version=source.version,
        source=source,
    )
    if names is not None and table[_COLUMNS[2]].dtype.kind not in "iu":
        codes = {name: code for code, name in enumerate(names)}
        table[_COLUMNS[2]] = table[_COLUMNS[2]].map(codes)
    return data, table, provenance.get("parameters", {})


def _stored_table(path, data):
    """The result table of a file, if it is about these labels."""
    check_table_name(path, "--issues")
    frame = _read_issues(path)
    missing = [c for c in ("given_label", *_COLUMNS) if c not in frame.columns]
    if missing:
        raise DatasetError(
            f"{path}: expected the table that `hubclean find --issues` writes; "
            f"{', '.join(missing)} missing."
        )
    given = _as_written(data.labels, path)
    if given != _texts(frame["given_label"]):
        raise DatasetChangedError(
            f"{path}: the labels that were judged are not those of the dataset. Run "
            "`hubclean find` again."
        )
    place = {text: row for row, text in enumerate(given)}
    predicted = _texts(frame[_COLUMNS[2]])
    unknown = next((text for text in predicted if text not in place), None)
    if unknown is not None:
        raise DatasetError(
            f"{path}: `{_COLUMNS[2]}` must hold labels of the dataset; got "
            f"{unknown!r}. Pass the file as `hubclean find --issues` wrote it."
        )
    table = frame[_COLUMNS].copy()
    table[_COLUMNS[2]] = np.asarray(data.labels)[[place[text] for text in predicted]]
    return table


def _read_issues(path):
    """Table of a file; labels are taken as they are written: "01" is no number."""
    frame = read_table(path)
    if not is_parquet(path):
        cells = pd.read_csv(
            path, sep=separator_of(path), dtype=str, keep_default_na=False
        )
        for name in {"given_label", _COLUMNS[2]} & set(frame.columns):
            frame[name] = cells[name].to_numpy()
    return frame


def _as_written(labels, path):
    """Text of each label in a file of this kind."""
    if is_parquet(path):
        return _texts(labels)
    text = pd.DataFrame({"row": 0, "label": labels}).to_csv(index=False)
    cells = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    return cells["label"].tolist()


def _texts(labels):
    return [str(label) for label in np.asarray(labels).tolist()]


def demo(
    output: Path = typer.Option(
        "demo-output", "--output", "-o", file_okay=False, help="Folder to write into."
    ),
):
    """Find planted wrong labels in images of digits, end to end.

    For example:

    hubclean demo --output demo-output
    """
    from hubclean._demo import run_demo

    run_demo(str(output))
