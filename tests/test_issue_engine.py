"""The block engine: same answers whatever the blocks, the threads and the compiler."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from hubclean._confident_learning import FILTERS, issue_mask, learn_rule
from hubclean._issue_engine import (
    _blocks,
    _top_margins,
    rows_by_class,
    summarise_rows,
    top_margins,
)
from hubclean._label_quality import SCORES, label_quality
from tests.issue_problems import cleanlab_mask, problem, problems

HUGE = 10**18


@pytest.fixture
def compiled(monkeypatch):
    """Use the compiled kernels for problems of any size."""
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(_blocks, "COMPILE_FROM", 0)


@pytest.fixture
def threads(monkeypatch):
    """Use three threads for problems of any size."""
    monkeypatch.setattr(_blocks, "n_threads", lambda n_jobs, n_elements: 3)
    for module in ("_row_summary", "_top_margins"):
        name = f"hubclean._issue_engine.{module}.n_threads"
        monkeypatch.setattr(name, _blocks.n_threads)


def brute_force(labels, pred_probs, counts):
    """Largest margins by sorting the whole of every pair."""
    chosen = np.zeros(len(labels), dtype=bool)
    cuts = np.full(counts.shape, np.inf)
    for given_class, other in product(range(len(counts)), repeat=2):
        count = counts[given_class, other]
        rows = np.flatnonzero(labels == given_class)
        if count == 0 or not len(rows):
            continue
        margins = pred_probs[rows, other] - pred_probs[rows, given_class]
        order = np.argsort(-margins, kind="stable")[:count]
        chosen[rows[order]] = True
        cuts[given_class, other] = margins[order[-1]] if count <= len(rows) else -np.inf
    cuts[(counts > 0) & ~np.isin(np.arange(len(counts)), labels)[:, None]] = -np.inf
    return chosen, cuts


def counts_for(labels, n_classes, seed):
    """Random numbers of rows to choose, off the diagonal."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 1 + len(labels) // n_classes**2, (n_classes, n_classes))
    np.fill_diagonal(counts, 0)
    return counts


def check_top_margins(seed, **shape):
    labels, pred_probs = problem(seed, **shape)
    counts = counts_for(labels, pred_probs.shape[1], seed)
    summary = summarise_rows(labels, pred_probs)
    top = top_margins(summary, pred_probs, counts)
    chosen, cuts = brute_force(labels, pred_probs, counts)
    np.testing.assert_array_equal(top.chosen, chosen)
    np.testing.assert_array_equal(top.cuts, cuts)
    assert not top.tied.any()


SHAPES = [
    {"n": 400, "n_classes": 2},
    {"n": 900, "n_classes": 3, "dtype": np.float32},
    {"n": 2000, "n_classes": 9, "sharp": 0.2},
    {"n": 1500, "n_classes": 40, "sharp": 0.5},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_top_margins_are_those_of_sorting_everything(shape, seed, monkeypatch):
    check_top_margins(seed, **shape)
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(_top_margins, "_BUFFER", 10)
    check_top_margins(seed, **shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_compiled_top_margins_are_those_of_sorting_everything(
    shape, seed, compiled, threads
):
    check_top_margins(seed, **shape)


@pytest.mark.usefixtures("compiled")
def test_a_tie_at_the_cut_is_reported_and_left_open():
    labels = np.zeros(4, dtype=int)
    pred_probs = np.array([[0.1, 0.9], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]])
    counts = np.array([[0, 2], [0, 0]])
    for start in (0, HUGE):
        _blocks.COMPILE_FROM = start
        summary = summarise_rows(labels, pred_probs)
        top = top_margins(summary, pred_probs, counts)
        np.testing.assert_array_equal(top.chosen, [True, False, False, False])
        np.testing.assert_array_equal(top.tied, [[False, True], [False, False]])


@settings(max_examples=100, deadline=None)
@given(problems())
def test_summary_holds_the_two_best_other_classes(case):
    pytest.importorskip("numba", reason="numba is not installed")
    labels, pred_probs = case
    each = np.arange(len(labels))
    others = np.array(pred_probs, dtype=np.float64)
    others[each, labels] = -np.inf
    ranked = np.argsort(-others, axis=1, kind="stable")
    default = _blocks.COMPILE_FROM
    for start in (0, HUGE):
        try:
            _blocks.COMPILE_FROM = start
            summary = summarise_rows(labels, pred_probs)
        finally:
            _blocks.COMPILE_FROM = default
        np.testing.assert_array_equal(summary.self_confidence, pred_probs[each, labels])
        np.testing.assert_array_equal(summary.best, others[each, ranked[:, 0]])
        np.testing.assert_array_equal(summary.second, others[each, ranked[:, 1]])
        np.testing.assert_array_equal(summary.best_class, ranked[:, 0])
        np.testing.assert_array_equal(summary.predicted, pred_probs.argmax(axis=1))
        if pred_probs.shape[1] > 2:
            np.testing.assert_array_equal(summary.second_class, ranked[:, 1])


@pytest.mark.parametrize(
    "values", [[0.0, 0.0, 0.0], [-0.0, 0.0, 1.0], [0.5, -0.0, -0.0]]
)
def test_compiled_summary_knows_zeros_of_both_signs(values, compiled):
    for given_class in range(3):
        labels, pred_probs = np.array([given_class]), np.array([values])
        fast = summarise_rows(labels, pred_probs)
        _blocks.COMPILE_FROM = HUGE
        slow = summarise_rows(labels, pred_probs)
        _blocks.COMPILE_FROM = 0
        for ours, theirs in zip(fast.parts, slow.parts, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_compiled_masks_equal_those_of_cleanlab(case):
    pytest.importorskip("numba", reason="numba is not installed")
    default = _blocks.COMPILE_FROM
    try:
        _blocks.COMPILE_FROM = 0
        mask = issue_mask(*case)
    finally:
        _blocks.COMPILE_FROM = default
    np.testing.assert_array_equal(mask, issue_mask(*case))
    np.testing.assert_array_equal(mask, cleanlab_mask(*case))


@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_blocks_threads_layout_and_compiler_change_nothing(
    filter_by, dtype, compiled, threads, monkeypatch
):
    labels, pred_probs = problem(5, n=700, n_classes=11, dtype=dtype, sharp=1.0)
    pred_probs[::3] = pred_probs[::3].round(1)
    monkeypatch.setattr(_blocks, "COMPILE_FROM", HUGE)
    expected = learn_rule(labels, pred_probs, filter_by=filter_by, n_jobs=1)
    layouts = (pred_probs, np.asfortranarray(pred_probs), pred_probs[::-1][::-1])
    for layout, n_bytes, start in product(layouts, (1, 3000), (0, HUGE)):
        monkeypatch.setattr(_blocks, "BLOCK_BYTES", n_bytes)
        monkeypatch.setattr(_blocks, "COMPILE_FROM", start)
        rule = learn_rule(labels, layout, filter_by=filter_by, n_jobs=2)
        np.testing.assert_array_equal(rule.mask, expected.mask)
        np.testing.assert_array_equal(rule.confident_joint, expected.confident_joint)
        for name, cut in expected.cuts.items():
            np.testing.assert_array_equal(rule.cuts[name], cut)


@pytest.mark.parametrize("start", [0, HUGE])
def test_a_memory_mapped_file_is_read_and_left_alone(start, tmp_path, monkeypatch):
    if start == 0:
        pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(_blocks, "COMPILE_FROM", start)
    labels, pred_probs = problem(6, n=500, n_classes=6, dtype=np.float32)
    np.save(tmp_path / "probs.npy", pred_probs)
    mapped = np.load(tmp_path / "probs.npy", mmap_mode="r")
    for filter_by in FILTERS:
        rule = learn_rule(labels, mapped, filter_by=filter_by)
        np.testing.assert_array_equal(
            rule.mask, issue_mask(labels, pred_probs, filter_by=filter_by)
        )
        assert type(rule.mask) is np.ndarray
        np.testing.assert_array_equal(rule.flag(labels, mapped), rule.mask)
    for score in SCORES:
        quality = label_quality(labels, mapped, score=score)
        assert type(quality) is np.ndarray
        np.testing.assert_array_equal(
            quality, label_quality(labels, pred_probs, score=score)
        )


def test_the_answer_is_the_same_without_numba(monkeypatch):
    labels, pred_probs = problem(7, n=300, n_classes=5)
    expected = issue_mask(labels, pred_probs)
    monkeypatch.setattr(_blocks, "COMPILE_FROM", 0)
    monkeypatch.setattr(_blocks.importlib.util, "find_spec", lambda name: None)
    _blocks._kernels.cache_clear()
    try:
        assert _blocks.kernels_for(pred_probs) is None
        np.testing.assert_array_equal(issue_mask(labels, pred_probs), expected)
    finally:
        _blocks._kernels.cache_clear()


def test_small_problems_do_not_load_numba():
    code = (
        "import sys, numpy as np\n"
        "from hubclean._confident_learning import issue_mask\n"
        "issue_mask(np.array([0, 1]), np.eye(2))\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_grouped_in_order_for_many_classes():
    labels = np.random.default_rng(0).integers(0, 70_000, 5000)
    order, bounds = rows_by_class(labels, 70_000)
    np.testing.assert_array_equal(order, np.argsort(labels, kind="stable"))
    assert bounds[-1] == 5000 and len(bounds) == 70_001


def test_threads_follow_n_jobs_and_spare_small_problems(monkeypatch):
    monkeypatch.setattr(_blocks.joblib, "cpu_count", lambda: 7)
    assert _blocks.n_threads(None, HUGE) == _blocks.n_threads(-1, HUGE) == 7
    assert _blocks.n_threads(3, HUGE) == 3
    assert _blocks.n_threads(None, 1000) == 1


def test_an_error_in_a_thread_reaches_the_caller():
    def fail(task):
        raise OSError(f"cannot read block {task}")

    for n_jobs in (1, 2):
        with pytest.raises(OSError, match="cannot read block 0"):
            _blocks.in_threads(fail, [0, 1], n_jobs)
