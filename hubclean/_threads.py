"""How many threads one fold may use, so that folds at a time do not crowd the cores.

It imports nothing from hubclean.
"""

import contextlib
import functools
import sys
import threading

import joblib
from threadpoolctl import ThreadpoolController


def threads_for(n_jobs):
    """Threads for each of the folds that run at a time; None leaves all as it is.

    Parameters
    ----------
    n_jobs : int
        Folds at a time.

    Returns
    -------
    n_threads : int or None
        At least 1.

    Examples
    --------
    >>> threads_for(1) is None, threads_for(10_000)
    (True, 1)
    """
    return None if n_jobs <= 1 else max(1, joblib.cpu_count() // n_jobs)


def _limit(user_api, n_threads):
    pools = ThreadpoolController().select(user_api=user_api)
    return pools.limit(limits=n_threads)


class _Bound:
    """A bound that all threads of this process share.

    Tasks that run in threads start and end in any order: the first one bounds, the
    last one to leave puts everything back.

    Parameters
    ----------
    *limits : callables
        Each takes a number of threads and returns a context manager.
    """

    def __init__(self, *limits):
        self._limits = limits
        self._lock = threading.Lock()
        self._users = 0
        self._stack = None

    def take(self, n_threads):
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._stack = contextlib.ExitStack()
                for limit in self._limits:
                    self._stack.enter_context(limit(n_threads))

    def leave(self):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._stack.close()

    @contextlib.contextmanager
    def held(self, n_threads):
        """Bound inside a ``with`` statement."""
        self.take(n_threads)
        try:
            yield
        finally:
            self.leave()


@contextlib.contextmanager
def limited_threads(n_threads):
    """Bound the threads of BLAS, OpenMP, PyTorch and TensorFlow while a fold trains.

    Parameters
    ----------
    n_threads : int or None
        The bound; None bounds nothing.
    """
    if n_threads is None:
        yield
        return
    # Each thread has its own of OpenMP.
    with (
        _limit("openmp", n_threads),
        _blas.held(n_threads),
        _frameworks.held(n_threads),
    ):
        yield


def single_threaded_blas():
    """Bound BLAS to the calling thread, for small products and for work in threads.

    Returns
    -------
    bound : context manager
        Shared with the folds that train meanwhile.
    """
    return _blas.held(1)


@contextlib.contextmanager
def _limited_torch(n_threads):
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _limited_tensorflow(n_threads):
    """TensorFlow takes a bound before its first operation, in a fresh worker."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        with contextlib.suppress(RuntimeError, AttributeError):
            threading_of = tensorflow.config.threading
            threading_of.set_intra_op_parallelism_threads(n_threads)
            threading_of.set_inter_op_parallelism_threads(n_threads)
    yield


_blas = _Bound(functools.partial(_limit, "blas"))
_frameworks = _Bound(_limited_torch, _limited_tensorflow)
