import numpy as np
import pandas as pd
import pytest

from hubclean import find_label_issues
from hubclean._issue_engine import _blocks
from hubclean._judgement import SCORE_NAMES
from hubclean.exceptions import LabelQualityWarning, LabelsError, PredProbsError

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
    with pytest.warns(LabelQualityWarning, match="0 of 600 rows are left"):
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


@pytest.mark.parametrize("filter_by", ["auto", "both", "low_self_confidence"])
@pytest.mark.parametrize("score_by", SCORE_NAMES)
def test_one_job_starts_no_thread(filter_by, score_by, monkeypatch):
    monkeypatch.setattr(_blocks, "ThreadPoolExecutor", None)
    probs = np.tile(PROBS, (200_100, 1))
    assert probs.size > 2_000_000
    table = find_label_issues(
        LABELS * 200_100, probs, filter_by=filter_by, score_by=score_by, n_jobs=1
    )
    assert table["is_label_issue"].any()


def test_small_integers_do_not_wrap():
    probs = np.full((300, 300), 1e-4)
    np.fill_diagonal(probs, 1 - 299e-4)
    labels = np.arange(300) % 100
    small = find_label_issues(labels.astype(np.uint8), probs)
    large = find_label_issues(labels, probs)
    assert (small["predicted_labels"] == large["predicted_labels"]).all()


def named_columns(names):
    return pd.DataFrame(PROBS[:, ::-1], columns=names)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["low", "high"], ["high", "low"]),
        ([0, 1], [1, 0]),
        ([0, 1], ["1", "0"]),
        ([5.0, 7.0], [7, 5]),
        ([False, True], ["True", "False"]),
    ],
)
def test_columns_named_like_the_classes_are_these(names, columns):
    labels = pd.Series(names)[LABELS].to_numpy()
    table = find_label_issues(labels, named_columns(columns))
    expected = find_label_issues(labels, PROBS, classes=names)
    pd.testing.assert_frame_equal(table, expected)
    assert table["predicted_labels"].dtype == pd.Series(names).dtype


@pytest.mark.parametrize("dtype", ["Float64", "Float32", "double[pyarrow]"])
def test_probabilities_in_nullable_columns(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    frame = pd.DataFrame(PROBS).astype(dtype)
    expected = find_label_issues(LABELS, frame.astype(float).to_numpy())
    pd.testing.assert_frame_equal(find_label_issues(LABELS, frame), expected)
    with pytest.raises(PredProbsError, match="NaN or infinity in row 1"):
        frame.loc[1, 0] = None
        find_label_issues(LABELS, frame)


@pytest.mark.parametrize("columns", [["p0", "p1"], range(2), [3, 4]])
def test_columns_of_other_names_are_in_the_order_of_the_classes(columns):
    labels = np.array(["b", "a"])[LABELS]
    table = find_label_issues(labels, named_columns(columns))
    pd.testing.assert_frame_equal(table, find_label_issues(labels, PROBS[:, ::-1]))


def test_columns_of_a_table_of_pyarrow_are_named_too():
    pyarrow = pytest.importorskip("pyarrow")
    labels = np.array(["a", "b"])[LABELS]
    table = pyarrow.table({"b": PROBS[:, 1], "a": PROBS[:, 0]})
    expected = find_label_issues(labels, PROBS)
    pd.testing.assert_frame_equal(find_label_issues(labels, table), expected)


def test_tensors_as_a_model_gives_them():
    torch = pytest.importorskip("torch")
    labels = torch.tensor(LABELS)
    expected = find_label_issues(LABELS, PROBS)
    probs = torch.tensor(PROBS, requires_grad=True) * 1
    pd.testing.assert_frame_equal(find_label_issues(labels, probs), expected)
    half = find_label_issues(labels, probs.to(torch.bfloat16))
    assert half["is_label_issue"].equals(expected["is_label_issue"])


def test_rows_named_like_the_labels_in_another_order():
    labels = pd.Series(LABELS, index=list("vwxyz"))
    probs = pd.DataFrame(PROBS, index=labels.index)
    expected = find_label_issues(labels, PROBS)
    turned = probs.iloc[[4, 2, 0, 1, 3]]  # as of folds one below the other
    with pytest.raises(PredProbsError, match=r"Pass pred_probs.loc\[labels.index\]"):
        find_label_issues(labels, turned)
    for in_order in (probs, turned.loc[labels.index], probs.reset_index(drop=True)):
        pd.testing.assert_frame_equal(find_label_issues(labels, in_order), expected)
    for names in ([0, 0, 1, 1, 2], pd.MultiIndex.from_product([[0], list("vwxyz")])):
        named = probs.set_axis(names)
        pd.testing.assert_frame_equal(find_label_issues(labels, named), expected)
    mixed = labels.set_axis([3, 1, 0, 2, 4])  # the rows of a table that was shuffled
    found = find_label_issues(mixed, pd.DataFrame(PROBS))
    assert found["is_label_issue"].tolist() == expected["is_label_issue"].tolist()


def test_a_class_that_no_column_is_named_after():
    labels = np.array(["a", "b"])[LABELS]
    with pytest.raises(LabelsError, match=r"in `pred_probs`; got 'b' in row 2\. Known"):
        find_label_issues(labels, named_columns(["a", "c"]))
    with pytest.raises(LabelsError, match=r"in `pred_probs`; got 'b' in row 2\. Known"):
        find_label_issues(labels, named_columns(["a", "a"]))


def test_a_warning_where_the_model_can_tell_nothing():
    labels = np.random.default_rng(0).integers(4, size=400)
    with pytest.warns(LabelQualityWarning, match="nearly all labels of 3 of 4 classes"):
        find_label_issues(labels, np.full((400, 4), 0.25))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frac_noise": 0.5}, r"'auto' does not use frac_noise=0\.5\. Leave"),
        (
            {"filter_by": "both", "threshold": 0.5, "min_examples_per_class": 2},
            "`threshold` does not use min_examples_per_class=2",
        ),
    ],
)
def test_numbers_that_the_rule_does_not_use(options, said):
    with pytest.warns(LabelQualityWarning, match=said):
        find_label_issues(LABELS, PROBS, **options)


def test_more_rows_of_every_class_than_there_are():
    rng = np.random.default_rng(0)
    labels, probs = rng.integers(0, 2, 20), rng.dirichlet([1, 1], 20)
    for least in (20, 10**20):  # NumPy has no room for the latter
        table = find_label_issues(
            labels, probs, filter_by="prune_by_class", min_examples_per_class=least
        )
        assert not table["is_label_issue"].any()
