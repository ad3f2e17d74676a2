import numpy as np
import pandas as pd
import pytest

from hubclean import find_label_issues

LABELS = [0, 0, 1, 1, 1]
PROBS = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])


def test_worked_example():
    table = find_label_issues(LABELS, PROBS, score_by="self_confidence")
    assert table["is_label_issue"].tolist() == [False] * 4 + [True]
    assert table["label_quality"].tolist() == [0.9, 0.8, 0.9, 0.8, 0.05]
    assert table["predicted_labels"].tolist() == [0, 0, 1, 1, 0]
    assert table.dtypes.tolist() == [bool, float, int]


@pytest.mark.parametrize("names", [["cat", "dog"], [-3, 17], [False, True], [0.0, 1.0]])
def test_labels_of_any_type(names):
    names = np.array(names)
    table = find_label_issues(names[LABELS], PROBS)
    expected = find_label_issues(LABELS, PROBS)
    assert table["is_label_issue"].equals(expected["is_label_issue"])
    expected_names = names[expected["predicted_labels"]].tolist()
    assert table["predicted_labels"].tolist() == expected_names


def test_a_series_gives_its_index_and_dtype():
    labels = pd.Series(["no", "no", "yes", "yes", "yes"], index=list("vwxyz"))
    table = find_label_issues(labels.astype("category"), PROBS)
    assert table.index.tolist() == list("vwxyz")
    assert table["predicted_labels"].dtype == "category"


def test_a_dtype_without_room_for_a_predicted_class():
    labels = pd.Series(["no", "no", "yes", "yes"], dtype="category")
    probs = np.c_[PROBS[:4] / 2, [0, 0, 0, 0.5]]
    probs /= probs.sum(axis=1, keepdims=True)
    found = find_label_issues(labels, probs, classes=["no", "yes", "may be"])
    assert found["predicted_labels"].notna().all()
    assert found["predicted_labels"].dtype.categories[-1] == "may be"
    many = np.full((600, 200), 0.5 / 199)
    many[:, 199] += 0.5 - 0.5 / 199
    many /= many.sum(axis=1, keepdims=True)
    small = pd.Series([0, 1] * 300, dtype="Int8")
    found = find_label_issues(small, many, filter_by="predicted_neq_given")
    assert found["predicted_labels"].eq(199).all()


def test_integers_are_column_numbers_where_a_class_never_appears():
    probs = np.column_stack([PROBS, np.zeros(5)])
    table = find_label_issues(LABELS, probs)
    assert table["is_label_issue"].tolist() == [False] * 4 + [True]
    named = find_label_issues(
        np.array(["a", "b"])[LABELS], probs, classes=["a", "b", "never"]
    )
    assert named["is_label_issue"].equals(table["is_label_issue"])


def test_threshold():
    table = find_label_issues(LABELS, PROBS, threshold=0.85, score_by="self_confidence")
    assert table["is_label_issue"].tolist() == [False, True, False, True, True]


def test_half_precision_is_converted_and_renormalised():
    half = PROBS.astype(np.float16)
    table = find_label_issues(LABELS, half, score_by="self_confidence")
    np.testing.assert_allclose(table["label_quality"], [0.9, 0.8, 0.9, 0.8, 0.05], 1e-3)


def test_memory_mapped_probabilities(tmp_path):
    path = tmp_path / "probs.npy"
    np.save(path, PROBS)
    mapped = np.load(path, mmap_mode="r")
    pd.testing.assert_frame_equal(
        find_label_issues(LABELS, mapped), find_label_issues(LABELS, PROBS)
    )


def test_small_integers_do_not_wrap():
    probs = np.full((300, 300), 1e-4)
    np.fill_diagonal(probs, 1 - 299e-4)
    labels = np.arange(300) % 100
    small = find_label_issues(labels.astype(np.uint8), probs)
    large = find_label_issues(labels, probs)
    assert (small["predicted_labels"] == large["predicted_labels"]).all()
