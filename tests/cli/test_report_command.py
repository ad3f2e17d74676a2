"""`hubclean report`."""

import json
import os
import sys

import pandas as pd
import pytest

from tests.cli.conftest import COLOURS, QUICK, run


@pytest.mark.parametrize(
    "names",
    [("001", "002", "010"), ("NA", "None", "1.10"), ("true", "false", "1e3")],
    ids=" ".join,
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_labels_in_a_file_of_issues_are_texts(folder, tmp_path, names, suffix):
    for colour, name in zip(COLOURS, names, strict=True):
        os.rename(folder / colour, folder / name)
    issues, report = tmp_path / f"issues{suffix}", tmp_path / "r.json"
    assert run("find", folder, *QUICK, "--issues", issues) == 0
    assert run("report", folder, "--issues", issues, "-o", report) == 0
    summary = json.loads(report.read_text())
    assert [c["label"] for c in summary["classes"]] == sorted(names)
    assert len(summary["suspects"]) == 2


def test_a_file_of_other_issues_is_refused(table, tmp_path, capsys):
    issues = tmp_path / "issues.csv"
    assert run("find", table, "--target", "kind", *QUICK, "--issues", issues) == 0
    frame = pd.read_csv(issues)
    options = ["report", table, "--target", "kind", "-o", tmp_path / "r.md"]
    capsys.readouterr()
    frame.assign(predicted_labels="eggs").to_csv(issues, index=False)
    assert run(*options, "--issues", issues) == 1
    assert "`predicted_labels` must hold labels of" in capsys.readouterr().err
    frame["given_label"] = frame["given_label"].to_numpy()[::-1]
    frame.to_csv(issues, index=False)
    assert run(*options, "--issues", issues) == 1
    assert "not those of the dataset" in capsys.readouterr().err
    assert run(*options, "--issues", issues.rename(tmp_path / "issues.txt")) == 2
    assert "ends in .csv" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["append", "delete", "relabel"])
def test_a_report_of_a_branch_shows_what_was_judged(dataset, tmp_path, capsys, change):
    import deeplake

    first, later = tmp_path / "first.json", tmp_path / "later.json"
    opened = deeplake.open(str(dataset))
    opened.add_column("other", deeplake.types.ClassLabel("uint8"), default_value=0)
    opened["other"].metadata["class_names"] = list(COLOURS)
    opened["other"][:] = opened["labels"][:]
    opened["labels"][:] = (opened["labels"][:] + 1) % 3
    opened.commit("the labels to judge are the others")
    options = [*QUICK, "--labels", "other", "--branch", "found", "--report", first]
    assert run("find", dataset, "--framework", "sklearn", *options) == 0
    opened = deeplake.open(str(dataset))
    if change == "append":
        opened.append({n: opened[n][:3] for n in ("images", "labels", "other")})
    elif change == "delete":
        for _ in range(3):
            opened.delete(0)
    else:
        opened["other"][:] = (opened["other"][:] + 1) % 3
    opened.commit(change)

    assert run("report", dataset, "--branch", "found", "-o", later) == 0
    a, b = (json.loads(path.read_text()) for path in (first, later))
    for key in ("suspects", "classes", "pairs", "dataset_version", "n_rows"):
        assert a[key] == b[key]
    capsys.readouterr()
    options = ["--branch", "found", "-o", later, "--labels", "labels"]
    assert run("report", dataset, *options) == 1
    assert "about the labels 'other'; got 'labels'" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_refused(table, monkeypatch, capsys):
    """JSON needs no Jinja2."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    options = ["--target", "kind", *QUICK, "--report"]
    assert run("find", table, *options, table.with_name("r.html")) == 1
    assert "--report needs the package 'jinja2'" in capsys.readouterr().err
    assert run("find", table, *options, table.with_name("r.json")) == 0
    assert table.with_name("r.json").exists()
