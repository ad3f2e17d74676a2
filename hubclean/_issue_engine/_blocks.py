"""Blocks of rows, the threads that share them out, and whether to compile.

It imports `_kernels`, but only when they pay.
"""

import functools
import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

#: Bytes of probabilities in one block: small enough for a core's cache.
BLOCK_BYTES = 1 << 20


#: Numbers from which compiled code pays for loading it, and for compiling it once.
COMPILE_FROM = 50_000_000


def kernels_for(array):
    """The compiled kernels if they pay for an array and can read it, else None.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_classes)
        Probabilities.

    Returns
    -------
    kernels : module or None
        None if the array is small, has a type that Numba cannot read, or Numba is
        not installed.

    Examples
    --------
    >>> kernels_for(np.zeros((3, 2))) is None
    True
    """
    if array.size < COMPILE_FROM or array.dtype not in (np.float32, np.float64):
        return None
    return _kernels()


@functools.cache
def _kernels():
    """The kernels, loaded once; None without Numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    return importlib.import_module("hubclean._issue_engine._kernels")


def read_only(array):
    """View of an array that cannot be written, so that one compilation serves all."""
    view = array.view()
    view.flags.writeable = False
    return view


def n_threads(n_jobs, n_elements):
    """How many threads to use: all cores when `n_jobs` is None, one if it is little.

    Parameters
    ----------
    n_jobs : int or None
        As in joblib; None means all cores that this process may use.
    n_elements : int
        Numbers to read; under two million, threads cost more than they save.

    Returns
    -------
    n_threads : int
        At least 1.

    Examples
    --------
    >>> n_threads(2, 10**8), n_threads(2, 1000)
    (2, 1)
    """
    if n_elements < 2_000_000:
        return 1
    if n_jobs is None or n_jobs == -1:
        return joblib.cpu_count()
    return joblib.effective_n_jobs(n_jobs)


def row_blocks(array, n_bytes=None):
    """Slices that cut the rows of a 2-D array into blocks.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_columns)
        What is to be read block by block.
    n_bytes : int, optional
        Size of a block; `BLOCK_BYTES` by default.

    Returns
    -------
    blocks : list of slice
        In order, without gaps; each holds one row at least.

    Examples
    --------
    >>> row_blocks(np.zeros((5, 2)), n_bytes=32)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    n_bytes = BLOCK_BYTES if n_bytes is None else n_bytes
    row_bytes = max(1, array.shape[1] * array.dtype.itemsize)
    step = max(1, n_bytes // row_bytes)
    return row_chunks(len(array), step)


def row_chunks(n_rows, step=1 << 15):
    """Slices of so many rows, for arrays with one number a row.

    Examples
    --------
    >>> row_chunks(5, step=3)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def row_blocks_of(rows, array):
    """Yield pieces of some row numbers, each a block of the array.

    Examples
    --------
    >>> [part.tolist() for part in row_blocks_of(np.array([3, 5]), np.zeros((9, 2)))]
    [[3, 5]]
    """
    step = row_blocks(array)[0].stop
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def in_threads(function, tasks, n_jobs):
    """Call ``function(task)`` for every task, on some threads: a list of the results.

    NumPy and the compiled kernels release the lock of the interpreter, so threads
    are enough, and no array is copied to another process.
    """
    tasks = list(tasks)
    if n_jobs == 1 or len(tasks) < 2:
        return [function(task) for task in tasks]
    with ThreadPoolExecutor(min(n_jobs, len(tasks))) as pool:
        return list(pool.map(function, tasks))


def rows_by_class(labels, n_classes):
    """Group the rows by label, each group in row order.

    Parameters
    ----------
    labels : ndarray of int, shape (n_samples,)
        Codes 0 to n_classes - 1.
    n_classes : int
        Number of classes.

    Returns
    -------
    order : ndarray of int, shape (n_samples,)
        Rows of class 0, then those of class 1, and so on.
    bounds : ndarray of int, shape (n_classes + 1,)
        Class k is ``order[bounds[k]:bounds[k + 1]]``.

    Examples
    --------
    >>> order, bounds = rows_by_class(np.array([1, 0, 1]), 3)
    >>> order, bounds
    (array([1, 0, 2]), array([0, 1, 3, 3]))
    """
    # NumPy sorts 16-bit integers by radix, in linear time.
    small = labels.astype(np.uint16) if n_classes <= 1 << 16 else labels
    order = np.argsort(small, kind="stable")
    bounds = np.zeros(n_classes + 1, dtype=np.intp)
    np.cumsum(np.bincount(labels, minlength=n_classes), out=bounds[1:])
    return order, bounds
