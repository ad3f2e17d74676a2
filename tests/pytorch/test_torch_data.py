"""Rows of any X become batches: containers, transforms, sizes, named models."""

import sys
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import cross_val_predict

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from torch import nn  # noqa: E402

import hubclean  # noqa: E402
from hubclean import pytorch as hp  # noqa: E402
from hubclean._rows import LazyColumn, take_rows  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    EstimatorError,
    LabelsError,
    MissingPackageError,
    ParameterError,
    RowsError,
)
from hubclean.pytorch import _data, _features  # noqa: E402


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4))
    X[np.arange(60), y] += 4
    return X, y


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(48) % 3
    X = rng.integers(0, 120, (48, 12, 12, 3), dtype=np.uint8)
    for row, k in zip(X, y, strict=True):
        row[4 * k : 4 * k + 4] += 130
    return X, y


def net(**params):
    return hp.skorch(**{"epochs": 4, "batch_size": 16, "random_state": 0, **params})


def varying(X):
    """Images of differing sizes, as an array of objects."""
    rows = np.empty(len(X), dtype=object)
    rows[:] = [np.ascontiguousarray(x[: 12 - i % 2]) for i, x in enumerate(X)]
    return rows


class Pairs(torch.utils.data.Dataset):
    """Map-style dataset that notes which items are asked for."""

    def __init__(self, X, y):
        self.X, self.y, self.asked = X, y, []

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        self.asked.append(i)
        return torch.from_numpy(self.X[i]), self.y[i]


class TestContainers:
    @pytest.mark.parametrize(
        "container",
        [
            np.asfortranarray,
            np.float32,
            np.ndarray.tolist,
            pd.DataFrame,
            lambda X: pd.DataFrame(X).astype(object),
            sparse.csr_matrix,
            sparse.coo_array,
            torch.from_numpy,
            lambda X: X.astype(">f8"),
            lambda X: np.broadcast_to(X, X.shape),
        ],
    )
    def test_equal_numbers_give_equal_answers(self, table, container):
        X, y = table
        expected = net().fit(X, y).predict_proba(X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = net().fit(container(X), y).predict_proba(container(X))
        np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("labels", [list, pd.Series, torch.from_numpy])
    def test_labels_come_in_any_container(self, table, labels):
        assert net().fit(table[0], labels(table[1])).score(*table) > 0.8

    @pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float16, bool, np.int8])
    def test_types_that_torch_does_not_know(self, table, dtype):
        X = (table[0] > 2).astype(dtype)
        assert net(epochs=8).fit(X, table[1]).score(X, table[1]) > 0.7

    def test_text_is_an_error(self):
        with pytest.raises(ParameterError, match="numbers or images; got an array of"):
            net().fit(np.array(["a", "b"]), [0, 1])
        with pytest.raises(ParameterError, match="got objects.*Encode columns"):
            net().fit(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), [0, 1])

    def test_no_rows(self):
        with pytest.raises(ParameterError, match="at least 1 row; got 0"):
            net().fit(np.empty((0, 3)), [])

    def test_labels_are_needed(self, table):
        with pytest.raises(ParameterError, match="needs X and `y`.*got ndarray"):
            net().fit(table[0])
        with pytest.raises(ParameterError, match="got NoneType"):
            net().fit()

    def test_labels_of_a_regression(self, table):
        with pytest.raises(LabelsError, match="Unknown label type: continuous"):
            net().fit(table[0], table[0][:, 0])

    def test_a_pair_or_a_source_brings_its_labels(self, table):
        source = types.SimpleNamespace(X=table[0], y=table[1])
        expected = net().fit(*table).predict_proba(table[0])
        for data in (table, source):
            got = net(dataset=data).fit().predict_proba(table[0])
            np.testing.assert_array_equal(got, expected)
            got = net().fit(data).predict_proba(table[0])
            np.testing.assert_array_equal(got, expected)

    def test_inputs_of_several_parts(self, table):
        X, y = table
        together = {"x": X, "again": X}
        with pytest.raises(ParameterError, match="one array.*a dict of length 2. Put"):
            net().fit(together, y)
        with pytest.raises(RowsError, match="got dict .its length is the number of"):
            hubclean.HubLabelCleaner(net()).fit(together, y)
        for parts in (
            [{"x": row, "again": row} for row in X],
            [(row, row[:2]) for row in X],
        ):
            kind = f"a {type(parts[0]).__name__} of length 2.*`forward`.*`transform`"
            pairs = list(zip(parts, y, strict=True))
            with pytest.raises(ParameterError, match=kind):
                net().fit(pairs)
            with pytest.raises(ParameterError, match=kind):
                hubclean.HubLabelCleaner(net()).fit(*hp.from_dataset(pairs))
        taken = net(transform=lambda parts: parts[0]).fit(pairs)
        expected = net().fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(taken.predict_proba(pairs), expected)

    def test_text_in_a_dataset(self, table):
        pairs = list(zip(["a", "bc"] * 30, table[1], strict=True))
        with pytest.raises(ParameterError, match="array of numbers; got a str_"):
            net().fit(pairs)

    def test_a_dataset_for_the_cleaner(self, table):
        pairs = torch.utils.data.TensorDataset(*map(torch.from_numpy, table))
        message = r"got TensorDataset.*hubclean.pytorch.from_dataset\(dataset\) gives"
        with pytest.raises(RowsError, match=message):
            hubclean.HubLabelCleaner(net()).fit(pairs, table[1])

    def test_images_of_other_dimensions(self, images):
        X, y = images
        for given in (X, X[..., 0]):
            fitted = net(epochs=1).fit(given, y)
            for other in (X.reshape(48, -1), X[..., None]):
                message = rf"must have {given.ndim} dimensions.*shape \(.*in fit"
                with pytest.raises(ParameterError, match=message):
                    fitted.predict(other)

    def test_a_column_that_gives_too_few_rows(self, table):
        class Short(hp.DatasetColumn):
            def read(self, indices=None):
                return super().read(indices)[:0]

        column = Short(list(zip(*table, strict=True)))
        with pytest.raises(ParameterError, match="gave 0 for a batch of"):
            net().fit(column, table[1])

    def test_a_last_batch_of_one_row_joins_the_one_before(self, images):
        net(batch_size=47).fit(*images)  # batch normalisation needs two rows


class TestDatasets:
    def test_a_dataset_brings_inputs_and_labels(self, images):
        X, y = images
        dataset = Pairs(X, np.array(["red", "green", "blue"])[y])
        fitted = net(epochs=8).fit(dataset)
        assert fitted.classes_.tolist() == ["blue", "green", "red"]
        assert fitted.score(dataset, dataset.y) > 0.8
        plain = net(epochs=8).fit(X, dataset.y)
        np.testing.assert_array_equal(fitted.predict(dataset), plain.predict(X))

    def test_columns_of_a_dataset_are_lazy(self, images):
        dataset = Pairs(*images)
        X, y = hp.from_dataset(dataset)
        assert isinstance(X, LazyColumn)
        dataset.asked.clear()
        assert take_rows(X, [5, 3]).row_ids.tolist() == [5, 3]
        assert dataset.asked == []
        np.testing.assert_array_equal(take_rows(X, [5, 3]).read([1]), images[0][[3]])
        assert X.shape == (48, 12, 12, 3)
        assert (X.ndim, X.dtype) == (4, np.uint8)
        proba = cross_val_predict(net(), X, y, cv=3, method="predict_proba")
        plain = cross_val_predict(net(), *images, cv=3, method="predict_proba")
        np.testing.assert_array_equal(proba, plain)

    def test_equal_columns_have_equal_identities(self, images):
        dataset = Pairs(*images)
        one, other = hp.DatasetColumn(dataset), hp.DatasetColumn(dataset)
        assert one[[1]].identity == other.identity
        assert one.identity != hp.DatasetColumn(Pairs(*images)).identity

    def test_targets_are_taken_without_reading(self, images):
        dataset = Pairs(*images)
        dataset.targets = images[1].tolist()
        _, y = hp.from_dataset(dataset)
        assert dataset.asked == []
        np.testing.assert_array_equal(y, images[1])
        dataset.target_transform = str
        hp.from_dataset(dataset)
        assert len(dataset.asked) == 48

    def test_a_dataset_without_labels(self, images):
        with pytest.raises(ParameterError, match=r"must be \(input, label\) pairs"):
            net().fit(torch.utils.data.Subset(images[0], range(4)))

    def test_an_iterable_dataset(self, images):
        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self):
                yield from images[0]

        with pytest.raises(ParameterError, match="got an iterable dataset"):
            net().fit(Stream(), images[1])

    def test_cross_validation_on_pairs(self, images):
        pairs = list(zip(*images, strict=True))
        proba = cross_val_predict(net(), pairs, images[1], cv=3, method="predict_proba")
        plain = cross_val_predict(net(), *images, cv=3, method="predict_proba")
        np.testing.assert_array_equal(proba, plain)


class TestDatasetsThatDraw:
    """Augmentation inside the dataset, as torchvision's datasets have it."""

    @pytest.fixture
    def noisy(self, table):
        class Noisy(Pairs):
            def __getitem__(self, i):
                row, label = super().__getitem__(i)
                return row + torch.randn(4), label

        return Noisy(*table)

    @pytest.mark.parametrize(
        "how",
        [
            {"read_threads": 0},
            {"read_threads": 2},
            pytest.param(
                {"iterator_train__num_workers": 2, "iterator_valid__num_workers": 2},
                id="processes",
                marks=pytest.mark.forks,
            ),
        ],
    )
    def test_the_seed_decides_what_is_drawn(self, noisy, how):
        torch.manual_seed(1)
        one = net().fit(noisy)
        torch.manual_seed(2)
        other = net(**how).fit(noisy)
        X = noisy.X
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
        np.testing.assert_array_equal(
            one.predict_proba(noisy), other.predict_proba(noisy)
        )
        third = net(random_state=1).fit(noisy)
        assert not np.array_equal(one.predict_proba(X), third.predict_proba(X))

    def test_epochs_draw_anew(self, noisy):
        rows = _data.BatchDataset(hp._columns.as_rows(noisy), seed=3)
        first = rows.__getitems__([1, 2])[0]
        assert torch.equal(first, rows.__getitems__([1, 2])[0])
        rows.epoch = 1
        assert not torch.equal(first, rows.__getitems__([1, 2])[0])

    def test_torchs_own_random_numbers_are_left_alone(self, noisy):
        before = torch.get_rng_state()
        X, y = hp.from_dataset(noisy)
        assert X.shape == (60, 4)
        np.testing.assert_array_equal(X.read(), np.asarray(X))
        net().fit(X, y).predict(X)
        assert torch.equal(torch.get_rng_state(), before)


class TestTransforms:
    def test_tensors_arrays_and_pil_images_mean_the_same(self, images):
        Image = pytest.importorskip("PIL.Image")
        X, y = images
        transforms = [
            None,
            lambda x: x,
            lambda x: torch.from_numpy(x).permute(2, 0, 1),
            Image.fromarray,
        ]
        first, *others = [
            net(transform=fn).fit(X, y).predict_proba(X) for fn in transforms
        ]
        for other in others:
            np.testing.assert_array_equal(first, other)

    def test_the_prototypes_dict(self, images):
        X, y = images
        seen = []

        def negative(image):
            seen.append(image.shape)
            return 255 - image

        both = {"pictures": negative, "labels": None}
        net(transform=both, images="pictures", epochs=1).fit(X, y)
        assert set(seen) == {(12, 12, 3)}
        named = {"images": None, "labels": "cdx".__getitem__}
        assert net(transform=named).fit(X, y).classes_.tolist() == ["c", "d", "x"]

    def test_another_transform_while_predicting(self, images):
        X, y = images
        seen = []
        fitted = net(
            transform=lambda x: x, transform_valid=lambda x: seen.append(0) or x
        ).fit(X, y)
        seen.clear()
        fitted.predict(X[:7])
        assert len(seen) == 7

    def test_images_of_varying_size(self, images):
        X, y = varying(images[0]), images[1]
        with pytest.raises(
            ParameterError, match=r"one size; got \(11, 12, 3\) and.*resize=64"
        ):
            net().fit(X, y)
        assert net(resize=12, epochs=8).fit(X, y).score(X, y) > 0.8
        crop = net(transform=lambda x: x[:11]).fit(X, y)
        assert crop.predict(list(X)).shape == (48,)

    def test_resizing_on_the_device(self, images):
        X, y = images
        fitted = net(module=FixedSize, resize=6).fit(X, y)
        assert fitted.predict(X).shape == (48,)

    def test_a_transform_that_returns_nothing(self, images):
        with pytest.raises(ParameterError, match=r"got NoneType for a row of shape \("):
            net(transform=lambda x: None).fit(*images)
        with pytest.raises(ParameterError, match="must return a tensor.*got str"):
            net(transform=str).fit(*images)

    def test_a_transform_that_gives_varying_shapes(self, images):
        grow = iter(range(1000))
        with pytest.raises(ParameterError, match="rows of one shape.*resizing step"):
            net(transform=lambda x: x[: 4 + next(grow) % 2]).fit(*images)

    def test_an_error_inside_a_transform_comes_through(self, images):
        with pytest.raises(ZeroDivisionError):
            net(transform=lambda x: 1 / 0).fit(*images)


class Scale(nn.Module):
    """A factor that no state dict holds."""

    def __init__(self, k):
        super().__init__()
        self.register_buffer("k", torch.tensor(k), persistent=False)

    def forward(self, x):
        return x.flatten(1) * self.k


def _embedded(classifier, X):
    """What a frozen network makes of rows."""
    classifier._start()
    return classifier._rows(X).array


class TestChannels:
    @pytest.mark.parametrize(
        ("shape", "channels"),
        [
            ((2, 8, 8), 2),
            ((8, 8, 2), 2),
            ((5, 8, 6), 5),
            ((8, 6, 5), 5),
            ((3, 8, 4), 3),
            ((4, 8, 3), 3),
            ((4, 8, 3), 4),
            ((3, 8, 3), 3),
            ((8, 6, 1), 3),
            ((1, 6, 8), 3),
            ((8, 6, 4), 3),
        ],
    )
    @pytest.mark.parametrize("as_dataset", [False, True])
    def test_the_first_layer_says_where_they_are(self, shape, channels, as_dataset):
        X, y = np.random.default_rng(0).random((12, *shape)), np.arange(12) % 2
        body = nn.Conv2d(channels, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        rows = (list(zip(X, y, strict=True)),) if as_dataset else (X, y)
        fitted = net(module=nn.Sequential(*body), epochs=1).fit(*rows)
        seen = []
        fitted.module_[0].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
        fitted.predict(rows[0])
        assert seen[0].shape[1] == channels
        if channels in shape:
            first = shape[0] == channels != shape[2]
            expected = X if first else np.moveaxis(X, 3, 1)
            np.testing.assert_array_equal(seen[0], expected.astype(np.float32))

    @pytest.mark.parametrize("shape", [(2, 8, 8), (8, 8, 2), (3, 8, 8), (8, 6, 3)])
    def test_without_a_layer_they_are_guessed(self, shape):
        X = np.random.default_rng(0).random((12, *shape))
        fitted = net(epochs=1).fit(X, np.arange(12) % 2)
        assert fitted.module_.body[0].in_channels == min(shape)


class FixedSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 3)
        )

    def forward(self, x):
        return self.body(x)


def small_model(n_outputs):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, n_outputs),
    )


@pytest.fixture
def fake_libraries(monkeypatch):
    """Stand in for torchvision and timm at the import; note what they are asked."""
    asked = []
    torchvision = types.ModuleType("torchvision")
    torchvision.models = types.SimpleNamespace(
        list_models=lambda module: ["resnet18", "vgg11"],
        get_model=lambda name, weights: (
            asked.append((name, weights)) or small_model(1000)
        ),
    )
    timm = types.ModuleType("timm")
    timm.list_models = lambda: ["vit_tiny", "resnet18"]
    timm.create_model = lambda name, pretrained, num_classes: (
        asked.append((name, pretrained))
        or (small_model(num_classes) if num_classes else small_model(5)[:-1])
    )
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "timm", timm)
    return asked


class TestNamedModels:
    @pytest.mark.parametrize(
        ("name", "asked"),
        [
            ("resnet18", ("resnet18", None)),
            ("torchvision/vgg11", ("vgg11", None)),
            ("vit_tiny", ("vit_tiny", False)),
            ("timm/resnet18", ("resnet18", False)),
        ],
    )
    def test_by_name(self, images, fake_libraries, name, asked):
        X, y = images
        grey = X[..., 0]
        for rows in (X, grey):
            fitted = net(module=name).fit(rows, y)
            assert fitted.predict_proba(rows).shape == (48, 3)
        assert fake_libraries[0] == asked

    def test_with_the_weights_of_the_library(self, images, fake_libraries):
        net(module="resnet18", pretrained=True, epochs=1).fit(*images)
        assert fake_libraries == [("resnet18", "DEFAULT")]

    def test_an_unknown_name(self, images, fake_libraries):
        with pytest.raises(ParameterError, match="'resnet81' in torchvision or timm; "):
            net(module="resnet81").fit(*images)

    @pytest.mark.parametrize("name", ["resnet18", "timm/vit_tiny"])
    def test_libraries_that_are_missing(self, images, monkeypatch, name):
        monkeypatch.setitem(sys.modules, "torchvision", None)
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(
            MissingPackageError, match=r"pip install 'hubclean\[vision\]"
        ):
            net(module=name).fit(*images)

    def test_frozen_features_are_computed_once(self, images, fake_libraries):
        _features.embeddings.clear()
        X, y = images
        model = net(features="resnet18", epochs=20)
        proba = cross_val_predict(model, X, y, cv=4, method="predict_proba")
        # Each of four folds asks for the rest once; later folds find most rows.
        assert [name for name, _ in fake_libraries].count("resnet18") <= 2
        assert _features.embeddings.n_bytes == 48 * 32 * 4
        assert (proba.argmax(1) == y).mean() > 0.6

    def test_features_of_a_module(self, images, monkeypatch):
        hubclean.forget_models()
        X, y = images
        body = small_model(3)[:-1]
        passes, compute = [], _features._compute
        monkeypatch.setattr(
            _features, "_compute", lambda *given: passes.append(0) or compute(*given)
        )
        fitted = net(features=body, epochs=20).fit(X, y, evaluate=X[:5])
        assert fitted.module_.body[0].in_features == 32
        assert fitted.evaluated_proba_.shape == (5, 3)
        n_passes = len(passes)
        fitted.predict(X)
        assert len(passes) == n_passes

    def test_another_network_gives_other_features(self, table):
        X, y = table
        buffered = [Scale(1.0), Scale(0.0)]
        named = [net(features=each).fit(X, y).predict_proba(X) for each in buffered]
        assert not np.array_equal(*named)
        buffered[0].k = buffered[1].k  # one network, changed
        changed = net(features=buffered[0]).fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(changed, named[1])

    def test_an_edited_transform_gives_other_features(self, table):
        X, y = table
        proba = []
        for code in ("row", "row * 0"):
            names = {"__name__": "__main__"}
            exec(f"def edited(row): return {code}", names)
            fitted = net(features=nn.Flatten(), transform=names["edited"]).fit(X, y)
            proba.append(fitted.predict_proba(X))
        assert not np.array_equal(*proba)

    def test_bytes_and_floats_of_one_value_have_their_own_features(self, table):
        X = (table[0] > 2).astype(np.uint8)
        rows = [_embedded(net(features=nn.Flatten()), X.astype(t)) for t in ("u1", "f")]
        np.testing.assert_allclose(rows[0] * 255, rows[1])

    def test_features_that_cannot_be_named_are_not_kept(self, table, tmp_path):
        hubclean.forget_models()
        X, y = table
        with open(tmp_path / "log", "w") as log:
            writes = net(
                features=nn.Flatten(), transform=lambda r: log.write(".") and r
            )
            assert writes.fit(X, y).score(X, y) > 0.5
        assert _features.embeddings.n_bytes == 0

    def test_forgetting_models_forgets_features(self, table):
        net(features=nn.Flatten()).fit(*table)
        assert _features.embeddings.n_bytes > 0
        hubclean.forget_models()
        assert _features.embeddings.n_bytes == 0

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    def test_features_of_other_precisions(self, table, dtype):
        body = nn.Linear(4, 8).to(dtype)
        assert _embedded(net(features=body), table[0]).dtype == np.float32

    def test_features_that_are_no_network(self, images):
        with pytest.raises(EstimatorError, match="`features` must be.*got int"):
            net(features=18).fit(*images)

    def test_the_cache_keeps_to_its_bound(self):
        cache = _features.EmbeddingCache(max_bytes=100)
        cache.put("abc", np.zeros((3, 10), dtype=np.float32))
        assert cache.n_bytes == 80
        assert [v is None for v in cache.get("abc")] == [True, False, False]


@pytest.mark.parametrize("side", [4, 8, 28, 64, 200])
def test_the_default_network_takes_images_of_any_size(side):
    X = np.random.default_rng(0).integers(0, 255, (6, side, side, 3), dtype=np.uint8)
    fitted = net(epochs=1, batch_size=3).fit(X, [0, 1] * 3)
    sizes = []
    fitted.module_.body[-3].register_forward_hook(
        lambda module, inputs, output: sizes.append(output.shape[-1])
    )
    fitted.predict(X)
    assert 4 <= sizes[0] <= 8


def test_constant_columns_and_pixels_do_no_harm():
    X = np.zeros((20, 8, 8, 3), dtype=np.uint8)
    for rows in (X, X.reshape(20, -1).astype(float)):
        assert np.isfinite(net().fit(rows, [0, 1] * 10).predict_proba(rows)).all()
