"""Probabilities of trained folds, kept in a folder so that no fold trains twice.

One entry is a folder, named by what the training depended on, that holds ``probs.npy``
and ``fold.json``, never a pickle. It is written beside its place and renamed, so a
process that is killed, or another one that shares the folder, never meets half of it.

It imports inwards only: `_fingerprint`, `_rows` and `exceptions`.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import tempfile
import threading
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np

from hubclean._fingerprint import fingerprint
from hubclean._rows import is_lazy, row_digests
from hubclean.exceptions import LabelQualityWarning, ParameterError

_FORMAT = 1
_PROBS, _NOTE = "probs.npy", "fold.json"


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


class DataIdentity:
    """What the rows, labels and parameters of trainings on one X are known by.

    Parameters
    ----------
    X : rows
        Hashed once, by row; lazy columns are known by dataset, version and position.
    labels : ndarray of shape (n_samples,)
        Given labels.
    """

    def __init__(self, X, labels):
        self._rows = row_digests(X)
        self._labels = labels
        shape = getattr(X, "shape", (0,))
        self._kind = [
            "lazy" if is_lazy(X) else f"{type(X).__module__}.{type(X).__qualname__}",
            str(getattr(X, "dtype", "")),
            str(tuple(shape[1:])),
        ]

    def key(self, estimator, train, test, seed, fit_params, labels=None):
        """Name one training: its estimator, rows, labels, seed and parameters.

        Parameters
        ----------
        estimator : classifier
            Unfitted.
        train, test : ndarray of int
            Positions.
        seed : int
            Seed of the training.
        fit_params : dict
            Already cut to the training rows.
        labels : ndarray, default=None
            Labels of the training rows where they are not the given ones.

        Returns
        -------
        key : str
            Hexadecimal digits.
        """
        trained = self._labels[train] if labels is None else labels
        return fingerprint(
            _FORMAT,
            estimator,
            self._kind,
            self._rows[train],
            self._rows[test],
            trained.tolist() if trained.dtype == object else trained,
            seed,
            fit_params,
        )


class FoldCache:
    """A folder of entries; safe to share between processes."""

    def __init__(self, folder):
        self.folder = Path(folder)

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
        try:
            note = json.loads((entry / _NOTE).read_bytes())
            stored = (entry / _PROBS).read_bytes()
            if note["sha256"] != hashlib.sha256(stored).hexdigest():
                raise ValueError("its checksum differs")
            probs = np.load(io.BytesIO(stored), allow_pickle=False)
            if probs.shape != tuple(shape) or probs.dtype != np.float64:
                raise ValueError(f"it holds {probs.dtype} of shape {probs.shape}")
        except FileNotFoundError:
            if entry.exists():
                self._refuse(entry, "a file is missing")
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            self._refuse(entry, exc)
            return None
        return probs

    def store(self, key, probs, note):
        """Write an entry at once or not at all; an entry that is there stays.

        Parameters
        ----------
        key : str
            As `DataIdentity.key` gives it.
        probs : ndarray of float, shape (n_test, n_classes)
            Probabilities of the test rows.
        note : dict
            For people who look into the folder.
        """
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(probs, dtype=np.float64))
        note = {**note, "sha256": hashlib.sha256(content.getbuffer()).hexdigest()}
        unfinished = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
            (unfinished / _PROBS).write_bytes(content.getbuffer())
            (unfinished / _NOTE).write_text(json.dumps(note, indent=1), "utf-8")
            unfinished.chmod(0o755)
            os.rename(unfinished, self.folder / key)
        except OSError as exc:
            if unfinished is not None:
                shutil.rmtree(unfinished, ignore_errors=True)
            if not (self.folder / key).exists():
                warnings.warn(
                    f"The fold was trained but cannot be kept in {self.folder}: {exc}",
                    LabelQualityWarning,
                    stacklevel=2,
                )

    def _refuse(self, entry, why):
        """Put a damaged or foreign entry out of the way and say so."""
        warnings.warn(
            f"{entry} is damaged or was not written by hubclean ({why}); the fold is "
            "trained again.",
            LabelQualityWarning,
            stacklevel=3,
        )
        try:
            aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=self.folder))
            os.replace(entry, aside / "entry")
            shutil.rmtree(aside, ignore_errors=True)
        except OSError:
            return  # somebody else was quicker, or the folder is read-only


class ModelStore:
    """Final models of this process, so that equal corrected rows train once.

    They are kept as bytes in memory, never in a file, up to `max_bytes` in all; the
    one used longest ago leaves first.

    Examples
    --------
    >>> store = ModelStore(max_bytes=1000)
    >>> store.put("key", {"a": 1})
    >>> store.get("key"), store.get("other")
    ({'a': 1}, None)
    """

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self._models = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key):
        """Give a copy of a model; None where there is none."""
        with self._lock:
            pickled = self._models.get(key)
            if pickled is not None:
                self._models.move_to_end(key)
        return None if pickled is None else pickle.loads(pickled)

    def put(self, key, model):
        """Keep a model, if it can be copied and is small enough."""
        try:
            pickled = pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError):
            return
        with self._lock:
            self._models[key] = pickled
            while sum(map(len, self._models.values())) > self.max_bytes:
                self._models.popitem(last=False)


#: Of this process.
final_models = ModelStore(max_bytes=256 * 2**20)
