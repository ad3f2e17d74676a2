"""``hubclean find``: judge the labels of a dataset."""

import shlex
from enum import StrEnum
from pathlib import Path

import pandas as pd

import hubclean
from hubclean import HubLabelCleaner
from hubclean._compat import require
from hubclean._judgement import RULE_NAMES, SCORE_NAMES
from hubclean.cli._console import count, print_json, print_summary, writing
from hubclean.cli._models import made_ready, make_estimator
from hubclean.cli._sources import (
    bring_to_size,
    check_output,
    check_table_name,
    name_of_dataset,
    open_data,
    reviewed_folder,
    write_table,
)
from hubclean.evidence import KINDS
from hubclean.plotting._content import kind_of

typer = require("typer", extra="cli", by="The command hubclean")

_FRAMEWORKS = ("torch", "keras", "sklearn")
_Filter = StrEnum("Filter", {k: k for k in RULE_NAMES})  # type: ignore[misc]
_Score = StrEnum("Score", {k: k for k in SCORE_NAMES})  # type: ignore[misc]
_Framework = StrEnum("Framework", {k: k for k in _FRAMEWORKS})  # type: ignore[misc]

#: Parameters that change nothing about the result.
_NOT_TOLD = ("memory", "n_jobs", "verbose")

#: Those of the cleaner.
_DEFAULTS = HubLabelCleaner().get_params(deep=False)
#: Share of rows from which the model is to be doubted, not the labels.
_TOO_MANY = 0.4

_DATASET = typer.Argument(
    ...,
    metavar="DATASET",
    help="Path or URL of a Hub dataset, a folder with one folder of images for each "
    "class, or a table that ends in .csv, .tsv or .parquet.",
)
#: Headings of the options in the help.
_DATA, _MODEL, _RULE, _RESULTS = "Data", "Model", "Evidence and rule", "Results"
_EXAMPLE = """
For example:

hubclean find ./animals --report report.html

hubclean find s3://bucket/animals --model resnet18 --epochs 20 --branch label-issues

hubclean find customers.csv --target churned --issues issues.csv --json
"""


def find(
    dataset: str = _DATASET,
    images: str = typer.Option(
        "images", help="Tensor of a Hub dataset to learn from.", rich_help_panel=_DATA
    ),
    labels: str = typer.Option(
        "labels", help="Tensor of a Hub dataset with labels.", rich_help_panel=_DATA
    ),
    target: str = typer.Option(
        None, help="Column of a table with the labels.", rich_help_panel=_DATA
    ),
    drop: list[str] = typer.Option(
        [],
        metavar="COLUMN",
        help="Column of a table not to learn from, an id for example; give it again "
        "for another.",
        rich_help_panel=_DATA,
    ),
    model: str = typer.Option(
        None,
        help="A name (resnet18; logistic, forest, boosting), module:Class or "
        "module:build_fn. By default what suits the data.",
        rich_help_panel=_MODEL,
    ),
    framework: _Framework = typer.Option(
        None, help="What the model is made with.", rich_help_panel=_MODEL
    ),
    epochs: int = typer.Option(
        10, min=1, help="Epochs of each training of a network.", rich_help_panel=_MODEL
    ),
    batch_size: int = typer.Option(
        64, min=1, help="Rows of a batch of a network.", rich_help_panel=_MODEL
    ),
    size: int = typer.Option(
        None,
        min=8,
        help="Pixels high and wide to which images are brought; theirs where all are "
        "alike, else 96. Small ones train faster.",
        rich_help_panel=_DATA,
    ),
    folds: int = typer.Option(
        5, min=2, help="Folds of the out-of-sample predictions.", rich_help_panel=_RULE
    ),
    evidence: str = typer.Option(
        "auto",
        help=f"Where the evidence comes from: {', '.join(KINDS)}, or several with a "
        "comma. auto: cv, and leave_one_out with it for tables of numbers. dynamics is "
        "for networks, and has a rule and a score of its own.",
        rich_help_panel=_RULE,
    ),
    filter_by: _Filter = typer.Option(
        _DEFAULTS["filter_by"], help="Rule that flags rows.", rich_help_panel=_RULE
    ),
    score_by: _Score = typer.Option(
        _DEFAULTS["score_by"], help="Score of label quality.", rich_help_panel=_RULE
    ),
    threshold: float = typer.Option(
        None,
        min=0,
        max=1,
        help="Flag rows under this quality, not by the rule.",
        rich_help_panel=_RULE,
    ),
    jobs: int = typer.Option(
        None, help="Folds that are trained at a time.", rich_help_panel=_RULE
    ),
    seed: int = typer.Option(
        0, min=0, help="The same seed gives the same answer.", rich_help_panel=_RULE
    ),
    branch: str = typer.Option(
        None,
        help="Write the result into the Hub dataset, on this new branch.",
        rich_help_panel=_RESULTS,
    ),
    overwrite: bool = typer.Option(
        False,
        "--overwrite",
        help="Replace an earlier result on that branch.",
        rich_help_panel=_RESULTS,
    ),
    report: Path = typer.Option(
        None,
        dir_okay=False,
        help="Write a report: .html to review, .md or .json.",
        rich_help_panel=_RESULTS,
    ),
    issues: Path = typer.Option(
        None,
        dir_okay=False,
        help="Write the table of all rows: .csv, .tsv or .parquet.",
        rich_help_panel=_RESULTS,
    ),
    cache: Path = typer.Option(
        None,
        file_okay=False,
        help="Keep finished folds here, and go on from them.",
        rich_help_panel=_RULE,
    ),
    max_suspects: int = typer.Option(
        5000, min=1, help="Most rows in the report.", rich_help_panel=_RESULTS
    ),
    fail_over: float = typer.Option(
        None,
        min=0,
        max=1,
        help="Exit with 3 when a larger share has issues.",
        rich_help_panel=_RESULTS,
    ),
    json: bool = typer.Option(
        False, "--json", help="Print JSON.", rich_help_panel=_RESULTS
    ),
    quiet: bool = typer.Option(
        False, "--quiet", "-q", help="Show no progress.", rich_help_panel=_RESULTS
    ),
):
    """Find the labels of DATASET that look wrong."""
    data = open_data(dataset, images=images, labels=labels, target=target, dropped=drop)
    _check_outputs(dataset, data, branch, overwrite, report, issues)
    data = bring_to_size(data, size)
    X, estimator = (
        data.X,
        make_estimator(
            model,
            framework and framework.value,
            data.X,
            epochs=epochs,
            batch_size=batch_size,
        ),
    )
    kinds = _kinds(evidence)
    # Words as numbers are sparse, and "auto" leaves those to the estimator.
    if "leave_one_out" in kinds or ("auto" in kinds and kind_of(X) != "text"):
        X, estimator = made_ready(X, estimator)
    cleaner = HubLabelCleaner(
        estimator,
        cv=folds,
        filter_by=filter_by.value,
        score_by=score_by.value,
        threshold=threshold,
        n_jobs=jobs,
        random_state=seed,
        verbose=0 if quiet else 1,
        **_optional(kinds, cache),
    )  # fmt: skip
    cleaner.fit(X, data.labels)
    result = _result(dataset, data, cleaner)
    result["apply"] = _apply_arguments(dataset, data, target, labels)
    _write(result, data, cleaner, branch, overwrite, report, issues, max_suspects)
    if json:
        print_json(result)
    else:
        _print(result)
    if fail_over is not None and result["n_issues"] > fail_over * result["n_rows"]:
        raise typer.Exit(3)


find.__doc__ = f"{find.__doc__}\n{_EXAMPLE}"


def _kinds(evidence):
    """Kinds of evidence that an option names."""
    return [kind.strip() for kind in evidence.split(",")]


def _optional(kinds, cache):
    """Evidence, which may be several kinds, and the cache if there is one."""
    optional = {"evidence": kinds[0] if len(kinds) == 1 else kinds}
    return optional if cache is None else {**optional, "memory": str(cache)}


def _check_outputs(dataset, data, branch, overwrite, report, issues):
    """Refuse, before any training, what cannot be written after it."""
    if overwrite and branch is None:
        raise typer.BadParameter("--overwrite is for the result of --branch.")
    if branch is not None and data.kind != "hub":
        raise typer.BadParameter(
            "--branch is for Hub datasets; use --issues FILE for a folder or a table."
        )
    if branch is not None:
        from hubclean.hub._label_tensors import check_writable

        check_writable(data.source, branch, overwrite=overwrite)
    if issues is not None:
        check_output(issues, "--issues", [dataset])
        check_table_name(issues, "--issues")
    if report is not None:
        check_output(report, "--report", [dataset, issues])
        check_report_name(report, "--report")


def _result(dataset, data, cleaner):
    """What was found, as plain values."""
    from hubclean.report import summarise

    table = cleaner.label_issues_
    summary = summarise(
        table, data.labels, class_names=data.class_names, max_suspects=1
    )
    names = [c["name"] for c in summary["classes"]]
    return {
        "dataset": dataset,
        "dataset_version": data.version,
        "hubclean_version": hubclean.__version__,
        "n_rows": summary["n_rows"],
        "n_issues": summary["n_issues"],
        "n_classes": len(names),
        **_estimates(cleaner),
        "model": _name_of(cleaner.estimator_),
        "parameters": {
            key: value
            for key, value in cleaner.get_params(deep=False).items()
            if isinstance(value, (str, int, float)) and key not in _NOT_TOLD
        },
        "pairs": [
            {
                "given": names[pair["given"]],
                "predicted": names[pair["predicted"]],
                "n_issues": pair["n_issues"],
            }
            for pair in summary["pairs"][:50]
        ],
    }


def _estimates(cleaner):
    """How many labels are wrong, where the rule or the score says something."""
    if not hasattr(cleaner, "estimated_errors_"):
        return {}
    estimates = {
        "estimated_errors": cleaner.estimated_errors_,
        "estimated_errors_interval": cleaner.estimated_errors_interval_,
    }
    if cleaner.label_issues_["is_label_issue"].any():
        estimates["estimated_precision"] = cleaner.estimated_precision_
    return estimates


def _name_of(model):
    """Name of the class of a model; of a pipeline its last step."""
    return type(model[-1] if hasattr(model, "steps") else model).__name__


def _write(result, data, cleaner, branch, overwrite, report, issues, max_suspects):
    """Write what was asked for; what was written is added to the result."""
    table = cleaner.label_issues_
    if branch is not None:
        hub = require("hubclean.hub", extra="hub", by="--branch")
        table.attrs["hubclean"] = {
            "dataset_version": data.version,
            "bad_rows": list(data.source.bad_rows),
            "parameters": {"model": result["model"], **result["parameters"]},
        }
        result["branch"] = branch
        with writing(f"the branch {branch!r}"):
            result["commit"] = hub.create_tensors(
                data.source, table, branch=branch, overwrite=overwrite, verbose=False
            )
    if issues is not None:
        with writing(str(issues)):
            write_table(issues_table(data, table), issues)
        result["issues"] = str(issues)
    if report is not None:
        with writing(str(report)):
            write_data_report(
                report,
                data,
                table,
                title=f"Labels of {name_of_dataset(result['dataset'])}",
                provenance={"model": result["model"], **result["parameters"]},
                threshold=cleaner.threshold,
                max_suspects=max_suspects,
            )
        result["report"] = str(report)


def issues_table(data, table):
    """The result table as it is written into a file."""
    rows = range(len(table)) if data.indices is None else data.indices
    frame = pd.DataFrame({"row": rows})
    if data.names is not None:
        frame["name"] = data.names
    frame["given_label"] = data.labels
    return pd.concat([frame, table.reset_index(drop=True)], axis=1)


def check_report_name(path, option):
    """Refuse a report that cannot be written."""
    from hubclean.report._write import format_of

    if format_of(path) != "json":
        require("jinja2", extra="report", by=option)


def write_data_report(path, data, table, **options):
    """Report on what was opened."""
    report = require("hubclean.report", extra="report", by="--report")
    return report.write_report(
        path,
        table,
        data.labels,
        data.shown,
        class_names=data.class_names,
        row_names=data.names,
        dataset_version=data.version,
        **options,
    )


def _print(result):
    """The summary for a person."""
    share = result["n_issues"] / max(result["n_rows"], 1)
    facts = {
        "Rows": f"{result['n_rows']:,} in {result['n_classes']} classes",
        "Model": result["model"],
    }
    if "estimated_errors" in result:
        low, high = result["estimated_errors_interval"]
        wrong = count(round(result["estimated_errors"]), "wrong label")
        facts["Estimate"] = f"{wrong} ({low:,.0f} to {high:,.0f})"
    for key in ("branch", "commit", "issues", "report"):
        if key in result:
            facts[key.capitalize()] = result[key]
    lines = [
        (p["given"], p["predicted"], f"{p['n_issues']:,}") for p in result["pairs"]
    ]
    print_summary(
        f"{count(result['n_issues'], 'label issue')} in {result['dataset']} "
        f"({share:.1%})",
        facts,
        columns=("given", "predicted", "issues"),
        lines=lines,
        steps=_next_steps(result),
    )


def _next_steps(result):
    """What a person does with it."""
    if result["n_issues"] > _TOO_MANY * result["n_rows"]:
        return [
            "So many may say more about the model than about the labels: train it "
            "longer (--epochs), or try another (--model)."
        ]
    if str(result.get("report", "")).endswith((".html", ".htm")):
        return [
            f"Next: open {result['report']}, decide, and export decisions.csv. Then:",
            f"hubclean apply decisions.csv {result['apply']}",
        ]
    if "report" not in result:
        return ["Next: add --report report.html to look at them and decide."]
    return []


def _apply_arguments(dataset, data, target, labels):
    """What `hubclean apply` needs besides the decisions."""
    path = Path(dataset)
    more = {
        "hub": ["--branch", "reviewed"]
        + (["--labels", labels] if labels != "labels" else []),
        "folder": ["--output", reviewed_folder(dataset)],
        "table": ["--target", target, "--output", f"{path.stem}-reviewed{path.suffix}"],
    }
    return shlex.join([dataset, *more[data.kind]])
