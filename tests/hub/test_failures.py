"""Disks and folders that cannot be written: one clear error, nothing changed."""

import multiprocessing
import os
import pathlib
import subprocess
import sys

import pandas as pd
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetError
from hubclean.hub import _deeplake4
from tests.hub.conftest import (
    CLASS_NAMES,
    create_deeplake,
    everything,
    folder_of,
    result_table,
    simple_columns,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="no Deep Lake on Windows"
)

CALLS = {
    "create_tensors": lambda path: hub.create_tensors(path, result_table()),
    "on a branch": lambda path: hub.create_tensors(path, result_table(), branch="b"),
    "apply_decisions": lambda path: hub.apply_decisions(
        path, pd.DataFrame({"row": [1], "decision": ["prune"]}), "b"
    ),
}


def in_a_child(prepare, path, call):
    """Message of the error that a call raises in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("forkserver")
    child = context.Process(target=try_call, args=(prepare, path, call, theirs))
    child.start()
    message = ours.recv()
    child.join()
    return message


def try_call(prepare, path, call, pipe):
    prepare()
    try:
        CALLS[call](path)
    except Exception as exc:
        pipe.send(f"{type(exc).__name__}: {exc}")
    else:
        pipe.send("no error")


def small_files():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def nobody():
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


@pytest.mark.parametrize("call", CALLS)
def test_a_limit_on_the_size_of_files(deeplake_dataset, call):
    before, files = everything(deeplake_dataset), folder_of(deeplake_dataset)
    message = in_a_child(small_files, deeplake_dataset, call)
    assert message.startswith("DatasetError")
    assert "File too large. 4 MiB are needed; make room" in message
    assert everything(deeplake_dataset) == before
    assert folder_of(deeplake_dataset) == files


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_that_is_read_only(tmp_path, call):
    path = create_deeplake(tmp_path / "d", simple_columns(), {"labels": CLASS_NAMES})
    before, files = everything(path), folder_of(path)
    for folder in (tmp_path, *tmp_path.parents):  # let everybody come in
        if folder.stat().st_uid == os.getuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    subprocess.run(["chmod", "-R", "a-w,a+rX", path], check=True)
    try:
        message = in_a_child(nobody, path, call)
    finally:
        subprocess.run(["chmod", "-R", "u+w", path], check=True)
    assert message.startswith("DatasetError")
    assert "cannot be written: Permission denied. Its folder is read-only" in message
    assert everything(path) == before
    assert folder_of(path) == files


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MiB; Deep Lake does not notice by itself that it is full."""
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", tmp_path],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a small disk")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(path, left=0):
    """Leave so many bytes free."""
    free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - left, 1))


@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk(small_disk, call):
    path = create_deeplake(small_disk / "d", simple_columns(), {"labels": CLASS_NAMES})
    before, files = everything(path), folder_of(path)
    fill(small_disk / "filler")
    with pytest.raises(DatasetError, match="No space left on device. 4 MiB are needed"):
        CALLS[call](path)
    assert everything(path) == before
    assert folder_of(path) == files
    (small_disk / "filler").unlink()
    CALLS[call](path)


# On a branch Deep Lake tries again for a minute and a half before it gives up.
@pytest.mark.parametrize("call", ["create_tensors", "apply_decisions"])
def test_a_disk_that_somebody_else_fills_meanwhile(small_disk, call, monkeypatch):
    path = create_deeplake(small_disk / "d", simple_columns(), {"labels": CLASS_NAMES})
    before = everything(path)
    commit = _deeplake4.DeepLake4Store.commit

    def commit_on_a_full_disk(store, message):
        fill(small_disk / "filler", left=4096)
        return commit(store, message)

    monkeypatch.setattr(_deeplake4.DeepLake4Store, "commit", commit_on_a_full_disk)
    with pytest.raises(DatasetError, match="the disk became full meanwhile"):
        CALLS[call](path)
    (small_disk / "filler").unlink()
    monkeypatch.undo()
    after = everything(path)
    assert (after[0], after[2]) == (before[0], before[2])
    CALLS[call](path)


@pytest.mark.parametrize("call", CALLS)
def test_a_dataset_that_was_opened_read_only(deeplake_dataset, call):
    import deeplake

    before = everything(deeplake_dataset)
    opened = deeplake.open_read_only(deeplake_dataset)
    with pytest.raises(DatasetError, match="was opened read-only. Open it for writing"):
        CALLS[call](opened)
    assert everything(deeplake_dataset) == before


@pytest.mark.parametrize("call", CALLS)
def test_changes_that_the_caller_did_not_commit(deeplake_dataset, call):
    import deeplake

    before = everything(deeplake_dataset)
    opened = deeplake.open(deeplake_dataset)
    opened["labels"][0:1] = [3]
    with pytest.raises(DatasetError, match="has changes that are not committed"):
        CALLS[call](opened)
    with pytest.raises(DatasetError, match="has changes that are not committed"):
        hub.open(opened)
    assert everything(deeplake_dataset) == before
    opened.rollback()
    CALLS[call](opened)


def test_the_callers_own_object_sees_the_tensors(deeplake_dataset):
    import deeplake

    opened = deeplake.open(deeplake_dataset)
    hub.create_tensors(opened, result_table())
    assert opened["label_issues/is_label_issue"][1]
    assert len(hub.clean_view(opened)) == 9


def test_an_error_midway_leaves_nothing_pending(deeplake_dataset, monkeypatch):
    import deeplake

    opened = deeplake.open(deeplake_dataset)
    version = opened.version

    def fail(store, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_deeplake4.DeepLake4Store, "set_metadata", fail)
    with pytest.raises(KeyboardInterrupt):
        hub.create_tensors(opened, result_table())
    assert opened.version == version
    assert [column.name for column in opened.schema.columns] == ["images", "labels"]
