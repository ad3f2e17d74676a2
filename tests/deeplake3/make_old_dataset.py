"""Write a small dataset with the Hub line (`deeplake<4`): path as the argument."""

import os
import sys
import tempfile
import warnings

import numpy as np
from PIL import Image

CLASS_NAMES = ["cat", 'a "quoted" name', "<script>alert(1)</script>", "кошка\nдва"]


def images(n=12):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 16, 20, 3), dtype=np.uint8)


def make(path, n=12, commit=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "a newer version is available"
        import deeplake

        dataset = deeplake.empty(path, verbose=False)
    with dataset, tempfile.TemporaryDirectory() as folder:
        dataset.create_tensor("images", htype="image", sample_compression="png")
        dataset.create_tensor("labels", htype="class_label", class_names=CLASS_NAMES)
        dataset.create_tensor("texts", htype="text")
        dataset.create_tensor("numbers", dtype="float32")
        for row, pixels in enumerate(images(n)):
            file = os.path.join(folder, f"{row}.png")
            Image.fromarray(pixels).save(file)
            dataset.append(
                {
                    "images": deeplake.read(file),
                    "labels": np.uint32(row % 4),
                    "texts": f"text {row} ж",
                    "numbers": np.float32(row),
                }
            )
    if commit:
        dataset.commit("first rows")
    return path


if __name__ == "__main__":
    make(sys.argv[1])
