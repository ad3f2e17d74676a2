"""A process that is killed leaves the dataset as it was, or with the whole result."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetError
from hubclean.hub import _deeplake4
from hubclean.hub._result_table import TENSORS
from tests.hub import victim
from tests.hub.conftest import (
    CLASS_NAMES,
    create_deeplake,
    everything,
    result_table,
    simple_columns,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="no SIGKILL, and no Deep Lake, on Windows"
)
RANDOM_KILLS = 13  # for each of the four actions
AFTER = [0, 1, 0, 3, 0, 1, 2, 0, 1, 2, 3]
OLD = result_table(flagged=[0, 3])


@pytest.fixture(scope="module")
def server():
    """Children are forked from a process that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.hub.victim"])
    return context


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    root = tmp_path_factory.mktemp("templates")
    plain, written = root / "plain", root / "written"
    create_deeplake(plain, simple_columns(), {"labels": CLASS_NAMES})
    shutil.copytree(plain, written)
    hub.create_tensors(str(written), OLD)
    return {
        action: written if action == "tensors_overwritten" else plain
        for action in victim.ACTIONS
    }


def start(server, action, path, step=None):
    """Start a child; once more, of a new server, where its server's children hang."""
    for _ in range(3):
        ours, theirs = server.Pipe()
        process = server.Process(target=victim.run, args=(action, path, step, theirs))
        process.start()
        theirs.close()
        if ours.poll(30):
            assert ours.recv() == "ready"
            ours.send("go")
            return process, ours
        # A thread of the server holds a lock that its children wait for.
        process.kill()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        time.sleep(1)
    pytest.fail("no child of the fork server got ready")


def killed(process):
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def finish_unharmed(server, action, path):
    """Steps and seconds of a run that nobody kills."""
    begin = time.monotonic()
    process, pipe = start(server, action, path)
    steps = pipe.recv()
    seconds = time.monotonic() - begin
    assert not killed(process)
    return steps, seconds


def check_main(path, before):
    """Every earlier row and label is there."""
    _, _, content = everything(path)
    for name in ("images", "labels"):
        assert content[name] == before[2][name]


def tensors_of(path, branch=None):
    """Return the table that is stored, or None; never a part of it."""
    store = hub.open(path, branch=branch)._store
    there = [name in store.columns for name in TENSORS]
    assert all(there) or not any(there)
    if not any(there):
        return None
    return hub.read_label_issues(path, branch=branch)[0]


def check_all_or_nothing(action, path):
    """Whether the work is done."""
    if action == "tensors_on_main":
        table = tensors_of(path)
        if table is not None:
            pd.testing.assert_frame_equal(table, result_table())
        return table is not None
    if action == "tensors_overwritten":
        table = tensors_of(path)
        done = not table.equals(OLD)
        pd.testing.assert_frame_equal(table, result_table() if done else OLD)
        return done
    if "work" not in hub.open(path)._store.branch_names():
        return False
    if action == "tensors_on_branch":
        table = tensors_of(path, "work")
        if table is not None:
            pd.testing.assert_frame_equal(table, result_table())
        return table is not None
    labels = np.asarray(hub.open(path, branch="work").y).tolist()
    assert labels in (AFTER, simple_columns()["labels"].tolist())
    return labels == AFTER


def check_after_kill(action, path, before):
    """All or nothing, and calling again finishes the work.

    Half a minute later: `test_a_lock_left_behind_is_waited_for` waits for all of them.
    """
    long_ago = time.time() - 31
    for lock in Path(path).rglob("*.lock"):
        os.utime(lock, (long_ago, long_ago))
    check_main(path, before)
    done = check_all_or_nothing(action, path)
    if done and action in ("tensors_on_main", "tensors_on_branch"):
        with pytest.raises(DatasetError, match="this very table|exists and holds"):
            victim.ACTIONS[action](path)
    else:
        victim.ACTIONS[action](path)
    assert check_all_or_nothing(action, path)
    check_main(path, before)
    return done


@pytest.mark.parametrize("action", victim.ACTIONS)
def test_killed_before_and_after_every_step(server, templates, tmp_path, action):
    before = everything(str(templates[action]))
    path = shutil.copytree(templates[action], tmp_path / "count")
    steps, _ = finish_unharmed(server, action, str(path))
    assert steps >= 4
    outcomes = []
    for step in range(steps):
        path = str(shutil.copytree(templates[action], tmp_path / f"step{step}"))
        process, _ = start(server, action, path, step)
        assert killed(process)
        outcomes.append(check_after_kill(action, path, before))
    # The commit is the one moment: nothing before it, everything after it.
    assert outcomes == [False] * (steps - 1) + [True]


@pytest.fixture
def locked(templates, tmp_path):
    """A dataset with the lock of a process that is gone, and that lock."""
    path = shutil.copytree(templates["tensors_on_branch"], tmp_path / "locked")
    branch = next((path / "_deeplake_log").glob("*/*m*.jsonl*")).parent
    lock = branch / "meta_ops.lock"
    lock.touch()
    return str(path), lock


def test_a_lock_left_behind_is_waited_for(locked):
    path, lock = locked
    left = time.time() - 24  # Deep Lake gives it up after 30 s
    os.utime(lock, (left, left))
    hub.create_tensors(path, result_table(), branch="work")
    assert time.time() - left > 29
    pd.testing.assert_frame_equal(tensors_of(path, "work"), result_table())


def test_a_lock_that_is_held_is_said_to_be(locked, monkeypatch):
    monkeypatch.setattr(_deeplake4, "_LOCK_SECONDS", 0)
    with pytest.raises(DatasetError, match="locked by another process.*again later"):
        hub.create_tensors(locked[0], result_table(), branch="work")


@pytest.mark.parametrize("action", victim.ACTIONS)
def test_killed_at_random_moments(server, templates, tmp_path, action):
    before = everything(str(templates[action]))
    seconds = []
    for repeat in range(3):
        path = shutil.copytree(templates[action], tmp_path / f"time{repeat}")
        seconds.append(finish_unharmed(server, action, str(path))[1])
    moments = random.Random()
    kills, latest = 0, np.median(seconds)
    for repeat in range(4 * RANDOM_KILLS):
        path = str(shutil.copytree(templates[action], tmp_path / f"kill{repeat}"))
        process, _ = start(server, action, path)
        time.sleep(moments.uniform(0, latest))
        process.kill()
        in_time = killed(process)
        kills += in_time
        if not in_time:  # the machine is faster now than when it was timed
            latest *= 0.8
        check_after_kill(action, path, before)
        if kills == RANDOM_KILLS:
            break
    assert kills == RANDOM_KILLS


@pytest.mark.parametrize("action", victim.ACTIONS)
def test_killed_as_the_entry_of_the_log_is_begun(templates, tmp_path, action):
    """Deep Lake creates the file of a commit, and then fills it in one write."""
    path = shutil.copytree(templates[action], tmp_path / "work")
    source = hub.open(path)
    before = everything(str(path))
    store = source._store
    if action in ("tensors_on_branch", "decisions"):
        store = store.writer().create_branch("work")
    log = path / "_deeplake_log" / store._dataset.current_branch.id
    log.mkdir(exist_ok=True)
    (log / f"{int(store.version.commit[:10]) + 1:010d}m00000000.jsonl.lz4").touch()
    assert not check_all_or_nothing(action, str(path))
    source.X.read()
    victim.ACTIONS[action](source)
    assert check_all_or_nothing(action, str(path))
    check_main(str(path), before)
