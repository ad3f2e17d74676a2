"""`hubclean find`, from finding to applying, as a process too."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubclean._folder import FolderSource
from hubclean.cli import main
from hubclean.cli._sources import read_table
from tests.cli.conftest import QUICK, decisions_file, run


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


@pytest.mark.parametrize("evidence", ["leave_one_out", "cv,leave_one_out"])
def test_leave_one_out_on_words_and_categories(table, capsys, evidence):
    arguments = ["find", table, "--target", "kind", *QUICK, "--evidence", evidence]
    assert run(*arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["n_issues"] == 2
