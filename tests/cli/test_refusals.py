"""What the command refuses, and how it says so."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubclean import HubLabelCleaner
from hubclean.cli import main
from hubclean.cli._sources import check_table_format
from hubclean.exceptions import MissingPackageError
from tests.cli.conftest import QUICK, decisions_file, run


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


def test_parquet_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"install 'hubclean\[parquet\]'"):
        check_table_format("issues.parquet")
    check_table_format("issues.csv")
