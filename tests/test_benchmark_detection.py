"""The benchmarks of detection run, and go on where they were stopped."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run_detection(path):
    """In a process of its own: doubtlab lets cleanlab fork, which threads forbid."""
    command = [sys.executable, str(BENCHMARKS / "detection.py"), "--quick", "--out"]
    return subprocess.run(
        [*command, str(path)], check=True, capture_output=True, text=True
    ).stdout


def test_detection(tmp_path):
    path = tmp_path / "detection.csv"
    run_detection(path)
    table = rows(path)
    assert len({row["method"] for row in table}) == 18
    for row in table:
        flagged, planted = int(row["flagged"]), int(row["planted"])
        found = float(row["recall"]) * planted
        assert abs(planted - 40) <= 4
        f1 = 2 * found / (flagged + planted)
        assert float(row["f1"]) == pytest.approx(f1, abs=1e-3)
        if row["method"] in ("hubclean auto", "self_confidence < 0.2"):  # cuts of it
            assert float(row["f1"]) <= float(row["best_f1"]) + 1e-4
        if "told" in row["method"]:
            assert flagged == planted
    assert "hubclean auto" in run_detection(path)
    assert rows(path) == table


def test_tabular(benchmarks, tmp_path):
    import tabular

    path = tmp_path / "tabular.csv"
    tabular.main(["--quick", "--out", str(path)])
    table = rows(path)
    assert len(table) == 4 * 4  # kinds of noise, methods
    for row in table:
        assert row["table"] == "wine"
        assert int(row["rows"]) == 178
        assert abs(int(row["planted"]) - 18) <= 1
        assert float(row["f1"]) <= float(row["best_f1"]) + 1e-4 or (
            row["method"].startswith("cleanlab")  # no cut of its score
        )
    tabular.main(["--quick", "--out", str(path)])
    assert rows(path) == table


def test_tabular_accuracy(benchmarks, tmp_path):
    import tabular_accuracy

    path = tmp_path / "tabular_accuracy.csv"
    tabular_accuracy.main(["--quick", "--out", str(path)])
    table = rows(path)
    assert len(table) == 2 * 9  # kinds of noise, ways
    trained_on = {row["way"]: int(row["trained_on"]) for row in table}
    assert trained_on["all rows"] == 89
    assert trained_on["truly clean rows"] == 80
    assert trained_on["hubclean, prune"] < 89 <= trained_on["hubclean, auto"]
    assert all(0.5 < float(row["accuracy"]) <= 1 for row in table)
    tabular_accuracy.main(["--quick", "--out", str(path)])
    assert rows(path) == table


def test_words_of_tables_become_numbers(benchmarks):
    import pandas as pd
    from tabular import numbers

    cells = pd.DataFrame({0: ["1", "2.5"], 1: ["red", "blue"], 2: [3, 4]})
    assert numbers(cells).tolist() == [[1, 3, 0, 1], [2.5, 4, 1, 0]]


def test_noise_sweep(benchmarks, tmp_path):
    import noise_sweep

    path = tmp_path / "noise_sweep.csv"
    noise_sweep.main(["--quick", "--out", str(path)])
    table = rows(path)
    accuracy = {row["kept"]: row["accuracy"] for row in table}
    assert accuracy["hubclean, auto"] == accuracy["hubclean, soft_labels"]
    assert [bool(row["f1"]) for row in table] == [False, *[True] * 8, False]
    kept = {row["kept"]: int(row["flagged"]) for row in table}
    assert kept["all rows"] == 0
    assert kept["truly clean rows"] == 60
    assert 0 < kept["hubclean, prune"] < 120
    noise_sweep.main(["--quick", "--out", str(path)])
    assert rows(path) == table
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_prune_or_relabel(benchmarks, tmp_path):
    import prune_or_relabel

    path = tmp_path / "prune_or_relabel.csv"
    prune_or_relabel.main(["--quick", "--out", str(path)])
    table = rows(path)
    assert len(table) == 14
    shares = [row for row in table if row["correction"] == "prune_fraction"]
    assert [float(row["prune_fraction"]) for row in shares] == [
        pytest.approx(step / 10) for step in range(11)
    ]
    moved = [int(row["relabelled"]) for row in shares]
    assert moved == sorted(moved, reverse=True) and moved[-1] == 0
    assert moved[0] > 0.8 * int(shares[0]["flagged"])
    for row in table:
        assert float(row["relabelled_right"]) <= float(row["relabelled"])
    prune_or_relabel.main(["--quick", "--out", str(path)])
    assert rows(path) == table
    assert path.with_suffix(".png").exists()


def test_pages_are_those_of_their_tables(benchmarks, tmp_path):
    import studies_report
    import tabular_report

    docs = BENCHMARKS.parent / "docs/benchmarks"
    for path in docs.glob("*.csv"):
        shutil.copy(path, tmp_path)
    studies_report.main(["--folder", str(tmp_path)])
    tabular_report.main(["--folder", str(tmp_path)])
    pages = sorted(tmp_path.glob("*.md"))
    assert len(pages) == 5
    for page in pages:
        assert page.read_text() == (docs / page.name).read_text()


@pytest.mark.parametrize(
    "path", sorted(BENCHMARKS.glob("[a-z]*.py")), ids=lambda p: p.stem
)
def test_every_benchmark_starts(path):
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_best_f1_by_hand(benchmarks):
    import detection

    quality = np.array([0.1, 0.2, 0.2, 0.9])
    wrong = np.array([True, False, True, False])
    # Cuts: one row (2/3), three rows (4/5; the tie is not split), all rows (4/6).
    assert detection.best_f1(quality, wrong) == pytest.approx(0.8)


def test_random_noise_matrix_has_the_level_asked_for(benchmarks):
    from _settings import random_noise_matrix

    matrix = random_noise_matrix(10, 0.2, 0)
    np.testing.assert_allclose(matrix.sum(axis=0), 1)
    assert 1 - matrix.diagonal().mean() == pytest.approx(0.2)


@pytest.mark.parametrize(("rows", "n_train"), [(30, 30), (60_000, 120)])
def test_pixels_are_not_reduced(benchmarks, tmp_path, rows, n_train):
    """Few rows leave others of the training set to test on, all rows do not."""
    from _settings import load_split

    rng = np.random.default_rng(0)
    images = {
        f"X_{part}": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        for part, n in (("train", 120), ("test", 20))
    }
    labels = {"y_train": rng.integers(0, 10, 120), "y_test": rng.integers(0, 10, 20)}
    np.savez(tmp_path / "fashion_mnist.npz", **images, **labels)
    train, test = load_split("fashion_mnist", tmp_path, rows, 0, pixels=True)
    assert train[0].shape == (n_train, 784)
    assert len(test[0]) == (20 if rows > 120 else 60)
    for X, y in (train, test):
        assert X.dtype == np.float32 and X.min() == 0 and X.max() == 1
        assert len(X) == len(y)
    reduced = load_split("fashion_mnist", tmp_path, rows, 0)
    assert reduced[0][0].shape == (n_train, 60)
    np.testing.assert_array_equal(reduced[0][1], train[1])


def test_missing_data_says_where_to_get_it(benchmarks, tmp_path):
    from _settings import data_file

    with pytest.raises(SystemExit, match="HUBCLEAN_DATA.*zalandoresearch"):
        data_file(tmp_path, "fashion_mnist.npz")
