"""Final models of this process, so that equal corrected rows train once.

It imports nothing from hubclean.
"""

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable


class _TooLarge(Exception):
    """The model does not fit into the store."""


class _Buffer:
    """What a pickle is written to; stops it where it grows too large."""

    def __init__(self, max_bytes):
        self.content = bytearray()
        self.max_bytes = max_bytes

    def write(self, part):
        if len(self.content) + len(part) > self.max_bytes:
            raise _TooLarge
        self.content += part
        return len(part)


class ModelStore:
    """Models as bytes in memory, never in a file, up to a number of bytes in all.

    The model used longest ago leaves first; one that is too large alone is not kept.

    Parameters
    ----------
    max_bytes : int
        Of all models together.

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

    @property
    def n_bytes(self):
        """Bytes in use."""
        with self._lock:
            return sum(map(len, self._models.values()))

    def get(self, key):
        """Give a copy of a model; None where there is none."""
        with self._lock:
            pickled = self._models.get(key)
            if pickled is not None:
                self._models.move_to_end(key)
        return None if pickled is None else pickle.loads(pickled)

    def put(self, key, model):
        """Keep a model, if it can be copied and is small enough."""
        buffer = _Buffer(self.max_bytes)
        try:
            pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(model)
            pickle.loads(buffer.content)
        except Exception:  # too large, or anyone's code; it is trained again then
            return
        with self._lock:
            self._models[key] = bytes(buffer.content)
            while sum(map(len, self._models.values())) > self.max_bytes:
                self._models.popitem(last=False)

    def clear(self):
        """Give the memory back."""
        with self._lock:
            self._models.clear()


#: Of this process.
final_models = ModelStore(max_bytes=256 * 2**20)
_also_forgotten: list[Callable[[], None]] = []


def also_forget(clear):
    """Let `forget_models` call a function that gives other memory back."""
    _also_forgotten.append(clear)


def forget_models():
    """Give back the memory of final models and features kept in this process.

    With `memory` set, `HubLabelCleaner` keeps copies of its final models, up to 256 MB
    in all, so that a grid search trains none twice; and with ``features=``, the
    features that `hubclean.pytorch.skorch` computes, up to 512 MB. They go when the
    process ends; this lets them go at once. The folder is left alone.

    Examples
    --------
    >>> import hubclean
    >>> hubclean.forget_models()
    """
    final_models.clear()
    for clear in _also_forgotten:
        clear()
