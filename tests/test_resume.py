"""Runs that are killed or stopped go on where they were."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import counting
import numpy as np
import pytest

from hubclean import HubLabelCleaner

ROOT = Path(__file__).parent.parent
SCRIPT = Path(counting.__file__)


@pytest.fixture
def start(tmp_path):
    """Start the script of `counting`; kills what is left of it in the end."""
    started = []
    (tmp_path / "tmp").mkdir()

    def start(*options, out="probs.npy", log="log", **environment):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "memory", log, out, *options],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(tmp_path / "tmp"),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Probabilities of a run that nothing stops, without memory."""
    log = str(tmp_path_factory.mktemp("expected") / "log")
    X, y = counting.rows()
    return HubLabelCleaner(counting.Counting(log), random_state=0).fit(X, y).pred_probs_


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def group_is_gone(process):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_after_fold_3_of_5_trains_2_folds(start, tmp_path, expected):
    code, _, _ = finish(start(KILL_AT="4"))
    assert code == -signal.SIGKILL
    assert counting.trainings(tmp_path / "log") == 3
    assert finish(start()) == (0, "", "")
    assert counting.trainings(tmp_path / "log") == 5
    np.testing.assert_array_equal(np.load(tmp_path / "probs.npy"), expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_folds_and_says_how_to_go_on(start, tmp_path, expected, n_jobs):
    options = (f"n_jobs={n_jobs}", "verbose=1")
    process = start(*options, WAIT_AT="4")
    log = tmp_path / "log"
    entries = tmp_path / "memory" / "hubclean"
    wait_for(lambda: log.exists() and log.read_text().split().count("fold-begun") >= 4)
    wait_for(lambda: len([p for p in entries.iterdir() if p.name[0] != "."]) >= 3)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole group
    code, out, err = finish(process)
    assert code == -signal.SIGINT
    assert out == ""
    assert "HubLabelCleaner: stopped with 3 of 5 folds trained." in err
    assert "run it again with the same `memory`" in err
    wait_for(lambda: group_is_gone(process))
    assert not [p.name for p in (tmp_path / "tmp").iterdir() if "hubclean" in p.name]
    process = start(*options)
    assert finish(process)[0] == 0
    wait_for(lambda: group_is_gone(process))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert counting.trainings(log) == 5
    np.testing.assert_array_equal(np.load(tmp_path / "probs.npy"), expected)


def test_ctrl_c_without_memory_says_what_to_pass(monkeypatch):
    class Stops(counting.Counting):
        def fit(self, X, y):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="0 of 5.*Pass memory='FOLDER'"):
        HubLabelCleaner(Stops("log")).fit(*counting.rows())


def test_two_processes_share_a_folder(start, tmp_path, expected):
    first = start(out="a.npy", log="log-a")
    second = start(out="b.npy", log="log-b")
    assert finish(first) == (0, "", "")
    assert finish(second) == (0, "", "")
    for name in ("a.npy", "b.npy"):
        np.testing.assert_array_equal(np.load(tmp_path / name), expected)
    names = [p.name for p in (tmp_path / "memory" / "hubclean").iterdir()]
    assert not [name for name in names if name.startswith(".")]


STRESS = """
import os, random, signal, sys, time, warnings
from pathlib import Path
import numpy as np
from sklearn.naive_bayes import GaussianNB
from hubclean import LabelCleaningSampler
from counting import rows

warnings.simplefilter("error")
X, y = rows()
part = int(sys.argv[1])
draw = random.Random(part)
folder = Path("memory/hubclean")

def fit(seed, memory):
    sampler = LabelCleaningSampler(GaussianNB(), cv=4, random_state=seed, memory=memory)
    return sampler.fit(X, y).pred_probs_

def child(seed, out):
    pid = os.fork()
    if pid:
        return pid
    try:
        np.save(out, fit(seed, "memory"))
        os._exit(0)
    except BaseException as exc:
        print(repr(exc), flush=True)
        os._exit(1)

fit(999, None)
start = time.perf_counter()
fit(999, None)
whole = time.perf_counter() - start
kills = {}
for seed in range(50 * part, 50 * part + 50):
    pid = child(seed, "killed.npy")
    time.sleep(draw.uniform(0, 1.2 * whole))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kept = [p for p in folder.glob("*") if p.name[0] != "."] if folder.exists() else []
    n_kept = len(kept) - 4 * (seed - 50 * part)
    kills[n_kept] = kills.get(n_kept, 0) + 1
    pid = child(seed, "out.npy")
    expected = fit(seed, None)
    _, status = os.waitpid(pid, 0)
    assert status == 0, (seed, status)
    np.testing.assert_array_equal(np.load("out.npy"), expected)
    os.unlink("out.npy")
for entry in folder.glob("[0-9a-f]*"):
    assert {p.name for p in entry.iterdir()} == {"probs.npy", "fold.json"}, entry
print(sorted(kills.items()))
"""


@pytest.mark.parametrize("part", range(4))
def test_200_random_kills(tmp_path, part):
    """No wrong answer and no unreadable entry; warnings are errors in the children.

    Fifty of the 200 rounds in each part.
    """
    done = subprocess.run(
        [sys.executable, "-c", STRESS, str(part)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SCRIPT.parent}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    folds_kept = dict(eval(done.stdout))
    assert sum(folds_kept.values()) == 50
    assert len(set(folds_kept) & {0, 1, 2, 3}) >= 2, "no kill hit between two folds"
