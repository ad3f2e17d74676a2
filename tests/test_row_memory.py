import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from hubclean import HubLabelCleaner
from hubclean._row_memory import RowMemory

NUMBERS = np.random.default_rng(0).normal(size=(50, 4)) * [1e-3, 1, 1, 1e6]


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, np.asfortranarray])
def test_rows_are_known_again_but_for_rounding(container):
    memory = pickle.loads(pickle.dumps(RowMemory(container(NUMBERS))))
    order = np.random.default_rng(1).permutation(50)[:30]
    other = NUMBERS[order] * (1 + 1e-15) + np.array([0, 0, 1e-16, 0])
    assert not np.array_equal(other, NUMBERS[order])
    np.testing.assert_array_equal(memory.recall(container(other)), order)


def test_rows_that_differ_by_more_are_others():
    memory = RowMemory(NUMBERS)
    for column, scale in enumerate(np.abs(NUMBERS).max(axis=0)):
        other = NUMBERS.copy()
        other[:, column] += 1e-6 * scale
        assert (memory.recall(other) == -1).all()
    whole = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(RowMemory(whole).recall(whole + 1e-3), [-1] * 4)


def test_a_column_of_zeros_counts():
    """It was taken for rounding, whatever a new row had there."""
    memory = RowMemory(np.array([[0, 1.5], [0, 2.5]]))
    assert memory.recall(np.array([[7, 1.5], [1e-20, 1.5]])).tolist() == [-1, 0]
    zeros = RowMemory(np.zeros((2, 2)))
    assert zeros.recall(np.array([[0.0, 0], [0, 1e-9]])).tolist() == [0, -1]


def test_whole_numbers_are_not_rounded():
    """Times in nanoseconds, and counts beside one that is huge."""
    times = 1.7e18 + 1e6 * np.arange(3)
    memory = RowMemory(np.column_stack([times, np.ones(3)]))
    rows = np.column_stack([times + [0, 1e4, 0], np.ones(3)])
    assert memory.recall(rows).tolist() == [0, -1, 2]
    counts = RowMemory(np.array([[1.0], [2.0], [1e12]]))
    assert counts.recall(np.array([[3.0], [1.5], [2.0]])).tolist() == [-1, -1, 1]


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, sparse.csr_array])
def test_every_nan_is_one(container):
    """x86 gives 0 / 0 a sign that NaN from a file has not."""
    rows = np.array([[np.nan, 1.5], [0, 2.5]])
    negative = np.array([[np.copysign(np.nan, -1), 1.5]])
    memory = RowMemory(container(rows))
    assert memory.recall(container(negative)).tolist() == [0]


def test_equal_rows_are_answered_in_their_order():
    twins = np.repeat(NUMBERS[:5], 3, axis=0)
    memory = RowMemory(twins)
    np.testing.assert_array_equal(memory.recall(twins), np.arange(15))
    np.testing.assert_array_equal(memory.recall(twins * (1 + 1e-15)), np.arange(15))
    np.testing.assert_array_equal(memory.recall(twins[[0, 0, 0, 0]]), [0, 1, 2, 2])


def test_sparse_and_dense_rows_are_the_same_rows():
    rows = NUMBERS * (np.abs(NUMBERS) > np.abs(NUMBERS).mean(axis=0))
    order = np.random.default_rng(1).permutation(50)[:30]
    for one, other in [(np.array, sparse.csr_array), (sparse.csr_matrix, np.array)]:
        found = RowMemory(one(rows)).recall(other(rows[order]))
        np.testing.assert_array_equal(rows[found], rows[order])
        assert (found >= 0).all()
    assert len(RowMemory(rows).recall(sparse.csr_array(rows[:0]))) == 0


def test_numbers_that_are_missing_infinite_or_nothing():
    X = NUMBERS.copy()
    X[0, 0], X[1, 1], X[2, 2], X[:, 3] = np.nan, np.inf, -np.inf, 0
    memory = RowMemory(X)
    np.testing.assert_array_equal(memory.recall(X), np.arange(50))
    np.testing.assert_array_equal(memory.recall(X * (1 + 1e-15)), np.arange(50))
    huge = np.full((1, 4), 1e308)
    assert memory.recall(huge)[0] == -1
    np.testing.assert_array_equal(RowMemory(np.zeros((2, 3))).recall(X[:, :3])[0], -1)


def test_other_rows_are_known_by_their_values():
    for X in (["a", "b"], np.float32(NUMBERS), NUMBERS.reshape(50, 2, 2)):
        memory = RowMemory(X)
        np.testing.assert_array_equal(memory.recall(X), np.arange(len(X)))
    assert (RowMemory(NUMBERS).recall(np.float32(NUMBERS) * 2) == -1).all()


@pytest.mark.parametrize("n_components", [2, None])
def test_what_pca_makes_of_the_rows_in_a_pipeline(small, n_components):
    """Its fit_transform gives other last bits than its transform."""
    X, given, _, _ = small
    X = np.c_[X, X.sum(axis=1)]  # the last component is nothing but rounding
    reduced = PCA(n_components, svd_solver="full")
    assert not np.array_equal(reduced.fit_transform(X), reduced.transform(X))
    pipe = make_pipeline(reduced, HubLabelCleaner(cv=3, random_state=0))
    found = pipe.fit_transform(X, given)
    assert found[:, 0].any()
    np.testing.assert_array_equal(pipe.transform(X), found)
    np.testing.assert_array_equal(pipe.transform(X[::-1][:50]), found[::-1][:50])
