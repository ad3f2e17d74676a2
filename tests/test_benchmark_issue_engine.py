"""The benchmark of the issue engine runs, and compares masks while it does."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "issue_engine.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("issue_engine_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quick_run_writes_every_measurement(tmp_path):
    """In a process of its own, as cleanlab forks, and this one has threads."""
    output = tmp_path / "measured.csv"
    parts = ["speed", "defaults", "growth"]
    if sys.platform == "linux":
        parts.append("memory")  # other systems do not report anonymous memory
    command = [sys.executable, SCRIPT, "--quick", "--output", output]
    command += ["--folder", tmp_path, "--parts", *parts]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    with output.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["part"].split()[0] for line in lines} >= set(parts)
    assert all(float(line["seconds"]) > 0 for line in lines)
    assert "| speed | cleanlab | 3,000 x 10 |" in done.stdout
    assert list(tmp_path.iterdir()) == [output]  # the mapped file is gone


def test_unequal_masks_stop_the_run(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "by_cleanlab", lambda *args, **kw: np.array([True]))
    with pytest.raises(SystemExit, match="the masks of hubclean and cleanlab differ"):
        benchmark.main(["--quick", "--parts", "speed"])
