import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from hubclean._rows import n_rows, row_digests, take_rows

NUMBERS = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 3.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        np.ndarray.tolist,
        np.float32,
        np.int64,
        np.asfortranarray,
        pd.DataFrame,
        lambda X: pd.DataFrame(X).astype({0: int}),
        lambda X: pd.DataFrame(X).convert_dtypes(),
        lambda X: pd.DataFrame(X).astype(object),
    ],
)
def test_equal_numbers_have_equal_digests_in_every_container(container):
    np.testing.assert_array_equal(row_digests(container(NUMBERS)), row_digests(NUMBERS))


@pytest.mark.parametrize(
    "X",
    [
        NUMBERS,
        sparse.csr_matrix(NUMBERS),
        sparse.csc_array(NUMBERS),
        np.array(["a", "a", "b", "ä"]),
        ["a", "a", "b", "ä"],
        pd.DataFrame({"n": [1, 1, 2, 1], "s": ["x", "x", "x", "y"]}),
        pd.DataFrame({"l": [[1], [1], [2], [3]]}),
        pd.Series(["a", "a", "b", "ä"]),
        NUMBERS.reshape(4, 2, 1).astype(np.uint8),
        [["a", "b"], ["a", "b"], ["a"], ["b", "a"]],
        [[1], [1], [1, [2, 3]], [2]],
        [np.zeros((2, 3)), np.zeros((2, 3)), np.ones((3, 3)), np.ones((2, 3))],
    ],
    ids=lambda X: type(X).__name__,
)
def test_rows_are_recognised_in_any_order(X):
    digests = row_digests(X)
    order = np.array([3, 0, 2])
    np.testing.assert_array_equal(row_digests(take_rows(X, order)), digests[order])
    assert len(digests) == n_rows(X) == 4
    assert digests[0] == digests[1]
    assert len(set(digests.tolist())) == 3


def test_a_missing_number_is_one_in_every_container():
    nullable = pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int64")})
    expected = row_digests(np.array([[1.0], [np.nan], [3.0]]))
    np.testing.assert_array_equal(row_digests(nullable), expected)


def test_sparse_rows_ignore_how_zeros_are_stored():
    stored = sparse.csr_matrix(([0.0, 5.0], ([0, 0], [0, 1])), shape=(1, 3))
    plain = sparse.csr_matrix(np.array([[0.0, 5.0, 0.0]]))
    assert row_digests(stored)[0] == row_digests(plain)[0]


def test_equal_numbers_in_other_shapes_are_other_rows():
    rows = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3))]
    digests = row_digests(rows)
    assert digests[0] == digests[2] != digests[1]
    assert digests[1] == row_digests(rows[1:2])[0]
