"""How fast, how large and how linear the issue engine is, side by side with cleanlab.

Four parts, each chosen with ``--parts``:

- ``speed``: 1,000,000 x 100 float32 in memory. One pass over the bytes, hubclean and
  cleanlab take turns in one run; their masks must be equal.
- ``defaults``: the same, with hubclean's own default rule and score against cleanlab's.
- ``memory``: 1,281,167 x 1,000 float32 in a memory-mapped file, in a process of its
  own, whose memory is sampled while it works.
- ``growth``: the time for 10^4 to 10^7 rows and for 10 to 1,000 classes.

Run from the root of the repository::

    python benchmarks/issue_engine.py --output docs/benchmarks/issue_engine.csv

``--quick`` runs the same code on small problems, to see that it works.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np

import hubclean
from hubclean._confident_learning import FILTERS, learn_rule
from hubclean._issue_engine import row_blocks
from hubclean._label_quality import SCORES, label_quality

FULL = {
    "speed": (1_000_000, 100),
    "memory": (1_281_167, 1_000),
    "rows": [(10**k, 10) for k in (4, 5, 6, 7)],
    "classes": [(100_000, k) for k in (10, 30, 100, 300, 1000)],
    "rounds": 5,
}
QUICK = {
    "speed": (3_000, 10),
    "memory": (4_000, 20),
    "rows": [(1_000, 5), (4_000, 5)],
    "classes": [(1_000, 5), (1_000, 20)],
    "rounds": 2,
}


def fill(pred_probs, seed=0, wrong=0.1, weak=False):
    """Write a model's probabilities block by block; return labels, some of them wrong.

    One label in ten is replaced at random. The model knows some classes better than
    others and is right for most rows; a weak one is wrong for nearly half of them.
    """
    rng = np.random.default_rng(seed)
    n, n_classes = pred_probs.shape
    true = rng.integers(0, n_classes, n)
    labels = np.where(rng.random(n) < wrong, rng.integers(0, n_classes, n), true)
    skill = rng.uniform(*((2, 7) if weak else (5, 8)), n_classes).astype(np.float32)
    for rows in row_blocks(pred_probs, n_bytes=1 << 26):
        block = rng.standard_normal((rows.stop - rows.start, n_classes), np.float32)
        luck = rng.random(len(block), np.float32)
        luck = luck if weak else (1 + luck) / 2
        block[np.arange(len(block)), true[rows]] += skill[true[rows]] * luck
        np.exp(1.5 * block, out=block)
        block /= block.sum(axis=1, keepdims=True)
        pred_probs[rows] = block
    return labels


def problem(shape, **options):
    """Labels and float32 probabilities in memory."""
    pred_probs = np.empty(shape, dtype=np.float32)
    return fill(pred_probs, **options), pred_probs


def one_pass(pred_probs):
    """Add up all numbers, on all cores: the least that reading the bytes takes."""
    size = 1 << 24
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        sums = pool.map(lambda r: pred_probs[r].sum(), row_blocks(pred_probs, size))
        return sum(sums)


def by_cleanlab(labels, pred_probs, **parameters):
    """Mask of cleanlab with its own defaults."""
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return find_label_issues(labels, pred_probs, **parameters)


def timed(function, *arguments, **parameters):
    """Seconds of the clock and of this process's cores, and the result."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **parameters)
    return time.perf_counter() - clock, time.process_time() - cpu, result


def measure_speed(sizes, record):
    """Let one pass, hubclean and cleanlab take turns; compare the masks."""
    labels, pred_probs = problem(sizes["speed"])
    first, _, _ = timed(learn_rule, labels, pred_probs)
    record("speed", "hubclean, first call in this process", sizes["speed"], first)
    for turn in range(sizes["rounds"]):
        wall, cpu, _ = timed(one_pass, pred_probs)
        record("speed", "one pass", sizes["speed"], wall, cpu, turn)
        wall, cpu, rule = timed(learn_rule, labels, pred_probs)
        record("speed", "hubclean", sizes["speed"], wall, cpu, turn)
        wall, cpu, mask = timed(by_cleanlab, labels, pred_probs)
        record("speed", "cleanlab", sizes["speed"], wall, cpu, turn)
        wall, cpu, mask_1 = timed(by_cleanlab, labels, pred_probs, n_jobs=1)
        record("speed", "cleanlab, n_jobs=1", sizes["speed"], wall, cpu, turn)
        if not (np.array_equal(rule.mask, mask) and np.array_equal(mask, mask_1)):
            raise SystemExit("the masks of hubclean and cleanlab differ")
    measure_other_rules(labels, pred_probs, record)


def measure_other_rules(labels, pred_probs, record):
    """Time all rules once on both sides, and the scores on ours."""
    shape = pred_probs.shape
    for name in FILTERS:
        wall, cpu, rule = timed(learn_rule, labels, pred_probs, filter_by=name)
        record("rules", f"hubclean {name}", shape, wall, cpu)
        options = {"filter_by": name, "n_jobs": 1}
        wall, cpu, mask = timed(by_cleanlab, labels, pred_probs, **options)
        record("rules", f"cleanlab {name}", shape, wall, cpu)
        if not np.array_equal(rule.mask, mask):
            raise SystemExit(f"{name}: the masks of hubclean and cleanlab differ")
        wall, cpu, _ = timed(rule.flag, labels, pred_probs)
        record("rules", f"hubclean flag by {name}", shape, wall, cpu)
    for score in SCORES:
        wall, cpu, _ = timed(label_quality, labels, pred_probs, score=score)
        record("rules", f"hubclean score {score}", shape, wall, cpu)
    measure_hard_cases(labels, pred_probs, record)


def measure_hard_cases(labels, pred_probs, record):
    """Time what is hard for us: ties at nearly every cut, and a weak model."""
    rounded = pred_probs.round(2)
    weak_labels, weak = problem(pred_probs.shape, weak=True)
    cases = {
        "rounded to 2 digits": (labels, rounded),
        "weak model": (weak_labels, weak),
    }
    for name, case in cases.items():
        wall, cpu, rule = timed(learn_rule, *case)
        record("hard cases", f"hubclean, {name}", pred_probs.shape, wall, cpu)
        wall, cpu, mask = timed(by_cleanlab, *case, n_jobs=1)
        record("hard cases", f"cleanlab, {name}", pred_probs.shape, wall, cpu)
        if not np.array_equal(rule.mask, mask):
            raise SystemExit(f"{name}: the masks of hubclean and cleanlab differ")


def measure_defaults(sizes, record):
    """Let hubclean's own default rule and score and cleanlab's take turns."""
    labels, pred_probs = problem(sizes["speed"])
    for turn in range(min(sizes["rounds"], 3)):
        wall, cpu, _ = timed(hubclean.find_label_issues, labels, pred_probs)
        record("defaults", "hubclean auto", sizes["speed"], wall, cpu, turn)
        wall, cpu, _ = timed(cleanlab_defaults, labels, pred_probs)
        record("defaults", "cleanlab, n_jobs=1", sizes["speed"], wall, cpu, turn)


def cleanlab_defaults(labels, pred_probs):
    """Issues and scores by cleanlab."""
    from cleanlab.rank import get_label_quality_scores

    by_cleanlab(labels, pred_probs, n_jobs=1)
    get_label_quality_scores(labels, pred_probs)


def anonymous_memory():
    """Bytes that this process holds apart from files: RssAnon of Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("the kernel does not report RssAnon")


class MemoryWatch:
    """Samples the anonymous memory every two milliseconds; keeps the peak.

    Pages of the mapped file are left out: they are the system's cache of the file,
    which it takes back whenever memory is short. What an algorithm needs of its own
    is anonymous.
    """

    def __enter__(self):
        self.start = self.peak = anonymous_memory()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._done.wait(0.002):
            self.peak = max(self.peak, anonymous_memory())

    def __exit__(self, *exc):
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, anonymous_memory())
        self.extra = self.peak - self.start


def memory_child(folder, name):
    """In a process of its own: learn a rule from the file and report as JSON."""
    pred_probs = np.load(Path(folder, "pred_probs.npy"), mmap_mode="r")
    labels = np.load(Path(folder, "labels.npy"))
    with MemoryWatch() as watch:
        wall, cpu, rule = timed(learn_rule, labels, pred_probs, filter_by=name)
    np.save(Path(folder, f"{name}.npy"), rule.mask)
    found = int(rule.mask.sum())
    print(json.dumps({"wall": wall, "cpu": cpu, "extra": watch.extra, "issues": found}))


def measure_memory(sizes, record, folder, with_cleanlab):
    """Write the file, then let a fresh process work on it."""
    shape = sizes["memory"]
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary, "pred_probs.npy")
        mapped = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        labels = fill(mapped)
        mapped.flush()
        np.save(Path(temporary, "labels.npy"), labels)
        wall, cpu, _ = timed(one_pass, mapped)
        record("memory", "one pass", shape, wall, cpu)
        for name in ("prune_by_noise_rate", "both", "low_normalized_margin"):
            command = [sys.executable, __file__, "--memory-child", temporary, name]
            root = str(Path(__file__).resolve().parents[1])
            paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
            done = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": paths},
            )
            got = json.loads(done.stdout)
            megabytes = got["extra"] / 1e6
            record(
                "memory",
                f"hubclean {name}",
                shape,
                got["wall"],
                got["cpu"],
                0,
                megabytes,
            )
        if with_cleanlab:
            compare_with_cleanlab(labels, mapped, Path(temporary), shape, record)


def compare_with_cleanlab(labels, mapped, folder, shape, record):
    """Run cleanlab on the mapped file; it needs several times the file as memory."""
    with MemoryWatch() as watch:
        wall, cpu, mask = timed(by_cleanlab, labels, mapped, n_jobs=1)
    record("memory", "cleanlab, n_jobs=1", shape, wall, cpu, 0, watch.extra / 1e6)
    if not np.array_equal(mask, np.load(folder / "prune_by_noise_rate.npy")):
        raise SystemExit("mapped file: the masks of hubclean and cleanlab differ")


def measure_growth(sizes, record):
    """Time problems of growing size, more and fewer rounds as they are small."""
    for direction in ("rows", "classes"):
        for shape in sizes[direction]:
            labels, pred_probs = problem(shape)
            learn_rule(labels, pred_probs)
            for turn in range(sizes["rounds"]):
                wall, cpu, _ = timed(one_pass, pred_probs)
                record(f"growth in {direction}", "one pass", shape, wall, cpu, turn)
                wall, cpu, _ = timed(learn_rule, labels, pred_probs)
                record(f"growth in {direction}", "hubclean", shape, wall, cpu, turn)


class Records:
    """Measurements, one line each, and their medians as a table."""

    def __init__(self):
        self.lines = []

    def __call__(self, part, what, shape, wall, cpu=None, turn=0, megabytes=None):
        """Keep one measurement."""
        line = {
            "part": part,
            "what": what,
            "rows": shape[0],
            "classes": shape[1],
            "turn": turn,
            "seconds": round(wall, 5),
            "cpu_seconds": None if cpu is None else round(cpu, 5),
            "extra_megabytes": None if megabytes is None else round(megabytes, 1),
        }
        self.lines.append(line)

    def write(self, path):
        """One CSV line for each measurement."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(
                file, fieldnames=list(self.lines[0]), lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(self.lines)

    def table(self):
        """Markdown: median, smallest and largest of the turns."""
        head = "| part | what | rows x classes | median s | min-max s | CPU s | MB |"
        lines = [head, "|---|---|---|---|---|---|---|"]
        keys = dict.fromkeys(
            (ln["part"], ln["what"], ln["rows"], ln["classes"]) for ln in self.lines
        )
        for key in keys:
            group = [
                ln
                for ln in self.lines
                if (ln["part"], ln["what"], ln["rows"], ln["classes"]) == key
            ]
            lines.append(_table_line(group))
        return "\n".join(lines)


def _table_line(group):
    """One line of the table for measurements of the same thing."""
    first = group[0]
    walls = [line["seconds"] for line in group]
    cpus = [line["cpu_seconds"] for line in group if line["cpu_seconds"] is not None]
    cells = [
        first["part"],
        first["what"],
        f"{first['rows']:,} x {first['classes']:,}",
        f"{statistics.median(walls):.4f}",
        f"{min(walls):.4f}-{max(walls):.4f}",
        f"{statistics.median(cpus):.4f}" if cpus else "",
        f"{first['extra_megabytes']:.0f}"
        if first["extra_megabytes"] is not None
        else "",
    ]
    return f"| {' | '.join(cells)} |"


def machine():
    """Versions and cores, for the record."""
    import cleanlab

    names = [f"cleanlab {cleanlab.__version__}", f"numpy {np.__version__}"]
    try:
        import numba

        names.append(f"numba {numba.__version__}")
    except ImportError:
        names.append("no numba")
    names.append(f"Python {platform.python_version()}, {joblib.cpu_count()} cores")
    return ", ".join(names)


def main(arguments=None):
    """Parse the options, run the parts, print the table and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small problems only")
    parser.add_argument("--output", help="CSV file for every measurement")
    parser.add_argument("--folder", help="where the mapped file is put for a while")
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["speed", "defaults", "memory", "growth"],
        help="what to run",
    )
    parser.add_argument(
        "--cleanlab-on-file",
        action="store_true",
        help="run cleanlab on the mapped file too: about 15 GB of memory",
    )
    parser.add_argument("--memory-child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_child:
        memory_child(*options.memory_child)
        return
    sizes, record = QUICK if options.quick else FULL, Records()
    if "speed" in options.parts:
        measure_speed(sizes, record)
    if "defaults" in options.parts:
        measure_defaults(sizes, record)
    if "memory" in options.parts:
        measure_memory(sizes, record, options.folder, options.cleanlab_on_file)
    if "growth" in options.parts:
        measure_growth(sizes, record)
    print(machine(), record.table(), sep="\n\n")
    if options.output:
        record.write(options.output)


if __name__ == "__main__":
    main()
