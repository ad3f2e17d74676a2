"""A person reviews suspects in a real browser, by keyboard."""

import numpy as np
import pandas as pd
import pytest

from hubclean import apply_decisions_to_arrays
from hubclean._decisions import read_decisions
from hubclean._labels_version import labels_version
from hubclean.exceptions import DatasetChangedError
from hubclean.report import write_report

from .conftest import judged

CLASSES = ["cat", "dog", "eel", "fox"]
RIGHT, ENTER = "\ue014", "\ue007"


def worst_rows(issues):
    flagged = issues[issues["is_label_issue"]]
    return flagged["label_quality"].sort_values(kind="stable").index.to_list()


def test_open_filter_decide_export_reload_go_on_and_apply(page, tmp_path, dataset):
    labels, issues, X = dataset
    path = write_report(
        tmp_path / "report.html", issues, labels, X, class_names=CLASSES
    )
    page.open(path)
    rows = worst_rows(issues)
    assert page.text("#progress-text") == "0 of 90 decided"
    assert page.current_row() == rows[0]

    page.choose("#pair", "1>2")
    found = [r for r in rows if labels[r] == 1 and issues.predicted_labels[r] == 2]
    assert len(page.driver.find_elements("css selector", ".tile")) == len(found) > 3
    assert page.current_row() == found[0]
    assert page.given_and_predicted() == ("dog", "eel")
    page.choose("#pair", "")

    page.find("#gallery").click()
    page.press("\ue011")  # Home
    expected, kept = labels.copy(), np.ones(len(labels), dtype=bool)
    for i, row in enumerate(rows[:20]):
        assert page.current_row() == row
        if i % 4 == 0:
            page.press("k")
        elif i % 4 == 1:
            page.press("r")
            expected[row] = issues.predicted_labels[row]
        elif i % 4 == 2:
            page.press("p")
            kept[row] = False
        else:
            other = (labels[row] + 1) % 4
            page.press(str(other))
            expected[row] = other
    assert page.text("#progress-text") == "20 of 90 decided"
    assert "20 of 90 decided" in page.find("#status").get_attribute("textContent")

    decisions = page.export()
    table = pd.read_csv(decisions)
    assert table.columns.tolist() == [
        "row", "decision", "new_label", "given_label", "dataset_version",
    ]  # fmt: skip
    assert table["row"].tolist() == sorted(rows[:20])
    assert set(table["dataset_version"]) == {labels_version(labels)}

    page.open(path)
    assert page.text("#progress-text") == "20 of 90 decided"
    assert page.current_row() == rows[20]
    assert page.requests() == []

    X_new, y_new = apply_decisions_to_arrays(X, labels, decisions)
    np.testing.assert_array_equal(y_new, expected[kept])
    np.testing.assert_array_equal(X_new, X[kept])


def test_undo_other_label_and_change_of_mind(page, report, dataset):
    labels, issues, _ = dataset
    rows = worst_rows(issues)
    page.open(report)
    page.find("#gallery").click()
    page.press("\ue011", "p", "u")
    assert page.current_row() == rows[0]
    assert page.text("#progress-text") == "0 of 90 decided"
    assert page.text("#panel-state") == ""

    page.press("o")
    assert page.driver.switch_to.active_element.get_attribute("id") == "other"
    third = next(k for k in range(4) if k not in (labels[rows[0]],
                 issues.predicted_labels[rows[0]]))  # fmt: skip
    page.choose("#other", str(third))
    page.press(ENTER)
    page.press("\ue012")  # arrow left
    assert page.text("#panel-state") == f"Relabelled to {CLASSES[third]}"
    page.press("k", "\ue012")
    assert page.text("#panel-state") == f"Kept as {CLASSES[labels[rows[0]]]}"
    page.press("u")
    assert page.text("#panel-state") == f"Relabelled to {CLASSES[third]}"
    # The label that was given is no new label.
    page.press(str(labels[rows[0]]), "\ue012")
    assert page.text("#panel-state").startswith("Kept as")


def test_moving_searching_and_states(page, report, dataset):
    labels, issues, _ = dataset
    rows = worst_rows(issues)
    page.open(report)
    page.find("#gallery").click()
    page.press("\ue011", RIGHT, RIGHT)
    assert page.current_row() == rows[2]
    page.press("\ue010")  # End
    assert page.current_row() == rows[-1]
    assert page.text("#page-text") == "Page 2 of 2"
    page.press("\ue00e")  # Page Up
    assert page.current_row() == rows[29]
    page.press("\ue011")
    assert page.driver.switch_to.active_element.get_attribute("id") == "gallery"
    chosen = page.find("#gallery").get_attribute("aria-activedescendant")
    assert page.find(f"#{chosen}").get_attribute("aria-selected") == "true"

    page.press("k", "p")
    page.choose("#state", "prune")
    assert page.current_row() == rows[1]
    page.choose("#state", "open")
    assert page.current_row() == rows[2]
    page.choose("#state", "all")
    page.press("/")
    page.find("#search").send_keys(f"{rows[5]} {CLASSES[labels[rows[5]]]}")
    page.wait(lambda: page.text("#found") != "90 suspects, worst first")
    assert page.current_row() == rows[5]
    page.find("#search").send_keys(" no such thing")
    page.wait(lambda: page.find("#nothing").is_displayed())
    page.find("#clear").click()
    assert page.text("#found") == "90 suspects, worst first"


def test_keys_can_be_switched_off_and_leave_text_fields_alone(page, report):
    page.open(report)
    page.find("#search").send_keys("kkp")
    assert page.text("#progress-text") == "0 of 90 decided"
    page.wait(lambda: page.find("#nothing").is_displayed())
    page.find("#clear").click()
    page.find("#keys summary").click()
    page.find("#keys-on").click()
    page.find("#keys summary").send_keys("k")
    assert page.text("#progress-text") == "0 of 90 decided"
    page.find("#prune").click()
    assert page.text("#progress-text") == "1 of 90 decided"


def test_buttons_alone_do_everything(page, report, dataset):
    labels, issues, _ = dataset
    page.open(report)
    for name in ["keep", "relabel", "prune"]:
        page.find(f"#{name}").click()
    page.find("#back").click()
    assert page.text("#panel-state") == "Pruned"
    assert page.find("#prune").get_attribute("aria-pressed") == "true"
    page.find("#undo").click()
    assert page.text("#progress-text") == "2 of 90 decided"
    page.find("#page-next").click()
    assert page.text("#page-text") == "Page 2 of 2"


def write_csv(path, lines):
    columns = ["row", "decision", "new_label", "given_label", "dataset_version"]
    pd.DataFrame(lines, columns=columns).to_csv(path, index=False)
    return path


def test_a_file_loaded_back_goes_on_where_it_was(page, report, dataset, tmp_path):
    labels, issues, _ = dataset
    rows, version = worst_rows(issues), f"test of {tmp_path.name}"
    beyond = int(np.flatnonzero(~issues["is_label_issue"])[0])
    file = write_csv(
        tmp_path / "mine.csv",
        [
            [rows[0], "keep", "", labels[rows[0]], version],
            [rows[1], "relabel", 3, labels[rows[1]], version],
            [rows[2], "prune", "", labels[rows[2]] + 50, version],
            [rows[3], "explode", "", labels[rows[3]], version],
            [beyond, "prune", "", labels[beyond], version],
        ],
    )
    page.open(report)
    page.find("#load").send_keys(str(file))
    page.wait(lambda: "loaded" in page.text("#message"))
    assert page.text("#message") == (
        "2 decisions loaded from mine.csv. 1 more are for rows that are not in this "
        "report; they are exported again. 2 lines do not fit this report and were left "
        "out."
    )
    assert page.text("#progress-text") == "2 of 90 decided"
    assert page.current_row() == rows[2]
    exported = read_decisions(page.export())
    assert set(exported.rows.tolist()) == {rows[0], rows[1], beyond}


def load(page, file):
    """Load a file; what the page says about it."""
    page.script("document.getElementById('message').textContent = ''")
    page.find("#load").send_keys(str(file))
    page.wait(lambda: "loaded" in page.text("#message"))
    return page.text("#message")


def test_rows_that_are_no_positions_are_left_out(page, report, dataset, tmp_path):
    labels, issues, _ = dataset
    rows, version = worst_rows(issues), f"test of {tmp_path.name}"
    beyond = int(np.flatnonzero(~issues["is_label_issue"])[0])
    lines = [
        [f"{rows[0]}.0", "prune", "", labels[rows[0]], version],
        [f" {rows[1]} ", "keep", "", labels[rows[1]], version],
        [f"{beyond}.0", "prune", "", labels[beyond], version],
        [beyond, "keep", "", labels[beyond], version],
        *[[row, "prune", "", 1, version] for row in ["abc", "", -1, 1.5, "1e2", 2**60]],
    ]
    page.open(report)
    assert load(page, write_csv(tmp_path / "mine.csv", lines)) == (
        "2 decisions loaded from mine.csv. 1 more are for rows that are not in this "
        "report; they are exported again. 6 lines do not fit this report and were left "
        "out."
    )
    page.press("k")
    assert page.text("#progress-text") == "3 of 90 decided"
    exported = read_decisions(page.export())
    assert exported.rows.tolist() == sorted([*rows[:3], beyond])
    assert exported.counts() == {"keep": 3, "relabel": 0, "prune": 1}


@pytest.mark.parametrize("reloaded", [False, True])
def test_loaded_rows_that_are_not_in_the_report_can_be_undone(
    page, report, dataset, tmp_path, reloaded
):
    labels, issues, _ = dataset
    version = f"test of {tmp_path.name}"
    beyond = int(np.flatnonzero(~issues["is_label_issue"])[0])
    line = [beyond, "prune", "", labels[beyond], version]
    page.open(report)
    page.press("k")
    load(page, write_csv(tmp_path / "mine.csv", [line]))
    if reloaded:
        page.open(report)
        page.press("u")  # after a reload the rows of the report go first
    page.press("u")
    assert "not in this report. 0 are left." in page.text("#message")
    page.open(report)
    assert page.find("#export").is_enabled() is not reloaded
    assert page.text("#progress-text") == f"{1 - reloaded} of 90 decided"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "row,decision,new_label,given_label,dataset_version\n1,keep,,0,v9\n",
            "was made for version v9 of the data",
        ),
        ("a,b\n1,2\n", "is not a decisions file"),
        ("", "is not a decisions file"),
    ],
)
def test_a_file_of_other_data_is_refused(page, report, tmp_path, lines, message):
    file = tmp_path / "other.csv"
    file.write_text(lines)
    page.open(report)
    page.find("#load").send_keys(str(file))
    page.wait(lambda: message in page.text("#message"))
    assert "Nothing was loaded" in page.text("#message")
    assert page.text("#progress-text") == "0 of 90 decided"


def test_without_storage_the_page_works_and_says_so(page, report, driver):
    broken = driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {
            "source": "Object.defineProperty(window, 'localStorage', {get() "
            "{ throw new DOMException('denied', 'SecurityError'); }});"
        },
    )
    try:
        page.open(report)
        page.find("#keep").click()
        assert "Export them before you close" in page.text("#message")
        assert len(read_decisions(page.export()).rows) == 1
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", broken)


def test_two_tabs_share_the_decisions(page, report, driver):
    page.open(report)
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    try:
        page.open(report)
        page.press("p", "k")
        driver.switch_to.window(first)
        page.wait(lambda: page.text("#progress-text") == "2 of 90 decided")
        page.press("\ue011")
        assert page.text("#panel-state") in ("Pruned", "")
    finally:
        for handle in set(driver.window_handles) - {first}:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(first)


def test_a_key_held_down_decides_once(page, report):
    page.open(report)
    page.script(
        "for (const repeat of [false, true, true]) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'p', repeat, bubbles: true}))"
    )
    assert page.text("#progress-text") == "1 of 90 decided"


@pytest.mark.parametrize(
    ("classes", "class_names", "digit", "label"),
    [
        ([1, 2, 3, 4, 5], None, "3", "3"),
        ([1, 2, 3, 4, 5], None, "0", None),
        ([1.0, 2.0, 3.0], None, "2", "2.0"),
        ([1, 2, 3, 4, 5], ["-", "bad", "so", "fair", "good", "best"], "3", "4"),
        (list(range(12)), None, "3", None),
    ],
)
def test_a_digit_means_the_class_called_so_or_at_that_place(
    page, tmp_path, classes, class_names, digit, label
):
    labels, issues = judged(60, 20, seed=3, classes=classes)
    first = min(classes)
    labels, issues["predicted_labels"] = labels + first, issues.predicted_labels + first
    worst = worst_rows(issues)[0]
    labels[worst] = classes[0]
    page.open(write_report(tmp_path / "stars.html", issues, labels,
                           class_names=class_names))  # fmt: skip
    page.press(digit)
    if label is None:
        assert page.text("#progress-text") == "0 of 20 decided"
    else:
        (decision,) = pd.read_csv(page.export(), dtype=str).to_dict("records")
        assert (decision["row"], decision["new_label"]) == (str(worst), label)


def test_arrow_keys_move_after_a_button_was_clicked(page, report, dataset):
    rows = worst_rows(dataset[1])
    page.open(report)
    page.find("#keep").click()
    page.press(RIGHT)
    assert page.current_row() == rows[2]
    page.press("\ue012", "\ue012")
    assert page.current_row() == rows[0]


def test_keys_of_other_scripts_count_by_their_place(page, report):
    page.open(report)
    page.script(
        "for (const [key, code] of [['з', 'KeyP'], ['л', 'KeyK'], ['é', 'Digit2']])"
        "document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key, code, bubbles: true}))"
    )
    assert page.text("#progress-text") == "2 of 90 decided"


def test_undo_and_search_work_where_nothing_is_left(page, tmp_path, dataset):
    labels, issues, _ = dataset
    page.open(write_report(tmp_path / "r.html", issues, labels, max_suspects=1))
    page.press("k")
    page.choose("#state", "open")
    assert page.find("#nothing").is_displayed()
    page.script("document.activeElement.blur()")
    page.press("k", "r", "p", "o", "1")
    assert page.text("#progress-text") == "1 of 1 decided"
    page.press("u")
    assert page.text("#progress-text") == "0 of 1 decided"
    page.press("/")
    assert page.driver.switch_to.active_element.get_attribute("id") == "search"


def test_enter_goes_to_what_was_found_and_escape_clears_the_search(page, report):
    page.open(report)
    page.press("/")
    page.find("#search").send_keys("cat", ENTER)
    found = page.text("#found")
    assert found != "90 suspects, worst first"
    page.press("k")
    assert page.text("#progress-text") == "1 of 90 decided"
    page.press("/")
    page.find("#search").send_keys("\ue00c")  # Escape
    assert page.find("#search").get_attribute("value") == ""
    assert page.text("#found") == "90 suspects, worst first"
    page.press("k")
    assert page.text("#progress-text") == "2 of 90 decided"


def test_a_row_decided_again_is_undone_first_after_a_reload(page, report, dataset):
    rows = worst_rows(dataset[1])
    page.open(report)
    page.find("#gallery").click()
    page.press("\ue011", "k", "k", "\ue011", "p")
    page.open(report)
    page.press("u")
    assert page.current_row() == rows[0] and page.text("#panel-state") == ""


def test_a_file_that_a_spreadsheet_wrote_is_taken(page, report, dataset, tmp_path):
    labels, issues, _ = dataset
    rows, version = worst_rows(issues), f"test of {tmp_path.name}"
    page.open(report)
    page.press("k", "k")
    file = tmp_path / "theirs.csv"
    lines = [
        "\ufeffrow;note;decision;new_label;given_label;dataset_version",
        f'{rows[0]};"a; b";KEEP;;{labels[rows[0]]};{version}',
        f"{rows[1]};;Prune ;;{labels[rows[1]]}.0;{version}",
        f"{rows[2]};;relabel;{(labels[rows[2]] + 1) % 4}.0;{labels[rows[2]]};{version}",
        ";;;;;",
        "",
    ]
    file.write_text("\r\n".join(lines), encoding="utf-8")
    assert load(page, file) == (
        "3 decisions loaded from theirs.csv. 1 of them replace another decision."
    )
    exported = read_decisions(page.export())
    assert exported.counts() == {"keep": 1, "relabel": 1, "prune": 1}


def test_decisions_kept_for_other_classes_mean_the_same_labels(page, tmp_path):
    labels = np.array(["a", "b", "d"] * 10)
    issues = pd.DataFrame(
        {
            "is_label_issue": labels == "a",
            "label_quality": np.linspace(0.1, 0.9, 30),
            "predicted_labels": np.where(labels == "a", "b", labels),
        }
    )
    page.open(write_report(tmp_path / "r.html", issues, labels))
    page.press("2")
    assert "".join(page.text("#found").split()[:1]) == "10"
    issues["predicted_labels"] = np.where(labels == "a", "c", labels)
    page.open(write_report(tmp_path / "r.html", issues, labels))
    page.press("\ue012")
    assert page.text("#panel-state") == "Relabelled to d"


def test_text_and_table_rows(page, tmp_path, dataset):
    labels, issues, _ = dataset
    rows = worst_rows(issues)
    texts = [f"message {i}" for i in range(len(labels))]
    page.open(write_report(tmp_path / "text.html", issues, labels, texts))
    assert page.text("#panel-content") == f"message {rows[0]}"
    page.find("#search").send_keys(f"message {rows[7]}")
    page.wait(lambda: page.text("#panel-content") == f"message {rows[7]}")
    frame = pd.DataFrame({"age": np.arange(len(labels)), "city": "Köln"})
    page.open(write_report(tmp_path / "table.html", issues, labels, frame))
    page.choose("#state", "all")
    cells = [e.text for e in page.driver.find_elements("css selector", "#panel dd")]
    assert cells == [str(rows[0]), "Köln"]


def test_no_suspect_at_all(page, tmp_path, dataset):
    labels, issues, X = dataset
    none = issues.assign(is_label_issue=False)
    page.open(write_report(tmp_path / "none.html", none, labels, X))
    assert page.find("#nothing").is_displayed()
    assert not page.find("#panel").is_displayed()
    page.press("k")
    assert page.text("#progress-text") == "0 of 0 decided"


def test_decisions_come_into_a_hub_dataset(page, tmp_path, dataset):
    deeplake = pytest.importorskip("deeplake")
    from hubclean import hub

    labels, issues, X = dataset
    address = str(tmp_path / "animals")
    created = deeplake.create(address)
    created.add_column("images", deeplake.types.Image(sample_compression="png"))
    created.add_column("labels", deeplake.types.ClassLabel("uint8"))
    # Names that are the codes of other classes: the file must not mix them up.
    created["labels"].metadata["class_names"] = ["1", "2", "3", "4"]
    created.append({"images": X, "labels": labels.astype(np.uint8)})
    created.commit("animals")

    source = hub.open(address)
    path = write_report(
        tmp_path / "hub.html",
        issues,
        np.asarray(source.y),
        source.X,
        class_names=source.class_names,
        dataset_version=source.version,
    )
    page.open(path)
    rows = worst_rows(issues)
    page.press("r", "p", "k", "r")
    assert page.requests() == []
    decisions = page.export()

    hub.apply_decisions(address, decisions, "reviewed")
    expected = labels.copy()
    for row in (rows[0], rows[3]):
        expected[row] = issues.predicted_labels[row]
    after = np.asarray(hub.open(address, branch="reviewed").y)
    np.testing.assert_array_equal(after, np.delete(expected, rows[1]))
    np.testing.assert_array_equal(np.asarray(hub.open(address).y), labels)

    changed = deeplake.open(address)
    changed["labels"][0] = (labels[0] + 1) % 4
    changed.commit("somebody else's change")
    with pytest.raises(DatasetChangedError, match="version"):
        hub.apply_decisions(address, decisions, "reviewed-late")
