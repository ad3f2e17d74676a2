"""Data of three kinds with wrong labels in them, and the command."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hubclean._folder import FolderSource
from hubclean.cli import main

COLOURS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}


QUICK = ["--model", "logistic", "--folds", "3", "--quiet"]


def coloured_images(folder, per_class=12, side=9):
    """A folder of noisy squares of one colour, with two in the wrong class."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            noise = rng.integers(-30, 30, (side, side, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}{i:02}.png")
    os.replace(folder / "red/red03.png", folder / "blue/red03.png")
    os.replace(folder / "green/green05.png", folder / "red/green05.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return coloured_images(tmp_path / "squares")


@pytest.fixture
def table(tmp_path):
    """A CSV of two clear classes, with two wrong labels."""
    rng = np.random.default_rng(0)
    kind = np.array(["ham", "spam"])[np.arange(60) % 2]
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=60) + 6 * (kind == "spam"),
            "host": np.where(kind == "spam", "evil", "good"),
            "text": [f"{k} number {i} of these" for i, k in enumerate(kind)],
            "kind": kind,
        }
    )
    frame.loc[[4, 9], "kind"] = ["spam", "ham"]
    frame.loc[7, ["size", "text"]] = [np.nan, None]
    path = tmp_path / "mail.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def dataset(tmp_path):
    """A Deep Lake dataset of the same squares."""
    deeplake = pytest.importorskip("deeplake")
    source = FolderSource(coloured_images(tmp_path / "for-hub"))
    path = tmp_path / "hub"
    hub = deeplake.create(str(path))
    hub.add_column("images", deeplake.types.Image(sample_compression="png"))
    hub.add_column("labels", deeplake.types.ClassLabel("uint8"))
    hub["labels"].metadata["class_names"] = list(COLOURS)
    codes = np.searchsorted(list(COLOURS), source.y).astype(np.uint8)
    hub.append({"images": source.X.read(), "labels": codes})
    hub.commit("squares")
    return path


def run(*arguments):
    return main([str(a) for a in arguments])


def decisions_file(path, lines, version):
    columns = ["row", "decision", "new_label", "given_label"]
    frame = pd.DataFrame(lines, columns=columns)
    frame.assign(dataset_version=version).to_csv(path, index=False)
    return path
