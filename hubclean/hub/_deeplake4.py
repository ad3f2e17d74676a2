"""The store contract on Deep Lake 4."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import time
import warnings

import numpy as np

from hubclean._compat import require
from hubclean.exceptions import DatasetChangedError, DatasetError, HubcleanError
from hubclean.hub._contract import Commit, Version
from hubclean.hub._deeplake4_types import (
    column_info,
    new_type,
    plain,
    plain_value,
)
from hubclean.hub._disk import (
    counters_kept,
    has_surely_room,
    make_sure_of_room,
    remove_quietly,
)
from hubclean.hub._query import query_of_rows

_UNCOMMITTED = "9999999999"
_NO_COMMIT = "0000000000v"
_LOCK_SECONDS = 40
_NEVER_GIVEN = "not a bytes array"
_MAYBE_OLD = ". (One of Hub 2 or Deep Lake 3 needs hub.convert(path, new_path).)"
_OLD_FORMAT = (
    "is in the format of Hub 2 and Deep Lake 3, which Deep Lake 4 does not open. Copy "
    "it into the new format with hub.convert(path, new_path); or use it as it is, in "
    "an environment with 'deeplake<4'."
)


def _deeplake():
    return require("deeplake", extra="hub", by="hubclean.hub")


class DeepLake4Store:
    """Handle on one branch of a Deep Lake 4 dataset; see `_contract.Store`.

    Parameters
    ----------
    dataset : deeplake.Dataset or deeplake.ReadOnlyDataset
        At the commit this store stands for.
    address : Address
        Where another process finds it.
    keep : tuple
        Objects of Deep Lake that `dataset` would die with.
    """

    title = "Deep Lake 4 dataset"

    def __init__(self, dataset, address, keep=()):
        self._dataset = dataset
        self._address = address
        self._keep = keep
        self._pid = os.getpid()
        branch = dataset.current_branch
        self.version = Version(dataset.id, branch.name, dataset.version)

    @property
    def where(self):
        return self._address.where

    @property
    def n_rows(self):
        return len(self._dataset)

    @functools.cached_property
    def mark(self):
        branch = self._dataset.current_branch.id
        times = [(v.id, str(v.client_timestamp)) for v in self._dataset.history]
        entry = self._address.log_entry(branch, self.version.commit)
        text = repr((branch, times, entry)).encode()
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    @functools.cached_property
    def columns(self):
        return {
            column.name: column_info(self._dataset, column)
            for column in self._dataset.schema.columns
        }

    def __reduce__(self):
        return open_at, (self._address, self.version)

    # -- reading

    def _own(self):
        """Give the dataset of this process; a forked child opens its own."""
        if self._pid != os.getpid():
            fresh = open_at(self._address, self.version)
            self._dataset, self._keep = fresh._dataset, (fresh, *fresh._keep)
            self._pid = os.getpid()
        return self._dataset

    def read(self, name, rows):
        rows = np.asarray(rows)
        everything = len(rows) == self.n_rows and (rows == np.arange(len(rows))).all()
        with _explained(self._address):
            column = self._own()[name]
            values = column[:] if everything else column[rows.tolist()]
        kind = self.columns[name].kind
        if kind == "text":  # an empty text comes back as None
            return ["" if value is None else value for value in values]
        if kind == "object":
            return [plain_value(value) for value in values]
        return values

    def read_bytes(self, name, rows):
        rows = np.asarray(rows).tolist()
        if not rows:  # of none, Deep Lake reads no bytes
            return []
        column = self._own()[name]
        with _explained(self._address):
            try:
                return column.get_bytes(rows)
            except RuntimeError as exc:
                if _NEVER_GIVEN not in str(exc):
                    raise
            return [_bytes_or_none(column, row) for row in rows]

    def decode_row(self, name, row):
        value = self._own()[name][int(row)]
        return None if value is None else np.asarray(value)  # None: it is damaged

    def metadata(self, name):
        return plain(self._dataset[name].metadata)

    def lineage(self):
        commits, branch, until = [], self._dataset.current_branch, None
        branches, history = self._dataset.branches, self._dataset.history
        by_id = {branches[name].id: branches[name] for name in branches.names()}
        while True:
            own = [_commit(entry) for entry in history]
            if until is not None:
                own = own[: [commit.id for commit in own].index(until) + 1]
            commits[:0] = [(branch.name, commit) for commit in own]
            if not branch.base:
                return commits
            parent, until = branch.base
            branch = by_id[parent]
            opened = branch.open()
            history = opened.history

    def branch_names(self):
        return list(self._dataset.branches.names())

    @property
    def base(self):
        branch = self._dataset.current_branch
        if not branch.base:
            return None
        branches = self._dataset.branches
        names = {branches[name].id: name for name in branches.names()}
        parent, commit = branch.base
        return Version(self.version.dataset_id, names[parent], commit)

    def is_empty_branch_of(self, name, version):
        branch = self.open_branch(name)
        own = [_commit(entry) for entry in branch._dataset.history]
        return branch.base == version and all(commit.empty for commit in own)

    def select(self, rows, flags=None):
        if flags is not None:
            return self._dataset.query(f'select * where "{flags}" == false')
        return self._dataset.query(query_of_rows(rows))

    # -- moving

    def head(self):
        return open_store(self._address, branch=self.version.branch, writable=False)

    def at(self, version):
        return open_at(self._address, version)

    def writer(self):
        return open_store(self._address, branch=self.version.branch, writable=True)

    def open_branch(self, name):
        return open_store(self._address, branch=name, writable=True)

    def create_branch(self, name):
        with _explained(self._address):
            branch = _once_unlocked(lambda: self._dataset.branch(name))
            dataset = branch.open()
        return DeepLake4Store(dataset, self._address, (self, branch))

    # -- editing

    @contextlib.contextmanager
    def guarded(self, n_bytes):
        folder = self._address.folder()
        if folder is None:  # a bucket reports that it is full
            yield
            return
        make_sure_of_room(folder, n_bytes, self.where)
        before = self.version.commit
        with counters_kept(folder):
            try:
                yield
            except DatasetError as exc:
                raise exc if has_surely_room(folder) else self._full() from exc
            if not has_surely_room(folder) and self.version.commit != before:
                self._remove_commit(folder)
                raise self._full()

    def _full(self):
        return DatasetError(
            f"{self.where} could not be written: the disk became full meanwhile. "
            "The dataset is as it was; make room, open it again, and call again."
        )

    def _remove_commit(self, folder):
        """Remove the entry in the log: without it, what was written is not there."""
        log = os.path.join(folder, "_deeplake_log", self._dataset.current_branch.id)
        for name in os.listdir(log):
            if name.startswith(self.version.commit):
                remove_quietly(os.path.join(log, name))

    def add_column(self, name, tensor):
        dataset = self._dataset
        kind = new_type(tensor.kind, tensor.values.dtype)
        with _explained(self._address):
            # Without a default, nobody could append rows to the dataset any more.
            dataset.add_column(name, kind, default_value=tensor.default)
            if len(tensor.values):  # of none, Deep Lake crashes the process
                dataset[name][:] = tensor.values
            if tensor.class_names is not None:
                dataset[name].metadata["class_names"] = list(tensor.class_names)
        self.__dict__.pop("columns", None)

    def drop_column(self, name):
        with _explained(self._address):
            self._dataset.remove_column(name)
        self.__dict__.pop("columns", None)

    def set_metadata(self, name, key, value):
        self._dataset[name].metadata[key] = value

    def set_rows(self, name, rows, values):
        column = self._dataset[name]
        with _explained(self._address):
            for row, value in zip(rows, values, strict=True):
                column[int(row) : int(row) + 1] = [value]

    def delete_rows(self, rows):
        with _explained(self._address):
            for row in sorted(map(int, rows), reverse=True):
                self._dataset.delete(row)

    def commit(self, message):
        with _explained(self._address):
            self._dataset.commit(message)
        self.version = Version(
            self.version.dataset_id, self.version.branch, self._dataset.version
        )
        return self.version.commit

    def rollback(self):
        self._dataset.rollback()
        self.__dict__.pop("columns", None)

    def undo_last_commit(self, message):
        commits = [v.id for v in self._dataset.history]
        with _explained(self._address):
            self._dataset.revert_to(commits[-2], message=message)


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a dataset is, and how to get in; never shows the credentials."""

    url: str
    creds: dict | str | None = dataclasses.field(default=None, repr=False, hash=False)
    token: str | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(cls, dataset):
        """Read the address of an open dataset."""
        state = json.loads(dataset.__getstate__()[0])
        reader = state["reader"]
        return cls(_absolute(reader["url"]), reader.get("params") or None)

    @property
    def where(self):
        """For messages."""
        return f"Deep Lake dataset {self.url!r}"

    def secrets(self):
        """Texts that must not be shown."""
        values = self.creds.values() if isinstance(self.creds, dict) else [self.creds]
        return [value for value in (*values, self.token) if value and value != "ENV"]

    def folder(self):
        """Return the local folder; None for a bucket, or memory."""
        path = self.url.removeprefix("file://")
        return None if "://" in path else path

    def log_entry(self, branch_id, commit):
        """What the log of a local dataset says of a commit; it names its files.

        In a bucket, Deep Lake waits for minutes where it is asked to list a log.
        """
        log = pathlib.Path(self.folder() or os.devnull, "_deeplake_log", branch_id)
        return [path.read_bytes() for path in sorted(log.glob(f"{commit}*"))]

    def options(self):
        """Keyword arguments of Deep Lake's functions that open."""
        options = {"creds": self.creds, "token": self.token}
        return {key: value for key, value in options.items() if value is not None}


def open_store(address, *, branch=None, writable=False):
    """Open the newest commit of a branch (of "main" when None)."""
    deeplake = _deeplake()
    opener = deeplake.open if writable else deeplake.open_read_only
    with _explained(address):
        dataset = opener(address.url, **address.options())
        if branch is None or branch == dataset.current_branch.name:
            return DeepLake4Store(dataset, address)
        found = dataset.branches[branch]
        return DeepLake4Store(found.open(), address, (dataset, found))


def open_at(address, version):
    """Open a dataset as it was at one commit, for reading."""
    store = open_store(address, branch=version.branch)
    if store.version.dataset_id != version.dataset_id:
        raise DatasetChangedError(
            f"{store.where} is not the dataset that was opened: its id is "
            f"{store.version.dataset_id}, expected {version.dataset_id}. Open it again."
        )
    if store.version == version:
        return store
    with _explained(address):
        history = store._dataset.history
        commit = history[version.commit]
        return DeepLake4Store(commit.open(), address, (store, history, commit))


def store_of(dataset):
    """Store around a dataset that the caller has open, for writing through it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has changes, which is told below
        address = Address.of(dataset)
    if dataset.version.startswith(_UNCOMMITTED):
        raise DatasetError(
            f"{address.where} has changes that are not committed; hubclean would "
            "judge or commit them along with its own. Call `dataset.commit()` or "
            "`dataset.rollback()` first."
        )
    return DeepLake4Store(dataset, address)


def is_read_only(dataset):
    """Whether the caller opened it so."""
    return not hasattr(dataset, "commit")


def _absolute(url):
    """Make a local path absolute, so that it opens from any folder."""
    return url if "://" in url else os.path.abspath(url)


@contextlib.contextmanager
def _explained(address):
    """Turn errors of Deep Lake into one that says what to do."""
    try:
        yield
    except Exception as exc:
        if isinstance(exc, HubcleanError) or not _is_deeplakes(exc):
            raise
        text = str(exc).strip().strip("'").strip()
        for secret in address.secrets():
            text = text.replace(secret, "***")
        if type(exc).__name__ == "LogNotexistsError":
            # In a bucket Deep Lake looks for a missing file for half a minute.
            if address.folder() is None:
                text += _MAYBE_OLD
            elif is_old_format(address):
                text = _OLD_FORMAT
        raise DatasetError(_advice(exc, address.where, text)) from None


def _once_unlocked(change):
    """Make a change as soon as nobody else has the lock.

    A process killed while it changed branches leaves its lock behind. Deep Lake tries
    for five seconds, and takes a lock of 30 seconds for left behind.
    """
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return change()
        except RuntimeError as exc:
            if "lock contended" not in str(exc) or time.monotonic() > give_up:
                raise


def is_old_format(address):
    """Whether a dataset of Hub 2 or Deep Lake 3 lies there."""
    folder = address.folder()
    if folder is not None:
        return os.path.isfile(os.path.join(folder, "dataset_meta.json"))
    try:
        reader = _deeplake().storage.Reader(address.url, **address.options())
        return reader.length("dataset_meta.json") > 0
    except Exception:  # nothing there, or no access: any other format
        return False


def _is_deeplakes(exc):
    """Whether Deep Lake raised it: its own types, and built-in ones of its core."""
    core = (RuntimeError, KeyError, OSError, ValueError, MemoryError)
    return type(exc).__module__.startswith("deeplake") or isinstance(exc, core)


def _advice(exc, where, text):
    """Who, what came, what to do, for an error of Deep Lake."""
    name = type(exc).__name__
    if text is _OLD_FORMAT:
        return f"{where} {text}"
    if name in ("LogNotexistsError", "NotFoundError", "StorageKeyNotFound"):
        return f"{where} cannot be opened: {text} Check the path and the credentials."
    if name == "BranchNotFoundError":
        return f"{where}: {text}. See `dataset.branches.names()` for those it has."
    if name == "BranchExistsError":
        return f"{where}: {text}. Choose another name."
    if "lock contended" in text:
        return f"{where} is locked by another process ({text}). Call again later."
    if "status=403" in text or any(
        word in name for word in ("Access", "Auth", "Permission")
    ):
        return f"{where}: access was refused ({text}). Check the credentials."
    if "status=404" in text:
        return f"{where} cannot be opened: {text}. Check the path."
    if name == "StorageNetworkConnectionError":
        return f"{where} cannot be reached: {text}. Check the endpoint, or the network."
    return f"{where}: {name}: {text}"


def _commit(entry):
    """Translate an entry of the history; the one that makes a branch is empty."""
    empty = entry.id.startswith(_NO_COMMIT) or not (entry.message or entry.operations)
    return Commit(entry.id, entry.message or "", empty)


def _bytes_or_none(column, row):
    """Bytes of one image; none where the row was never given one."""
    try:
        return column.get_bytes([row])[0]
    except RuntimeError:
        if column[row] is not None:
            raise
        return b""
