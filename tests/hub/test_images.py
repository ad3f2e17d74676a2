import io

import numpy as np
import pytest
from PIL import Image

from hubclean import hub
from hubclean.hub import _images
from hubclean.hub._images import OTHER_MODE, decode_image, decode_images
from tests.hub.conftest import create_deeplake, encode, random_images

PIXELS = random_images(1, (21, 17, 3))[0]


def save(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


FILES = {
    "jpeg": encode(PIXELS, "JPEG", quality=90),
    "jpeg of full colour": encode(PIXELS, "JPEG", quality=95, subsampling=0),
    "progressive jpeg": encode(PIXELS, "JPEG", progressive=True),
    "grey jpeg": encode(PIXELS[..., :1], "JPEG"),
    "png": encode(PIXELS),
    "grey png": encode(PIXELS[..., :1]),
    "png with alpha": save(Image.fromarray(PIXELS).convert("RGBA"), "PNG"),
    "grey png with alpha": save(Image.fromarray(PIXELS).convert("LA"), "PNG"),
}
CMYK = save(Image.fromarray(PIXELS).convert("CMYK"), "JPEG", quality=95)
OTHERS = {
    "palette": save(Image.fromarray(PIXELS).convert("P"), "PNG"),
    "one bit": save(Image.fromarray(PIXELS).convert("1"), "PNG"),
    "sixteen bits": save(Image.fromarray(PIXELS[..., 0].astype("uint16") * 200), "PNG"),
}


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    if request.param == "pillow":
        monkeypatch.setattr(_images, "_simplejpeg", lambda: None)


@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_pixels_are_those_of_deep_lake(decoder, tmp_path, name):
    data = {**FILES, **OTHERS}[name]
    path = create_deeplake(tmp_path / "d", {"images": [data] * 2, "labels": [0, 1]})
    import deeplake

    dataset = deeplake.open_read_only(path)
    own = dataset["images"][0]
    np.testing.assert_array_equal(hub.open(path).X[0], own)


@pytest.mark.parametrize("name", FILES)
def test_they_are_those_of_pillow(decoder, name):
    pixels = decode_image(FILES[name])
    with Image.open(io.BytesIO(FILES[name])) as image:
        np.testing.assert_array_equal(pixels.squeeze(), np.asarray(image))
    assert pixels.ndim == 3 and pixels.dtype == np.uint8


def test_cmyk_becomes_rgb(decoder):
    """Deep Lake 4.7.4 leaves part of the array undefined."""
    pixels = decode_image(CMYK)
    assert pixels.shape == PIXELS.shape
    with Image.open(io.BytesIO(CMYK)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    assert decode_image(CMYK[:200]) is None


@pytest.mark.parametrize("name", OTHERS)
def test_other_modes_are_left_to_the_dataset(decoder, name):
    assert decode_image(OTHERS[name]) is OTHER_MODE


@pytest.mark.parametrize("cut", [0, 1, 2, 100, 0.5, 0.9])
@pytest.mark.parametrize("name", [*FILES, "palette"])
def test_damaged_files_are_told(decoder, name, cut):
    data = {**FILES, **OTHERS}[name]
    length = cut if cut >= 1 else int(cut * len(data))
    assert decode_image(data[:length]) is None


def test_order_is_kept_on_threads():
    images = random_images(50, (8, 8, 3))
    decoded = decode_images([encode(image) for image in images], n_threads=3)
    np.testing.assert_array_equal(np.stack(decoded), images)


class TestTogether:
    """JPEG files of one shape are decoded into one array."""

    @pytest.fixture
    def files(self):
        return [encode(image, "JPEG") for image in random_images(20, (8, 9, 3))]

    def test_one_array(self, files):
        together = decode_images(files, n_threads=3)
        assert isinstance(together, np.ndarray)
        assert together.shape == (20, 8, 9, 3)
        np.testing.assert_array_equal(together, [decode_image(data) for data in files])

    @pytest.mark.parametrize("place", [0, 7])
    @pytest.mark.parametrize(
        "other",
        [
            encode(random_images(1, (9, 8, 3))[0], "JPEG"),
            encode(random_images(1, (8, 9, 1))[0], "JPEG"),
            encode(random_images(1, (8, 9, 3))[0]),
            b"no image",
            encode(random_images(1, (8, 9, 3))[0], "JPEG")[:100],
        ],
        ids=["turned", "grey", "png", "no image", "cut"],
    )
    def test_one_that_is_other(self, files, place, other):
        files[place] = other
        decoded = decode_images(files, n_threads=3)
        assert isinstance(decoded, list)
        for image, data in zip(decoded, files, strict=True):
            alone = decode_image(data)
            if alone is None:
                assert image is None
            else:
                np.testing.assert_array_equal(image, alone)
