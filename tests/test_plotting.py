import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubclean import HubLabelCleaner, plotting
from hubclean.exceptions import (
    LabelsError,
    ParameterError,
    RowsError,
    ValidationError,
)
from hubclean.plotting._content import as_images, as_texts, kind_of
from hubclean.plotting._table import judged_labels

matplotlib.use("Agg")

LABELS = np.array([0, 0, 1, 1, 2, 2])
ISSUES = pd.DataFrame(
    {
        "is_label_issue": [False, True, False, True, True, False],
        "label_quality": [0.9, 0.3, 0.8, 0.1, 0.2, np.nan],
        "predicted_labels": [0, 1, 1, 0, 0, 2],
    }
)
NAMES = ["cat", "dog", "$eel$"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


class RecordingColumn:
    """A lazy column of images that remembers which rows were read."""

    shape, dtype, identity = (6, 4, 5), np.dtype(np.uint8), ("here",)
    row_ids = np.arange(6)

    def __init__(self):
        self.reads = []

    def __len__(self):
        return 6

    def read(self, indices=None):
        self.reads.append(np.asarray(indices).tolist())
        return np.stack([np.full((4, 5), 10 * i, np.uint8) for i in indices])

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole column was read")


def texts(display):
    """Every string drawn on the figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in display.figure_.findobj(Text)]


def test_worst_images_are_shown_worst_first_and_only_they_are_read():
    X = RecordingColumn()
    display = plotting.WorstExamplesDisplay.from_issues(
        ISSUES, LABELS, X, n_examples=2, class_names=NAMES
    )
    assert X.reads == [[3, 4]]
    assert display.rows.tolist() == [3, 4]
    pixels = [ax.images[0].get_array().max() for ax in display.axes_]
    assert pixels == [30, 40]
    captions = texts(display)
    assert "given dog" in captions and "→ cat" in captions
    assert r"given \$eel\$" in captions
    assert "The 2 worst of 3 label issues" in display.ax_.get_title("left")


def test_worst_examples_fit_into_axes_that_are_given():
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    images = np.zeros((6, 4, 4, 3))
    display = plotting.WorstExamplesDisplay.from_issues(ISSUES, LABELS, images, ax=left)
    assert display.figure_ is figure and len(display.axes_) == 3
    edge = left.get_position().x1
    assert all(ax.get_position().x1 <= edge + 1e-9 for ax in display.axes_)
    free = figure.add_axes((0, 0, 1, 1))
    assert len(display.plot(ax=free).axes_) == 3


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
def test_worst_images_stay_large_and_captions_apart_in_axes_given(layout, shape):
    import matplotlib.pyplot as plt

    figure, (first, _) = plt.subplots(*shape, figsize=(12, 8), layout=layout)
    labels = np.array(["a class of a long name", "another such class"] * 6)
    issues = pd.DataFrame(
        {
            "is_label_issue": True,
            "label_quality": 0.123456,
            "predicted_labels": labels[::-1],
        }
    )
    display = plotting.WorstExamplesDisplay.from_issues(
        issues, labels, np.zeros((12, 9, 9)), ax=first
    )
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in first.texts]
    overlaps = sum(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert overlaps == 0 and len(boxes) == 36
    inside = first.get_window_extent().padded(4)
    assert all(inside.contains(b.x0, b.y0) for b in boxes)
    tiles = [tile.get_window_extent() for tile in display.axes_]
    assert min(tile.width for tile in tiles) > 0.8 * figure.dpi
    assert not any(tile.overlaps(box) for tile in tiles for box in boxes)


def test_narrow_captions_keep_the_row():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(3, 4))
    images = np.zeros((6, 9, 9))
    display = plotting.WorstExamplesDisplay.from_issues(
        ISSUES, LABELS, images, class_names=NAMES, n_cols=3, ax=ax
    )
    assert {"row 3", "row 4", "row 1", "dog", "→ cat"} <= set(texts(display))


def test_one_image_leaves_room_for_the_title_and_no_image_for_nothing_else():
    display = plotting.WorstExamplesDisplay.from_issues(
        ISSUES, LABELS, np.zeros((6, 3, 3)), n_examples=1
    )
    display.figure_.draw_without_rendering()
    title = display.ax_._left_title.get_window_extent()
    assert title.x1 <= display.figure_.bbox.x1
    none = ISSUES.assign(is_label_issue=False)
    for X in [np.zeros((6, 3, 3)), list("abcdef")]:
        display = plotting.WorstExamplesDisplay.from_issues(none, LABELS, X)
        assert [t for t in texts(display) if t] == ["No label issues"]


def test_heads_of_columns_do_not_overlap():
    X = pd.DataFrame({f"a long name of column {k}": range(6) for k in range(9)})
    display = plotting.WorstExamplesDisplay.from_issues(ISSUES, LABELS, X)
    display.figure_.draw_without_rendering()
    heads = [t.get_window_extent() for t in display.ax_.texts[:9]]
    assert all(a.x1 < b.x0 for a, b in zip(heads, heads[1:], strict=False))


def test_numbers_that_are_not_finite_leave_the_others_visible():
    X = np.full((6, 4, 4), 0.5)
    X[:, 0, 0], X[:, 0, 1], X[:, 0, 2] = np.inf, np.nan, -np.inf
    display = plotting.WorstExamplesDisplay.from_issues(ISSUES, LABELS, X)
    shown = display.axes_[0].images[0].get_array()
    assert shown[0].tolist() == [255, 0, 0, 128]
    X[:] = np.nan
    display = plotting.WorstExamplesDisplay.from_issues(ISSUES, LABELS, X)
    assert (display.axes_[0].images[0].get_array() == 0).all()


def test_issues_per_class_tells_classes_left_out():
    labels = np.arange(40)
    issues = pd.DataFrame(
        {"is_label_issue": False, "label_quality": 1.0, "predicted_labels": labels}
    )
    display = plotting.IssuesPerClassDisplay.from_issues(issues, labels)
    assert display.ax_.get_xlabel().endswith("; 30 of 40 classes")
    assert display.ax_.get_xlim() == (0, 1)


def test_prune_fractions_are_drawn_in_order_and_failed_fits_are_no_best():
    display = plotting.PruneFractionDisplay([1, 0, 0.5], [0.9, 0.7, 0.8]).plot()
    np.testing.assert_allclose(display.line_.get_xydata().T[0], [0, 0.5, 1])
    np.testing.assert_allclose(display.line_.get_xydata().T[1], [0.7, 0.8, 0.9])
    results = {
        "param_prune_fraction": np.ma.array([0.5, 0.5]),
        "mean_test_score": np.array([np.nan, 0.8]),
        "split0_test_score": np.array([np.nan, 0.8]),
    }
    search = type("Search", (), {"cv_results_": results})()
    display = plotting.PruneFractionDisplay.from_search(search)
    assert display.scores.tolist() == [[0.8]]


def test_dynamics_of_one_epoch_of_many_rows_and_of_unknown_values_are_seen():
    values = np.random.default_rng(0).random((3, 40))
    one = plotting.TrainingDynamicsDisplay.from_dynamics(values[:1], [0, 1])
    assert {line.get_marker() for line in one.lines_} == {"o"}
    flagged = np.arange(40) % 2 == 1
    many = plotting.TrainingDynamicsDisplay.from_dynamics(values, flagged)
    assert many.names[:2] == ["row 1", "row 3"] and len(many.lines_) == 20
    legend = many.ax_.get_legend()
    assert legend.get_title().get_text() == "20 rows, 10 named"
    assert len(legend.get_texts()) == 11
    values[1] = np.nan
    named = plotting.TrainingDynamicsDisplay.from_dynamics(values, [0], names=["_a"])
    assert [t.get_text() for t in named.ax_.get_legend().get_texts()][-1] == "_a"
    assert np.isnan(named.band[1]).tolist() == [False, True, False]
    with pytest.raises(ParameterError, match=r"`rows` .* from 0 to 39, .* got \[40\]"):
        plotting.TrainingDynamicsDisplay.from_dynamics(values, [40])
    with pytest.raises(ParameterError, match="each of the 2 `rows`; got 1"):
        plotting.TrainingDynamicsDisplay.from_dynamics(values, [0, 1], names=["a"])


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ([f"row {i}" for i in range(6)], "row 3"),
        (
            pd.Series([f"<b>{i}</b>" for i in range(6)], index=list("uvwxyz")),
            "<b>3</b>",
        ),
        (pd.DataFrame({"age": range(30, 36), "city": list("abcdef")}), "33"),
        (np.arange(12).reshape(6, 2), "6"),
        (sparse.csr_array(np.eye(6)), "x3: 1"),
        (None, "row 3"),
    ],
)
def test_text_and_table_rows_are_listed(X, expected):
    display = plotting.WorstExamplesDisplay.from_issues(ISSUES, LABELS, X)
    assert display.rows.tolist() == [3, 4, 1]
    assert expected in texts(display)
    assert "0.100" in texts(display)


def test_every_quality_can_be_shown_and_rows_not_judged_come_last():
    display = plotting.WorstExamplesDisplay.from_issues(
        ISSUES, LABELS, only_issues=False
    )
    assert display.rows.tolist() == [3, 4, 1, 2, 0, 5]
    assert display.ax_.get_title("left") == "The 6 worst rows"


def test_no_issue_is_said_to_be_none():
    none = ISSUES.assign(is_label_issue=False)
    display = plotting.WorstExamplesDisplay.from_issues(
        none, LABELS, np.zeros((6, 3, 3))
    )
    assert "No label issues" in texts(display)


def test_flat_images_take_their_shape():
    display = plotting.WorstExamplesDisplay.from_issues(
        ISSUES, LABELS, np.zeros((6, 12)), image_shape=(3, 4)
    )
    assert display.axes_[0].images[0].get_array().shape == (3, 4)
    with pytest.raises(ParameterError, match="image_shape"):
        plotting.WorstExamplesDisplay.from_issues(
            ISSUES, LABELS, np.zeros((6, 12)), image_shape=(5, 5)
        )


def test_noise_matrix_counts_given_against_true():
    display = plotting.NoiseMatrixDisplay.from_issues(ISSUES, LABELS, class_names=NAMES)
    # truly 0: rows 0, 3, 4, given 0, 1, 2; truly 1: rows 1, 2, given 0, 1.
    third, half = 1 / 3, 0.5
    expected = [[third, half, 0], [third, half, 0], [third, 0, 1]]
    np.testing.assert_allclose(display.noise_matrix, expected)
    drawn = display.im_.get_array()
    assert drawn.mask.diagonal().all() and drawn[0, 1] == half
    assert {text.get_text() for text in display.text_} == {".33", ".50", "1.00"}
    assert "dog" in texts(display)


def test_many_classes_have_no_numbers_in_their_cells():
    n = 40
    display = plotting.NoiseMatrixDisplay(np.eye(n), [str(i) for i in range(n)]).plot()
    assert display.text_ == []


def test_label_quality_counts_suspects_apart_and_marks_the_cut():
    display = plotting.LabelQualityDisplay.from_issues(ISSUES, threshold=0.35, bins=4)
    assert display.suspects.tolist() == [2, 1, 0, 0]
    assert display.trusted.tolist() == [0, 0, 0, 2]
    assert display.not_judged == 1
    assert "threshold 0.35" in texts(display)
    heights = [bar.get_height() for bar in display.ax_.containers[0]]
    assert heights == display.suspects.tolist()


def test_issues_per_class_most_first():
    labels = np.array(["a", "a", "b", "b", "b", "c"])
    issues = ISSUES.assign(predicted_labels=list("abbaac"))
    display = plotting.IssuesPerClassDisplay.from_issues(issues, labels)
    assert display.class_names == ["b", "a", "c"]
    assert display.n_issues.tolist() == [2, 1, 0]
    assert [bar.get_width() for bar in display.bars_] == [2, 1, 0]
    assert "2  (66.7%)" in texts(display)


def test_prune_fraction_of_a_search_takes_the_best_of_each_fraction():
    class Search:
        cv_results_ = {
            "param_clean__prune_fraction": [0.0, 0.0, 1.0],
            "mean_test_score": [0.5, 0.7, 0.8],
            "split0_test_score": [0.4, 0.6, 0.7],
            "split1_test_score": [0.6, 0.8, 0.9],
        }

    display = plotting.PruneFractionDisplay.from_search(Search())
    np.testing.assert_allclose(display.line_.get_ydata(), [0.7, 0.8])
    np.testing.assert_allclose(display.scores, [[0.6, 0.8], [0.7, 0.9]])

    Search.cv_results_ = {"param_C": [1]}
    with pytest.raises(ValidationError, match=r"prune_fraction.*param_C"):
        plotting.PruneFractionDisplay.from_search(Search())


def test_prune_fractions_of_a_cleaner(small):
    X, given, true, _ = small
    cleaner = HubLabelCleaner(cv=3, random_state=0)
    display = plotting.PruneFractionDisplay.from_estimator(
        cleaner, X, given, X_test=X, y_test=true, prune_fractions=(0, 1)
    )
    fitted = clone(cleaner).set_params(prune_fraction=0).fit(X, given)
    assert display.line_.get_ydata()[0] == fitted.score(X, true)
    assert display.baseline == LogisticRegression().fit(X, given).score(X, true)
    assert not hasattr(cleaner, "estimator_")


def test_displays_of_a_fitted_cleaner(small):
    X, given, _, mask = small
    cleaner = HubLabelCleaner(cv=3, threshold=0.3, random_state=0).fit(X, given)
    display = plotting.NoiseMatrixDisplay.from_estimator(cleaner)
    np.testing.assert_array_equal(display.noise_matrix, cleaner.noise_matrix_)
    quality = plotting.LabelQualityDisplay.from_estimator(cleaner)
    assert quality.threshold == 0.3
    assert quality.suspects.sum() == cleaner.label_issues_["is_label_issue"].sum()
    worst = plotting.WorstExamplesDisplay.from_estimator(cleaner, X, given)
    assert mask[worst.rows].mean() > 0.5 and worst.kind == "table"


def test_displays_of_a_pipeline(small):
    X, given, _, _ = small
    cleaner = HubLabelCleaner(cv=3, threshold=0.3, random_state=0)
    pipeline = make_pipeline(StandardScaler(), cleaner).fit(X, given)
    for name in ("IssuesPerClass", "LabelQuality", "NoiseMatrix", "WorstExamples"):
        show = getattr(plotting, f"{name}Display").from_estimator
        assert texts(show(pipeline, X, given)) == texts(show(pipeline[-1], X, given))
    unfitted = make_pipeline(StandardScaler(), HubLabelCleaner())
    with pytest.raises(ValidationError, match="got Pipeline. Call fit first"):
        plotting.LabelQualityDisplay.from_estimator(unfitted)


def test_training_dynamics_of_a_network():
    pytest.importorskip("skorch")
    from hubclean import skorch

    X = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    y = np.repeat([0, 1], 30)
    y[7] = 1
    network = skorch(epochs=5, record_margins=True, random_state=0).fit(X, y)
    display = plotting.TrainingDynamicsDisplay.from_estimator(network)
    assert len(display.lines_) == 5 and display.names[0] == "row 7"
    np.testing.assert_allclose(
        display.lines_[0].get_ydata(), network.margin_history_[:, 7]
    )
    assert display.ax_.get_ylabel() == "margin of the given label"


def test_training_dynamics_of_chosen_rows():
    dynamics = np.arange(12.0).reshape(3, 4)
    display = plotting.TrainingDynamicsDisplay.from_dynamics(dynamics, [2, 0])
    assert [line.get_ydata().tolist() for line in display.lines_] == [
        [2, 6, 10],
        [0, 4, 8],
    ]
    with pytest.raises(ParameterError, match="n_epochs, n_samples"):
        plotting.TrainingDynamicsDisplay.from_dynamics(np.zeros(3), [0])


class FittedCleaner:
    """What the displays read of a cleaner."""

    def __init__(self):
        self.label_issues_ = ISSUES
        self.noise_matrix_ = np.eye(3)
        self.classes_ = np.array([0, 1, 2])
        self.margin_history_ = np.arange(12.0).reshape(2, 6)
        self.threshold = 0.35


@pytest.mark.parametrize("name", sorted({*plotting.__all__} - {"PruneFractionDisplay"}))
def test_from_estimator_draws_and_refuses_what_is_not_fitted(name):
    display = getattr(plotting, name).from_estimator(
        FittedCleaner(), np.zeros((6, 3, 3)), LABELS
    )
    assert display.figure_ is display.ax_.figure
    with pytest.raises(ValidationError, match="object"):
        getattr(plotting, name).from_estimator(object(), np.zeros((6, 3, 3)), LABELS)


def test_wrong_inputs_are_refused_in_words():
    show = plotting.WorstExamplesDisplay.from_issues
    with pytest.raises(ValidationError, match="label_quality missing from DataFrame"):
        show(ISSUES.drop(columns="label_quality"), LABELS)
    with pytest.raises(LabelsError, match="each of the 6 rows"):
        show(ISSUES, LABELS[:5])
    with pytest.raises(ParameterError, match="2 names and labels from 0 to 2"):
        show(ISSUES, LABELS, class_names=["a", "b"])
    with pytest.raises(ParameterError, match="`kind` must be"):
        show(ISSUES, LABELS, kind="sound")
    with pytest.raises(RowsError, match="hold the 6 rows that were judged; got 4"):
        show(ISSUES, LABELS, np.zeros((4, 3)))
    with pytest.raises(ValidationError, match="got 4 rows"):
        plotting.WorstExamplesDisplay.from_estimator(
            FittedCleaner(), np.zeros((4, 3, 3)), LABELS
        )


def test_class_names_by_label_and_in_sorted_order():
    labels = np.array(list("aabbcc"))
    issues = ISSUES.assign(predicted_labels=list("abbaac"))
    by_dict = judged_labels(issues, labels, class_names={"a": "Ape"}, by="test")
    assert by_dict.names == ["Ape", "b", "c"]
    in_order = judged_labels(issues, labels, class_names=["x", "y", "z"], by="test")
    assert in_order.names == ["x", "y", "z"]
    with pytest.raises(ParameterError, match="each of the 3 classes"):
        judged_labels(issues, labels, class_names=["x"], by="test")


@pytest.mark.parametrize(
    ("row", "shape", "first"),
    [
        (np.full((2, 3), 7, np.uint8), (2, 3), 7),
        (np.full((2, 3, 1), 7, np.uint8), (2, 3), 7),
        (np.full((3, 5, 6), 7, np.uint8), (5, 6, 3), 7),
        (np.full((2, 3), 1.0), (2, 3), 255),
        (np.full((2, 3), 128), (2, 3), 128),
        (np.array([[16.0, 0.0]]), (1, 2), 255),
        (np.array([[-1.0, 3.0]]), (1, 2), 0),
        (np.array([[False, True]]), (1, 2), 0),
        (np.array([[np.nan, 1.0]]), (1, 2), 0),
    ],
)
def test_images_of_every_layout_become_pictures(row, shape, first):
    (image,) = as_images([row])
    assert image.dtype == np.uint8 and image.shape == shape
    assert image.flat[0] == first


def test_images_may_differ_in_size():
    column = np.empty(2, dtype=object)
    column[:] = [np.zeros((2, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)]
    assert kind_of(column) == "image"
    assert [image.shape for image in as_images(column)] == [(2, 3), (4, 4, 3)]


def test_kinds():
    dataset = [(np.zeros((3, 8, 8)), 1)]
    assert kind_of(dataset) == "image"
    assert kind_of(pd.Series(["a"])) == "text"
    assert kind_of(sparse.csr_array(np.eye(2))) == "text"
    assert kind_of(pd.DataFrame({"a": [1]})) == "table"
    assert as_texts([b"\xffx", 1.23456]) == ["\ufffdx", "1.235"]


def test_importing_the_plots_does_not_import_matplotlib():
    code = "import sys, hubclean.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
