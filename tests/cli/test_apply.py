"""`hubclean apply`, and the records of tables."""

import io
import json
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest

from hubclean._folder import FolderSource
from hubclean.cli._records import spans_of_fields, split_records
from tests.cli.conftest import QUICK, decisions_file, run


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
