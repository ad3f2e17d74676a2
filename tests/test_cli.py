import json
import os
import re
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
from hubclean._rows import is_lazy, row_digests
from hubclean.cli import main
from hubclean.cli._sources import check_table_format
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
    from hubclean.cli._sources import read_table

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
    assert "'vector' holds lists" in (err := capsys.readouterr().err)
    assert err.count("\n") == 1
    frame[["kind"]].to_csv(tmp_path / "t.csv", index=False)
    assert run("find", tmp_path / "t.csv", "--target", "kind") == 1
    assert "a column besides the labels" in capsys.readouterr().err


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

    def test_a_folder_without_classes_is_refused(self, tmp_path):
        with pytest.raises(DatasetError, match="one folder for each class"):
            FolderSource(tmp_path)
        with pytest.raises(DatasetError, match="no such folder"):
            FolderSource(tmp_path / "none")


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
