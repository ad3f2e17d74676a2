import pickle

import numpy as np
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetChangedError, DatasetError
from tests.hub.conftest import (
    append_rows,
    encode,
    on_s3_too,
    random_images,
    result_table,
)

KEPT = [0, 2, 3, 4, 7, 8, 9, 10, 11]


def check(view):
    assert len(view) == 9
    assert np.asarray(view["labels"][:]).tolist() == [row % 4 for row in KEPT]


@on_s3_too
def test_it_leaves_out_the_rows_of_a_table(dataset, table):
    check(hub.clean_view(dataset, table))
    check(hub.clean_view(dataset, table["is_label_issue"].to_numpy()))


@on_s3_too
def test_it_reads_the_tensors_of_the_dataset(dataset, table):
    source = hub.open(dataset)
    hub.create_tensors(dataset, table)
    check(hub.clean_view(dataset))
    check(hub.clean_view(source))  # opened before they were written


@on_s3_too
def test_it_reads_a_branch(dataset, table):
    hub.create_tensors(dataset, table, branch="b")
    check(hub.clean_view(dataset, branch="b"))
    with pytest.raises(DatasetError, match="no label tensors. Pass `label_issues`"):
        hub.clean_view(dataset)


@pytest.mark.parametrize("flagged", [range(12), [], range(5), [11], range(0, 12, 2)])
def test_any_rows_can_be_left_out(dataset, flagged):
    view = hub.clean_view(dataset, result_table(flagged=flagged))
    kept = np.setdiff1d(np.arange(12), list(flagged))
    assert len(view) == len(kept)
    if len(kept):
        assert np.asarray(view["labels"][:]).tolist() == (kept % 4).tolist()


def test_a_table_of_another_length_or_version_is_refused(dataset, table):
    with pytest.raises(DatasetChangedError, match="which has 12; got 11"):
        hub.clean_view(dataset, table.iloc[1:])
    with pytest.raises(DatasetError, match="must have the column is_label_issue"):
        hub.clean_view(dataset, table[["label_quality"]])
    table.attrs["hubclean"] = {"dataset_version": hub.open(dataset).version}
    append_rows(dataset, {"images": [encode(random_images(1)[0])], "labels": [1]})
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.clean_view(dataset, table)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t["label_quality"],
        lambda t: t["is_label_issue"].astype(str),
        lambda t: t["is_label_issue"].astype(str).to_numpy(),
        lambda t: t["is_label_issue"].astype("boolean").where(t.index != 3),
        lambda t: t["is_label_issue"].where(t.index != 3),
        lambda t: t["is_label_issue"].to_numpy()[:, np.newaxis],
        lambda t: np.arange(12),
    ],
)
def test_what_is_no_mask_is_refused(dataset, table, spoil):
    with pytest.raises(DatasetError, match="must be one boolean for each row"):
        hub.clean_view(dataset, spoil(table))


def test_flags_of_other_types_are_taken(dataset, table):
    flags = table["is_label_issue"]
    for same in (flags.tolist(), flags.astype(int), flags.astype("boolean")):
        check(hub.clean_view(dataset, same))


def test_a_sorted_table_is_refused(dataset, table):
    table = table.sort_values("is_label_issue")
    for given in (table, table["is_label_issue"]):
        with pytest.raises(DatasetError, match="must be in the order of the dataset"):
            hub.clean_view(dataset, given)
    check(hub.clean_view(dataset, table.sort_index()))


def test_thousands_of_rows_can_be_left_out(make):
    n = 20_000
    flags = np.random.default_rng(0).random(n) < 0.1
    dataset = make({"images": np.zeros((n, 1), np.uint8), "labels": np.arange(n)})
    view = hub.clean_view(dataset, flags)
    np.testing.assert_array_equal(view["labels"][:], np.flatnonzero(~flags))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_torch_trains_on_it(deeplake_dataset, table):
    torch = pytest.importorskip("torch")
    view = hub.clean_view(deeplake_dataset, table)
    loader = torch.utils.data.DataLoader(view.pytorch(), batch_size=4)
    seen = [int(row) for batch in loader for row in batch["labels"]]
    assert seen == [row % 4 for row in KEPT]
    assert len(pickle.loads(pickle.dumps(view))) == 9
