import numpy as np
import pandas as pd
import pytest

import hubclean
from hubclean import hub
from hubclean._labels_version import labels_version
from hubclean.exceptions import (
    DatasetChangedError,
    DatasetError,
    LabelsError,
    ParameterError,
    ValidationError,
)
from tests.hub.conftest import (
    CLASS_NAMES,
    append_rows,
    encode,
    everything,
    on_s3_too,
    random_images,
)


@pytest.fixture
def decisions():
    return pd.DataFrame(
        {
            "row": [7, 2, 3, 0, 11],
            "decision": ["prune", "relabel", "keep", "relabel", "prune"],
            "new_label": ["", CLASS_NAMES[3], "", "1", ""],
        }
    )


LABELS_AFTER = [1, 1, 3, 3, 0, 1, 2, 0, 1, 2]
ROWS_AFTER = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]


@on_s3_too
def test_rows_are_relabelled_and_pruned_on_the_branch(dataset, decisions):
    before = everything(dataset)
    hub.apply_decisions(dataset, decisions, "reviewed")
    branch = hub.open(dataset, branch="reviewed")
    assert np.asarray(branch.y).tolist() == LABELS_AFTER
    np.testing.assert_array_equal(np.asarray(branch.X), random_images(12)[ROWS_AFTER])
    assert branch.class_names == CLASS_NAMES
    assert everything(dataset)[0] == before[0]
    assert everything(dataset)[2] == before[2]  # readable on the parent


@on_s3_too
def test_the_commit_says_what_was_done(dataset, decisions):
    version = hub.open(dataset).version
    decisions.attrs["hubclean"] = {"parameters": {"folds": 7}}
    commit_id = hub.apply_decisions(dataset, decisions, "reviewed")
    where, last = hub.open(dataset, branch="reviewed")._store.lineage()[-1]
    assert (where, last.id) == ("reviewed", commit_id)
    assert "4 rows changed (2 relabelled, 2 pruned, 1 kept)" in last.message
    assert f"hubclean {hubclean.__version__}, judged {version}" in last.message
    assert '{"folds": 7}' in last.message


@on_s3_too
def test_a_second_call_changes_nothing(dataset, decisions):
    commit_id = hub.apply_decisions(dataset, decisions, "reviewed")
    before = everything(dataset, "reviewed")
    shuffled = decisions.sample(frac=1, random_state=0)
    shuffled["new_label"] = shuffled["new_label"].replace({"1": CLASS_NAMES[1]})
    assert hub.apply_decisions(dataset, shuffled, "reviewed") == commit_id
    assert everything(dataset, "reviewed") == before


def test_a_second_call_after_the_dataset_grew_is_refused(dataset, decisions):
    hub.apply_decisions(dataset, decisions, branch="reviewed")
    append_rows(dataset, {"images": [encode(random_images(1)[0])], "labels": [1]})
    with pytest.raises(DatasetError, match="or starts elsewhere. Choose another"):
        hub.apply_decisions(dataset, decisions, branch="reviewed")


@on_s3_too
def test_other_decisions_on_the_same_branch_are_refused(dataset, decisions):
    hub.apply_decisions(dataset, decisions, "reviewed")
    before = everything(dataset, "reviewed")
    with pytest.raises(DatasetError, match="'reviewed' exists and holds commits"):
        hub.apply_decisions(dataset, decisions.iloc[1:], "reviewed")
    assert everything(dataset, "reviewed") == before


@on_s3_too
def test_a_branch_left_without_a_commit_is_taken_up(dataset, decisions):
    hub.open(dataset)._store.writer().create_branch("reviewed")
    hub.apply_decisions(dataset, decisions, "reviewed")
    assert np.asarray(hub.open(dataset, branch="reviewed").y).tolist() == LABELS_AFTER


def test_rows_decided_about_are_not_flagged_any_more(dataset, table, decisions):
    table["is_label_issue"] = True
    hub.create_tensors(dataset, table)
    hub.apply_decisions(dataset, decisions, "reviewed")
    flags = hub.read_label_issues(dataset, branch="reviewed")[0]["is_label_issue"]
    assert np.flatnonzero(~flags).tolist() == [0, 2, 3]
    assert hub.read_label_issues(dataset)[0]["is_label_issue"].all()


def test_the_tables_commit_is_no_change_of_the_data(dataset, table, decisions):
    decisions["dataset_version"] = hub.open(dataset).version
    hub.create_tensors(dataset, table)
    hub.apply_decisions(dataset, decisions, "reviewed")


def test_a_csv_file_is_read_as_it_is_written(make, tmp_path):
    names = ["NA", "null", "1"]
    dataset = make(
        {"images": np.zeros((4, 1)), "labels": np.array([0, 0, 0, 0])},
        class_names={"labels": names},
    )
    path = tmp_path / "decisions.csv"
    path.write_text("row,decision,new_label\n0,relabel,null\n1,keep,\n2,relabel,1\n")
    hub.apply_decisions(dataset, path, "b")
    # "1" is the name of class 2 before it is the code of class 1
    assert np.asarray(hub.open(dataset, branch="b").y).tolist() == [1, 0, 2, 0]


def test_awkward_names_survive_a_csv_file(dataset, tmp_path):
    path = tmp_path / "decisions.csv"
    rows = list(range(4))
    new = [CLASS_NAMES[(row + 1) % 4] for row in rows]
    table = pd.DataFrame({"row": rows, "decision": "relabel", "new_label": new})
    table["given_label"] = CLASS_NAMES
    table.to_csv(path, index=False)
    hub.apply_decisions(dataset, path, "b")
    got = np.asarray(hub.open(dataset, branch="b").y)[:4]
    assert got.tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("stored", ["texts", "arrays of one", "small integers"])
def test_labels_of_any_kind(make, stored):
    values = {
        "texts": ["b", "a", "b"],
        "arrays of one": np.array([[1], [0], [1]], dtype=np.uint32),
        "small integers": np.array([1, 0, 1], dtype=np.uint8),
    }[stored]
    dataset = make({"images": np.zeros((3, 1)), "labels": values})
    new = "a" if stored == "texts" else "0"
    table = pd.DataFrame({"row": [2], "decision": ["relabel"], "new_label": [new]})
    hub.apply_decisions(dataset, table, "b")
    y = hub.open(dataset, branch="b").y
    assert [str(label) for label in y] == (
        ["b", "a", "a"] if stored == "texts" else ["1", "0", "0"]
    )
    assert y.dtype == hub.open(dataset).y.dtype


def test_nothing_to_change_still_records_the_review(dataset):
    table = pd.DataFrame({"row": [1], "decision": ["keep"]})
    hub.apply_decisions(dataset, table, "b")
    assert everything(dataset, "b")[2] == everything(dataset)[2]
    message = hub.open(dataset, branch="b")._store.lineage()[-1][1].message
    assert "0 rows changed (0 relabelled, 0 pruned, 1 kept)" in message


BAD = {
    "no decision column": (
        lambda d: d.drop(columns="decision"),
        ValidationError,
        "decision missing",
    ),
    "misspelt column": (
        lambda d: d.rename(columns={"new_label": "New Labels"}),
        ValidationError,
        "got what looks like 'New Labels' for new_label. Add or rename it",
    ),
    "unknown decision": (
        lambda d: d.assign(decision="burn"),
        ParameterError,
        "must be keep, relabel, prune; got 'burn' in row 0",
    ),
    "row twice": (
        lambda d: d.assign(row=[7, 7, 3, 0, 11]),
        ParameterError,
        "rows 7 have more",
    ),
    "row beyond": (
        lambda d: d.assign(row=[7, 2, 3, 0, 99]),
        DatasetChangedError,
        "name rows 99, but the data has 12",
    ),
    "negative row": (
        lambda d: d.assign(row=[7, 2, 3, 0, -1]),
        ParameterError,
        "must hold positions.*-1",
    ),
    "row is text": (
        lambda d: d.assign(row=["x", 2, 3, 0, 1]),
        ParameterError,
        "must hold positions.*x",
    ),
    "no new label": (
        lambda d: d.assign(new_label=""),
        ParameterError,
        "rows 0, 2 have none",
    ),
    "new label missing": (
        lambda d: d.drop(columns="new_label"),
        ParameterError,
        "rows 0, 2 have none",
    ),
    "unknown class": (
        lambda d: d.assign(new_label="zebra"),
        LabelsError,
        r"one of the classes 'cat'.*got 'zebra' \(row 0\)",
    ),
    "given label differs": (
        lambda d: d.assign(given_label="cat"),
        DatasetChangedError,
        r"differs from the labels of the data in 4 rows \(2, 3, 7, 11\)",
    ),
    "another version": (
        lambda d: d.assign(dataset_version="abc@main:001"),
        DatasetChangedError,
        "changed since it was judged: expected version abc@main:001",
    ),
    "no version at all": (
        lambda d: d.assign(dataset_version="yesterday"),
        DatasetChangedError,
        "expected version yesterday, got",
    ),
    "two versions": (
        lambda d: d.assign(dataset_version=list("aabbb")),
        ValidationError,
        "`dataset_version` holds 2: a, b",
    ),
    "no table": (lambda d: [1], ValidationError, "DataFrame or the path.*got list"),
}


@pytest.mark.parametrize("case", BAD)
def test_decisions_that_cannot_be_used_are_refused(dataset, decisions, case):
    spoil, error, match = BAD[case]
    before = everything(dataset)
    with pytest.raises(error, match=match):
        hub.apply_decisions(dataset, spoil(decisions), "b")
    assert everything(dataset) == before


def test_a_missing_labels_tensor_is_named(dataset, decisions):
    with pytest.raises(DatasetError, match="no tensor 'y'"):
        hub.apply_decisions(dataset, decisions, "b", labels="y")


def test_given_labels_may_be_codes_or_names(dataset, decisions):
    decisions["given_label"] = ["3", CLASS_NAMES[2], 3, 0.0, None]
    hub.apply_decisions(dataset, decisions, "b")


@pytest.mark.parametrize("as_names", [True, False])
def test_a_report_on_arrays_names_the_labels(dataset, decisions, as_names):
    labels = np.arange(12) % 4
    if as_names:
        labels = np.array(CLASS_NAMES, dtype=object)[labels]
    decisions["dataset_version"] = labels_version(labels)
    hub.apply_decisions(dataset, decisions, "b")
    decisions["dataset_version"] = labels_version(labels[::-1])
    with pytest.raises(DatasetChangedError, match="about labels of version"):
        hub.apply_decisions(dataset, decisions, "c")


def test_decisions_about_a_dataset_that_grew_are_refused(dataset, decisions):
    decisions["dataset_version"] = hub.open(dataset).version
    rows = {"images": [everything(dataset)[2]["images"][0]], "labels": [1]}
    append_rows(dataset, rows)
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.apply_decisions(dataset, decisions, "b")
