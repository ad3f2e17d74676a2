import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import _safe_indexing, indexable

from hubclean import hub
from hubclean._rows import LazyColumn, is_lazy, row_digests
from hubclean.exceptions import BadRowsError, DatasetError, LabelsError, ParameterError
from tests.hub.conftest import (
    CLASS_NAMES,
    append_rows,
    encode,
    on_s3_too,
    random_images,
    simple_columns,
)


@on_s3_too
def test_images_and_labels_come_as_they_were_stored(dataset):
    source = hub.open(dataset)
    np.testing.assert_array_equal(np.asarray(source.X), random_images(12))
    np.testing.assert_array_equal(np.asarray(source.y), np.arange(12) % 4)
    assert source.class_names == CLASS_NAMES
    assert source.X.shape == (12, None, None, None)
    assert source.X.dtype == np.uint8
    assert source.y.shape == (12,)
    assert source.y.dtype == np.int64
    assert len(source) == 12


COLUMNS = {
    "matrix": np.arange(24.0, dtype=np.float32).reshape(4, 2, 3),
    "number": np.array([1.5, np.nan, -2.0, 0.0]),
    "flag": np.array([True, False, True, True]),
    "text": ["plain", "кошка", 'with "quotes"\nand lines', ""],
    "varying": [np.arange(n, dtype=np.float32) for n in (3, 0, 1, 2)],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_can_be_X(make, name):
    X = hub.open(make({**COLUMNS, "labels": [0, 1, 0, 1]}), images=name).X
    expected = COLUMNS[name]
    got = X.read([3, 1])
    assert len(X) == X.shape[0] == 4
    assert got.dtype == (object if name in ("text", "varying") else X.dtype)
    for row, want in zip(got, [expected[3], expected[1]], strict=True):
        np.testing.assert_array_equal(row, want)
    if name == "matrix":
        assert X.shape == (4, 2, 3)


def test_images_of_different_sizes_come_as_objects(make):
    images = [random_images(1, (4, n, 3), seed=n)[0] for n in (3, 5, 3, 8)]
    files = [encode(image) for image in images]
    X = hub.open(make({"images": files, "labels": [0, 1, 0, 1]})).X
    rows = X.read()
    assert rows.dtype == object and rows.shape == (4,)
    for row, image in zip(rows, images, strict=True):
        np.testing.assert_array_equal(row, image)
    assert X[[0, 2]].read().shape == (2, 4, 3, 3)


@pytest.mark.parametrize("labels", ["scalar", "arrays", "texts"])
def test_labels_may_be_scalars_arrays_of_one_or_texts(make, labels):
    values = np.array([2, 0, 1, 2], dtype=np.uint32)
    columns = {
        "scalar": values,
        "arrays": values[:, np.newaxis],
        "texts": ["c", "a", "b", "c"],
    }
    y = hub.open(make({"images": np.zeros((4, 2)), "labels": columns[labels]})).y
    want = columns[labels] if labels == "texts" else values
    assert np.asarray(y).tolist() == list(want)
    assert y.shape == (4,)


def test_rows_without_one_label_are_named(make):
    labels = [np.arange(n, dtype=np.int64) for n in (1, 0, 1, 2)]
    source = hub.open(make({"images": np.zeros((4, 2)), "labels": labels}))
    with pytest.raises(LabelsError, match=r"2 rows do not, the first at \[1, 3\]"):
        np.asarray(source.y)


@pytest.mark.parametrize(
    "index",
    [
        [7, 2, 2, 0],
        np.array([7, 2], dtype=np.uint8),
        np.arange(12) % 3 == 0,
        slice(9, 2, -3),
        slice(None),
        [],
        np.array([], dtype=int),
        (np.array([3, 1]), Ellipsis),
        (np.array([3, 1]), slice(None)),
        [-1, -12],
    ],
)
def test_subsets_follow_numpy_and_stay_lazy(dataset, index):
    X = hub.open(dataset).X
    subset = X[index]
    want = random_images(12)[index[0] if isinstance(index, tuple) else index]
    assert is_lazy(subset)
    assert isinstance(subset, LazyColumn)
    assert len(subset) == len(want) == subset.shape[0]
    if len(want):
        np.testing.assert_array_equal(subset.read(), want)
        np.testing.assert_array_equal(subset[::-1].read([0]), want[-1:])
    np.testing.assert_array_equal(row_digests(subset), row_digests(X)[subset.row_ids])


@pytest.mark.parametrize("pruned", [False, True])
@on_s3_too
def test_no_row_at_all_keeps_shape_and_type(make, pruned):
    columns = simple_columns()
    columns["embeddings"] = np.zeros((12, 3), dtype=np.float32)
    columns["texts"] = ["a"] * 12
    dataset = make(columns, class_names={"labels": CLASS_NAMES})
    branch = None
    if pruned:
        everything = pd.DataFrame({"row": range(12), "decision": "prune"})
        hub.apply_decisions(dataset, everything, branch := "nothing left")
    shapes = {"images": (0, 0, 0, 0), "embeddings": (0, 3), "texts": (0,)}
    for name, shape in shapes.items():
        source = hub.open(dataset, images=name, branch=branch, on_bad_rows="skip")
        for column, expected in ((source.X, shape), (source.y, (0,))):
            rows = column.read([])
            assert (rows.shape, rows.dtype) == (expected, column.dtype)
        if pruned:
            assert np.asarray(source.X).shape == shape and len(source) == 0


def test_one_row_and_iteration(dataset):
    X, y = hub.open(dataset).X, hub.open(dataset).y
    np.testing.assert_array_equal(X[5], random_images(12)[5])
    assert y[-1] == 3
    assert [int(label) for label in y[[4, 1]]] == [0, 1]


def test_columns_are_not_picked(dataset):
    with pytest.raises(IndexError, match="only rows can be picked"):
        hub.open(dataset).X[[1, 2], 0]


def test_a_position_outside_is_refused(dataset):
    with pytest.raises(IndexError, match="12"):
        hub.open(dataset).X[[12]]


def test_scikit_learn_indexes_it(dataset):
    source = hub.open(dataset)
    X, y = indexable(source.X, source.y)
    assert X is source.X and y is source.y
    np.testing.assert_array_equal(
        _safe_indexing(X, np.array([3, 1])).read(), random_images(12)[[3, 1]]
    )
    assert np.asarray(_safe_indexing(y, np.arange(12) < 2)).tolist() == [0, 1]


@on_s3_too
def test_it_pickles(dataset, kind):
    X = hub.open(dataset).X[[4, 2]]
    again = pickle.loads(pickle.dumps(X))
    np.testing.assert_array_equal(again.read(), X.read())
    assert again.identity == X.identity
    if kind != "memory":
        big = hub.open(dataset).X
        assert len(pickle.dumps(big)) < 1000  # by address, not by content


def test_identity_tells_dataset_version_and_tensor(dataset, make):
    first, again = hub.open(dataset), hub.open(dataset)
    assert first.X.identity == again.X.identity != first.y.identity
    assert hub.open(make(simple_columns())).X.identity != first.X.identity
    append_rows(dataset, {"images": [encode(random_images(1)[0])], "labels": [1]})
    assert hub.open(dataset).X.identity != first.X.identity


@on_s3_too
def test_an_open_source_goes_on_reading_its_version(dataset):
    source = hub.open(dataset)
    append_rows(dataset, {"images": [encode(random_images(1)[0])], "labels": [1]})
    assert len(source.X) == 12 and len(hub.open(dataset).X) == 13
    again = pickle.loads(pickle.dumps(source.X))
    assert len(again) == 12
    np.testing.assert_array_equal(again.read(), random_images(12))


@pytest.mark.parametrize("damage", ["cut", "junk", "empty"])
def test_bad_rows_are_all_named_in_one_error(make, damage):
    columns = simple_columns()
    broken = {"cut": columns["images"][0][:90], "junk": b"no image", "empty": b""}
    for row in (2, 9):
        columns["images"][row] = broken[damage]
    dataset = make(columns)
    source = hub.open(dataset)
    assert source.X.read([0, 1]).shape == (2, 6, 5, 3)
    with pytest.raises(BadRowsError, match=r"2 of 12 rows .*: 2, 9\. Mend") as caught:
        source.X.read([1, 2, 3])
    assert caught.value.rows == [2, 9]
    with pytest.raises(BadRowsError, match="cannot be decoded") as caught:
        source.check()
    assert caught.value.rows == [2, 9]


@on_s3_too
def test_bad_rows_can_be_left_out(make):
    columns = simple_columns()
    for row in (2, 9):
        columns["images"][row] = b"no image"
    source = hub.open(make(columns), on_bad_rows="skip")
    kept = [0, 1, 3, 4, 5, 6, 7, 8, 10, 11]
    assert source.bad_rows == [2, 9]
    assert len(source) == len(source.y) == 10
    np.testing.assert_array_equal(source.X.row_ids, kept)
    np.testing.assert_array_equal(np.asarray(source.X), random_images(12)[kept])
    np.testing.assert_array_equal(np.asarray(source.y), np.arange(12)[kept] % 4)
    assert "2 rows left out" in repr(source)
    source.check()


@on_s3_too
def test_batches_come_in_order(dataset):
    X = hub.open(dataset).X
    order = np.random.default_rng(0).permutation(12)
    batches = list(X.batches(np.array_split(order, 5), prefetch=2))
    assert [len(batch) for batch in batches] == [3, 3, 2, 2, 2]
    np.testing.assert_array_equal(np.concatenate(batches), random_images(12)[order])


def test_batches_stop_early_and_hand_on_errors(make):
    columns = simple_columns()
    columns["images"][7] = b"no image"
    X = hub.open(make(columns)).X
    reading = X.batches([[0, 1], [2, 3], [4, 5]])
    assert len(next(reading)) == 2
    reading.close()
    with pytest.raises(BadRowsError, match="7"):
        list(X.batches([[0, 1], [6, 7]]))


def test_a_missing_tensor_is_named(dataset):
    with pytest.raises(DatasetError, match="no tensor 'x'; it has 'images', 'labels'"):
        hub.open(dataset, images="x")


@on_s3_too
def test_a_missing_branch_is_named(dataset):
    with pytest.raises(DatasetError, match="branch .?nope.? does not exist"):
        hub.open(dataset, branch="nope")


def test_on_bad_rows_is_checked(dataset):
    with pytest.raises(ParameterError, match='must be "raise" or "skip"; got .warn.'):
        hub.open(dataset, on_bad_rows="warn")


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(
        DatasetError, match="nothing.* cannot be opened.*Check the path"
    ):
        hub.open(tmp_path / "nothing")


def test_something_else_is_refused():
    with pytest.raises(DatasetError, match="expected a path.*got list"):
        hub.open([1, 2])


def change_label(path, label, branch=None):
    """Another label in the first row, in one commit."""
    import deeplake

    opened = deeplake.open(path)
    held = opened.branches[branch] if branch else None
    dataset = held.open() if held else opened
    dataset["labels"][0] = label
    dataset.commit("mend a label")


def test_copies_that_went_on_apart_are_told_apart(deeplake_dataset, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(deeplake_dataset, copy)
    assert hub.open(copy).y.identity == hub.open(deeplake_dataset).y.identity
    change_label(deeplake_dataset, 2)
    change_label(copy, 3)  # Deep Lake numbers commits: this one has the same id
    columns = [hub.open(path).y for path in (deeplake_dataset, copy)]
    assert columns[0].identity != columns[1].identity
    again = pickle.loads(pickle.dumps(columns))
    assert [int(column[0]) for column in again] == [2, 3]


def test_a_branch_made_a_second_time_is_another_one(deeplake_dataset):
    import deeplake

    opened, identities = deeplake.open(deeplake_dataset), []
    for label in (2, 3):
        opened.branch("work")
        change_label(deeplake_dataset, label, "work")
        identities.append(hub.open(deeplake_dataset, branch="work").y.identity)
        opened.branches["work"].delete()
    assert identities[0] != identities[1]


def test_rows_that_were_never_given_an_image_are_bad_rows(tmp_path):
    deeplake = pytest.importorskip("deeplake")
    path = str(tmp_path / "grown")
    dataset = deeplake.create(path)
    dataset.add_column("labels", "int64")
    dataset.append({"labels": np.arange(4)})
    dataset.add_column("images", deeplake.types.Image(sample_compression="png"))
    dataset["images"][2] = random_images(1)[0]
    dataset.commit("the first image")
    with pytest.raises(BadRowsError) as caught:
        hub.open(path).X.read()
    assert caught.value.rows == [0, 1, 3]
    source = hub.open(path, on_bad_rows="skip")
    assert source.bad_rows == [0, 1, 3]
    np.testing.assert_array_equal(np.asarray(source.X), random_images(1))


def test_what_deep_lake_cannot_read_is_told(tmp_path):
    deeplake = pytest.importorskip("deeplake")
    path = str(tmp_path / "links")
    dataset = deeplake.create(path)
    dataset.add_column("images", deeplake.types.Link(deeplake.types.Image()))
    dataset.add_column("labels", "int64")
    link = f"file://{tmp_path}/none.png"
    dataset.append({"images": [link], "labels": [0]})
    dataset.commit("a link to nothing")
    with pytest.raises(DatasetError, match="Deep Lake dataset .*links.*none.png"):
        hub.open(path).X.read()
