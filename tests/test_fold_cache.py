"""What `memory` keeps, shares, refuses and gives back."""

import importlib.util
import json
import os
import tracemalloc
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from counting import Counting, rows, trainings
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier as KNN
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import hubclean
from hubclean import HubLabelCleaner, LabelCleaningSampler
from hubclean import _fold_cache as fold_cache
from hubclean import _mean_of_folds as mean_of_folds
from hubclean._auto_rule import learn_auto_rule
from hubclean._data_identity import DataIdentity
from hubclean._fold_cache import FoldCache
from hubclean._model_store import ModelStore, final_models
from hubclean._rows import row_digests
from hubclean.exceptions import LabelQualityWarning, ParameterError

X, Y = rows()


@pytest.fixture(autouse=True)
def no_models():
    hubclean.forget_models()
    yield
    hubclean.forget_models()


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def memory(tmp_path):
    return str(tmp_path / "memory")


def entries(memory):
    folder = os.path.join(memory, "hubclean")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder))


GRID = [
    {"cv": [3, 5], "threshold": [None, 0.3], "prune_fraction": [1.0, 0.5]},
    {"cv": [3, 5], "filter_by": ["prune_by_noise_rate", "confident_learning"]},
    {"cv": [5], "score_by": ["self_confidence", "clean_probability"]},
]


def search(estimator, memory, n_jobs=None, grid=GRID):
    cleaner = HubLabelCleaner(estimator, random_state=0, memory=memory)
    outer = StratifiedKFold(2, shuffle=True, random_state=0)
    found = GridSearchCV(cleaner, grid, cv=outer, refit=False, n_jobs=n_jobs)
    return found.fit(X, Y).cv_results_["mean_test_score"]


def test_a_grid_search_trains_every_fold_once(memory, log, tmp_path):
    kept = search(Counting(log), memory)
    assert trainings(log) == 2 * (3 + 5)
    n_candidates = len(ParameterGrid(GRID))
    assert 0 < trainings(log, "final") < 2 * n_candidates
    other = str(tmp_path / "other")
    np.testing.assert_array_equal(kept, search(Counting(other), None))
    assert trainings(other) == 2 * sum(point["cv"] for point in ParameterGrid(GRID))
    assert trainings(other, "final") == 2 * n_candidates


def test_processes_share_the_folder(memory, log):
    """Folds that two processes train at the same moment may train twice, no others."""
    in_two = search(Counting(log), memory, 2, GRID[1])
    n_folds = 2 * (3 + 5)
    assert n_folds <= trainings(log) <= 2 * n_folds
    assert len(entries(memory)) == n_folds
    before = trainings(log)
    again = search(Counting(log), memory, grid=GRID[1])
    np.testing.assert_array_equal(in_two, again)
    assert trainings(log) == before


def test_equal_corrected_rows_share_the_final_training(memory, log):
    for threshold in (0.0, None, 0.0):
        cleaner = HubLabelCleaner(
            Counting(log), random_state=0, memory=memory, threshold=threshold
        ).fit(X, Y)
        alone = clone(cleaner).set_params(memory=None).fit(X, Y)
        np.testing.assert_array_equal(cleaner.predict_proba(X), alone.predict_proba(X))
    assert trainings(log, "final") == 2 + 3  # the second 0.0 was shared; 3 alone


def test_a_shared_model_has_the_parameters_that_were_asked_for(memory, log):
    for verbose in (0, 1):
        estimator = Counting(log, verbose=verbose)
        cleaner = HubLabelCleaner(estimator, random_state=0, memory=memory).fit(X, Y)
        assert cleaner.estimator_.verbose == verbose
    assert trainings(log) == 5


def test_error_probabilities_are_learned_once(memory, monkeypatch):
    learned = []

    def learn(*given, **options):
        learned.append(len(given))
        return learn_auto_rule(*given, **options)

    monkeypatch.setattr("hubclean._judgement.learn_auto_rule", learn)
    tables = [
        HubLabelCleaner(
            GaussianNB(), random_state=seed, memory=folder, threshold=threshold
        )
        .fit(X, Y)
        .label_issues_
        for folder in (memory, None)
        for seed in (0, 1)
        for threshold in (None, 0.1, 0.4)
    ]
    assert len(learned) == 2 + 6
    for kept, alone in zip(tables[:6], tables[6:], strict=True):
        pd.testing.assert_frame_equal(kept, alone)


def test_a_shared_model_is_a_copy(memory):
    cleaner = HubLabelCleaner(GaussianNB(), random_state=0, memory=memory)
    first = cleaner.fit(X, Y).estimator_
    first.theta_ += 1
    second = cleaner.fit(X, Y).estimator_
    assert (second.theta_ != first.theta_).all()


def test_models_are_bounded_and_given_back(memory):
    HubLabelCleaner(GaussianNB(), random_state=0, memory=memory).fit(X, Y)
    assert final_models.n_bytes > 0
    hubclean.forget_models()
    assert final_models.n_bytes == 0
    store = ModelStore(max_bytes=2500)
    for key in "abc":
        store.put(key, np.full(100, ord(key), dtype=float))
    assert store.get("a") is None
    assert store.get("c")[0] == ord("c")
    store.put("large", np.zeros(1000))
    assert store.get("large") is None
    assert store.get("b") is not None, "a model too large pushes no other out"
    store.put("unpicklable", lambda: 0)
    assert store.get("unpicklable") is None
    assert store.n_bytes <= 2500


@pytest.mark.parametrize("kind", [str, os.fspath, joblib.Memory], ids=str)
def test_kinds_of_memory(tmp_path, log, kind):
    for _ in range(2):
        memory = kind(str(tmp_path / "memory"))
        if kind is joblib.Memory:
            memory = joblib.Memory(tmp_path / "memory", verbose=0)
        HubLabelCleaner(Counting(log), random_state=0, memory=memory).fit(X, Y)
    assert trainings(log) == 5


def test_memory_must_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="'.*file' is a file. Pass the path"):
        HubLabelCleaner(memory=tmp_path / "file").fit(X, Y)
    with pytest.raises(ParameterError, match="`memory` must be a folder.*got 3"):
        HubLabelCleaner(memory=3).fit(X, Y)


def test_only_npy_and_json(memory, log):
    HubLabelCleaner(Counting(log), random_state=0, memory=memory).fit(X, Y)
    assert len(entries(memory)) == 5
    for entry in entries(memory):
        assert sorted(os.listdir(entry)) == ["fold.json", "probs.npy"]
        probs = np.load(os.path.join(entry, "probs.npy"), allow_pickle=False)
        with open(os.path.join(entry, "fold.json")) as note:
            note = json.load(note)
        assert note["n_test"] == len(probs)
        assert note["estimator"].startswith("Counting(")


def test_the_sampler_shares_with_the_cleaner(memory, log):
    HubLabelCleaner(Counting(log), random_state=0, memory=memory).fit(X, Y)
    LabelCleaningSampler(Counting(log), random_state=0, memory=memory).fit(X, Y)
    assert trainings(log) == 5


# -- damaged and foreign entries ---------------------------------------------------


def flip(path, position):
    with open(path, "r+b") as file:
        file.seek(position, os.SEEK_END if position < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def shorten(path):
    os.truncate(path, os.path.getsize(path) // 2)


def pretend(entry, save):
    """A foreign array with a checksum that is right."""
    import hashlib

    save(os.path.join(entry, "probs.npy"))
    with open(os.path.join(entry, "probs.npy"), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    note = os.path.join(entry, "fold.json")
    with open(note) as file:
        content = json.load(file)
    with open(note, "w") as file:
        json.dump({**content, "sha256": digest}, file)


def replace_by_file(entry):
    import shutil

    shutil.rmtree(entry)
    open(entry, "w").close()


def save_objects(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def save_archive(path):
    with open(path, "wb") as file:
        np.savez(file, a=np.zeros(3))


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


DAMAGE = {
    "short array": lambda e: shorten(f"{e}/probs.npy"),
    "empty array": lambda e: os.truncate(f"{e}/probs.npy", 0),
    "flipped bit": lambda e: flip(f"{e}/probs.npy", -5),
    "flipped header": lambda e: flip(f"{e}/probs.npy", 3),
    "no array": lambda e: os.unlink(f"{e}/probs.npy"),
    "no note": lambda e: os.unlink(f"{e}/fold.json"),
    "short note": lambda e: shorten(f"{e}/fold.json"),
    "list for a note": lambda e: write(f"{e}/fold.json", b"[1]"),
    "not text": lambda e: write(f"{e}/fold.json", b"\xff\xfe\x00"),
    "deep note": lambda e: write(f"{e}/fold.json", b"[" * 100_000),
    "a file": replace_by_file,
    "wrong shape": lambda e: pretend(e, lambda p: np.save(p, np.zeros((2, 2)))),
    "wrong type": lambda e: pretend(e, lambda p: np.save(p, np.zeros((18, 3), "f4"))),
    "a pickle": lambda e: pretend(e, save_objects),
    "an archive": lambda e: pretend(e, save_archive),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_mended(memory, log, damage):
    cleaner = HubLabelCleaner(Counting(log), random_state=0, memory=memory)
    expected = cleaner.fit(X, Y).pred_probs_
    damage(entries(memory)[2])
    with pytest.warns(LabelQualityWarning, match="damaged or was not written.*again"):
        again = cleaner.fit(X, Y).pred_probs_
    np.testing.assert_array_equal(again, expected)
    assert trainings(log) == 6
    np.testing.assert_array_equal(cleaner.fit(X, Y).pred_probs_, expected)
    assert trainings(log) == 6
    assert len(entries(memory)) == 5


@pytest.mark.parametrize("trouble", [PermissionError, OSError, MemoryError])
def test_an_entry_that_cannot_be_read_now_stays(tmp_path, monkeypatch, trouble):
    """Too many open files, say; it was taken for damaged, and removed."""
    cache = FoldCache(tmp_path)
    cache.store("key", np.full((3, 2), 0.5), {})

    def read(*args):
        raise trouble("not now")

    with monkeypatch.context() as patch:
        patch.setattr(fold_cache, "_read", read)
        with pytest.warns(LabelQualityWarning, match="cannot be read .not now. and is"):
            assert cache.load("key", (3, 2)) is None
    assert (cache.load("key", (3, 2)) == 0.5).all()


def test_an_entry_that_another_process_has_just_made_is_sound(tmp_path, monkeypatch):
    cache, probs, read = FoldCache(tmp_path), np.full((2, 2), 0.5), fold_cache._read

    def somebody_is_quicker(entry, key, shape):
        monkeypatch.setattr(fold_cache, "_read", read)
        assert not entry.exists()
        cache.store(key, probs, {})
        raise FileNotFoundError

    monkeypatch.setattr(fold_cache, "_read", somebody_is_quicker)
    np.testing.assert_array_equal(cache.load("key", (2, 2)), probs)
    assert cache.holds("key")


def test_an_entry_under_another_name_is_foreign(memory, log):
    cleaner = HubLabelCleaner(Counting(log), random_state=0, memory=memory)
    expected = cleaner.fit(X, Y).pred_probs_
    first, second = entries(memory)[:2]
    os.rename(first, first + "-")
    os.rename(second, first)
    os.rename(first + "-", second)
    with pytest.warns(LabelQualityWarning, match="its key or checksum differs"):
        again = cleaner.fit(X, Y).pred_probs_
    np.testing.assert_array_equal(again, expected)


def test_foreign_files_are_left_alone(memory, log):
    folder = os.path.join(memory, "hubclean")
    os.makedirs(os.path.join(folder, "notes"))
    open(os.path.join(folder, "README"), "w").close()
    HubLabelCleaner(Counting(log), random_state=0, memory=memory).fit(X, Y)
    assert {"notes", "README"} <= set(os.listdir(folder))


def test_what_a_killed_process_left_is_removed_later(memory, log):
    folder = os.path.join(memory, "hubclean")
    for name in (".new-old", ".new-now"):
        os.makedirs(os.path.join(folder, name))
    os.utime(os.path.join(folder, ".new-old"), (0, 0))
    HubLabelCleaner(Counting(log), random_state=0, memory=memory).fit(X, Y)
    left = [name for name in os.listdir(folder) if name.startswith(".")]
    assert left == [".new-now"]


def test_a_folder_that_cannot_be_written(memory, log, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    cleaner = HubLabelCleaner(Counting(log), random_state=0, memory=memory)
    with pytest.warns(LabelQualityWarning, match="cannot be kept in .*No space left"):
        probs = cleaner.fit(X, Y).pred_probs_
    alone = clone(cleaner).set_params(memory=None).fit(X, Y)
    np.testing.assert_array_equal(probs, alone.pred_probs_)
    assert entries(memory) == []


def test_nothing_that_is_not_finite_is_kept(tmp_path):
    cache = FoldCache(tmp_path / "cache")
    cache.store("key", np.full((2, 2), np.nan), {})
    assert not cache.holds("key")


# -- what the key depends on -------------------------------------------------------


def folds_trained(memory, log, first, second):
    """Folds that a second cleaner trains after a first one."""
    for change in (first, second):
        params = {"random_state": 0, "memory": memory, "estimator": Counting(log)}
        params.update(change)
        data = params.pop("data", (X, Y))
        before = trainings(log)
        fit_params = params.pop("fit_params", {})
        HubLabelCleaner(**params).fit(*data, **fit_params)
    return trainings(log) - before


def test_what_does_not_matter(memory, log):
    assert folds_trained(memory, log, {}, {"verbose": 1, "n_jobs": 1}) == 0
    assert folds_trained(memory, log, {}, {"data": (X, Y.tolist())}) == 0
    assert folds_trained(memory, log, {}, {"estimator": Counting(log, n_jobs=2)}) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"data": (np.roll(X, 1, axis=1), Y)},
        {"data": (X.astype(np.float32), Y)},
        {"data": (np.nextafter(X, 9), Y)},
        {"data": (X, Y.astype(str))},
        {"data": (X, Y + 1)},
        {"data": (X, np.array(["a", "b", "c"])[Y])},
    ],
    ids=["seed", "columns", "float32", "last bit", "text", "numbers", "names"],
)
def test_what_matters(memory, log, change):
    assert folds_trained(memory, log, {}, change) == 5


def test_one_other_label_changes_the_folds_that_train_on_it(memory, log):
    splits = list(StratifiedKFold(5).split(X, Y))
    other = Y.copy()
    other[splits[0][1][0]] = (other[splits[0][1][0]] + 1) % 3
    n = folds_trained(memory, log, {"cv": splits}, {"cv": splits, "data": (X, other)})
    assert n == 4  # the fold that holds it out trains on the same rows and labels


def key(X, labels=None, classes=None, **changes):
    labels = np.arange(4) % 2 if labels is None else labels
    classes = np.unique(labels) if classes is None else classes
    given = {"estimator": GaussianNB(), "seed": 0, "fit_params": {}, **changes}
    train, test = np.arange(3), np.arange(3, 4)
    return DataIdentity(X, labels, classes).key(train=train, test=test, **given)


NUMBERS = np.arange(8.0).reshape(4, 2)


class Graph:
    def __init__(self, edges):
        self.edges = edges

    def __repr__(self):
        return "Graph with 5 nodes"


FRAME = pd.DataFrame({"a": [1, 2, 3, 4], "b": list("xyzx")})
OTHERS = {
    "classes of other rows": (
        {"X": NUMBERS, "labels": np.array([1, 2, 1, 0])},
        {"X": NUMBERS, "labels": np.array([1, 2, 1, 3])},
    ),
    "weights": (
        {"X": NUMBERS, "fit_params": {"sample_weight": np.ones(3)}},
        {"X": NUMBERS, "fit_params": {"sample_weight": np.arange(3.0)}},
    ),
    "names of columns": (
        {"X": FRAME},
        {"X": FRAME.rename(columns={"a": "b", "b": "a"})},
    ),
    "types of columns": ({"X": FRAME}, {"X": FRAME.astype({"a": "float64"})}),
    "categories": (
        {"X": FRAME.astype({"b": "category"})},
        {"X": FRAME.assign(b=pd.Categorical(FRAME["b"], categories=list("zyx")))},
    ),
    "text and numbers": (
        {"X": np.array([[1], [2], [3], [4]], object)},
        {"X": np.array([["1"], ["2"], ["3"], ["4"]], object)},
    ),
    "large integers": (
        {"X": np.full((4, 1), 2**53)},
        {"X": np.full((4, 1), 2**53 + 1)},
    ),
    "large integers among objects": (
        {"X": np.full((4, 1), 2**53).astype(object)},
        {"X": np.full((4, 1), 2**53 + 1).astype(object)},
    ),
    "long arrays in cells": (
        {"X": FRAME.assign(c=list(np.zeros((4, 3000))))},
        {
            "X": FRAME.assign(
                c=list(np.where(np.arange(3000) == 1500, 1, np.zeros((4, 1))))
            )
        },
    ),
    "index, by which functions look rows up": (
        {"X": FRAME},
        {"X": FRAME.set_axis(list("abcd"))},
    ),
    "shape of the rows of a list": (
        {"X": list(np.arange(24.0).reshape(4, 2, 3))},
        {"X": list(np.arange(24.0).reshape(4, 3, 2))},
    ),
    "rows of several shapes": (
        {"X": [[1], [1, 2], [1], [1, 2]]},
        {"X": [[1], [1, 3], [1], [1, 2]]},
    ),
    "objects of one text": (
        {"X": [Graph(n) for n in range(4)]},
        {"X": [Graph(n) for n in range(1, 5)]},
    ),
    "masks": (
        {"X": np.ma.array(NUMBERS, mask=NUMBERS > 3)},
        {"X": np.ma.array(NUMBERS, mask=NUMBERS < 3)},
    ),
    "types beside lists": (
        {"X": pd.DataFrame({"a": np.array([1, 2, 3, 4], object), "c": [[1]] * 4})},
        {"X": pd.DataFrame({"a": np.array([1.0, 2, 3, 4], object), "c": [[1]] * 4})},
    ),
    "sparse or not": ({"X": NUMBERS}, {"X": sparse.csr_array(NUMBERS)}),
    "list or array": ({"X": NUMBERS.tolist()}, {"X": NUMBERS}),
    "times": (
        {"X": NUMBERS.astype("datetime64[s]")},
        {"X": NUMBERS.astype("datetime64[D]")},
    ),
    "shape of a row": (
        {"X": np.zeros((4, 2, 3))},
        {"X": np.zeros((4, 3, 2))},
    ),
    "fold": ({"X": NUMBERS, "also": ("fold", 0)}, {"X": NUMBERS, "also": ("fold", 1)}),
}


@pytest.mark.parametrize("pair", OTHERS.values(), ids=OTHERS)
def test_keys_tell_apart(pair):
    assert key(**pair[0]) == key(**pair[0])
    assert key(**pair[0]) != key(**pair[1])


def test_images_of_many_sizes_are_told_apart():
    """By their content, not by how NumPy abbreviates it."""
    images = np.empty(4, dtype=object)
    images[:] = [np.zeros((40, 40 + n)) for n in range(4)]
    other = images.copy()
    other[1] = other[1].copy()
    other[1][20, 20] = 1
    assert key(images) != key(other)
    assert (row_digests(images) == row_digests(other)).tolist() == [1, 0, 1, 1]


def test_tables_of_pyarrow():
    """They are rows without `memory`, and were an AttributeError with it."""
    table = pytest.importorskip("pyarrow").Table.from_pandas
    assert key(table(FRAME)) == key(table(FRAME))
    others = (FRAME.rename(columns={"a": "c"}), FRAME.assign(a=0))
    assert len({key(table(frame)) for frame in (FRAME, *others)}) == 3


LONG = np.arange(3000)
NESTED = {
    "text": lambda a: a.astype(str),
    "times": lambda a: a.astype("datetime64[s]"),
    "dict": lambda a: {"pixels": a},
    "several": lambda a: [a, a[:3]],
    "table": lambda a: pd.DataFrame({"a": a, "b": a.astype(str)}),
    "object": lambda a: Graph(a),
}


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
def test_long_arrays_inside_of_cells_are_told_apart(nest):
    """NumPy abbreviates them, and so does what they are in."""
    columns = []
    for arrays in ([LONG] * 4, [LONG] * 4, [LONG + 5 * (LONG == 1500)] * 4):
        column = np.empty(4, dtype=object)
        column[:] = [nest(array) for array in arrays]
        columns.append(column)
    for container in (np.asarray, list, pd.Series, lambda x: pd.DataFrame({"a": x})):
        one, same, other = (key(container(column)) for column in columns)
        assert one == same != other
        one, same, other = (row_digests(container(column)) for column in columns)
        assert (one == same).all()
        assert (one != other).all()


def test_settings_by_which_steps_get_other_input(memory):
    """A classifier may go by the names or types of columns."""

    def fit(step):
        names = FunctionTransformer(lambda X: X + 0.5 * hasattr(X, "columns") * X**2)
        estimator = make_pipeline(step, names, GaussianNB())
        cleaner = HubLabelCleaner(estimator, random_state=0, memory=memory)
        return cleaner.fit(X, Y).pred_probs_

    plain = fit(StandardScaler())
    framed = fit(StandardScaler().set_output(transform="pandas"))
    with config_context(transform_output="pandas"):
        np.testing.assert_array_equal(fit(StandardScaler()), framed)
    assert (plain != framed).any()


def test_a_fitted_estimator_that_a_function_uses_counts(memory):
    def fit(scaler):
        estimator = make_pipeline(FunctionTransformer(scaler.transform), KNN(3))
        cleaner = HubLabelCleaner(estimator, random_state=0, memory=memory)
        return cleaner.fit(X, Y).pred_probs_

    one = fit(StandardScaler().fit(X))
    other = fit(StandardScaler().fit(X * np.arange(1, X.shape[1] + 1)))
    assert (one != other).any()


# -- what cannot be kept -----------------------------------------------------------


def test_unseeded_runs_share_nothing_and_say_so(memory, log):
    cleaner = HubLabelCleaner(Counting(log), memory=memory)
    with pytest.warns(LabelQualityWarning, match="random_state=None.*Pass an integer"):
        cleaner.fit(X, Y)


def test_estimators_that_cannot_be_named_train_without(memory, tmp_path):
    with open(tmp_path / "handle", "w") as handle:

        def writes(X):
            handle.write(".")
            return X

        estimator = make_pipeline(FunctionTransformer(writes), GaussianNB())
        cleaner = HubLabelCleaner(estimator, random_state=0, memory=memory)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            probs = cleaner.fit(X, Y).pred_probs_
    assert [str(w.message).partition("(")[0][:51] for w in caught] == [
        "HubLabelCleaner: `memory` keeps nothing of this run"
    ]
    expected = HubLabelCleaner(GaussianNB(), random_state=0).fit(X, Y).pred_probs_
    np.testing.assert_array_equal(probs, expected)


def test_lambdas_are_kept(memory):
    def cleaner(power):
        steps = FunctionTransformer(lambda X: X**power), LogisticRegression()
        return HubLabelCleaner(make_pipeline(*steps), random_state=0, memory=memory)

    one = cleaner(1).fit(X, Y).pred_probs_
    assert len(entries(memory)) == 5
    np.testing.assert_array_equal(cleaner(1).fit(X, Y).pred_probs_, one)
    assert len(entries(memory)) == 5
    assert (cleaner(2).fit(X, Y).pred_probs_ != one).any()
    assert len(entries(memory)) == 10


def test_benchmark_runs(tmp_path, capsys, monkeypatch):
    """The grid search of the docs, on few rows and candidates."""
    path = Path(__file__).parent.parent / "benchmarks" / "grid_search.py"
    spec = importlib.util.spec_from_file_location("grid_search_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setattr(benchmark, "GRID", {"cv": [3, 5], "threshold": [None, 0.2]})
    with warnings.catch_warnings():  # few rows of a class
        warnings.simplefilter("ignore", LabelQualityWarning)
        benchmark.main(["--quick", "--out", str(tmp_path / "docs" / "table.md")])
    text = (tmp_path / "docs" / "table.md").read_text()
    assert text == capsys.readouterr().out.removesuffix("\n")
    assert "| with `memory` |" in text
    assert "24 folds" in text


# -- larger than memory ------------------------------------------------------------


class Wide(Counting):
    """Many classes, probabilities that cost nothing to make."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        probs = np.full((len(X), len(self.classes_)), 0.5 / (len(self.classes_) - 1))
        probs[np.arange(len(X)), X[:, 0].astype(int) % probs.shape[1]] = 0.5
        return probs


def peak_of_fit(cleaner, X, y):
    tracemalloc.start()
    try:
        cleaner.fit(X, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_probabilities_lie_in_a_file(memory, log, monkeypatch):
    """A bound of 1 MB stands in for 1 GiB: 32 MB of probabilities, folds of 3.2 MB."""
    X = np.arange(20_000.0)[:, None] % 200
    y = X[:, 0].astype(int)
    y[::51] = (y[::51] + 1) % 200
    n_bytes = 8 * 20_000 * 200
    cleaner = HubLabelCleaner(
        Wide(log),
        cv=10,
        score_by="self_confidence",  # the others read blocks of 32 MB
        filter_by="prune_by_noise_rate",
        random_state=0,
        memory=memory,
    )
    in_memory = peak_of_fit(cleaner, X, y)
    expected = cleaner.pred_probs_, cleaner.label_issues_
    assert not isinstance(expected[0], np.memmap)
    monkeypatch.setattr(mean_of_folds, "IN_MEMORY_BYTES", 10**6)
    monkeypatch.setattr(mean_of_folds, "_BLOCK_BYTES", 10**5)
    in_file = peak_of_fit(cleaner, X, y)
    assert isinstance(cleaner.pred_probs_, np.memmap)
    assert not cleaner.pred_probs_.flags.writeable
    assert str(cleaner.pred_probs_.filename).endswith(".npy")
    np.testing.assert_array_equal(cleaner.pred_probs_, expected[0])
    pd.testing.assert_frame_equal(cleaner.label_issues_, expected[1])
    assert in_memory > n_bytes
    assert in_file < n_bytes / 2, (in_memory, in_file)
    again = clone(cleaner).fit(X, y)  # replaces the file that is still read
    np.testing.assert_array_equal(cleaner.pred_probs_, again.pred_probs_)
    arrays = [name for name in entries(memory) if name.endswith(".npy")]
    assert len(arrays) == 1


def test_an_unfinished_file_goes_with_the_run(memory, log, monkeypatch):
    class Fails(Counting):
        def fit(self, X, y):
            raise RuntimeError("no")

    monkeypatch.setattr(mean_of_folds, "IN_MEMORY_BYTES", 1)
    with pytest.raises(RuntimeError, match="no"):
        HubLabelCleaner(Fails(log), random_state=0, memory=memory).fit(X, Y)
    assert entries(memory) == []
