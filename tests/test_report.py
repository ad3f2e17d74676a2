import base64
import hashlib
import json
import re
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hubclean import apply_decisions_to_arrays
from hubclean._labels_version import labels_version
from hubclean.exceptions import (
    DatasetChangedError,
    LabelsError,
    MissingPackageError,
    ParameterError,
    RowsError,
)
from hubclean.report import summarise, write_report
from hubclean.report._thumbnails import thumbnails

LABELS = np.array([0, 0, 1, 1, 2, 2])
ISSUES = pd.DataFrame(
    {
        "is_label_issue": [False, True, False, True, True, False],
        "label_quality": [0.9, 0.3, 0.8, 0.1, 0.2, np.nan],
        "predicted_labels": [0, 1, 1, 0, 0, 2],
    }
)
NAMES = ["cat", "dog", "eel"]


def data_of(path):
    """The JSON inside the page."""
    html = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


def test_summary_tells_what_was_found():
    summary = summarise(
        ISSUES, LABELS, list("abcdef"), class_names=NAMES, provenance={"cv": 5}
    )
    assert summary["n_rows"] == 6
    assert summary["n_issues"] == 3
    assert summary["n_not_judged"] == 1
    assert summary["dataset_version"] == labels_version(LABELS)
    assert [s["row"] for s in summary["suspects"]] == [3, 4, 1]
    assert summary["suspects"][0] == {
        "row": 3,
        "name": None,
        "given": 1,
        "predicted": 0,
        "given_label": 1,
        "predicted_label": 0,
        "label_quality": 0.1,
        "content": "d",
    }
    assert summary["classes"][1] == {
        "label": 1,
        "name": "dog",
        "text": "1",
        "n_rows": 2,
        "n_issues": 1,
    }
    assert {(p["given"], p["predicted"]) for p in summary["pairs"]} == {
        (0, 1),
        (1, 0),
        (2, 0),
    }
    assert sum(summary["quality_histogram"]["suspects"]) == 3
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(np.uint8),
        np.array(list("aabbcc")),
        pd.Series(list("aabbcc"), index=range(10, 16)),
        pd.Series(list("aabbcc"), dtype="category"),
        LABELS.astype(float),
        LABELS > 0,
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_every_kind_are_plain_values(labels, tmp_path):
    predicted = np.roll(np.asarray(labels), 1)
    issues = ISSUES.assign(predicted_labels=predicted)
    summary = summarise(issues, labels)
    texts = {c["text"] for c in summary["classes"]}
    assert texts == {str(label) for label in np.unique(np.asarray(labels)).tolist()}
    for name in ["r.html", "r.json", "r.md"]:
        assert write_report(tmp_path / name, issues, labels).stat().st_size > 500


@pytest.mark.parametrize("labels", [[10, 20, 30], [0.5, 1.0, 2.0], list("abc")])
def test_suspects_and_pairs_tell_labels(labels, tmp_path):
    codes, labels = ISSUES["predicted_labels"], np.array(labels)
    issues = ISSUES.assign(predicted_labels=labels[codes])
    path = write_report(tmp_path / "r.json", issues, labels[LABELS])
    summary = json.loads(path.read_text())
    for suspect in summary["suspects"]:
        row = suspect["row"]
        assert suspect["given_label"] == labels[LABELS[row]]
        assert suspect["predicted_label"] == labels[codes[row]]
    expected = {(labels[a], labels[b]) for a, b in [(0, 1), (1, 0), (2, 0)]}
    pairs = {(p["given_label"], p["predicted_label"]) for p in summary["pairs"]}
    assert pairs == expected


def test_only_the_worst_are_listed():
    summary = summarise(ISSUES, LABELS, max_suspects=2)
    assert [s["row"] for s in summary["suspects"]] == [3, 4]
    assert summary["n_issues"] == 3


class SomeRows:
    """A lazy column that is a part of a dataset."""

    shape, dtype, identity = (6, 4, 4), np.dtype(np.uint8), ("here",)
    row_ids = np.array([100, 101, 105, 106, 107, 109])

    def __len__(self):
        return 6

    def read(self, indices=None):
        return np.stack([np.full((4, 4), i, np.uint8) for i in indices])


def test_rows_of_a_part_of_a_dataset_are_those_of_the_dataset(tmp_path):
    path = write_report(tmp_path / "r.html", ISSUES, LABELS, SomeRows())
    data = data_of(path)
    assert [s["row"] for s in data["suspects"]] == [106, 107, 101]
    first = base64.b64decode(data["pictures"][0].partition(",")[2])
    from io import BytesIO

    from PIL import Image

    assert np.asarray(Image.open(BytesIO(first))).max() == 3


def test_names_that_are_labels_of_other_classes_are_written_as_names():
    stars = ["1", "2", "3"]  # coded 0, 1, 2
    texts = [c["text"] for c in summarise(ISSUES, LABELS, class_names=stars)["classes"]]
    assert texts == stars
    table = pd.DataFrame(
        {
            "row": [0],
            "decision": ["relabel"],
            "new_label": [texts[2]],
            "given_label": [texts[0]],
        }
    )
    _, y = apply_decisions_to_arrays(LABELS, LABELS, table, class_names=stars)
    assert y[0] == 2


def decided(summary, names, labels):
    """Labels after the page's "relabel" of every suspect."""
    texts = [c["text"] for c in summary["classes"]]
    table = pd.DataFrame(
        [
            [s["row"], "relabel", texts[s["predicted"]], texts[s["given"]]]
            for s in summary["suspects"]
        ],
        columns=["row", "decision", "new_label", "given_label"],
    )
    return apply_decisions_to_arrays(labels, labels, table, class_names=names)[1]


@pytest.mark.parametrize(
    "names",
    [
        ["1", "2", "3", "4", "5"],  # only "1", "3" and "5" have rows
        ["a", "b", "c", "d", "2"],
        ["1", "x", "x", "2", "0"],  # by its name a class could not be told
        list("01234"),
        list("abcde"),
    ],
)
def test_classes_without_a_row_may_be_named_as_codes(names):
    labels = 2 * LABELS
    issues = ISSUES.assign(predicted_labels=2 * ISSUES["predicted_labels"])
    summary = summarise(issues, labels, class_names=names)
    after = decided(summary, names, labels)
    expected = np.where(issues["is_label_issue"], issues["predicted_labels"], labels)
    assert after.tolist() == expected.tolist()
    by_label = summarise(issues, labels, class_names=dict(enumerate(names)))
    assert by_label["classes"] == summary["classes"]


def test_decisions_about_other_labels_are_refused():
    table = pd.DataFrame(
        {
            "row": [0],
            "decision": ["prune"],
            "new_label": [""],
            "given_label": ["0"],
            "dataset_version": [labels_version(LABELS)],
        }
    )
    _, y = apply_decisions_to_arrays(LABELS, LABELS, table)
    assert len(y) == 5
    with pytest.raises(DatasetChangedError, match="labels of version 'labels-"):
        apply_decisions_to_arrays(LABELS, np.roll(LABELS, 1), table)
    table["dataset_version"] = "folder-0123456789abcdef"
    with pytest.raises(DatasetChangedError, match="labels of version 'folder-"):
        apply_decisions_to_arrays(LABELS, LABELS, table)


def test_the_policy_allows_the_style_and_script_of_the_page_and_nothing_else(tmp_path):
    path = write_report(tmp_path / "r.html", ISSUES, LABELS)
    html = path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none';")
    for tag in ["style", "script"]:
        text = re.search(f"<{tag}>(.*?)</{tag}>", html, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert re.findall(r'\s(?:src|href)="([^"]*)"', html) == ["#gallery"]
    assert "http" not in html.replace("http-equiv", "")
    assert not re.search(r'style="|\son[a-z]+="|innerHTML', html)


def test_markdown_keeps_text_text(tmp_path):
    names = ["a|b", "<script>x</script>", "[x](http://y) `c` *d*\n# e"]
    path = write_report(tmp_path / "r.md", ISSUES, LABELS, class_names=names)
    text = path.read_text(encoding="utf-8")
    assert "a\\|b" in text and "&lt;script&gt;" in text
    assert "\\[x\\]\\(http://y\\) \\`c\\` \\*d\\* \\# e" in text
    assert "\n# e" not in text
    lines = [line for line in text.splitlines() if line.startswith("| 3 |")]
    assert len(lines) == 1 and "0.1" in lines[0]


def test_json_is_the_summary(tmp_path):
    path = write_report(tmp_path / "r.json", ISSUES, LABELS, class_names=NAMES)
    assert json.loads(path.read_text()) == summarise(ISSUES, LABELS, class_names=NAMES)


def test_format_goes_by_the_name_or_as_asked(tmp_path):
    path = write_report(tmp_path / "r.txt", ISSUES, LABELS, format="markdown")
    assert path.read_text().startswith("# Label review")
    assert "<!doctype" in write_report(tmp_path / "r", ISSUES, LABELS).read_text()
    with pytest.raises(ParameterError, match="end in .html, .htm, .json, .md, .*; got"):
        write_report(tmp_path / "r.pdf", ISSUES, LABELS)
    with pytest.raises(ParameterError, match="'html', 'json' or 'markdown'; got 'pdf'"):
        write_report(tmp_path / "r.html", ISSUES, LABELS, format="pdf")


def test_a_report_that_fails_leaves_the_older_one(tmp_path):
    path = write_report(tmp_path / "r.md", ISSUES, LABELS)
    before = path.read_bytes()
    with pytest.raises(LabelsError, match="row_names"):
        write_report(path, ISSUES, LABELS, row_names=["a"])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.md"]


@pytest.mark.parametrize("side", [28, 300])
def test_pictures_stay_in_their_budget(side):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (60, side, side, 3), dtype=np.uint8)
    for budget in [20_000, 200_000, 4_000_000]:
        pictures = thumbnails(X, np.arange(60), max_bytes=budget)
        assert sum(map(len, pictures)) <= budget
    assert len(pictures) == 60
    kind = "png" if side == 28 else "jpeg"
    assert pictures[0].startswith(f"data:image/{kind};base64,")


def test_few_large_pictures_are_large_enough_to_judge():
    from io import BytesIO

    from PIL import Image

    X = np.zeros((2, 600, 1000, 3), np.uint8)
    pictures = thumbnails(X, np.arange(2), max_bytes=20_000_000)
    shown = Image.open(BytesIO(base64.b64decode(pictures[1].partition(",")[2])))
    assert shown.size == (512, 307)


def test_every_picture_is_there_where_most_are_larger_than_the_sample():
    X = np.random.default_rng(0).integers(0, 255, (300, 90, 90, 3), dtype=np.uint8)
    X[np.linspace(0, 299, 48).astype(int)] = 0
    pictures = thumbnails(X, np.arange(300), max_bytes=600_000)
    assert len(pictures) == 300 and sum(map(len, pictures)) <= 600_000


def test_small_pictures_are_kept_pixel_by_pixel():
    from io import BytesIO

    from PIL import Image

    X = np.random.default_rng(0).integers(0, 255, (3, 28, 28), dtype=np.uint8)
    (picture,) = thumbnails(X.reshape(3, -1), np.array([1]), max_bytes=10_000,
                            image_shape=(28, 28))  # fmt: skip
    shown = Image.open(BytesIO(base64.b64decode(picture.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(shown), X[1])


def test_large_pictures_are_read_a_few_at_a_time():
    class Photos:
        shape, dtype, identity = (200, None, None, 3), np.dtype(np.uint8), ("p",)
        row_ids = np.arange(200)
        most = 0

        def __len__(self):
            return 200

        def read(self, indices=None):
            self.most = max(self.most, len(indices))
            return np.zeros((len(indices), 40, 30, 3), np.uint8)

    X = Photos()
    assert len(thumbnails(X, np.arange(100), max_bytes=10**6)) == 100
    assert X.most <= 16


def test_few_large_pictures_are_in_memory_at_a_time():
    class Photos:
        shape, dtype, identity = (200, None, None, 3), np.dtype(np.uint8), ("p",)
        row_ids = np.arange(200)

        def __len__(self):
            return 200

        def read(self, indices=None):
            return [np.zeros((800, 1000, 3), np.uint8) for _ in indices]

    tracemalloc.start()
    try:
        assert len(thumbnails(Photos(), np.arange(64), max_bytes=10**6)) == 64
        assert tracemalloc.get_traced_memory()[1] < 110_000_000  # 48 of them: 115 MB
    finally:
        tracemalloc.stop()


def test_numbers_are_scaled_alike_in_every_picture():
    from io import BytesIO

    from PIL import Image

    X = np.linspace(-2, 2, 600)[:, None, None] * np.ones((600, 40, 50))
    pictures = thumbnails(X, np.arange(600), max_bytes=10**7)
    greys = [
        np.asarray(Image.open(BytesIO(base64.b64decode(p.partition(",")[2])))).mean()
        for p in pictures[::100]
    ]
    np.testing.assert_allclose(greys, 255 * np.arange(0, 600, 100) / 599, atol=2)


def test_what_is_cut_of_a_row_is_told():
    n = 5000
    labels = np.array(["a", "b"] * (n // 2))
    issues = pd.DataFrame(
        {"is_label_issue": True, "label_quality": 0.1, "predicted_labels": labels[::-1]}
    )
    texts = ["x" * 5000, "short"] * (n // 2)
    contents = [s["content"] for s in summarise(issues, labels, texts)["suspects"]]
    assert contents[:2] == ["x" * 2000 + " … (3,000 more characters)", "short"]
    few = summarise(issues[:10], labels[:10], texts[:10])["suspects"]
    assert few[0]["content"] == "x" * 5000


@pytest.mark.parametrize(("n_columns", "n_shown"), [(60, 60), (260, 201)])
def test_columns_that_are_left_out_are_told(n_columns, n_shown):
    X = pd.DataFrame({f"c{k}": range(6) for k in range(n_columns)}).assign(c1="y" * 999)
    summary = summarise(ISSUES, LABELS, X, max_suspects=2)
    assert len(summary["columns"]) == n_shown
    cells = summary["suspects"][0]["content"]
    assert len(cells) == n_shown and cells[1] == "y" * 999
    assert (cells[-1] == "60 more columns") is (n_columns > 200)


def test_texts_of_other_scripts_take_no_more_than_their_bytes(tmp_path):
    texts = ["\u0645" * 1000 + "\udcff </script>"] * 6
    path = write_report(tmp_path / "r.html", ISSUES, LABELS, texts)
    page = path.read_text(encoding="utf-8")
    assert "\u0645" * 1000 + r"\udcff \u003c/script\u003e" in page


def test_numbers_of_numpy_and_rows_not_judged_can_be_told(tmp_path):
    issues = ISSUES.assign(label_quality=np.nan)
    path = write_report(tmp_path / "r.json", issues, LABELS, threshold=np.float32(0.5))
    assert json.loads(path.read_text())["quality_histogram"]["threshold"] == 0.5
    page = write_report(tmp_path / "r.md", issues, LABELS).read_text()
    assert "| not judged |" in page and "None" not in page


def test_the_index_of_the_table_names_the_rows():
    named = ISSUES.set_axis(list("uvwxyz"))
    assert [s["name"] for s in summarise(named, LABELS)["suspects"]] == ["x", "y", "v"]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackageError, match=r"hubclean\[report\]"):
        write_report(tmp_path / "r.html", ISSUES, LABELS)
    assert write_report(tmp_path / "r.json", ISSUES, LABELS).exists()


def test_many_classes_have_pairs_and_no_matrix(tmp_path):
    labels = np.arange(400) % 200
    issues = pd.DataFrame(
        {
            "is_label_issue": True,
            "label_quality": 0.1,
            "predicted_labels": (labels + 1) % 200,
        }
    )
    path = write_report(tmp_path / "r.html", issues, labels)
    assert data_of(path)["suspects"][0]["row"] == 0
    assert "and 188 more classes" in path.read_text()
    assert "Noise matrix" not in path.read_text()


def test_rows_that_are_not_those_that_were_judged(tmp_path):
    few = np.zeros((len(LABELS) - 1, 2))
    with pytest.raises(RowsError, match=f"`X` must hold the {len(LABELS)} rows"):
        write_report(tmp_path / "r.html", ISSUES, LABELS, few)
    assert not (tmp_path / "r.html").exists()
