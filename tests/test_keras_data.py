"""What Keras models are fed with: arrays, frames, text, images, columns, tf.data."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytest.importorskip("scikeras")

from hubclean import HubLabelCleaner  # noqa: E402
from hubclean.exceptions import (  # noqa: E402
    LabelQualityWarning,
    LabelsError,
    ParameterError,
    ValidationError,
)
from hubclean.keras import default_network, from_dataset, scikeras  # noqa: E402
from hubclean.keras._feeding import Feed, Rows  # noqa: E402
from hubclean.keras._networks import application  # noqa: E402

layers = keras.layers
RNG = np.random.default_rng(0)
Y = np.tile([0, 1], 24)
X = (RNG.normal(size=(48, 5)) + 3 * Y[:, None]).astype("float32")


def linear():
    return keras.Sequential([layers.Dense(2)])


def fitted(X, y=Y, model=linear, **params):
    settings = {
        "epochs": 6,
        "batch_size": 16,
        "optimizer__learning_rate": 0.1,
        "run_eagerly": True,
    }
    return scikeras(model, random_state=0, **{**settings, **params}).fit(X, y)


@pytest.fixture(scope="module")
def expected():
    """Probabilities by the classifier that saw a plain array."""
    return fitted(X).predict_proba(X)


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        np.float64,
        np.ndarray.tolist,
        pd.DataFrame,
        lambda X: pd.DataFrame(X).astype(object),
        sparse.csr_matrix,
        sparse.coo_array,
    ],
    ids=["array", "doubles", "list", "frame", "objects", "matrix", "coo"],
)
def test_tables_in_every_container_give_the_same(container, expected):
    given = container(X)
    classifier = fitted(given)
    np.testing.assert_allclose(classifier.predict_proba(given), expected, atol=1e-5)


def test_tensors_go_into_the_cleaner():
    cleaner = HubLabelCleaner(cv=3, random_state=0)
    expected = cleaner.fit_transform(X, Y)
    np.testing.assert_array_equal(cleaner.fit_transform(tf.constant(X), Y), expected)
    np.testing.assert_array_equal(cleaner.transform(tf.constant(X)), expected)
    np.testing.assert_array_equal(cleaner.predict(tf.constant(X)), cleaner.predict(X))


def test_frames_have_names_and_numbers():
    frame = pd.DataFrame(X, columns=list("abcde"))
    classifier = fitted(frame)
    assert classifier.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame[list("edcba")])
    with pytest.raises(ValidationError, match="columns of X must be numbers"):
        fitted(frame.assign(a="text"))


def test_text_reaches_the_network():
    text = np.where(Y == 1, "good film", "bad film")
    words = layers.TextVectorization(output_mode="multi_hot")
    words.adapt(text)
    model = keras.Sequential([words, layers.Dense(2)])
    for given in (text, pd.Series(text)):
        assert fitted(given, model=model).score(given, Y) == 1
    with pytest.raises(ValidationError, match="no default network for rows of type"):
        fitted(text, model=None)


def images(dtype=np.uint8):
    pictures = RNG.integers(0, 100, (48, 8, 8, 1))
    pictures[Y == 1, :4] += 120
    return pictures.astype(dtype)


def test_the_network_by_default_learns_images():
    params = {"optimizer__learning_rate": 0.01, "run_eagerly": False}
    pictures = images()[..., 0]
    classifier = fitted(pictures, model=None, epochs=8, **params)
    assert classifier.score(pictures, Y) > 0.9


def test_networks_are_sized_by_the_rows():
    assert default_network(np.zeros((2, 224, 224, 3)), 7).output_shape == (None, 7)
    small, large = (
        default_network(np.zeros((2, side, side)), 3).count_params()
        for side in (28, 224)
    )
    assert large < 2 * small
    assert default_network(np.zeros((2, 7)), 3).count_params() < 20_000


def test_a_network_of_keras_applications():
    network = application("mobilenet_v2", np.zeros((2, 32, 32), "uint8"), 4, alpha=0.35)
    assert network.output_shape == (None, 4)
    with pytest.raises(ValidationError, match="at least 75x75.*Resize them"):
        application("InceptionV3", np.zeros((2, 32, 32)), 4)
    pictures = np.repeat(images(), 4, 1).repeat(4, 2)
    named = scikeras("mobilenet_v2", model__alpha=0.35).initialize(pictures, Y)
    assert named.model_.output_shape == (None, 2)


def ragged():
    pictures = np.empty(48, dtype=object)
    for i, (picture, size) in enumerate(
        zip(images(), RNG.integers(6, 12, 48), strict=True)
    ):
        pictures[i] = np.resize(picture, (size, size + 1, 1))
        pictures[i][:] = 20 + 200 * Y[i]
    return pictures


def test_images_of_varying_size_need_a_transform():
    pictures = ragged()
    with pytest.raises(ValidationError, match="rows of X differ in shape.*Resizing"):
        fitted(pictures, model=None)
    resize = layers.Resizing(8, 8)
    flat = keras.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), linear()])
    classifier = fitted(pictures, model=flat, transform=resize)
    assert classifier.score(pictures, Y) == 1


def test_transforms_while_training_and_while_predicting():
    seen = []

    def noted(batch):
        seen.append(len(batch))
        return batch * 2

    classifier = fitted(
        X, transform={"images": noted, "labels": None}, transform_valid=lambda b: b * 2
    )
    trained = list(seen)
    assert max(trained[1:]) == 16
    assert classifier.score(X, Y) > 0.9
    assert seen == trained
    with pytest.raises(ParameterError, match="one row for each of the 48 rows"):
        fitted(X, transform=lambda batch: batch[:3])
    with pytest.raises(ParameterError, match="key 'images' only"):
        fitted(X, transform={"labels": noted})


class Column:
    """Lazy column over an array."""

    def __init__(self, array, row_ids=None, log=None):
        self.array = array
        self.row_ids = np.arange(len(array)) if row_ids is None else row_ids
        self.log = [] if log is None else log
        self.identity = ("column", "1")
        self.dtype = array.dtype

    shape = property(lambda self: (len(self.row_ids), *self.array.shape[1:]))

    def __len__(self):
        return len(self.row_ids)

    def __getitem__(self, index):
        return Column(self.array, self.row_ids[index], self.log)

    def read(self, indices=None):
        ids = self.row_ids if indices is None else self.row_ids[indices]
        self.log.append(len(ids))
        return self.array[ids]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read whole")


def test_lazy_columns_are_read_in_batches_and_give_the_same():
    column = Column(X.astype(np.float64))
    params = {"validation_split": 0.25, "run_eagerly": False}
    classifier, plain = fitted(column, **params), fitted(X, **params)
    expected = plain.predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(column), expected)
    assert max(column.log[1:]) == 16
    cleaner = HubLabelCleaner(
        scikeras(linear, epochs=1, run_eagerly=True), cv=2, random_state=0
    )
    assert len(cleaner.fit(column, Y).label_issues_) == 48


def test_errors_while_reading_come_through():
    class Broken(Column):
        def read(self, indices=None):
            if len(self.log) > 2:
                raise OSError("the disk is gone")
            return super().read(indices)

    with pytest.raises(OSError, match="the disk is gone"):
        fitted(Broken(X))


def test_each_epoch_goes_through_every_row_once_in_another_order():
    feed = Feed(Rows(X), 10, positions=np.arange(5, 40), seed=3, shuffle=True)
    epochs = []
    for epoch in (0, 1, 0):
        feed.start(epoch)
        batches = [feed.numbered(step)[0] for step in range(feed.steps)]
        assert [len(batch) for batch in batches] == [10, 10, 10, 5]
        epochs.append(np.concatenate(batches))
    np.testing.assert_array_equal(epochs[0], epochs[2])
    assert not np.array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(np.sort(epochs[1], axis=0), np.sort(X[5:40], axis=0))


def pairs():
    return tf.data.Dataset.from_tensor_slices((X, Y))


@pytest.mark.parametrize(
    "make",
    [
        pairs,
        lambda: pairs().batch(20),
        lambda: pairs().map(lambda x, y: (x, tf.one_hot(y, 2))).batch(20),
    ],
    ids=["rows", "batches", "one-hot"],
)
@pytest.mark.parametrize("in_memory", [1 << 20, 0])
def test_datasets_become_columns(make, in_memory):
    column, labels = from_dataset(make(), in_memory=in_memory)
    assert labels.tolist() == Y.tolist()
    np.testing.assert_array_equal(np.asarray(column), X)
    if not in_memory:
        part = pickle.loads(pickle.dumps(column[[7, 3]]))
        np.testing.assert_array_equal(part.read(), X[[7, 3]])
        np.testing.assert_array_equal(part[np.array([1])].read(np.array([0])), X[[3]])


def test_the_file_of_a_dataset_goes_with_its_last_column():
    import os

    column, _ = from_dataset(pairs(), in_memory=0)
    path, part = column.path, column[:3]
    del column
    assert os.path.exists(path)
    np.testing.assert_array_equal(part.read(), X[:3])
    del part
    assert not os.path.exists(path)


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_memory_says_that_no_other_process_knows_the_file(tmp_path):
    column, labels = from_dataset(pairs(), in_memory=0)
    network = scikeras(linear, epochs=1)
    cleaner = HubLabelCleaner(network, cv=2, memory=tmp_path, random_state=0)
    with pytest.warns(LabelQualityWarning, match="read into a file of this process"):
        cleaner.fit(column, labels)


def test_classifiers_take_datasets(expected):
    classifier = fitted(pairs().batch(7), None)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    np.testing.assert_array_equal(classifier.predict_proba(pairs()), expected)
    held = scikeras(linear, dataset=pairs(), epochs=1, random_state=0).fit()
    assert held.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: pairs().repeat(), "is endless"),
        (lambda: pairs().filter(lambda x, y: y == 0), "of unknown length"),
        (lambda: pairs().shuffle(48), "comes in another order each time"),
        (lambda: pairs().take(0), "has no rows"),
    ],
)
def test_datasets_that_cannot_be_told_by_position(dataset, message):
    with pytest.raises(ParameterError, match=message):
        from_dataset(dataset())


def test_labels_of_a_dataset_are_classes():
    dataset = tf.data.Dataset.from_tensor_slices((X, X[:, :2]))
    with pytest.raises(LabelsError, match="must be one class, or a one-hot row"):
        from_dataset(dataset)


def test_weights_of_a_dataset_count():
    weights = np.where(np.arange(48) % 3, 1.0, 0.01)
    triples = tf.data.Dataset.from_tensor_slices((X, 1 - Y, weights))
    column, labels, given = from_dataset(triples.batch(20))
    np.testing.assert_array_equal(column, X)
    np.testing.assert_array_equal(labels, 1 - Y)
    np.testing.assert_array_equal(given, weights)
    classifier = scikeras(linear, epochs=2, batch_size=16, random_state=0)
    found = classifier.fit(triples).predict_proba(triples)
    expected = classifier.fit(X, 1 - Y, sample_weight=weights).predict_proba(X)
    np.testing.assert_array_equal(found, expected)
    assert not np.allclose(found, classifier.fit(X, 1 - Y).predict_proba(X))
    own = classifier.fit(triples, sample_weight=np.ones(48)).predict_proba(X)
    np.testing.assert_array_equal(own, classifier.fit(X, 1 - Y).predict_proba(X))


THREE = np.arange(48) % 3
ONE_HOT = np.eye(3)[THREE]


def generated(*shapes):
    """Rows and labels of which TensorFlow knows no more than these shapes."""
    signature = tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes)
    rows = tf.data.Dataset.from_generator(
        lambda: zip(X[:, :3], ONE_HOT, strict=True), output_signature=signature
    )
    return rows.apply(tf.data.experimental.assert_cardinality(48))


def slices(*columns):
    return tf.data.Dataset.from_tensor_slices(columns)


SHAPED = {
    "rows as long as their one-hot labels": lambda: slices(X[:, :3], ONE_HOT),
    "batches of as many": lambda: slices(X[:, :3], THREE).batch(3, True),
    "batches of one": lambda: slices(X[:, :3], THREE).batch(1, True),
    "one-hot batches": lambda: slices(X[:, :3], ONE_HOT).batch(3, True),
    "of unknown rank": lambda: generated(None, None),
    "of unknown rows": lambda: generated((None,), (3,)),
}


@pytest.mark.parametrize("make", SHAPED.values(), ids=SHAPED)
def test_batches_are_told_from_rows(make):
    column, labels = from_dataset(make())
    np.testing.assert_allclose(column, X[:, :3], rtol=1e-6)
    np.testing.assert_array_equal(labels, THREE)


def test_what_may_be_batches_or_rows_is_refused():
    twos = slices(X[:, :2], np.eye(2, dtype=int)[Y])
    with pytest.raises(ParameterError, match="batches of 2 rows, or rows with a one-"):
        from_dataset(twos)
    column, labels = from_dataset(twos.map(lambda x, y: (x, tf.argmax(y, -1))))
    np.testing.assert_array_equal(column, X[:, :2])
    np.testing.assert_array_equal(labels, Y)


@pytest.mark.parametrize("row", [0, 7])
def test_a_row_that_is_no_number_is_in_the_same_order(row):
    rows = X.copy()
    rows[row, 0] = np.nan
    column, _ = from_dataset(slices(rows, Y))
    np.testing.assert_array_equal(column, rows)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices({"image": X, "label": Y}), "image"),
        (lambda: slices({"a": X}, Y), r"\(a dict with the keys \['a'\], tensor\)"),
        (lambda: slices(X, Y, Y, Y), r"\(tensor, tensor, tensor, tensor\)"),
        (lambda: slices(tf.ragged.constant([[1], [2, 3]]), [0, 1]), "RaggedTensorSpec"),
    ],
)
def test_elements_that_are_not_rows_and_labels_are_refused(dataset, message):
    with pytest.raises(ParameterError, match=f"must be x, .*; got .*{message}"):
        from_dataset(dataset())
