"""Mean probabilities over folds, in memory or, where they are too large, in a file.

It imports nothing from hubclean.
"""

import contextlib
import hashlib
import os

import numpy as np

#: Probabilities larger than this lie in a memory-mapped file of the cache: 1 GiB,
#: which is 1,281,167 rows of 104 classes.
IN_MEMORY_BYTES = 2**30
_BLOCK_BYTES = 2**24


class MeanOfFolds:
    """Adds up folds as they come.

    Parameters
    ----------
    n_samples, n_classes : int
        Shape of the probabilities.
    tasks : list of FoldTask
        All folds; their cache, where there is one, takes the file.
    """

    def __init__(self, n_samples, n_classes, tasks):
        shape = (n_samples, n_classes)
        self._cache = tasks[0].cache
        self._key = None
        if self._cache is None or 8 * n_samples * n_classes <= IN_MEMORY_BYTES:
            self._sums = np.zeros(shape)
        else:
            keys = "".join(task.key for task in tasks).encode()
            self._key = f"pred-probs-{hashlib.sha256(keys).hexdigest()}"
            self._sums = self._cache.new_array(self._key, shape)
        self._n_tested = np.zeros(n_samples, dtype=np.int64)
        self._step = max(1, _BLOCK_BYTES // (8 * n_classes))

    def add(self, test, probs):
        """Add one fold.

        Parameters
        ----------
        test : ndarray of int, shape (n_test,)
            Positions of its test rows, each one once.
        probs : ndarray of float, shape (n_test, n_classes)
            Their probabilities.
        """
        for start in range(0, len(test), self._step):
            block = slice(start, start + self._step)
            self._sums[test[block]] += probs[block]
        self._n_tested[test] += 1
        if self._key is not None:
            os.utime(self._sums.filename)  # still in use

    def finish(self):
        """Divide by the number of folds that tested each row; NaN where none did.

        Returns
        -------
        pred_probs : ndarray or memmap of float64, shape (n_samples, n_classes)
            A memory map is read-only.
        """
        for start in range(0, len(self._sums), self._step):
            block = slice(start, start + self._step)
            with np.errstate(invalid="ignore"):
                self._sums[block] /= self._n_tested[block, None]
        if self._key is None:
            return self._sums
        return self._cache.keep_array(self._sums, self._key)

    def abandon(self):
        """Remove the file of a run that stopped."""
        if self._key is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._sums.filename)
