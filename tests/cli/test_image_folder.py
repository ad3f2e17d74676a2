"""Folders of images, and images of several sizes."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hubclean._folder import FolderSource
from hubclean._pixels import as_bytes, image_of
from hubclean._rows import is_lazy, row_digests
from hubclean.cli._sized import SizedColumn
from hubclean.cli._sources import kind_of_dataset
from hubclean.exceptions import BadRowsError, DatasetError
from tests.cli.conftest import QUICK, run


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text(folder, tmp_path, capsys):
    name = os.fsdecode(b"\xff\xfe.png")
    os.replace(folder / "blue/blue00.png", folder / "blue" / name)
    issues = tmp_path / "i.csv"
    assert run("find", folder, *QUICK, "--issues", issues) == 0
    assert "blue/\\udcff\\udcfe.png" in set(pd.read_csv(issues)["name"])
    capsys.readouterr()
    os.replace(folder / "red", folder / os.fsdecode(b"\xff"))
    assert run("find", folder, *QUICK, "--issues", issues) == 1
    assert "must be text in UTF-8; got \\udcff." in capsys.readouterr().err


def test_an_image_beside_a_hub_dataset_is_no_folder_of_images(dataset, folder):
    shutil.copy(folder / "red/red00.png", dataset)
    assert kind_of_dataset(str(dataset)) == "hub"


def test_images_of_a_hub_dataset_may_differ_in_size(dataset, capsys):
    import deeplake

    hub = deeplake.open(str(dataset))
    pixels = [np.full((9 + i % 2, 9, 3), i, np.uint8) for i in range(6)]
    hub.append({"images": pixels, "labels": np.arange(6, dtype=np.uint8) % 3})
    hub.commit("other sizes")
    assert run("find", dataset, *QUICK, "--framework", "sklearn", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_rows"] == 42
    assert "The images differ: they are fitted into 96 x 96 pixels." in err
    options = ["--framework", "sklearn", "--size", "8", "--json"]
    assert run("find", dataset, *QUICK, *options) == 0
    assert capsys.readouterr().err == ""


def test_a_column_of_one_size(folder):
    Image.new("L", (5, 20), 255).save(folder / "red/tall.png")
    X = FolderSource(folder).X
    row = FolderSource(folder).names.index("red/tall.png")
    sized = SizedColumn(X, 16)
    assert is_lazy(sized) and sized.shape == (37, 16, 16, 3) and sized.ndim == 4
    expected = FolderSource(folder, size=16).X.read()
    np.testing.assert_array_equal(np.asarray(sized), expected)
    np.testing.assert_array_equal(sized[np.array([row, 0])].read([0])[0], sized[row])
    assert sized.read(np.array([], int)).shape == (0, 16, 16, 3)
    again = pickle.loads(pickle.dumps(sized[3:5]))
    np.testing.assert_array_equal(again.row_ids, [3, 4])
    assert again.identity != X.identity and again.dtype == np.uint8
    with pytest.raises(DatasetError, match=r"differ in size.*--size 96"):
        SizedColumn(X, None).read()
    assert SizedColumn(X, None)[:4].read().shape == (4, 9, 9, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
def test_images_of_arrays(dtype, channels):
    white = 1 if dtype is bool else np.iinfo(dtype).max
    pixels = np.full((2, 3, *channels), white, dtype)
    image = as_bytes(image_of(pixels), grey=True)
    assert image.size == (3, 2) and image.getextrema() == (255, 255)
    with pytest.raises(DatasetError, match=r"got float32 of shape \(2, 3"):
        image_of(pixels.astype(np.float32))


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

    def test_pixels_of_sixteen_bits_are_scaled(self, tmp_path):
        for name in "ab":
            (tmp_path / name).mkdir()
            pixels = np.array([[0, 12850], [32896, 65535]], dtype=np.uint16)
            Image.fromarray(pixels).save(tmp_path / name / "x.png")
        X = FolderSource(tmp_path).X
        assert X.shape == (2, 2, 2)
        np.testing.assert_array_equal(X.read([0])[0], [[0, 50], [128, 255]])
        Image.fromarray(pixels.astype(">u2")).save(tmp_path / "a" / "x.tif")
        Image.new("RGB", (2, 2)).save(tmp_path / "b" / "x.tif")
        again = FolderSource(tmp_path).X.read([0, 1])
        assert (again[0] == again[1]).all() and again[0, 1, 0].tolist() == [128] * 3

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_what_is_transparent_is_white(self, tmp_path, mode):
        """The drawing is black on nothing, which is black as well."""
        drawing = Image.new("L", (2, 1), 0).convert(mode)
        if mode == "P":
            drawing.putdata([0, 1])
            drawing.putpalette([0] * 6)
        else:
            drawing.putalpha(Image.fromarray(np.array([[0, 255]], np.uint8)))
        for name in "ab":
            (tmp_path / name).mkdir()
            clear = {"transparency": 0} if mode == "P" else {}
            drawing.save(tmp_path / name / "x.png", **clear)
        read = FolderSource(tmp_path).X.read([0])[0].reshape(2, -1)
        assert (read[0] == 255).all() and (read[1] == 0).all()

    @pytest.mark.parametrize("kind", [np.float32, np.int32])
    def test_pixels_of_no_known_range_are_refused(self, folder, kind):
        Image.fromarray(np.ones((9, 9), kind)).save(folder / "red/depth.tiff")
        with pytest.raises(BadRowsError, match=r"red/depth\.tiff \(pixels of no "):
            FolderSource(folder)

    def test_images_that_are_too_large_are_named(self, folder, monkeypatch):
        source = FolderSource(folder)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
        for call in (lambda: FolderSource(folder), source.X.read):
            with pytest.raises(BadRowsError, match="more pixels than Pillow opens"):
                call()

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

    def test_a_class_that_may_not_be_read_is_not_left_out(self, folder, monkeypatch):
        list_folder = os.scandir

        def locked(path):
            if Path(path) == folder / "red":
                raise PermissionError(13, "Permission denied", str(path))
            return list_folder(path)

        monkeypatch.setattr(os, "scandir", locked)
        with pytest.raises(DatasetError, match="red: Permission denied. Allow"):
            FolderSource(folder)

    def test_a_folder_without_classes_is_refused(self, tmp_path):
        with pytest.raises(DatasetError, match="one folder for each class"):
            FolderSource(tmp_path)
        with pytest.raises(DatasetError, match="no such folder"):
            FolderSource(tmp_path / "none")


def test_images_without_classes_are_told(folder, capsys):
    assert run("find", folder / "red") == 1
    err = capsys.readouterr().err
    assert "got images in the folder itself, " in err and err.count("\n") == 1
    pytest.importorskip("deeplake")
    (folder / "red" / "empty").mkdir()
    assert run("find", folder / "red" / "empty") == 1
    assert "one folder for each class" in capsys.readouterr().err
