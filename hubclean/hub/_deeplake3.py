"""The store contract on the Hub line: `deeplake<4`, 3.9.52 being its last release.

It writes chunks as it goes, so a call that is killed leaves changes that nobody
committed. Stores for reading are at the last commit, where there is one, and do not
see them; `dataset.reset()` removes them.
"""

import contextlib
import dataclasses
import hashlib
import os

import numpy as np

from hubclean._compat import require
from hubclean.exceptions import DatasetError, HubcleanError
from hubclean.hub._contract import ColumnInfo, Commit, Version

_KINDS = {"image": "image", "text": "text", "class_label": "class_label"}
_ENCODED = ("jpeg", "png")
_PENDING = "uncommitted"


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a dataset is, and how to get in; never shows the credentials."""

    url: str
    creds: dict | str | None = dataclasses.field(default=None, repr=False, hash=False)
    token: str | None = dataclasses.field(default=None, repr=False)

    @property
    def where(self):
        """For messages."""
        return f"Deep Lake dataset {self.url!r}"


def open_store(address, *, branch=None, writable=False):
    """Open a branch ("main" when None): to write, or at its last commit to read."""
    dataset = _load(address, writable)
    with _explained(address):
        if branch is not None and branch not in dataset.branches:
            raise DatasetError(
                f"{address.where}: the branch {branch} does not exist; it has "
                f"{', '.join(map(repr, dataset.branches))}."
            )
        if branch is not None:
            dataset.checkout(branch)
        if writable and dataset.has_head_changes and dataset.commit_id is not None:
            raise DatasetError(
                f"{address.where} has changes that are not committed; hubclean would "
                "commit them along with its own. Call `dataset.commit()` or "
                "`dataset.reset()` first."
            )
        branch = dataset.branch
        if not writable and dataset.commit_id is not None:
            dataset.checkout(dataset.commit_id)
    return DeepLake3Store(dataset, address, branch)


def open_at(address, version):
    """Open a dataset as it was at one commit, for reading."""
    dataset = _load(address, writable=False)
    with _explained(address):
        pending = version.commit.startswith(_PENDING)
        dataset.checkout(version.branch if pending else version.commit)
    return DeepLake3Store(dataset, address, version.branch)


def store_of(dataset):
    """Store around a dataset that the caller has open, for writing through it."""
    address = Address(dataset.path, getattr(dataset, "org_creds", None))
    if dataset.has_head_changes and dataset.commit_id is not None:
        raise DatasetError(
            f"{address.where} has changes that are not committed; hubclean would judge "
            "or commit them along with its own. Call `dataset.commit()` or "
            "`dataset.reset()` first."
        )
    return DeepLake3Store(dataset, address, dataset.branch)


def is_read_only(dataset):
    """Whether the caller opened it so."""
    return dataset.read_only


def _load(address, writable):
    deeplake = require("deeplake", extra="hub", by="hubclean.hub")
    options = {"creds": address.creds, "token": address.token}
    options = {key: value for key, value in options.items() if value is not None}
    with _explained(address):
        return deeplake.load(
            address.url, read_only=not writable, verbose=False, **options
        )


@contextlib.contextmanager
def _explained(address):
    """Turn errors of Deep Lake into one that says where, without the credentials."""
    try:
        yield
    except HubcleanError:
        raise
    except Exception as exc:
        text = str(exc)
        values = address.creds.values() if isinstance(address.creds, dict) else ()
        for secret in (*values, address.token):
            text = text.replace(secret, "***") if secret else text
        raise DatasetError(
            f"{address.where}: {type(exc).__name__}: {text} Check the path, the "
            "credentials, and the right to write."
        ) from None


class DeepLake3Store:
    """Handle on one branch of a Hub 2 / Deep Lake 3 dataset; see `_contract.Store`."""

    title = "Deep Lake 3 dataset"
    mark = ""

    def __init__(self, dataset, address, branch):
        self._dataset = dataset
        self._address = address
        self._branch = branch
        self._pid = os.getpid()
        commit = dataset.commit_id
        if commit is None or (dataset.has_head_changes and not _is_detached(dataset)):
            commit = f"{_PENDING}{dataset.pending_commit_id[:8]}-{len(dataset)}"
        self.version = Version(self._dataset_id(), branch, commit)

    def _dataset_id(self):
        """Hub datasets have no id of their own: known by their path."""
        return hashlib.blake2b(self._address.url.encode(), digest_size=16).hexdigest()

    @property
    def where(self):
        return self._address.where

    @property
    def n_rows(self):
        return len(self._dataset)

    @property
    def columns(self):
        return {
            name: _column_info(name, self._dataset[name])
            for name in self._dataset.tensors
        }

    def __reduce__(self):
        return open_at, (self._address, self.version)

    # -- reading

    def _own(self):
        """Give the dataset of this process; a forked child opens its own."""
        if self._pid != os.getpid():
            self._dataset = open_at(self._address, self.version)._dataset
            self._pid = os.getpid()
        return self._dataset

    def read(self, name, rows):
        rows = np.asarray(rows).tolist()
        if not rows:
            return []
        tensor = self._own()[name][rows]
        if tensor.htype == "text":
            return [str(value) for value in tensor.data()["value"]]
        values = tensor.numpy(aslist=True)
        if len({value.shape for value in values}) > 1:
            return values
        values = np.stack(values)
        # Hub keeps a number in an array of length 1.
        scalar = tensor.htype == "generic" and values.ndim == 2 and values.shape[1] == 1
        return values[:, 0] if scalar else values

    def read_bytes(self, name, rows):
        tensor = self._own()[name]
        return [tensor[int(row)].tobytes() for row in rows]

    def decode_row(self, name, row):
        with _explained(self._address):
            pixels = self._own()[name][int(row)].numpy()
        return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]

    def metadata(self, name):
        return dict(self._dataset[name].info)

    def lineage(self):
        commits, node = [], self._dataset.version_state["commit_node"]
        while node is not None:
            if node.commit_time is not None:
                commits.append(
                    (node.branch, Commit(node.commit_id, node.commit_message or ""))
                )
            node = node.parent
        return commits[::-1]

    @property
    def base(self):
        node = self._dataset.version_state["commit_node"]
        while node is not None and node.branch == self._branch:
            node = node.parent
        return node and Version(self._dataset_id(), node.branch, node.commit_id)

    def branch_names(self):
        return list(self._dataset.branches)

    def is_empty_branch_of(self, name, version):
        branch = open_store(self._address, branch=name)
        own = [commit for where, commit in branch.lineage() if where == name]
        return branch.base == version and not own

    def select(self, rows, flags=None):
        return self._dataset[np.asarray(rows).tolist()]

    # -- moving

    def head(self):
        return open_store(self._address, branch=self._branch)

    def at(self, version):
        return open_at(self._address, version)

    def writer(self):
        return open_store(self._address, branch=self._branch, writable=True)

    def open_branch(self, name):
        return open_store(self._address, branch=name, writable=True)

    def create_branch(self, name):
        dataset = _load(self._address, writable=True)
        with _explained(self._address):
            dataset.checkout(self._branch)
            dataset.checkout(name, create=True)
        return DeepLake3Store(dataset, self._address, name)

    # -- editing

    def guarded(self, n_bytes):
        return contextlib.nullcontext()

    def add_column(self, name, tensor):
        group = name.rpartition("/")[0]
        values = tensor.values
        options = {"htype": "generic", "dtype": values.dtype.name}
        if tensor.class_names is not None:
            names = list(tensor.class_names)
            options = {"htype": "class_label", "class_names": names}
            values = values.astype(np.uint32)
        with _explained(self._address):
            if group and group not in self._dataset.groups:
                self._dataset.create_group(group)
            column = self._dataset.create_tensor(name, **options)
            column.extend(values)

    def drop_column(self, name):
        with _explained(self._address):
            self._dataset.delete_tensor(name, large_ok=True)

    def set_metadata(self, name, key, value):
        self._dataset[name].info[key] = value

    def set_rows(self, name, rows, values):
        with _explained(self._address):
            for row, value in zip(rows, values, strict=True):
                self._dataset[name][int(row)] = value

    def delete_rows(self, rows):
        with _explained(self._address):
            self._dataset.pop(sorted(map(int, rows), reverse=True))

    def commit(self, message):
        with _explained(self._address):
            commit = self._dataset.commit(message)
        self.version = dataclasses.replace(self.version, commit=commit)
        return commit

    def rollback(self):
        self._dataset.reset(force=True)

    def undo_last_commit(self, message):
        """Never needed: who writes locks the dataset against others."""


def _is_detached(dataset):
    """Whether an older commit is looked at, which has no head of its own."""
    return dataset.version_state["commit_node"].commit_time is not None


def _column_info(name, tensor):
    """Translate a tensor of the Hub line."""
    kind = _KINDS.get(tensor.htype, "array")
    encoded = kind == "image" and tensor.meta.sample_compression in _ENCODED
    shape = tuple(tensor.shape[1:]) if len(tensor) else ()
    if tensor.htype == "generic" and shape == (1,):
        shape = ()
    names = tensor.info.get("class_names") if kind == "class_label" else None
    return ColumnInfo(
        name=name,
        kind=kind,
        dtype=np.dtype(object if kind == "text" else tensor.dtype or np.float64),
        row_shape=() if kind == "text" else shape,
        class_names=tuple(names) if names else None,
        encoded=encoded,
    )
