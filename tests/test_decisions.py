import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hubclean._decisions import apply_decisions_to_arrays, read_decisions
from hubclean.exceptions import DatasetChangedError, LabelsError, ValidationError

TABLE = pd.DataFrame(
    {
        "row": [3, 1, 0],
        "decision": ["prune", "Relabel ", "keep"],
        "new_label": ["", "dog", ""],
    }
)
Y = np.array(["cat", "cat", "dog", "cat", "dog"])


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        pd.DataFrame,
        sparse.csr_matrix,
        sparse.coo_array,
        sparse.bsr_matrix,
        sparse.dia_array,
        lambda X: [list(row) for row in X],
        lambda X: X.reshape(5, 1, 2, 1),
    ],
)
def test_any_container_is_corrected(container):
    X = np.arange(10.0).reshape(5, 2)
    kept, y = apply_decisions_to_arrays(container(X), Y, TABLE)
    assert y.tolist() == ["cat", "dog", "dog", "dog"]
    kept = kept.toarray() if sparse.issparse(kept) else np.asarray(kept)
    np.testing.assert_array_equal(kept.reshape(4, 2), X[[0, 1, 2, 4]])


def test_the_input_is_untouched():
    X, y = np.arange(5.0)[:, np.newaxis], Y.copy()
    apply_decisions_to_arrays(X, y, TABLE)
    assert (y == Y).all()


@pytest.mark.parametrize("new", [7, "7", 7.0, np.int64(7)])
def test_integer_labels_keep_their_type(new):
    y = np.array([5, 7, 5], dtype=np.uint8)
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": [new]})
    corrected = apply_decisions_to_arrays([[1], [2], [3]], y, table)[1]
    assert corrected.tolist() == [7, 7, 5] and corrected.dtype == np.uint8


def test_names_stand_for_codes():
    y = np.array([0, 1, 0])
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": ["dog"]})
    names = ["cat", "dog"]
    assert apply_decisions_to_arrays([[1]] * 3, y, table, class_names=names)[
        1
    ].tolist() == [1, 1, 0]
    with pytest.raises(LabelsError, match=r"must be one of the classes '0', '1'; got"):
        apply_decisions_to_arrays([[1]] * 3, y, table)


def test_a_name_of_two_classes_stands_for_none():
    y, names = np.array([0, 1, 2]), ["cat", "2", "2"]
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": ["2"]})
    arguments = ([[1]] * 3, y)
    assert apply_decisions_to_arrays(*arguments, table, class_names=names)[1][0] == 2
    names = ["cat", "dog", "dog"]
    table["new_label"] = "dog"
    with pytest.raises(LabelsError, match=r"classes 'cat', '0', '1', '2'; got 'dog'"):
        apply_decisions_to_arrays(*arguments, table, class_names=names)


def test_the_given_label_is_read_as_the_new_one_is():
    """Codes, where they are the names of other classes, are not taken for them."""
    y, stars = np.array([0, 1, 2]), ["1", "2", "3"]
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": ["2"]})
    named = table.assign(given_label="1")
    assert apply_decisions_to_arrays([[1]] * 3, y, named, class_names=stars)[1][0] == 1
    coded = table.assign(given_label="0", row=0)
    assert apply_decisions_to_arrays([[1]] * 3, y, coded, class_names=stars)[1][0] == 1
    with pytest.raises(DatasetChangedError, match=r"in 1 rows \(1\)"):
        apply_decisions_to_arrays(
            [[1]] * 3, y, table.assign(given_label="1", row=1), class_names=stars
        )


def test_a_longer_name_fits():
    y = np.array(["a", "bb"])
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": ["bb"]})
    assert apply_decisions_to_arrays([[1]] * 2, y[:2], table)[1].tolist() == ["bb"] * 2


def test_labels_that_changed_since_are_refused():
    with pytest.raises(DatasetChangedError, match=r"in 1 rows \(1\)"):
        apply_decisions_to_arrays(
            np.zeros((5, 1)), Y, TABLE.assign(given_label=["cat", "dog", "cat"])
        )


def test_lengths_are_checked():
    with pytest.raises(LabelsError, match="which has 4; got an array of shape"):
        apply_decisions_to_arrays(np.zeros((4, 1)), Y, TABLE)
    with pytest.raises(DatasetChangedError, match="name rows 3, but the data has 3"):
        apply_decisions_to_arrays(np.zeros((3, 1)), Y[:3], TABLE)
    with pytest.raises(ValidationError, match="got list"):
        read_decisions([1])


HEAD = b"row,decision,new_label\n"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "there is nothing"),
        (b"\n\n", "there is nothing"),
        (HEAD + "1,relabel,\xe9\n".encode("latin-1"), "other bytes"),
        (HEAD + b'1,relabel,"cat\n2,keep,\n', "inside string"),
        (HEAD + b"1,keep,\n2,relabel,a,b\n", "in line 3, saw 4"),
        (HEAD + b"1,relabel,a,b\n", "more cells than the first"),
    ],
    ids=["empty", "blank", "latin-1", "open quote", "one long line", "long lines"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, match):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(ValidationError, match=rf"mine\.csv.*{match}") as caught:
        read_decisions(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_that_a_spreadsheet_wrote_is_read(tmp_path, separator, encoding):
    lines = [
        ["note", "new_label", "decision", "row", "given_label"],
        ['"no, ""yes""; no"', '"a;b"', "Relabel", "2", '"c,d"'],
        ["", "", "prune", "0", '"a;b"'],
        ["", "", "", "", ""],
    ]
    path = tmp_path / "decisions.csv"
    text = "\r\n".join(separator.join(line) for line in lines)
    path.write_bytes(text.encode(encoding))
    y = np.array(["a;b", "a;b", "c,d"])
    kept, corrected = apply_decisions_to_arrays([0, 1, 2], y, path)
    assert (kept, corrected.tolist()) == ([1, 2], ["a;b", "a;b"])


def test_files_of_two_people_put_together_by_pandas_are_read(tmp_path):
    path, y = tmp_path / "both.csv", np.array([5, 7, 5])
    for name, lines in [("a", "0,relabel,7,5\n"), ("b", "1,keep,,7\n")]:
        (tmp_path / name).write_text("row,decision,new_label,given_label\n" + lines)
    both = pd.concat([pd.read_csv(tmp_path / name) for name in "ab"])
    both.to_csv(path, index=False)
    assert "7.0" in path.read_text()
    assert apply_decisions_to_arrays(y, y, path)[1].tolist() == [7, 7, 5]
    names = ["n", "m", "l", "k", "j", "i", "h", "7.0"]
    corrected = apply_decisions_to_arrays(y, y, path, class_names=names)[1]
    assert corrected.tolist() == [7, 7, 5]
    both["new_label"] = ["7.5", ""]
    with pytest.raises(LabelsError, match=r"got '7\.5' \(row 0\)"):
        apply_decisions_to_arrays(y, y, both)


def test_a_file_keeps_its_texts(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD + b"1,relabel,NA\n2,relabel,01\n\n")
    assert read_decisions(path).new_labels == ("NA", "01")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["keep", "relabel", "prune"]), st.integers(0, 2)),
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_decisions_does_not_matter(choices, random):
    y = np.arange(len(choices) + 3) % 3
    table = pd.DataFrame(choices, columns=["decision", "new_label"])
    table["row"] = np.arange(len(choices))
    order = list(range(len(choices)))
    random.shuffle(order)
    X = np.arange(len(y))[:, np.newaxis]
    one = apply_decisions_to_arrays(X, y, table)
    two = apply_decisions_to_arrays(X, y, table.iloc[order])
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    want = [
        (row, label if choice == "relabel" else row % 3)
        for row, (choice, label) in enumerate(choices)
        if choice != "prune"
    ]
    assert list(zip(one[0][:, 0], one[1], strict=True))[: len(want)] == want


@pytest.mark.parametrize("new", [2.0, 2, "2", "2.0", np.float32(2)])
def test_whole_numbers_are_labels_however_they_are_written(new):
    """Integers that once stood beside a missing label are floats."""
    y = np.array([1.0, 2.0, 2.0])
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": [new]})
    assert apply_decisions_to_arrays([[1]] * 3, y, table)[1].tolist() == [2.0] * 3


@pytest.mark.parametrize("names", [None, ["2", "1", "0"]])
def test_a_file_in_which_a_table_made_floats_of_codes(tmp_path, names):
    """Blank cells among whole numbers make pandas write 2.0."""
    y = np.array([0, 2, 2])
    path = tmp_path / "decisions.csv"
    given = y if names is None else 2 - y
    table = pd.DataFrame(
        {
            "row": [0, 1],
            "decision": ["relabel", "keep"],
            "new_label": [given[1] * 1.0, np.nan],
            "given_label": [given[0] * 1.0, np.nan],
        }
    )
    table.to_csv(path, index=False)
    assert f",{given[1]}.0," in path.read_text()
    corrected = apply_decisions_to_arrays([[1]] * 3, y, path, class_names=names)[1]
    assert corrected.tolist() == [2, 2, 2]


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_a_series_stays_one(dtype):
    y = pd.Series(Y, [f"row {i}" for i in range(5)], dtype, name="animal")
    corrected = apply_decisions_to_arrays(np.zeros((5, 1)), y, TABLE)[1]
    expected = y.drop(index="row 3")
    expected.iloc[1] = "dog"
    pd.testing.assert_series_equal(corrected, expected)


def test_nullable_integers_stay_so():
    y = pd.Series([1, 2, None], dtype="Int64")
    table = pd.DataFrame({"row": [0], "decision": ["relabel"], "new_label": [2]})
    corrected = apply_decisions_to_arrays([[1]] * 3, y, table)[1]
    pd.testing.assert_series_equal(corrected, pd.Series([2, 2, None], dtype="Int64"))


@pytest.mark.parametrize("blank", ["", None, np.nan, pd.NA])
def test_a_blank_given_label_guards_nothing(blank):
    decisions = TABLE.assign(given_label=["cat", blank, "cat"])
    assert apply_decisions_to_arrays([[1]] * 5, Y, decisions)[1][1] == "dog"


def test_messages_name_the_function_that_was_called():
    with pytest.raises(ValidationError, match=r"^apply_decisions_to_arrays: "):
        apply_decisions_to_arrays([[1]] * 5, Y, TABLE.drop(columns="row"))


@pytest.mark.parametrize(
    "name",
    ["note", "notes", "comment", "reviewer", "Unnamed: 0", "old_label", "name", 3,
     "label_quality", "predicted_label", "true_label", "decided_by", "date", ""],
)  # fmt: skip
def test_other_columns_are_passed_over(name):
    table = TABLE.copy()
    table[name] = "?"
    y = apply_decisions_to_arrays([[1]] * 5, Y, table)[1]
    assert y.tolist() == ["cat", "dog", "dog", "dog"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("given_labels", "given_label"),
        ("given label", "given_label"),
        ("Given-Label", "given_label"),
        ("given", "given_label"),
        ("givenlabel", "given_label"),
        ("version", "dataset_version"),
        ("data_version", "dataset_version"),
    ],
)
def test_a_misspelt_column_is_refused(name, meant):
    table = TABLE.assign(**{name: "dog"})
    with pytest.raises(ValidationError, match=rf"like {name!r} for {meant}\. Add or"):
        read_decisions(table)
    assert read_decisions(table.assign(**{meant: ""})).rows.tolist() == [0, 1, 3]


def test_misspelt_columns_that_are_needed_are_refused():
    table = TABLE.rename(columns={"row": "Rows", "new_label": "label"})
    with pytest.raises(
        ValidationError, match="got row missing and what .* 'Rows' for row, 'label' for"
    ):
        read_decisions(table)
