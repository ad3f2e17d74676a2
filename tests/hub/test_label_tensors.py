import numpy as np
import pandas as pd
import pytest

import hubclean
from hubclean import hub
from hubclean.exceptions import DatasetChangedError, DatasetError, LabelsError
from hubclean.hub._label_tensors import _write, open_judged
from hubclean.hub._result_table import to_tensors
from tests.hub.conftest import (
    CLASS_NAMES,
    append_rows,
    encode,
    everything,
    on_s3_too,
    random_images,
    result_table,
    simple_columns,
)

NEW_ROW = {"images": [encode(random_images(1)[0])], "labels": [1]}


@on_s3_too
def test_the_table_comes_back_with_where_it_came_from(dataset, table):
    source = hub.open(dataset)
    table.attrs["hubclean"] = {
        "dataset_version": source.version,
        "parameters": {"folds": 3, "threshold": None, "random_state": 0},
    }
    commit_id = hub.create_tensors(source, table)
    again, provenance = hub.read_label_issues(dataset)
    pd.testing.assert_frame_equal(again, table)
    assert provenance["dataset_version"] == source.version
    assert provenance["parameters"] == table.attrs["hubclean"]["parameters"]
    assert provenance["hubclean_version"] == hubclean.__version__
    assert (provenance["n_rows"], provenance["n_issues"]) == (12, 3)
    last = hub.open(dataset)._store.lineage()[-1][1]
    assert last.id == commit_id
    assert "hubclean create_tensors: 3 label issues in 12 rows" in last.message
    assert source.version in last.message and hubclean.__version__ in last.message


def test_class_names_are_on_the_predicted_labels(dataset, table):
    hub.create_tensors(dataset, table)
    source = hub.open(dataset, labels="label_issues/predicted_labels")
    assert source.class_names == CLASS_NAMES
    assert source.y.read().tolist() == table["predicted_labels"].tolist()


@on_s3_too
def test_rows_and_labels_are_untouched(dataset, table):
    before = everything(dataset)[2]
    hub.create_tensors(dataset, table)
    after = everything(dataset)[2]
    assert {name: after[name] for name in before} == before


def test_rows_that_could_not_be_judged_keep_nan(dataset, table):
    table.loc[[3, 4], "label_quality"] = np.nan
    hub.create_tensors(dataset, table)
    quality = hub.read_label_issues(dataset)[0]["label_quality"]
    assert np.flatnonzero(quality.isna()).tolist() == [3, 4]


@pytest.mark.parametrize("as_names", [True, False])
def test_predicted_labels_may_be_names(dataset, table, as_names):
    if as_names:
        names = np.array(CLASS_NAMES, dtype=object)
        table["predicted_labels"] = names[table["predicted_labels"]]
    hub.create_tensors(dataset, table)
    again = hub.read_label_issues(dataset)[0]
    assert again["predicted_labels"].tolist() == table["predicted_labels"].tolist()
    source = hub.open(dataset, labels="label_issues/predicted_labels")
    assert source.y.dtype.kind == "i"  # stored as codes either way


@pytest.mark.parametrize("as_names", [True, False])
def test_rows_that_the_source_left_out_may_be_missing(make, table, as_names):
    columns = simple_columns()
    for row in (2, 9):
        columns["images"][row] = b"no image"
    dataset = make(columns, class_names={"labels": CLASS_NAMES})
    source = hub.open(dataset, on_bad_rows="skip")
    if as_names:
        names = np.array(CLASS_NAMES, dtype=object)
        table["predicted_labels"] = names[table["predicted_labels"]]
    few = table.drop(index=[2, 9]).reset_index(drop=True)
    few.attrs["hubclean"] = {"parameters": {"folds": 3}}
    for call in (hub.create_tensors, hub.clean_view):
        with pytest.raises(DatasetError, match="must be in the order of the dataset"):
            call(source, few.iloc[::-1])
    with pytest.raises(DatasetChangedError, match="pass its source, which knows them"):
        hub.create_tensors(dataset, few)
    assert len(hub.clean_view(source, few)) == 12 - 3
    hub.create_tensors(source, few)
    again, provenance = hub.read_label_issues(dataset)
    assert provenance["bad_rows"] == [2, 9]
    assert provenance["parameters"] == {"folds": 3}
    table.loc[[2, 9], "label_quality"] = np.nan  # flagged neither, with the given label
    pd.testing.assert_frame_equal(again, table)
    assert len(hub.clean_view(dataset)) == 12 - 3
    with pytest.raises(DatasetError, match="holds this very table already"):
        hub.create_tensors(source, few)


def test_labels_that_no_integer_type_holds_beside_others_are_refused(make):
    labels = np.array([2**63 + 1, 0], dtype=np.uint64)
    dataset = make({"images": np.zeros((2, 2)), "labels": labels})
    table = result_table(2, flagged=[0]).assign(predicted_labels=labels)
    with pytest.raises(LabelsError, match=f"must fit into int64; got {labels[0]}"):
        hub.create_tensors(dataset, table)


def test_text_labels_are_their_own_class_names(make):
    dataset = make({"images": np.zeros((3, 2)), "labels": ["b", "a", "b"]})
    table = result_table(3, flagged=[0])
    table["predicted_labels"] = ["a", "a", "b"]
    hub.create_tensors(dataset, table)
    again = hub.read_label_issues(dataset)[0]
    assert again["predicted_labels"].tolist() == ["a", "a", "b"]
    source = hub.open(dataset, labels="label_issues/predicted_labels")
    assert source.class_names == ["a", "b"]


@pytest.mark.parametrize(
    "labels",
    [
        [-1, 1, -1],
        [False, True, True],
        [10**12, -5, 3],
        [2**53, 1, 2**53 + 1],
        [0.0, 1.0, 2.0],
    ],
    ids=str,
)
def test_labels_without_names_may_be_any_numbers(make, labels):
    labels = np.array(labels)
    dataset = make({"images": np.zeros((3, 2)), "labels": labels})
    table = result_table(3, flagged=[0])
    table["predicted_labels"] = labels[::-1]
    hub.create_tensors(dataset, table)
    append_rows(dataset, {"images": np.zeros((1, 2)), "labels": labels[:1]})
    again = hub.read_label_issues(dataset)[0]["predicted_labels"]
    assert again.tolist() == [*labels[::-1].tolist(), labels[0].item()]
    assert again.dtype == labels.dtype


@on_s3_too
def test_they_can_be_written_on_a_branch(dataset, table):
    before = everything(dataset)
    hub.create_tensors(dataset, table, branch="review")
    assert everything(dataset)[0] == before[0]
    assert everything(dataset)[2] == before[2]
    with pytest.raises(DatasetError, match="no label tensors on branch 'main'"):
        hub.read_label_issues(dataset)
    again, _ = hub.read_label_issues(dataset, branch="review")
    pd.testing.assert_frame_equal(again, table)
    on_branch = hub.open(dataset, branch="review")
    assert np.asarray(on_branch.y).tolist() == before[2]["labels"]


def test_a_branch_that_holds_only_tensors_can_be_overwritten(dataset, table):
    hub.create_tensors(dataset, table, branch="review")
    other = result_table(flagged=[0])
    hub.create_tensors(dataset, other, branch="review", overwrite=True)
    again = hub.read_label_issues(dataset, branch="review")[0]
    pd.testing.assert_frame_equal(again, other)
    decisions = pd.DataFrame({"row": [1], "decision": ["prune"]})
    hub.apply_decisions(dataset, decisions, "decided")
    with pytest.raises(DatasetError, match="exists and holds commits of its own"):
        hub.create_tensors(dataset, table, branch="decided", overwrite=True)


@on_s3_too
def test_existing_tensors_need_overwrite(dataset, table):
    hub.create_tensors(dataset, table)
    before = everything(dataset)
    other = result_table(flagged=[0])
    with pytest.raises(DatasetError, match="already. Pass overwrite=True"):
        hub.create_tensors(dataset, other)
    assert everything(dataset) == before
    with pytest.raises(DatasetError, match="holds this very table already"):
        hub.create_tensors(dataset, table)
    hub.create_tensors(dataset, other, overwrite=True)
    pd.testing.assert_frame_equal(hub.read_label_issues(dataset)[0], other)


def test_a_source_can_be_written_twice(dataset, table):
    source = hub.open(dataset)
    hub.create_tensors(source, table)
    hub.create_tensors(source, table, overwrite=True)  # its own commit is no change


@on_s3_too
def test_a_dataset_that_grew_is_refused(dataset, table):
    source = hub.open(dataset)
    append_rows(dataset, NEW_ROW)
    before = everything(dataset)
    with pytest.raises(DatasetChangedError, match="which has 13; got 12"):
        hub.create_tensors(source, table)
    with pytest.raises(DatasetChangedError, match="which has 13; got 12"):
        hub.create_tensors(dataset, table, branch="b")
    assert everything(dataset) == before


@on_s3_too
def test_a_dataset_whose_labels_changed_is_refused(dataset, table):
    source = hub.open(dataset)
    relabel = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": ["cat"]})
    store = source._store.writer()
    store.set_rows("labels", [0], np.array([3]))
    store.commit("somebody else")
    before = everything(dataset)
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.create_tensors(source, table)
    table.attrs["hubclean"] = {"dataset_version": source.version}
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.create_tensors(dataset, table)
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.apply_decisions(source, relabel, "b")
    assert everything(dataset) == before


def test_the_table_of_another_dataset_is_refused(dataset, make, table):
    other = hub.open(make(simple_columns()))
    table.attrs["hubclean"] = {"dataset_version": other.version}
    with pytest.raises(
        DatasetChangedError, match="expected version .* got version|got"
    ):
        hub.create_tensors(dataset, table)


@pytest.mark.parametrize("name", ["review", "with space", 'q"uote', "кошка", "a/b"])
def test_a_branch_that_holds_something_else_is_refused(dataset, table, name):
    hub.create_tensors(dataset, table, branch=name)
    before = everything(dataset)
    with pytest.raises(DatasetError, match="exists and holds commits of its own"):
        hub.create_tensors(dataset, table, branch=name)
    assert everything(dataset) == before
    assert everything(dataset, name)[2]["label_issues/is_label_issue"] == (
        table["is_label_issue"].tolist()
    )


def test_an_empty_branch_of_an_older_version_is_refused(dataset, table):
    hub.open(dataset)._store.writer().create_branch("early")
    append_rows(dataset, NEW_ROW)
    with pytest.raises(DatasetError, match="or starts elsewhere"):
        hub.create_tensors(dataset, result_table(13), branch="early")


BAD_TABLES = {
    "no column": (
        lambda t: t.drop(columns="label_quality"),
        DatasetError,
        "must have the columns .*label_quality missing",
    ),
    "an unknown column": (
        lambda t: t.assign(note="x"),
        DatasetError,
        "unknown note",
    ),
    "shorter": (
        lambda t: t.iloc[:-1],
        DatasetChangedError,
        "which has 12; got 11",
    ),
    "flags are numbers": (
        lambda t: t.assign(is_label_issue=t["is_label_issue"].astype(int)),
        DatasetError,
        "must be boolean; got int64",
    ),
    "quality is text": (
        lambda t: t.assign(label_quality="high"),
        DatasetError,
        "`label_quality` must be float; got",
    ),
    "unknown code": (
        lambda t: t.assign(predicted_labels=7),
        LabelsError,
        "codes 0 to 3 of the 4 class names of 'labels'; got 7 to 7",
    ),
    "unknown name": (
        lambda t: t.assign(predicted_labels="zebra"),
        LabelsError,
        "must be class names of 'labels' .*got 'zebra'",
    ),
    "sorted": (
        lambda t: t.sort_values("label_quality", ascending=False),
        DatasetError,
        "order of the dataset; got a table whose index begins 11, 10, 9.*sort_index",
    ),
    "no table": (lambda t: [1, 2], DatasetError, "must be a DataFrame"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_does_not_fit_is_refused(dataset, table, case):
    spoil, error, match = BAD_TABLES[case]
    before = everything(dataset)
    with pytest.raises(error, match=match):
        hub.create_tensors(dataset, spoil(table))
    with pytest.raises(error, match=match):
        hub.create_tensors(dataset, spoil(table), branch="b")
    assert everything(dataset) == before


def test_rows_added_later_count_as_not_judged(dataset, table):
    hub.create_tensors(dataset, table)
    append_rows(dataset, NEW_ROW)
    again, provenance = hub.read_label_issues(dataset)
    assert provenance["n_rows"] == 12 and len(again) == 13
    assert np.isnan(again["label_quality"][12])
    assert not again["is_label_issue"][12]
    assert again["predicted_labels"].tolist()[-2:] == [3, 1]
    assert len(hub.clean_view(dataset)) == 10


@pytest.mark.parametrize("branch", [None, "b"])
def test_a_dataset_whose_rows_are_all_gone(dataset, branch):
    writer = hub.open(dataset)._store.writer()
    writer.delete_rows(range(12))
    writer.commit("begin anew")
    hub.create_tensors(dataset, result_table(0, flagged=()), branch=branch)
    again, provenance = hub.read_label_issues(dataset, branch)
    assert len(again) == provenance["n_rows"] == 0
    assert len(hub.clean_view(dataset, branch=branch)) == 0


def test_reading_says_when_there_is_nothing(dataset):
    with pytest.raises(DatasetError, match="Write them with hub.create_tensors"):
        hub.read_label_issues(dataset)


def change_a_label(dataset, name="labels", branch=None):
    """Change the first label behind everybody's back."""
    store = hub.open(dataset, branch=branch)._store.writer()
    store.set_rows(name, [0], np.array([3]))
    store.commit("somebody else")


CHANGES = {
    "no change": lambda dataset: None,
    "appended": lambda dataset: append_rows(dataset, NEW_ROW),
    "relabelled": change_a_label,
}


@pytest.mark.parametrize("change", CHANGES)
@on_s3_too
def test_what_was_judged_is_opened_as_it_was(dataset, table, change):
    source = hub.open(dataset)
    hub.create_tensors(source, table, branch="review")
    CHANGES[change](dataset)
    again, provenance, judged = open_judged(dataset, "review")
    pd.testing.assert_frame_equal(again, table)
    assert judged.version == source.version == provenance["dataset_version"]
    assert judged.y.read().tolist() == source.y.read().tolist()
    np.testing.assert_array_equal(judged.X.read([3]), source.X.read([3]))


def test_the_branch_and_the_labels_that_were_judged_are_opened(make, table):
    columns = simple_columns()
    columns["others"] = columns["labels"][::-1].copy()
    names = {"labels": CLASS_NAMES, "others": CLASS_NAMES}
    dataset = make(columns, class_names=names)
    hub.open(dataset)._store.writer().create_branch("dev")
    change_a_label(dataset, "others", "dev")
    source = hub.open(dataset, labels="others", branch="dev")
    hub.create_tensors(source, table, branch="review")
    judged = open_judged(dataset, "review")[2]
    assert judged.labels == "others" and judged.version == source.version
    assert judged.y.read().tolist() == [3, *columns["others"][1:]]
    with pytest.raises(DatasetError, match="about the labels 'others'; got 'labels'"):
        open_judged(dataset, "review", labels="labels")


def test_a_branch_that_was_changed_since_is_not_paired_with_what_was_judged(
    dataset, table
):
    hub.create_tensors(dataset, table, branch="review")
    change_a_label(dataset, branch="review")
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        open_judged(dataset, "review")


def replace_a_row(dataset):
    dataset.delete(0)
    dataset.append(NEW_ROW)


def relabel_a_row(dataset):
    dataset["labels"][5] = 0


@pytest.mark.parametrize(
    "change", [lambda d: d.append(NEW_ROW), replace_a_row, relabel_a_row]
)
def test_two_writers_at_once(deeplake_dataset, table, change):
    """What was changed between reading and committing takes the tensors back."""
    import deeplake

    store = hub.open(deeplake_dataset)._store.writer()
    tensors = to_tensors(store, table, "labels")
    other = deeplake.open(deeplake_dataset)
    change(other)
    other.commit("somebody else")
    after = np.asarray(hub.open(deeplake_dataset).y).tolist()
    with pytest.raises(DatasetChangedError, match="They were taken back"):
        _write(store, tensors, {}, "hubclean create_tensors")
    _, _, content = everything(deeplake_dataset)
    assert list(content) == ["images", "labels"]
    assert content["labels"] == after
