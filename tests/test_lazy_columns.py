"""Lazy columns of every origin are picked from and read alike."""

import numpy as np
import pytest

from hubclean._folder import FolderSource
from hubclean._rows import LazyColumn, take_rows

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


def of_a_folder(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "a" / f"{i}.png")
    return FolderSource(tmp_path).X


def of_a_folder_sized(tmp_path):
    pytest.importorskip("typer")
    from hubclean.cli._sized import SizedColumn

    return SizedColumn(of_a_folder(tmp_path), None)


def of_pytorch(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("skorch")
    from hubclean.pytorch import from_dataset

    return from_dataset([(image, 0) for image in IMAGES])[0]


def of_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("scikeras")
    from hubclean.keras import from_dataset

    rows = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(6)))
    return from_dataset(rows, in_memory=0)[0]


def of_hub(tmp_path):
    deeplake = pytest.importorskip("deeplake", minversion="4")
    from hubclean import hub

    dataset = deeplake.create(str(tmp_path / "dataset"))
    dataset.add_column("images", deeplake.types.Array("uint8", shape=[4, 5, 3]))
    dataset.add_column("labels", deeplake.types.Int64())
    dataset.append({"images": list(IMAGES), "labels": list(range(6))})
    dataset.commit()
    return hub.open(str(tmp_path / "dataset"), "images", "labels").X


@pytest.mark.parametrize(
    "column", [of_a_folder, of_a_folder_sized, of_pytorch, of_tensorflow, of_hub]
)
def test_columns_are_picked_from_as_arrays(column, tmp_path):
    X = column(tmp_path)
    assert isinstance(X, LazyColumn)
    assert (X.shape, X.ndim, X.dtype, len(X)) == (IMAGES.shape, 4, np.uint8, 6)
    np.testing.assert_array_equal(X, IMAGES)
    np.testing.assert_array_equal(X[2], IMAGES[2])
    np.testing.assert_array_equal(X[-1], IMAGES[-1])
    np.testing.assert_array_equal(X.read([5, 1, 1]), IMAGES[[5, 1, 1]])
    np.testing.assert_array_equal(list(X), IMAGES)
    odd = np.arange(6) % 2 == 1
    for rows in (slice(1, 4), slice(None, None, -2), [4, 0], odd, slice(0)):
        np.testing.assert_array_equal(X[rows], IMAGES[rows])
        assert X[rows, ...].shape == X[rows, :].shape == IMAGES[rows].shape
    assert len(X[[]]) == len(X.read([])) == 0
    subset = take_rows(take_rows(X, [4, 2, 0]), [2, 1])
    assert subset.row_ids.tolist() == [0, 2]
    assert subset.identity == X.identity
    np.testing.assert_array_equal(subset, IMAGES[[0, 2]])
    assert np.asarray(X, dtype=float).dtype == float
    with pytest.raises(IndexError, match="only rows can be picked, as column.rows."):
        X[:, 0]
