"""Folds in other processes: joblib's own, and a cluster of dask.distributed."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
from counting import Counting, log_line, rows, trainings
from threadpoolctl import threadpool_info, threadpool_limits

from hubclean import HubLabelCleaner
from hubclean._folds import count_epochs
from hubclean._progress import (
    _open_bar,
    counting_into,
    epoch_done,
    share_of_bar,
    watched_counts,
)
from hubclean._threads import limited_threads, single_threaded_blas

X, Y = rows()


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    log = str(tmp_path_factory.mktemp("expected") / "log")
    return HubLabelCleaner(Counting(log), random_state=0).fit(X, Y).pred_probs_


class Bar:
    n = 0

    def update(self, steps):
        self.n += steps


class Threads(Counting):
    """Writes down how many threads each library may use."""

    def fit(self, X, y):
        np.dot(np.ones((9, 9)), np.ones((9, 9)))
        most = max(pool["num_threads"] for pool in threadpool_info())
        log_line(self.log + "-threads", str(most))
        return super().fit(X, y)


def test_processes_give_the_same_and_do_not_crowd_the_cores(log, expected, tmp_path):
    with threadpool_limits(2 * joblib.cpu_count()):
        cleaner = HubLabelCleaner(Threads(log), n_jobs=2, random_state=0)
        probs = cleaner.fit(X, Y).pred_probs_
    np.testing.assert_array_equal(probs, expected)
    threads = Path(log + "-threads").read_text().split()
    in_folds = [int(number) for number in threads][:5]
    assert len(threads) == 6
    assert max(in_folds) <= max(1, joblib.cpu_count() // 2)


def test_threads_give_the_same(log, expected):
    with joblib.parallel_config("threading"):
        cleaner = HubLabelCleaner(Counting(log), n_jobs=2, random_state=0)
        probs = cleaner.fit(X, Y).pred_probs_
    np.testing.assert_array_equal(probs, expected)


def most_threads():
    return [pool["num_threads"] for pool in threadpool_info()]


def openmp_threads():
    return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp"]


def test_bounds_that_overlap_are_all_taken_back():
    """Folds in threads end in any order; the last one to leave puts all back."""
    with threadpool_limits(3):
        before = most_threads()
        inside, leave_first = threading.Event(), threading.Event()

        def first():
            with limited_threads(1):
                inside.set()
                leave_first.wait(10)

        thread = threading.Thread(target=first)
        thread.start()
        inside.wait(10)
        with limited_threads(1):
            leave_first.set()
            thread.join()
            assert max(openmp_threads()) == 1
        assert most_threads() == before


def test_blas_alone_is_bounded_and_shared_with_folds():
    def blas():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before, bound = blas(), single_threaded_blas()
        assert max(before) == 2
        bound.__enter__()
        with limited_threads(1):  # a fold that trains for longer
            bound.__exit__(None, None, None)
            assert max(blas()) == 1
        assert blas() == before


def test_torch_threads_are_bounded_and_given_back():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with limited_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# -- progress ----------------------------------------------------------------------


def test_a_fold_moves_the_bar_by_its_steps_however_many_epochs_it_took():
    bar = Bar()
    token = _open_bar.set(bar)
    try:
        for n_epochs in (0, 2, 5):
            with share_of_bar(3):
                for _ in range(n_epochs):
                    epoch_done()
        assert bar.n == 9
        with pytest.raises(RuntimeError), share_of_bar(3):
            epoch_done()
            raise RuntimeError
        assert bar.n == 10
    finally:
        _open_bar.reset(token)


def test_a_fold_that_is_trained_again_counts_once():
    bar = Bar()
    with watched_counts(bar, every=0.01) as folder:
        path = os.path.join(folder, "0")
        for _ in range(2):
            with counting_into(path):
                epoch_done()
                epoch_done()
    assert bar.n == 2
    assert not os.path.exists(folder)


class Epochs(Counting):
    """Counts epochs as the adapters of hubclean do; the module makes it one."""

    __module__ = "hubclean.example"

    def fit(self, X, y):
        for _ in range(self.epochs):
            epoch_done()
        return Counting.fit(self, X, y)  # super() knows the class of this process


def test_the_bar_moves_with_epochs_in_other_processes(log, tmp_path, monkeypatch):
    import tqdm.auto

    seen = []

    class Watched(tqdm.auto.tqdm):
        def update(self, n=1):
            seen.append((self.total, n))
            return super().update(n)

    monkeypatch.setattr(tqdm.auto, "tqdm", Watched)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    estimator = Epochs(log, epochs=4)
    assert count_epochs(estimator) == 4
    cleaner = HubLabelCleaner(estimator, n_jobs=2, random_state=0, verbose=1)
    cleaner.fit(X, Y)
    totals, steps = zip(*seen, strict=True)
    assert set(totals) == {5 * 4}
    assert sum(steps) == 5 * 4
    assert not [path for path in tmp_path.iterdir() if "hubclean" in path.name]


# -- a cluster ---------------------------------------------------------------------


@pytest.fixture
def cluster(whole_cluster):
    """Both workers, also after a test that killed one."""
    whole_cluster.wait_for_workers(2, timeout=60)
    return whole_cluster


@pytest.fixture(scope="module")
def whole_cluster(tmp_path_factory):
    """Two worker processes on loopback."""
    distributed = pytest.importorskip("distributed")
    import dask

    folder = tmp_path_factory.mktemp("cluster")
    settings = {
        "temporary-directory": str(folder),
        "distributed.admin.log-format": "%(message)s",
        "distributed.logging.distributed": "critical",
    }
    with dask.config.set(settings):
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        client = distributed.Client(cluster)
        try:
            yield client
        finally:
            client.close()
            cluster.close(timeout=30)


class OnWorkers(Counting):
    """Writes down its process; the third to begin, or the next, kills its worker."""

    def fit(self, X, y):
        log_line(self.log + "-pids", str(os.getpid()))
        n = Path(self.log + "-pids").read_text().count("\n")
        # Two may write before one of them counts; the empty file is made only once.
        if n >= 3 and Path(self.log + "-kill").exists() and only_now(self.log):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def only_now(log):
    """Whether this is the first call for the log, in any process."""
    try:
        Path(log + "-killed").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


# Workers import `counting`; this class reaches them by value.
def by_value():
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def test_cluster(cluster, log, expected, tmp_path):
    by_value()
    with joblib.parallel_config("dask"):
        cleaner = HubLabelCleaner(OnWorkers(log), random_state=0)
        probs = cleaner.fit(X, Y).pred_probs_
    np.testing.assert_array_equal(probs, expected)
    *folds, final = Path(log + "-pids").read_text().split()
    assert final == str(os.getpid())
    assert final not in folds
    assert len(folds) == 5
    assert trainings(log) == 5


def test_a_killed_worker_costs_its_fold_only(cluster, log, expected, tmp_path):
    by_value()
    Path(log + "-kill").touch()
    memory = tmp_path / "memory"
    with joblib.parallel_config("dask"):
        cleaner = HubLabelCleaner(OnWorkers(log), random_state=0, memory=memory)
        probs = cleaner.fit(X, Y).pred_probs_
    assert Path(log + "-killed").exists()
    np.testing.assert_array_equal(probs, expected)
    assert trainings(log) == 5
    begun = Path(log + "-pids").read_text().split()
    assert len(begun) == 5 + 1 + 1  # the killed one, and the final training here
    assert len(list((memory / "hubclean").iterdir())) == 5


def test_workers_open_a_hub_dataset_themselves(cluster, log, tmp_path):
    pytest.importorskip("deeplake")
    from hubclean import hub
    from hubclean.datasets import write_digits

    by_value()
    path = write_digits(tmp_path / "digits")
    source = hub.open(path, images="images", labels="labels")
    few = np.arange(0, 1797, 9)
    X, y = source.X[few], np.asarray(source.y)[few]
    fitted = []
    for backend in ("loky", "dask"):
        with joblib.parallel_config(backend):
            cleaner = HubLabelCleaner(Images(log), cv=3, random_state=0)
            fitted.append(cleaner.fit(X, y).pred_probs_)
    np.testing.assert_array_equal(*fitted)
    assert (fitted[0].argmax(1) == y).mean() > 0.7
    sizes = [int(line) for line in Path(log + "-bytes").read_text().split()]
    assert max(sizes) < 10_000 < np.asarray(X).nbytes


class Images(Counting):
    """Reads its rows itself; writes down how large they are as a pickle."""

    def fit(self, X, y):
        import pickle

        log_line(self.log + "-bytes", str(len(pickle.dumps(X))))
        return super().fit(np.asarray(X).reshape(len(y), -1) / 255, y)

    def predict_proba(self, X):
        return super().predict_proba(np.asarray(X).reshape(len(X), -1) / 255)


def test_one_missing_fold_still_goes_to_the_cluster(cluster, log, tmp_path):
    by_value()
    memory = tmp_path / "memory"
    cleaner = HubLabelCleaner(OnWorkers(log), random_state=0, memory=memory)
    cleaner.fit(X, Y)
    import shutil

    shutil.rmtree(next((memory / "hubclean").iterdir()))
    Path(log + "-pids").unlink()
    with joblib.parallel_config("dask"):
        cleaner.fit(X, Y)
    (pid,) = Path(log + "-pids").read_text().split()  # the final one was kept
    assert pid != str(os.getpid())
