import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from hubclean._data_identity import DataIdentity
from hubclean._rows import as_rows, n_rows, row_digests, take_rows

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


def objects(*cells):
    return pd.Series(cells, dtype=object)


@pytest.mark.parametrize(
    "column",
    [
        objects(True, False, np.nan, True),
        objects(1, 2, "more", 4),
        objects("a", "b", np.nan, None),
        objects("a", [1], None, np.zeros(2000)),
        objects("a", "\udcff", "b", "c"),
        pd.Series(["a", "b", None, "c"]),
        pd.Series(["a", "b", None, "c"], dtype="category"),
        pd.Series([1, 2, None, 4], dtype="Int64"),
        pd.Series([True, False, None, True], dtype="boolean"),
        pd.to_datetime(objects("2020", "2021", None, "2022")),
        pl.Series([1, 2, None, 4]),
        pl.Series([True, False, None, True]),
        pl.Series(["a", "b", None, "c"], dtype=pl.Categorical),
    ],
    ids=str,
)
@pytest.mark.parametrize("beside", [[1.0, 2.0, 3.0, 4.0], ["p", "q", "r", "s"]])
def test_a_row_is_the_same_whatever_is_beside_it(column, beside):
    """A column of a few rows may have another dtype than that of all rows."""
    frame = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
    X = frame({"column": column, "beside": beside})
    containers = [X] if isinstance(X, pl.DataFrame) else [X, X.to_numpy(object)]
    for rows in containers:
        digests = row_digests(rows)
        assert len(set(digests.tolist())) == 4
        for chosen in ([0], [1], [2], [3], [1, 0], [3, 1, 0], [2, 2]):
            alone = row_digests(take_rows(rows, chosen))
            np.testing.assert_array_equal(alone, digests[chosen])


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        pd.DataFrame,
        lambda X: pd.DataFrame(X, dtype="Int64"),
        lambda X: X.astype(object),
        lambda X: pd.DataFrame({"n": X[:, 0], "s": "text"}),
        lambda X: pd.DataFrame({"n": X[:, 0].astype(object), "s": "text"}),
        lambda X: X.astype(np.uint64),
    ],
)
def test_long_integers_are_told_apart(container):
    whole = np.r_[2**53 + np.arange(3), 2**63 - 1 - np.arange(3)][:, None]
    digests = row_digests(container(whole))
    assert len(set(digests.tolist())) == 6
    for row in range(6):
        assert row_digests(container(whole[[row]]))[0] == digests[row]
    floats = row_digests(np.array([[2.0**53], [2.0**60]]))
    np.testing.assert_array_equal(floats, row_digests(np.array([[2**53], [2**60]])))


def test_long_arrays_in_a_cell_are_told_apart():
    cells = np.zeros((2, 3000))
    cells[1, 1500] = 1e-9  # which the repr of neither shows
    digests = row_digests(pd.DataFrame({"a": list(cells), "b": ["x", "x"]}))
    assert digests[0] != digests[1]


def test_polars_needs_no_pyarrow(monkeypatch):
    columns = {"n": [1, None], "s": ["a", "b"], "l": [[1.0], [2.0, 3.0]]}
    X = pl.DataFrame(columns, schema_overrides={"n": pl.Int64})
    X = X.with_columns(pl.Series("f", np.zeros((2, 2)), dtype=pl.Array(pl.Float64, 2)))
    monkeypatch.setattr(pl.DataFrame, "to_pandas", None)
    digests = row_digests(X)
    assert digests[0] != digests[1] == row_digests(X[1:])[0]
    DataIdentity(X, np.arange(2), np.arange(2))


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


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of NumPy
def test_a_matrix_is_an_array_of_its_rows():
    rows = as_rows(np.matrix(NUMBERS))
    assert type(rows) is np.ndarray
    np.testing.assert_array_equal(row_digests(rows), row_digests(NUMBERS))
