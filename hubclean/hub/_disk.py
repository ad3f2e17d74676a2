"""Room on a local disk, made sure of before and after a write.

Deep Lake 4.7.4 does not notice that a write failed: on a full disk it writes empty
chunk files, commits, reports success, and crashes the process that reads them. So
room is tried out before anything is written, and looked at again afterwards.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile

from hubclean.exceptions import DatasetError

#: Kept free on top of what is written: log entries, and blocks that are begun.
MARGIN = 4 << 20
_SURELY_ROOM = 1 << 20
_BALLAST = 1 << 17


def make_sure_of_room(folder, n_bytes, where):
    """Raise `DatasetError` unless so many bytes can be written in a folder.

    A file of that size is made and removed, so quotas, limits and permissions are
    tried out too.

    Parameters
    ----------
    folder : str
        Of the dataset.
    n_bytes : int
        What will be written, at most.
    where : str
        The dataset, named in the message.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _fill(file, n_bytes + MARGIN)
    except PermissionError as exc:
        raise DatasetError(
            f"{where} cannot be written: {exc.strerror}. Its folder is read-only for "
            "this user; ask for the right to write, or copy the dataset."
        ) from exc
    except OSError as exc:
        raise DatasetError(
            f"{where} cannot be written: {exc.strerror}. {_size(n_bytes + MARGIN)} are "
            "needed; make room, and call again. The dataset is unchanged."
        ) from exc


@contextlib.contextmanager
def counters_kept(folder):
    """Put Deep Lake's counters back where a full disk left them empty.

    Each branch counts its commits in a small file, which is replaced at each commit.
    Left empty, it would let nobody commit any more. Some room is kept to put it back.

    Parameters
    ----------
    folder : str
        Of the dataset.
    """
    log = pathlib.Path(folder, "_deeplake_log")
    counters = {path: path.read_bytes() for path in log.glob("*/next_base")}
    with tempfile.TemporaryFile(dir=folder) as ballast:
        _fill(ballast, _BALLAST)
        try:
            yield
        finally:
            ballast.close()
            for path, content in counters.items():
                if not path.read_bytes():
                    draft = path.with_name(f"{path.name}.hubclean")
                    draft.write_bytes(content)
                    draft.replace(path)


def has_surely_room(folder):
    """Whether no write in this folder can have failed for lack of room."""
    return shutil.disk_usage(folder).free >= _SURELY_ROOM


def _fill(file, n_bytes):
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
        return
    block = bytes(1 << 20)
    for _ in range(-(-n_bytes // len(block))):
        file.write(block)
    file.flush()


def remove_quietly(path):
    """Remove a file, if it is there."""
    with contextlib.suppress(OSError):
        os.remove(path)


def _size(n_bytes):
    return f"{n_bytes / (1 << 20):.0f} MiB"
