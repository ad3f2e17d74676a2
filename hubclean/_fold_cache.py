"""Probabilities of trained folds, kept in a folder so that no fold trains twice.

One entry is a folder, named by what the training depended on, that holds ``probs.npy``
and ``fold.json``, never a pickle. It is written beside its place and renamed, so a
process that is killed, or another one that shares the folder, never meets half of it.

It imports inwards only: `exceptions`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
import warnings
from pathlib import Path

import numpy as np

from hubclean.exceptions import LabelQualityWarning, ParameterError

_PROBS, _NOTE = "probs.npy", "fold.json"
_UNFINISHED = ".new-"
#: A file where a folder should be, or the reverse.
_OTHER_KINDS = (NotADirectoryError, IsADirectoryError)
#: Seconds after which what a killed process left half-written is removed: entries are
#: written in a moment, an array fills up while its folds train.
_ABANDONED = {"entry": 3600, "array": 7 * 24 * 3600}


def open_cache(memory, *, by):
    """Cache in the folder that `memory` names; None where there is none.

    Parameters
    ----------
    memory : None, str, path or joblib.Memory
        A folder, made when the first fold is stored.
    by : str
        Who asks, named in messages.

    Returns
    -------
    cache : FoldCache or None
        None where `memory` is None or keeps nothing.

    Raises
    ------
    ParameterError
        If `memory` is none of these, or the folder is a file.

    Examples
    --------
    >>> open_cache(None, by="example") is None
    True
    """
    location = getattr(memory, "location", memory) if memory is not None else None
    if location is None:
        return None
    if not isinstance(location, str | os.PathLike):
        raise ParameterError(
            f"{by}: `memory` must be a folder, a joblib.Memory or None; got {memory!r}."
        )
    folder = Path(location)
    if folder.exists() and not folder.is_dir():
        raise ParameterError(
            f"{by}: `memory` must be a folder; {str(folder)!r} is a file. Pass the "
            "path of a folder, which is made when it is missing."
        )
    return FoldCache(folder.absolute() / "hubclean")


class FoldCache:
    """A folder of entries; safe to share between processes.

    Parameters
    ----------
    folder : str or Path
        Made when the first entry is stored.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def holds(self, key):
        """Whether there is an entry, sound or not."""
        return (self.folder / key / _NOTE).exists()

    def load(self, key, shape):
        """Probabilities of an entry; None where there is none that can be used.

        Parameters
        ----------
        key : str
            As `DataIdentity.key` gives it.
        shape : tuple of int
            What the array must have.

        Returns
        -------
        probs : ndarray of float64 or None
            As they were stored, bit for bit.
        """
        entry = self.folder / key
        for is_last in (False, True):
            try:
                return _read(entry, key, tuple(shape))
            except FileNotFoundError:
                if not os.path.lexists(entry):
                    break
                if is_last:  # or else somebody has put it there since
                    self._refuse(entry, "a file is missing")
            except _OTHER_KINDS as exc:
                self._refuse(entry, exc)
                break
            except (OSError, MemoryError) as exc:  # it may be sound, and another's
                warnings.warn(
                    f"{entry} cannot be read ({exc}) and is left as it is; the fold is "
                    "trained again.",
                    LabelQualityWarning,
                    stacklevel=2,
                )
                break
            except Exception as exc:  # whatever a foreign file makes of json or NumPy
                self._refuse(entry, exc)
                break
        return None

    def store(self, key, probs, note):
        """Write an entry at once or not at all; an entry that is there stays.

        Parameters
        ----------
        key : str
            As `DataIdentity.key` gives it.
        probs : ndarray of float, shape (n_test, n_classes)
            Probabilities of the test rows; not kept where they are not finite.
        note : dict
            For people who look into the folder.
        """
        if not np.isfinite(probs).all():
            return
        unfinished = self.folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            self._make_folder()
            unfinished.mkdir()
            _write(unfinished, probs, {**note, "key": key})
            os.rename(unfinished, self.folder / key)
        except OSError as exc:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not (self.folder / key).exists():
                warnings.warn(
                    f"The fold was trained but cannot be kept in {self.folder}: {exc}",
                    LabelQualityWarning,
                    stacklevel=2,
                )

    def _make_folder(self):
        """Make the folder; remove what processes that were killed left in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            is_array = path.suffix == ".npy"
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if age > _ABANDONED["array" if is_array else "entry"]:
                    remove = os.unlink if is_array else shutil.rmtree
                    remove(path)

    def new_array(self, key, shape):
        """Make a file for an array that is too large for memory.

        Parameters
        ----------
        key : str
            Names the file.
        shape : tuple of int
            Of the array.

        Returns
        -------
        array : memmap of float64
            Zeros, to be filled in and handed to `keep_array`.
        """
        self._make_folder()
        path = self.folder / f"{_UNFINISHED}{uuid.uuid4().hex}-{key}.npy"
        return np.lib.format.open_memmap(path, "w+", np.float64, shape)

    def keep_array(self, array, key):
        """Put a filled array in its place, where an older one of the key goes.

        Parameters
        ----------
        array : memmap
            From `new_array`.
        key : str
            The same.

        Returns
        -------
        array : memmap of float64
            The same, read-only. Whoever reads the older one goes on reading it.
        """
        array.flush()
        unfinished = Path(array.filename)
        path = self.folder / f"{key}.npy"
        try:
            os.replace(unfinished, path)
        except OSError:  # Windows, while somebody reads the older one
            path = unfinished
        return np.lib.format.open_memmap(path, "r")

    def _refuse(self, entry, why):
        """Put a damaged or foreign entry out of the way and say so."""
        warnings.warn(
            f"{entry} is damaged or was not written by hubclean ({why}); the fold is "
            "trained again.",
            LabelQualityWarning,
            stacklevel=3,
        )
        aside = self.folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):  # somebody was quicker, or it is read-only
            os.rename(entry, aside)
            if aside.is_dir() and not aside.is_symlink():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.unlink()


def _read(entry, key, shape):
    """Probabilities of an entry, checked."""
    note = json.loads((entry / _NOTE).read_bytes())
    with open(entry / _PROBS, "rb") as stored:
        checksum = hashlib.file_digest(stored, "sha256").hexdigest()
        if (note["key"], note["sha256"]) != (key, checksum):
            raise ValueError("its key or checksum differs")
        stored.seek(0)
        probs = np.lib.format.read_array(stored, allow_pickle=False)
    if probs.shape != shape or probs.dtype != np.float64:
        raise ValueError(f"it holds {probs.dtype} of shape {probs.shape}")
    return probs


def _write(folder, probs, note):
    """Write both files of an entry."""
    probs = np.ascontiguousarray(probs, dtype=np.float64)
    with open(folder / _PROBS, "w+b") as stored:
        np.save(stored, probs, allow_pickle=False)
        stored.seek(0)
        note["sha256"] = hashlib.file_digest(stored, "sha256").hexdigest()
    (folder / _NOTE).write_text(json.dumps(note, indent=1), "utf-8")
