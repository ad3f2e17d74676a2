import pickle

import numpy as np
import pytest

from hubclean import hub
from hubclean.exceptions import BadRowsError, ParameterError
from tests.hub.conftest import encode, random_images, simple_columns

IMAGE_BYTES = 6 * 5 * 3


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    folder = None if request.param == "memory" else str(tmp_path / "cache")
    return lambda max_bytes: hub.DecodedCache(max_bytes, folder)


def decoded(source):
    return source._images_reader.decoded_rows


@pytest.mark.parametrize("kept", [12, 5, 1, 0])
def test_each_image_that_fits_is_decoded_once(dataset, cache, kept):
    source = hub.open(dataset, cache=cache(kept * (IMAGE_BYTES + 1) or 1))
    order = np.random.default_rng(0).permutation(12)
    for epoch in range(3):
        for rows in np.array_split(order, 4):
            np.testing.assert_array_equal(source.X.read(rows), random_images(12)[rows])
        assert decoded(source) == 12 + epoch * (12 - kept)


def test_subsets_and_copies_share_it(dataset, cache):
    source = hub.open(dataset, cache=cache(1 << 20))
    source.X[[1, 2]].read()
    source.X[::2].read()
    assert decoded(source) == 7
    again = pickle.loads(pickle.dumps(source.X[[1, 3]]))
    np.testing.assert_array_equal(again.read(), random_images(12)[[1, 3]])


def test_images_of_different_sizes_are_kept_too(make, cache):
    shapes = [(4, n % 5 + 2, 3) for n in range(10)]
    images = [random_images(1, shape, seed=n)[0] for n, shape in enumerate(shapes)]
    files = [encode(image) for image in images]
    source = hub.open(make({"images": files, "labels": [0] * 10}), cache=cache(1 << 16))
    for _ in range(2):
        for row, image in zip(source.X.read(), images, strict=True):
            np.testing.assert_array_equal(row, image)
    assert decoded(source) == 10
    limit = sum(image.nbytes for image in images[:4])
    source = hub.open(make({"images": files, "labels": [0] * 10}), cache=cache(limit))
    source.X.read()
    source.X.read()
    assert decoded(source) == 16


def test_a_size_that_shows_up_late_is_no_mistake(make, cache):
    images = [*random_images(6), random_images(1, (3, 3, 3))[0]]
    files = [encode(image) for image in images]
    source = hub.open(make({"images": files, "labels": [0] * 7}), cache=cache(1 << 16))
    source.X.read([0, 1])
    for _ in range(2):
        for row, image in zip(source.X.read(), images, strict=True):
            np.testing.assert_array_equal(row, image)
    assert decoded(source) == 8


def test_a_file_serves_the_next_run(dataset, tmp_path):
    cache = hub.DecodedCache(1 << 20, str(tmp_path / "cache"))
    hub.open(dataset, cache=cache).X.read(np.arange(9))
    source = hub.open(dataset, cache=cache)
    np.testing.assert_array_equal(source.X.read(), random_images(12))
    assert decoded(source) == 3


def test_bad_rows_are_named_with_a_cache(make, cache):
    columns = simple_columns()
    columns["images"][4] = b"no image"
    source = hub.open(make(columns), cache=cache(1 << 20))
    for _ in range(2):
        with pytest.raises(BadRowsError) as caught:
            source.X.read()
        assert caught.value.rows == [4]


def test_no_rows(dataset, cache):
    assert hub.open(dataset, cache=cache(1 << 20)).X[[]].read().shape == (0, 0, 0, 0)


@pytest.mark.parametrize("bound", [0, -1, 1.5])
def test_the_bound_is_checked(dataset, bound):
    with pytest.raises(ParameterError, match="must be a positive integer"):
        hub.open(dataset, cache=bound)
