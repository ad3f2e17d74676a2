import io
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hubclean import HubLabelCleaner
from hubclean._folder import FolderSource
from hubclean._pixels import as_bytes, image_of
from hubclean._rows import is_lazy, row_digests
from hubclean.cli import main
from hubclean.cli._records import spans_of_fields, split_records
from hubclean.cli._sized import SizedColumn
from hubclean.cli._sources import check_table_format, kind_of_dataset, read_table
from hubclean.exceptions import BadRowsError, DatasetError, MissingPackageError

COLOURS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}
QUICK = ["--model", "logistic", "--folds", "3", "--quiet"]


def coloured_images(folder, per_class=12, side=9):
    """A folder of noisy squares of one colour, with two in the wrong class."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            noise = rng.integers(-30, 30, (side, side, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}{i:02}.png")
    os.replace(folder / "red/red03.png", folder / "blue/red03.png")
    os.replace(folder / "green/green05.png", folder / "red/green05.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return coloured_images(tmp_path / "squares")


@pytest.fixture
def table(tmp_path):
    """A CSV of two clear classes, with two wrong labels."""
    rng = np.random.default_rng(0)
    kind = np.array(["ham", "spam"])[np.arange(60) % 2]
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=60) + 6 * (kind == "spam"),
            "host": np.where(kind == "spam", "evil", "good"),
            "text": [f"{k} number {i} of these" for i, k in enumerate(kind)],
            "kind": kind,
        }
    )
    frame.loc[[4, 9], "kind"] = ["spam", "ham"]
    frame.loc[7, ["size", "text"]] = [np.nan, None]
    path = tmp_path / "mail.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def dataset(tmp_path):
    """A Deep Lake dataset of the same squares."""
    deeplake = pytest.importorskip("deeplake")
    source = FolderSource(coloured_images(tmp_path / "for-hub"))
    path = tmp_path / "hub"
    hub = deeplake.create(str(path))
    hub.add_column("images", deeplake.types.Image(sample_compression="png"))
    hub.add_column("labels", deeplake.types.ClassLabel("uint8"))
    hub["labels"].metadata["class_names"] = list(COLOURS)
    codes = np.searchsorted(list(COLOURS), source.y).astype(np.uint8)
    hub.append({"images": source.X.read(), "labels": codes})
    hub.commit("squares")
    return path


def run(*arguments):
    return main([str(a) for a in arguments])


def decisions_file(path, lines, version):
    columns = ["row", "decision", "new_label", "given_label"]
    frame = pd.DataFrame(lines, columns=columns)
    frame.assign(dataset_version=version).to_csv(path, index=False)
    return path


def test_find_in_a_folder_and_apply(folder, tmp_path, capsys):
    report, issues = tmp_path / "r.html", tmp_path / "i.csv"
    options = [*QUICK, "--report", report, "--issues", issues]
    assert run("find", folder, *options) == 0
    out, err = capsys.readouterr()
    assert "2 label issues in" in out and err == ""
    assert "hubclean apply decisions.csv" in out
    found = pd.read_csv(issues)
    flagged = found[found["is_label_issue"]]
    assert set(flagged["name"]) == {"blue/red03.png", "red/green05.png"}
    assert "blue/red03.png" in report.read_text(encoding="utf-8")

    version = FolderSource(folder).version
    rows = flagged.set_index("name")["row"]
    decisions = decisions_file(
        tmp_path / "d.csv",
        [
            [rows["blue/red03.png"], "relabel", "red", "blue"],
            [rows["red/green05.png"], "prune", "", "red"],
        ],
        version,
    )
    reviewed = tmp_path / "reviewed"
    assert run("apply", decisions, folder, "--output", reviewed, "--json") == 0
    assert json.loads(capsys.readouterr().out)["relabel"] == 1
    names = FolderSource(reviewed).names
    assert "red/red03.png" in names and "blue/red03.png" not in names
    assert "red/green05.png" not in names and len(names) == 35
    assert len(FolderSource(folder)) == 36

    os.remove(folder / "red/red00.png")
    assert run("apply", decisions, folder, "--output", tmp_path / "again") == 1
    assert "about version" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_a_relabelled_image_does_not_replace_one_of_the_same_name(folder, tmp_path):
    shutil.copy(folder / "blue/blue00.png", folder / "red/blue00.png")
    source = FolderSource(folder)
    row = source.names.index("red/blue00.png")
    decisions = decisions_file(
        tmp_path / "d.csv", [[row, "relabel", "blue", "red"]], source.version
    )
    assert run("apply", decisions, folder, "-o", tmp_path / "out") == 0
    names = FolderSource(tmp_path / "out").names
    assert {"blue/blue00.png", "blue/blue00-from-red.png"} <= set(names)


def test_images_of_one_name_may_go_to_one_class(folder, tmp_path, capsys):
    for name in ("blue", "red"):
        shutil.copy(folder / name / f"{name}00.png", folder / name / "1.png")
    source = FolderSource(folder)
    rows = [source.names.index(f"{name}/1.png") for name in ("blue", "red")]
    decisions = decisions_file(
        tmp_path / "d.csv",
        [[row, "relabel", "green", source.y[row]] for row in rows],
        source.version,
    )
    assert run("apply", decisions, folder, "-o", tmp_path / "out") == 0
    names = FolderSource(tmp_path / "out").names
    assert len(names) == len(source)
    assert {"green/1.png", "green/1-from-red.png"} <= set(names)
    capsys.readouterr()


@pytest.mark.parametrize("place", [".", "..", "../squares"])
def test_a_copy_is_never_put_among_the_images(
    folder, tmp_path, capsys, monkeypatch, place
):
    """Nor advised to be, whatever the folder is called from where we are."""
    monkeypatch.chdir(folder / "red" if place == ".." else folder)
    report = tmp_path / "r.html"
    assert run("find", place, *QUICK, "--report", report, "--json") == 0
    *_, advised = shlex.split(json.loads(capsys.readouterr().out)["apply"])
    assert "Labels of squares" in report.read_text()
    source = FolderSource(folder)
    decisions = decisions_file(
        tmp_path / "d.csv", [[0, "prune", "", "blue"]], source.version
    )
    assert run("apply", decisions, place, "--output", "inside/of/it") == 2
    assert f"outside {place}: " in (err := capsys.readouterr().err) and advised in err
    assert run("apply", decisions, place, "--output", advised) == 0
    assert len(FolderSource(folder)) == len(source)
    assert len(FolderSource(tmp_path / "squares-reviewed")) == len(source) - 1


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_find_in_a_table_report_and_apply(table, tmp_path, capsys, suffix):
    frame = pd.read_csv(table)
    path = tmp_path / f"mail2{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    target = ["--target", "kind"]
    issues = tmp_path / f"issues{suffix}"
    assert run("find", path, *target, *QUICK, "--issues", issues, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n_rows"], result["n_issues"]) == (60, 2)
    assert {p["given"] for p in result["pairs"]} == {"ham", "spam"}
    low, high = result["estimated_errors_interval"]
    assert low <= result["estimated_errors"] <= high
    assert 0.5 < result["estimated_precision"] <= 1

    report = tmp_path / "later.json"
    assert run("report", path, *target, "--issues", issues, "-o", report) == 0
    suspects = json.loads(report.read_text())["suspects"]
    assert {s["row"] for s in suspects} == {4, 9}
    version = json.loads(report.read_text())["dataset_version"]
    assert version == result["dataset_version"]

    decisions = decisions_file(
        tmp_path / "d.csv",
        [[4, "relabel", "ham", "spam"], [9, "prune", "", "ham"]],
        version,
    )
    corrected = tmp_path / f"corrected{suffix}"
    assert run("apply", decisions, path, *target, "-o", corrected) == 0
    capsys.readouterr()
    after = read_table(corrected)
    expected = frame.drop(index=9)
    expected.loc[4, "kind"] = "ham"
    pd.testing.assert_frame_equal(
        after, expected.reset_index(drop=True), check_dtype=False
    )
    assert run("apply", decisions, corrected, *target, "-o", tmp_path / "no.csv") == 1
    assert "labels of version" in capsys.readouterr().err


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


def test_find_in_a_hub_dataset_report_and_apply(dataset, tmp_path, capsys):
    report = tmp_path / "r.html"
    options = ["--framework", "sklearn", *QUICK, "--branch", "found", "--json"]
    assert run("find", dataset, *options, "--report", report) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n_issues"] == 2 and result["branch"] == "found" and result["commit"]

    later = tmp_path / "later.json"
    assert run("report", dataset, "--branch", "found", "-o", later) == 0
    assert json.loads(later.read_text())["provenance"]["model"] == "LogisticRegression"
    summary = json.loads(later.read_text())
    names = [c["name"] for c in summary["classes"]]
    pairs = {(names[s["given"]], names[s["predicted"]]) for s in summary["suspects"]}
    assert pairs == {("blue", "red"), ("red", "green")}
    assert summary["dataset_version"] == result["dataset_version"]

    lines = [
        [s["row"], "relabel", s["predicted"], s["given"]] for s in summary["suspects"]
    ]
    decisions = decisions_file(tmp_path / "d.csv", lines, summary["dataset_version"])
    capsys.readouterr()
    assert run("apply", decisions, dataset, "--branch", "reviewed") == 0
    assert "Relabel" in capsys.readouterr().out
    from hubclean import hub

    after = np.asarray(hub.open(str(dataset), branch="reviewed").y)
    before = np.asarray(hub.open(str(dataset)).y)
    changed = np.flatnonzero(after != before)
    assert sorted(changed) == sorted(s["row"] for s in summary["suspects"])
    assert after[changed[0]] == lines[[x[0] for x in lines].index(changed[0])][2]


def test_a_branch_in_use_is_refused_before_training(dataset, capsys, monkeypatch):
    options = ["--framework", "sklearn", *QUICK, "--branch", "found"]
    assert run("find", dataset, *options) == 0
    fit = HubLabelCleaner.fit
    monkeypatch.setattr(HubLabelCleaner, "fit", None)
    capsys.readouterr()
    assert run("find", dataset, *options) == 1
    assert "'found' exists" in (err := capsys.readouterr().err) and "--overwrite" in err
    assert run("find", dataset, "--overwrite") == 2
    assert "--branch" in capsys.readouterr().err

    monkeypatch.setattr(HubLabelCleaner, "fit", fit)
    assert run("find", dataset, *options, "--overwrite", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    from hubclean import hub

    assert result["n_issues"] == 2
    assert len(hub.clean_view(str(dataset), branch="found")) == result["n_rows"] - 2


def test_share_of_issues_can_fail_a_script(table, capsys):
    options = ["--target", "kind", *QUICK]
    assert run("find", table, *options, "--fail-over", "0.01") == 3
    assert run("find", table, *options, "--fail-over", "0.5") == 0
    assert "2 label issues" in capsys.readouterr().out


def test_evidence_may_be_of_several_kinds(folder, capsys):
    options = ["--model", "logistic", "--folds", "3", "-q", "--json"]
    options += ["--evidence", "cv,leave_one_out", "--framework", "sklearn"]
    assert run("find", folder, *options) == 0
    assert json.loads(capsys.readouterr().out)["n_issues"] == 2
    assert run("find", folder, "--evidence", "tea leaves", "-q") == 2
    assert "tea leaves" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["find", "no-such-place"], "no-such-place: there is no such file or folder"),
        (["find", "."], "--target"),
        (["find", ".", "--fold", "3"], "No such option: --fold"),
        (["find", ".", "--folds", "1"], "--folds"),
        (["find", ".", "--framework", "jax"], "jax"),
        (["find", ".", "--threshold", "1.5"], "--threshold"),
        (["find", ".", "--target", "nothing"], "got 'nothing'. Columns: size"),
        (["find", ".", "--target", "kind", "--branch", "b"], "for Hub datasets"),
        (["find", ".", "--target", "kind", "--report", "no/r.html"], "no such folder"),
        (["find", ".", "--target", "kind", "--report", "r.txt"], ".html"),
        (["find", ".", "--target", "kind", "--issues", "i.xlsx"], ".parquet"),
        (["find", ".", "--target", "kind", "--issues", "."], "would be lost"),
        (["find", ".", "--target", "kind", "--report", "."], "would be lost"),
        (["report", ".", "--target", "kind", "--issues", ".", "-o", "."], "be lost"),
        (["report", ".", "--target", "kind", "--issues", ".", "-o", "r.x"], ".html"),
        (["find", ".", "--target", "kind", "--model", "no_module:x"], "no_module"),
        (["find", ".", "--target", "kind", "--model", "vgg"], "logistic, forest"),
        (["report", ".", "--target", "kind"], "--issues FILE is needed"),
        (["report", ".", "--issues", "none.csv"], "none.csv"),
        (["apply", "none.csv", "."], "none.csv"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_is_wrong_is_said_on_one_line(table, capsys, arguments, message):
    arguments = [str(table) if a == "." else a for a in arguments]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hubclean: ") and err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("option", ["--issues", "--report"])
def test_a_place_that_cannot_be_written_is_refused_before_training(
    table, tmp_path, capsys, monkeypatch, option
):
    def locked(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(HubLabelCleaner, "fit", None)
    too_long = tmp_path / f"{'x' * 250}.csv"
    options = ["--target", "kind", *QUICK]
    if option == "--issues":
        assert run("find", table, *options, option, too_long) == 2
        assert "a place that can be written" in capsys.readouterr().err
    monkeypatch.setattr(Path, "open", locked)
    suffix = ".csv" if option == "--issues" else ".json"
    assert run("find", table, *options, option, tmp_path / f"o{suffix}") == 2
    err = capsys.readouterr().err
    assert f"{option} must name a place that can be written; " in err
    assert f"o{suffix}: Permission denied." in err and err.count("\n") == 1


def test_labels_without_a_name_are_refused_before_training(dataset, capsys):
    import deeplake

    hub = deeplake.open(str(dataset))
    hub["labels"].metadata["class_names"] = ["blue", "green"]
    hub.commit("one name less")
    assert run("find", dataset, "--branch", "li") == 1
    assert "must be 0 to 1; got 0 to 2. Name every class" in capsys.readouterr().err


def test_the_data_are_never_written_over(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = table.read_bytes()
    options = ["find", table.name, "--target", "kind", *QUICK]
    assert main([*options, "--issues", f"../{tmp_path.name}/{table.name}"]) == 2
    assert main([*options, "--issues", "i.csv", "--report", "./i.csv"]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert table.read_bytes() == before and not (tmp_path / "i.csv").exists()


def test_a_report_that_cannot_be_written_is_refused(table, monkeypatch, capsys):
    """JSON needs no Jinja2."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    options = ["--target", "kind", *QUICK, "--report"]
    assert run("find", table, *options, table.with_name("r.html")) == 1
    assert "--report needs the package 'jinja2'" in capsys.readouterr().err
    assert run("find", table, *options, table.with_name("r.json")) == 0
    assert table.with_name("r.json").exists()


def test_lists_in_a_column_are_told(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"kind": ["a", "b"] * 10, "vector": [[1.0, 2.0]] * 20})
    frame.to_parquet(tmp_path / "t.parquet")
    assert run("find", tmp_path / "t.parquet", "--target", "kind") == 1
    assert "'vector' holds lists, arrays or records, in row 0" in (
        err := capsys.readouterr().err
    )
    assert err.count("\n") == 1
    frame[["kind"]].to_csv(tmp_path / "t.csv", index=False)
    assert run("find", tmp_path / "t.csv", "--target", "kind") == 1
    assert "a column besides the labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([{"a": 1}] * 20, "holds lists, arrays or records, in row 0"),
        ([1.0, np.inf] * 10, "holds infinite numbers, in row 1 for example"),
    ],
)
def test_cells_that_no_model_can_learn_from(tmp_path, capsys, column, message):
    frame = pd.DataFrame({"kind": ["a", "b"] * 10, "x": column})
    frame.to_parquet(tmp_path / "t.parquet")
    assert run("find", tmp_path / "t.parquet", "--target", "kind", *QUICK) == 1
    assert message in (err := capsys.readouterr().err) and err.count("\n") == 1


@pytest.mark.parametrize(
    "column",
    [
        pd.to_timedelta([1, None] * 20, "s"),
        pd.array(["u", None] * 20, dtype="string"),
        pd.to_datetime(["2020-01-01", None] * 20),
    ],
)
def test_columns_that_parquet_may_hold(tmp_path, capsys, column):
    kinds = np.array(["a", "b"] * 20)
    frame = pd.DataFrame({"kind": kinds, "x": column, "y": 9.0 * (kinds == "a")})
    frame.to_parquet(tmp_path / "t.parquet")
    assert run("find", tmp_path / "t.parquet", "--target", "kind", *QUICK) == 0
    assert "0 label issues" in capsys.readouterr().out


def test_data_that_cannot_be_used_exits_with_one(tmp_path, table, capsys):
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert run("find", empty, "--target", "kind") == 1
    assert "cannot be read as a table" in capsys.readouterr().err
    holes = tmp_path / "holes.csv"
    holes.write_text("a,kind\n1,x\n2,\n3,y\n4,x\n")
    assert run("find", holes, "--target", "kind", *QUICK) == 1
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "x.txt").write_text("x")
    assert run("find", tmp_path / "x.txt") == 1
    assert ".csv, .tsv or .parquet" in capsys.readouterr().err
    existing = ["--target", "kind", "--output", table]
    decisions = decisions_file(tmp_path / "d.csv", [[0, "keep", "", "ham"]], "")
    assert run("apply", decisions, table, *existing) == 2
    assert "is there already" in capsys.readouterr().err
    assert run("apply", decisions, table, "--target", "kind") == 2
    assert "--output is needed" in capsys.readouterr().err
    wrong = decisions_file(tmp_path / "w.csv", [[0, "burn", "", "ham"]], "")
    assert run("apply", wrong, table, "--target", "kind", "-o", tmp_path / "o.csv") != 0
    assert "'burn'" in capsys.readouterr().err


@pytest.mark.parametrize("cache", [False, True])
def test_ctrl_c_says_how_to_go_on(table, capsys, monkeypatch, cache):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hubclean.cli._find.open_data", stop)
    more = ["--cache", "somewhere"] if cache else []
    assert run("find", table, "--target", "kind", *more) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert ("same command again to go on" if cache else "with --cache DIR") in err


def test_ctrl_c_says_what_was_written(dataset, tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hubclean.cli._find.write_data_report", stop)
    issues, report = tmp_path / "i.csv", tmp_path / "r.html"
    options = [*QUICK, "--framework", "sklearn", "--branch", "li"]
    options += ["--issues", issues, "--report", report]
    assert run("find", dataset, *options) == 130
    err = capsys.readouterr().err
    written = f"written: the branch 'li', {issues}; not finished: {report}."
    assert err.startswith(f"hubclean: Stopped; {written}")
    assert "Run the same command with --overwrite" in err

    monkeypatch.setattr("hubclean.cli._apply.read_decisions", stop)
    decisions = decisions_file(tmp_path / "d.csv", [[0, "keep", "", ""]], "")
    assert run("apply", decisions, dataset) == 130
    assert "nothing was written. Run the same command" in (
        err := capsys.readouterr().err
    )
    assert "--cache" not in err
    monkeypatch.setattr("hubclean._demo.run_demo", stop)
    assert run("demo") == 130
    assert "nothing was written" not in capsys.readouterr().err


def test_a_stopped_run_goes_on_from_the_cache(table, tmp_path, capsys, monkeypatch):
    """Ctrl-C in the second fold: the first is not trained again."""
    (tmp_path / "stopping.py").write_text(
        "import os\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "class Model(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        with open(os.environ['FITS'], 'a') as fits:\n"
        "            fits.write('x')\n"
        "        done = os.path.getsize(os.environ['FITS'])\n"
        "        if done == int(os.environ['STOP_AT']):\n"
        "            raise KeyboardInterrupt\n"
        "        return super().fit(X, y)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fits = tmp_path / "fits"
    monkeypatch.setenv("FITS", str(fits))
    monkeypatch.setenv("STOP_AT", "2")
    options = ["--target", "kind", "--model", "stopping:Model", "--folds", "4", "-q"]
    options += ["--framework", "sklearn", "--cache", tmp_path / "cache", "--json"]
    assert run("find", table, *options) == 130
    assert "same command again to go on" in capsys.readouterr().err
    monkeypatch.setenv("STOP_AT", "0")
    assert run("find", table, *options) == 0
    # Two before the stop, three folds that were left, and the final training.
    assert fits.stat().st_size == 2 + 3 + 1
    assert json.loads(capsys.readouterr().out)["n_issues"] == 2


@pytest.mark.parametrize("command", ["find", "report", "apply", "demo"])
def test_help_has_an_example(capsys, command):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "For example:" in out and out.count(f"hubclean {command}") >= 2


def test_names_cannot_command_the_terminal(tmp_path, capsys):
    frame = pd.DataFrame({"x": np.repeat([0.0, 9.0], 20), "kind": "plain"})
    frame.loc[20:, "kind"] = "[bold]\x1b[2J"
    frame.loc[3, "kind"] = "[bold]\x1b[2J"
    path = tmp_path / "hostile.csv"
    frame.to_csv(path, index=False)
    assert run("find", path, "--target", "kind", *QUICK) == 0
    out = capsys.readouterr().out
    assert "[bold]?[2J" in out and "\x1b[2J" not in out


def test_a_model_of_your_own(table, tmp_path, capsys, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "from sklearn.naive_bayes import GaussianNB\n"
        "from sklearn.neighbors import KNeighborsClassifier\n"
        "def build():\n    return KNeighborsClassifier(3)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for spec in ["my_models:GaussianNB", "my_models:build"]:
        options = ["--model", spec, "--framework", "sklearn", "--folds", "3", "-q"]
        assert run("find", table, "--target", "kind", *options) == 0
        assert "label issues" in capsys.readouterr().out
    options = ["--model", "my_models:missing", "--framework", "sklearn"]
    assert run("find", table, "--target", "kind", *options) == 2
    assert "my_models:missing" in capsys.readouterr().err


def test_a_model_that_cannot_judge_is_doubted(table, capsys):
    frame = pd.read_csv(table)
    frame["kind"] = np.random.default_rng(0).permutation(frame["kind"])
    frame.to_csv(table, index=False)
    options = ["--target", "kind", *QUICK, "--filter-by", "predicted_neq_given"]
    assert run("find", table, *options) == 0
    assert "more about the model than about the labels" in capsys.readouterr().out


def test_a_network_of_your_own(folder, tmp_path, capsys, monkeypatch):
    pytest.importorskip("skorch")
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(243, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ["--model", "my_nets:Net", "--framework", "torch", "--epochs", "1"]
    assert run("find", folder, *options, "--folds", "2", "--json", "-q") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "TorchClassifier"


def test_as_a_process_results_go_to_stdout_and_progress_to_stderr(table):
    done = subprocess.run(
        [sys.executable, "-m", "hubclean", "find", str(table), "--target", "kind",
         "--model", "logistic", "--folds", "3", "--json"],
        capture_output=True, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_issues"] == 2
    assert "%" in done.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_may_be_closed(table, monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, stream, None)
    assert run("find", table, "--target", "kind", *QUICK[:-1]) == 0
    getattr(sys, stream).close()
    out, err = capsys.readouterr()
    assert ("label issues" in out) is (stream == "stderr")
    assert ("it/s" in err or "%" in err) is (stream == "stdout")


def test_a_terminal_without_utf_8(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": np.repeat([0.0, 9.0], 20), "kind": "ol\xe9"})
    frame.loc[20:, "kind"] = "th\xe9"
    frame.loc[3, "kind"] = "th\xe9"
    frame.to_csv(tmp_path / "t.csv", index=False)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert run("find", tmp_path / "t.csv", "--target", "kind", *QUICK) == 0
    assert b"th\\xe9" in shown.getvalue()


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hubclean 0.")
    assert main([]) == 2
    assert "find" in capsys.readouterr().out


def test_demo_runs_the_demo(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("hubclean._demo.run_demo", seen.append)
    assert run("demo", "--output", tmp_path / "d") == 0
    assert seen == [str(tmp_path / "d")]


@pytest.mark.parametrize("theirs", ["digits/zero/only_copy.txt", "worst_images.png"])
def test_demo_deletes_nothing_that_it_did_not_write(tmp_path, capsys, theirs):
    pytest.importorskip("deeplake")
    pytest.importorskip("skorch")
    (tmp_path / theirs).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / theirs).write_text("precious")
    assert run("demo", "--output", tmp_path) == 1
    err = capsys.readouterr().err
    assert "there is something else already" in err and err.count("\n") == 1
    assert (tmp_path / theirs).read_text() == "precious"


def test_demo_replaces_what_it_wrote_itself(tmp_path, monkeypatch):
    pytest.importorskip("deeplake")
    pytest.importorskip("skorch")
    from hubclean import _demo, datasets

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "_plant_errors", stop)
    monkeypatch.setattr(datasets, "write_digits", write_digits := SpyOnDigits())
    for _ in range(2):
        assert run("demo", "--output", tmp_path) == 130
    assert write_digits.found == [False, False]


class SpyOnDigits:
    """Stands for `write_digits`, and tells whether something was there."""

    def __init__(self):
        self.found = []

    def __call__(self, path):
        self.found.append(path.exists())
        path.mkdir(parents=True)
        return str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text(folder, tmp_path, capsys):
    name = os.fsdecode(b"\xff\xfe.png")
    os.replace(folder / "blue/blue00.png", folder / "blue" / name)
    issues = tmp_path / "i.csv"
    assert run("find", folder, *QUICK, "--issues", issues) == 0
    assert "blue/\\udcff\\udcfe.png" in set(pd.read_csv(issues)["name"])
    capsys.readouterr()
    os.replace(folder / "red", folder / os.fsdecode(b"\xff"))
    assert run("find", folder, *QUICK, "--issues", issues) == 1
    assert "must be text in UTF-8; got \\udcff." in capsys.readouterr().err


def test_an_image_beside_a_hub_dataset_is_no_folder_of_images(dataset, folder):
    shutil.copy(folder / "red/red00.png", dataset)
    assert kind_of_dataset(str(dataset)) == "hub"


def test_images_of_a_hub_dataset_may_differ_in_size(dataset, capsys):
    import deeplake

    hub = deeplake.open(str(dataset))
    pixels = [np.full((9 + i % 2, 9, 3), i, np.uint8) for i in range(6)]
    hub.append({"images": pixels, "labels": np.arange(6, dtype=np.uint8) % 3})
    hub.commit("other sizes")
    assert run("find", dataset, *QUICK, "--framework", "sklearn", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_rows"] == 42
    assert "The images differ: they are fitted into 96 x 96 pixels." in err
    options = ["--framework", "sklearn", "--size", "8", "--json"]
    assert run("find", dataset, *QUICK, *options) == 0
    assert capsys.readouterr().err == ""


def test_a_column_of_one_size(folder):
    Image.new("L", (5, 20), 255).save(folder / "red/tall.png")
    X = FolderSource(folder).X
    row = FolderSource(folder).names.index("red/tall.png")
    sized = SizedColumn(X, 16)
    assert is_lazy(sized) and sized.shape == (37, 16, 16, 3) and sized.ndim == 4
    expected = FolderSource(folder, size=16).X.read()
    np.testing.assert_array_equal(np.asarray(sized), expected)
    np.testing.assert_array_equal(sized[np.array([row, 0])].read([0])[0], sized[row])
    assert sized.read(np.array([], int)).shape == (0, 16, 16, 3)
    again = pickle.loads(pickle.dumps(sized[3:5]))
    np.testing.assert_array_equal(again.row_ids, [3, 4])
    assert again.identity != X.identity and again.dtype == np.uint8
    with pytest.raises(DatasetError, match=r"differ in size.*--size 96"):
        SizedColumn(X, None).read()
    assert SizedColumn(X, None)[:4].read().shape == (4, 9, 9, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
def test_images_of_arrays(dtype, channels):
    white = 1 if dtype is bool else np.iinfo(dtype).max
    pixels = np.full((2, 3, *channels), white, dtype)
    image = as_bytes(image_of(pixels), grey=True)
    assert image.size == (3, 2) and image.getextrema() == (255, 255)
    with pytest.raises(DatasetError, match=r"got float32 of shape \(2, 3"):
        image_of(pixels.astype(np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["find", "FOLDER", "--target", "x"], "--target is for tables; FOLDER is"),
        (["find", "FOLDER", "--images", "x"], "--images is for Hub datasets"),
        (["find", "TABLE", "--target", "kind", "--labels", "x"], "for Hub datasets"),
        (["find", "TABLE", "--target", "kind", "--size", "9"], "--size is for images"),
        (["find", "HUB", "--target", "x"], "--target is for tables"),
        (["report", "FOLDER", "--target", "x"], "--target is for tables"),
        (["apply", "D", "FOLDER", "--target", "x", "-o", "o"], "for tables"),
        (["apply", "D", "TABLE", "--branch", "x", "-o", "o.csv"], "for Hub datasets"),
        (["apply", "D", "FOLDER", "--labels", "x", "-o", "o"], "for Hub datasets"),
        (["apply", "D", "HUB", "-o", "o"], "--output is for a folder or a table"),
    ],
)
def test_options_for_other_data_are_refused(
    dataset, folder, table, tmp_path, capsys, arguments, message
):
    decisions = decisions_file(tmp_path / "d.csv", [[0, "keep", "", ""]], "")
    places = {"HUB": dataset, "FOLDER": folder, "TABLE": table, "D": decisions}
    assert run(*(places.get(a, a) for a in arguments)) == 2
    assert message.replace("FOLDER", str(folder)) in capsys.readouterr().err


class TestFolder:
    def test_it_is_a_lazy_column(self, folder):
        X = FolderSource(folder).X
        assert is_lazy(X) and X.shape == (36, 9, 9, 3) and X.ndim == 4
        part = X[np.array([30, 2])]
        np.testing.assert_array_equal(part.read(), X.read([30, 2]))
        np.testing.assert_array_equal(part[[1]].row_ids, [2])
        np.testing.assert_array_equal(X[X.row_ids > 33, ...].row_ids, [34, 35])
        assert (row_digests(part) == row_digests(X)[[30, 2]]).all()
        assert np.asarray(X).shape == X.shape

    def test_an_image_written_again_is_another(self, folder):
        first = FolderSource(folder)
        file = folder / first.names[0]
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1000))
        again = FolderSource(folder)
        assert again.version == first.version  # decisions still hold
        assert again.X.identity != first.X.identity

    def test_images_of_many_sizes_fit_into_one(self, folder):
        Image.new("L", (5, 20), 255).save(folder / "red/tall.png")
        source = FolderSource(folder)
        assert source.X.shape == (37, None, None, 3)
        row = source.names.index("red/tall.png")
        assert source.X.read([row, 0])[0].shape == (20, 5, 3)
        fitted = FolderSource(folder, size=16).X.read([row])[0]
        assert fitted.shape == (16, 16, 3)
        assert fitted[:, 0].max() == 0 and fitted[8, 8].min() == 255

    def test_grey_images_have_no_channels(self, tmp_path):
        for name in "ab":
            (tmp_path / name).mkdir()
            Image.new("L", (4, 3)).save(tmp_path / name / "x.png")
        assert FolderSource(tmp_path).X.read().shape == (2, 3, 4)

    def test_pixels_of_sixteen_bits_are_scaled(self, tmp_path):
        for name in "ab":
            (tmp_path / name).mkdir()
            pixels = np.array([[0, 12850], [32896, 65535]], dtype=np.uint16)
            Image.fromarray(pixels).save(tmp_path / name / "x.png")
        X = FolderSource(tmp_path).X
        assert X.shape == (2, 2, 2)
        np.testing.assert_array_equal(X.read([0])[0], [[0, 50], [128, 255]])
        Image.fromarray(pixels.astype(">u2")).save(tmp_path / "a" / "x.tif")
        Image.new("RGB", (2, 2)).save(tmp_path / "b" / "x.tif")
        again = FolderSource(tmp_path).X.read([0, 1])
        assert (again[0] == again[1]).all() and again[0, 1, 0].tolist() == [128] * 3

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_what_is_transparent_is_white(self, tmp_path, mode):
        """The drawing is black on nothing, which is black as well."""
        drawing = Image.new("L", (2, 1), 0).convert(mode)
        if mode == "P":
            drawing.putdata([0, 1])
            drawing.putpalette([0] * 6)
        else:
            drawing.putalpha(Image.fromarray(np.array([[0, 255]], np.uint8)))
        for name in "ab":
            (tmp_path / name).mkdir()
            clear = {"transparency": 0} if mode == "P" else {}
            drawing.save(tmp_path / name / "x.png", **clear)
        read = FolderSource(tmp_path).X.read([0])[0].reshape(2, -1)
        assert (read[0] == 255).all() and (read[1] == 0).all()

    @pytest.mark.parametrize("kind", [np.float32, np.int32])
    def test_pixels_of_no_known_range_are_refused(self, folder, kind):
        Image.fromarray(np.ones((9, 9), kind)).save(folder / "red/depth.tiff")
        with pytest.raises(BadRowsError, match=r"red/depth\.tiff \(pixels of no "):
            FolderSource(folder)

    def test_images_that_are_too_large_are_named(self, folder, monkeypatch):
        source = FolderSource(folder)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
        for call in (lambda: FolderSource(folder), source.X.read):
            with pytest.raises(BadRowsError, match="more pixels than Pillow opens"):
                call()

    def test_files_that_are_no_images_are_named(self, folder):
        (folder / "red/broken.png").write_bytes(b"no image")
        with pytest.raises(BadRowsError, match=r"red/broken\.png") as caught:
            FolderSource(folder)
        assert len(caught.value.rows) == 1

    def test_images_that_break_off_are_named(self, folder):
        source = FolderSource(folder)
        path = folder / "red/red00.png"
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(BadRowsError, match=r"red/red00\.png"):
            source.X.read()

    def test_version_follows_the_files(self, folder):
        before = FolderSource(folder).version
        assert FolderSource(folder).version == before
        os.replace(folder / "red/red00.png", folder / "blue/red00.png")
        assert FolderSource(folder).version != before

    def test_a_class_that_may_not_be_read_is_not_left_out(self, folder, monkeypatch):
        list_folder = os.scandir

        def locked(path):
            if Path(path) == folder / "red":
                raise PermissionError(13, "Permission denied", str(path))
            return list_folder(path)

        monkeypatch.setattr(os, "scandir", locked)
        with pytest.raises(DatasetError, match="red: Permission denied. Allow"):
            FolderSource(folder)

    def test_a_folder_without_classes_is_refused(self, tmp_path):
        with pytest.raises(DatasetError, match="one folder for each class"):
            FolderSource(tmp_path)
        with pytest.raises(DatasetError, match="no such folder"):
            FolderSource(tmp_path / "none")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeffx,kind\r\n1,a\r\n2,b\r\n", "\ufeffx,kind\r\n1,b\r\n2,b\r\n"),
        ('"x","kind"\n"1","a"\n2,"b"', '"x","kind"\n"1","b"\n2,"b"'),
        ('x,kind\n5" ,a\n\n"c\r,""",b\n', 'x,kind\n5" ,b\n"c\r,""",b\n'),
        ("x,kind,y,z\n1,a,\n2,b\n", "x,kind,y,z\n1,b,\n2,b\n"),
    ],
    ids=["mark-and-ends", "quotes", "odd-quotes", "short-rows"],
)
def test_apply_keeps_every_byte_that_is_not_decided(tmp_path, capsys, before, after):
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_bytes(before.encode())
    decisions = decisions_file(tmp_path / "d.csv", [[0, "relabel", "b", "a"]], "")
    assert run("apply", decisions, path, "--target", "kind", "-o", out) == 0
    assert out.read_bytes().decode() == after
    capsys.readouterr()


def unquoted(field):
    """Value of a field of a CSV file."""
    quoted = re.fullmatch('"((?:[^"]|"")*)"(.*)', field, re.DOTALL)
    return field if quoted is None else quoted[1].replace('""', '"') + quoted[2]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_records_are_those_that_pandas_reads(separator):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(600):
        parts = ["a", "b", " ", '"', "\n", "\r\n", separator]
        text = "".join(rng.choice(parts, rng.integers(2, 12)))
        data = f"h{separator * 9}\n{text}\n".encode()
        try:
            cells = pd.read_csv(
                io.BytesIO(data),
                sep=separator,
                header=None,
                dtype=str,
                keep_default_na=False,
            )
        except pd.errors.ParserError:
            continue
        records = split_records(data, separator.encode())
        assert len(records) == len(cells), data
        for record, row in zip(records, cells.fillna("").to_numpy(), strict=True):
            spans = spans_of_fields(record, separator.encode())
            fields = [unquoted(record[a:b].decode()) for a, b in spans]
            assert fields + [""] * (10 - len(fields)) == row.tolist(), data
        compared += 1
    assert compared > 400


def test_apply_leaves_what_is_not_decided_as_it_is_written(tmp_path, capsys):
    path, out = tmp_path / "towns.csv", tmp_path / "out.csv"
    path.write_text(
        "zip,country,n,kind,x,x\n"
        "00501,NA,1,001,x,true\n"
        "02134,US,,002,y,TRUE\n"
        '10001,"U, S",3,001,z,\n'
        "20002,,4.0,002,w,no\n"
    )
    decisions = tmp_path / "d.csv"
    decisions.write_text(
        "row,decision,new_label,given_label\n2,relabel,2,1\n1,prune,,2\n0,keep,,1\n"
    )
    assert run("apply", decisions, path, "--target", "kind", "-o", out) == 0
    assert out.read_text() == (
        "zip,country,n,kind,x,x\n"
        "00501,NA,1,001,x,true\n"
        '10001,"U, S",3,002,z,\n'
        "20002,,4.0,002,w,no\n"
    )
    capsys.readouterr()


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_labels_that_are_dates(table, tmp_path, capsys, zone):
    frame = pd.read_csv(table)
    days = frame["kind"].map({"ham": "2020-01-01", "spam": "2021-01-01"})
    frame["kind"] = pd.to_datetime(days).dt.tz_localize(zone)
    path, issues = tmp_path / "t.parquet", tmp_path / "i.csv"
    report, out = tmp_path / "r.json", tmp_path / "out.parquet"
    frame.to_parquet(path)
    options = [path, "--target", "kind", "--issues", issues]
    assert run("find", *options, *QUICK, "--report", report) == 0
    result = json.loads(report.read_text())
    lines = [
        [suspect["row"], "relabel"]
        + [result["classes"][suspect[key]]["text"] for key in ("predicted", "given")]
        for suspect in result["suspects"]
    ]
    assert [line[0] for line in lines] in ([4, 9], [9, 4])
    assert run("report", *options, "-o", tmp_path / "again.json") == 0
    decisions = decisions_file(tmp_path / "d.csv", lines, result["dataset_version"])
    assert run("apply", decisions, path, "--target", "kind", "-o", out) == 0
    frame.loc[[4, 9], "kind"] = frame["kind"].iloc[[2, 3]].tolist()
    pd.testing.assert_frame_equal(pd.read_parquet(out), frame, check_dtype=False)
    capsys.readouterr()


def test_apply_keeps_the_index_of_a_parquet_file(tmp_path, capsys):
    index = pd.Index(["a", "b", "c"], name="key")
    frame = pd.DataFrame({"x": [1, None, 3], "kind": ["u", "v", "u"]}, index=index)
    frame.to_parquet(tmp_path / "t.parquet")
    decisions = tmp_path / "d.csv"
    decisions.write_text("row,decision,new_label\n0,relabel,v\n1,prune,\n")
    out = tmp_path / "out.parquet"
    target = ["--target", "kind"]
    assert run("apply", decisions, tmp_path / "t.parquet", *target, "-o", out) == 0
    expected = frame.iloc[[0, 2]].assign(kind=["v", "u"])
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,kind\n1,a\n2,NA\n3,b\n", "1 have none, the first is row 1.* texts NA"),
        ("x,kind\n1,a,9\n2,b,9\n", "more fields than the header"),
        ("x,kind\n1,a\n2,b,9\n", "cannot be read as a table"),
        ("x,kind\n", "expected rows below the header; got none"),
    ],
)
def test_tables_that_would_be_misread(tmp_path, capsys, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert run("find", path, "--target", "kind", *QUICK) == 1
    assert re.search(message, capsys.readouterr().err)


def test_apply_where_a_label_is_missing(tmp_path, capsys):
    path, out = tmp_path / "t.csv", tmp_path / "out.csv"
    path.write_text("x,kind\n1,a\n2,b\n3,\n")
    decisions = tmp_path / "d.csv"
    decisions.write_text("row,decision,new_label\n0,relabel,b\n")
    assert run("apply", decisions, path, "--target", "kind", "-o", out) == 0
    assert out.read_text() == "x,kind\n1,b\n2,b\n3,\n"
    decisions.write_text("row,decision\n1e30,prune\n")
    arguments = ["apply", decisions, path, "--target", "kind", "-o", tmp_path / "2.csv"]
    assert run(*arguments) == 2
    assert "positions 0, 1, 2" in capsys.readouterr().err


def test_a_column_that_is_not_learned_from(table, tmp_path, capsys):
    frame = pd.read_csv(table)
    frame["id"] = np.where(frame["kind"] == "spam", 1.0, 0.0)  # tells the given label
    frame.to_csv(table, index=False)
    target = ["--target", "kind"]
    found = []
    for drop in (["--drop", "size", "--drop", "text"], ["--drop", "id"]):
        report = tmp_path / "r.json"
        arguments = ["find", table, *target, *QUICK, *drop, "--report", report]
        assert run(*arguments, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["n_issues"])
        assert "size" in report.read_text()
    assert found == [0, 2]
    assert run("find", table, *target, "--drop", "nothing") == 2
    assert "got 'nothing'" in capsys.readouterr().err
    assert run("find", tmp_path, "--drop", "id") == 2
    assert "--drop is for tables" in capsys.readouterr().err


def test_a_column_of_a_large_file_has_one_type(tmp_path):
    """Not that of the part which is read first."""
    path = tmp_path / "large.csv"
    path.write_text("kind\n" + "0\n1\n" * 300_000 + "x\n")
    assert set(read_table(path)["kind"]) == {"0", "1", "x"}


def test_images_without_classes_are_told(folder, capsys):
    assert run("find", folder / "red") == 1
    err = capsys.readouterr().err
    assert "got images in the folder itself, " in err and err.count("\n") == 1
    pytest.importorskip("deeplake")
    (folder / "red" / "empty").mkdir()
    assert run("find", folder / "red" / "empty") == 1
    assert "one folder for each class" in capsys.readouterr().err


@pytest.mark.parametrize("evidence", ["leave_one_out", "cv,leave_one_out"])
def test_leave_one_out_on_words_and_categories(table, capsys, evidence):
    arguments = ["find", table, "--target", "kind", *QUICK, "--evidence", evidence]
    assert run(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_issues"] == 2


def test_parquet_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"install 'hubclean\[parquet\]'"):
        check_table_format("issues.parquet")
    check_table_format("issues.csv")
