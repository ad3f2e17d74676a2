"""`data/hub2_dataset.zip` was written by tests/deeplake3/make_old_dataset.py."""

import pathlib
import shutil

import numpy as np
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetError
from hubclean.hub import _convert
from tests.deeplake3.make_old_dataset import CLASS_NAMES, images
from tests.hub.conftest import create_deeplake, folder_of, result_table, simple_columns

ARCHIVE = pathlib.Path(__file__).parent / "data" / "hub2_dataset.zip"


@pytest.fixture
def old(tmp_path):
    shutil.unpack_archive(ARCHIVE, tmp_path)
    return tmp_path / "hub2"


def test_opening_an_old_dataset_says_what_to_do(old):
    with pytest.raises(
        DatasetError, match=r"format of Hub 2 and Deep Lake 3.*hub\.convert\(path"
    ):
        hub.open(old)


def test_the_copy_is_the_same_and_can_be_worked_on(old, tmp_path, capfd):
    before = folder_of(old)
    path = hub.convert(old, tmp_path / "new" / "dataset")
    assert "Transferring" not in capfd.readouterr().out
    source = hub.open(path)
    np.testing.assert_array_equal(np.asarray(source.X), images())
    assert np.asarray(source.y).tolist() == [row % 4 for row in range(12)]
    assert source.class_names == CLASS_NAMES
    assert hub.open(path, images="texts").X[2] == "text 2 ж"
    hub.create_tensors(source, result_table())
    assert len(hub.clean_view(path)) == 9
    assert folder_of(old) == before
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["dataset"]


@pytest.mark.parametrize("what", ["missing", "new format", "there already"])
def test_what_cannot_be_converted_is_refused(old, tmp_path, what):
    new = create_deeplake(tmp_path / "new", simple_columns())
    src, dst, match = {
        "missing": (tmp_path / "nothing", tmp_path / "x", "no dataset of Hub 2"),
        "new format": (new, tmp_path / "x", "needs no conversion"),
        "there already": (old, new, "something is at .* already"),
    }[what]
    before = folder_of(tmp_path)
    with pytest.raises(DatasetError, match=match):
        hub.convert(src, dst)
    assert folder_of(tmp_path) == before


@pytest.mark.parametrize("tensor", ["labels", "images", "texts"])
def test_a_copy_that_differs_is_removed(old, tmp_path, monkeypatch, tensor):
    import deeplake

    whole = deeplake.convert

    def damaged(src, dst, **options):
        whole(src, dst, **options)
        copy = deeplake.open(dst)
        copy[tensor][3:4] = [copy[tensor][4]]
        copy.commit("damage")

    monkeypatch.setattr(deeplake, "convert", damaged)
    before = folder_of(tmp_path)
    with pytest.raises(
        DatasetError, match=rf"differs in tensor '{tensor}', rows \[3\]"
    ):
        hub.convert(old, tmp_path / "new")
    assert folder_of(tmp_path) == before


def test_it_needs_room(old, tmp_path, monkeypatch):
    def full(folder, n_bytes, where):
        assert n_bytes == _convert._size_of(old)
        raise DatasetError("no room")

    monkeypatch.setattr(_convert, "make_sure_of_room", full)
    with pytest.raises(DatasetError, match="no room"):
        hub.convert(old, tmp_path / "new")
