"""The in-memory twin: the store contract on plain arrays.

For users without Deep Lake (Windows has no wheel), and for tests.
"""

import contextlib
import dataclasses
import threading
import uuid

import numpy as np

from hubclean.exceptions import DatasetChangedError, DatasetError, ParameterError
from hubclean.hub._contract import ColumnInfo, Commit, Version
from hubclean.hub._images import decode_any_image


class InMemoryDataset:
    """A dataset in memory, with branches and commits, that stands in for a Hub one.

    Every function of `hubclean.hub` takes it as it takes a Deep Lake dataset. It
    pickles with its data.

    Parameters
    ----------
    columns : dict of str to array-like
        Rows of each tensor, as many in each: an array, a list of arrays of different
        shapes, of texts, or of ``bytes`` (image files, decoded when read).
    class_names : dict of str to list of str, optional
        For tensors of class labels: the names, position by code.

    Raises
    ------
    ParameterError
        If tensors differ in their number of rows.

    Examples
    --------
    >>> dataset = InMemoryDataset(
    ...     {"texts": ["good", "bad"], "labels": [1, 0]},
    ...     class_names={"labels": ["negative", "positive"]},
    ... )
    >>> len(dataset), dataset["labels"]
    (2, array([1, 0]))
    """

    def __init__(self, columns, *, class_names=None):
        names = class_names or {}
        tensors = {
            name: _tensor(name, rows, names.get(name)) for name, rows in columns.items()
        }
        lengths = {name: len(tensor.rows) for name, tensor in tensors.items()}
        if len(set(lengths.values())) > 1:
            raise ParameterError(
                "InMemoryDataset: every tensor must have as many rows as the others; "
                f"got {lengths}."
            )
        self._repository = _Repository(tensors)
        self._branch = "main"

    def __len__(self):
        return _n_rows(self._repository.tip(self._branch))

    def __getitem__(self, name):
        tensors = self._repository.tip(self._branch)
        if name not in tensors:
            raise KeyError(name)
        return tensors[name].rows

    def __repr__(self):
        names = ", ".join(self._repository.tip(self._branch))
        return f"InMemoryDataset(columns=({names}), length={len(self)})"

    @property
    def columns(self):
        """Names of the tensors."""
        return list(self._repository.tip(self._branch))

    @property
    def version(self):
        """Id of the newest commit."""
        return self._repository.branches[self._branch].commits[-1].id

    @property
    def history(self):
        """Commits of this branch, oldest first."""
        return list(self._repository.branches[self._branch].commits)

    @property
    def branches(self):
        """Name to dataset, for every branch."""
        return {name: self._on(name) for name in self._repository.branches}

    def _on(self, branch):
        other = object.__new__(InMemoryDataset)
        other._repository, other._branch = self._repository, branch
        return other

    def append(self, rows):
        """Add rows, given as for the constructor, and commit them.

        Tensors of `create_tensors` may be left out.
        """
        store = InMemoryStore(self._repository, self._branch)
        n_rows = len(next(iter(rows.values())))
        tensors = {}
        for name, tensor in store._tensors.items():
            if name not in rows and tensor.default is None:
                raise ParameterError(
                    f"InMemoryDataset.append: rows for the tensor {name!r} are missing."
                )
            new = _tensor(name, rows.get(name, [tensor.default] * n_rows)).rows
            tensors[name] = dataclasses.replace(
                tensor, rows=_concatenate(tensor.rows, new)
            )
        store._tensors = tensors
        return store.commit("append rows")

    def _store(self):
        return InMemoryStore(self._repository, self._branch)


class InMemoryView:
    """Rows of an in-memory dataset; read-only.

    Examples
    --------
    >>> view = InMemoryView(InMemoryDataset({"labels": [3, 4, 5]}), [2, 0])
    >>> len(view), view["labels"]
    (2, array([5, 3]))
    """

    def __init__(self, dataset, rows):
        self._dataset = dataset
        self.row_ids = np.asarray(rows, dtype=np.intp)

    def __len__(self):
        return len(self.row_ids)

    def __getitem__(self, name):
        return _take(self._dataset[name], self.row_ids)


@dataclasses.dataclass(frozen=True)
class _Tensor:
    info: ColumnInfo
    rows: object
    metadata: dict
    #: For rows that are added without a value.
    default: object = None


@dataclasses.dataclass
class _Branch:
    base: tuple | None
    commits: list
    states: list


class _Repository:
    """All branches of one dataset; states are never changed in place."""

    def __init__(self, tensors):
        self.dataset_id = uuid.uuid4().hex
        first = Commit(_new_id(), "Dataset created")
        self.branches = {"main": _Branch(None, [first], [tensors])}
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"dataset_id": self.dataset_id, "branches": self.branches}

    def __setstate__(self, state):
        self.__dict__.update(state, _lock=threading.Lock())

    def tip(self, branch):
        return self.branches[branch].states[-1]

    def state(self, branch, commit):
        found = self.branches[branch]
        ids = [entry.id for entry in found.commits]
        return found.states[ids.index(commit)]

    def add(self, branch, expected, message, tensors):
        """Append a commit, unless somebody else did since `expected`."""
        with self._lock:
            found = self.branches[branch]
            if found.commits[-1].id != expected:
                raise DatasetChangedError(
                    f"in-memory dataset: branch {branch!r} was changed by somebody "
                    "else meanwhile. Read it again."
                )
            found.commits.append(Commit(_new_id(), message))
            found.states.append(tensors)
            return found.commits[-1].id


class InMemoryStore:
    """Handle on one branch of an in-memory dataset; see `_contract.Store`."""

    title = "in-memory dataset"
    where = "in-memory dataset"
    mark = ""

    def __init__(self, repository, branch, commit=None):
        self._repository = repository
        self._branch = branch
        commit = commit or repository.branches[branch].commits[-1].id
        self.version = Version(repository.dataset_id, branch, commit)
        self._tensors = repository.state(branch, commit)

    @property
    def n_rows(self):
        return _n_rows(self._tensors)

    @property
    def columns(self):
        return {name: tensor.info for name, tensor in self._tensors.items()}

    # -- reading

    def read(self, name, rows):
        tensor = self._tensors[name]
        if tensor.info.encoded:
            return [self.decode_row(name, row) for row in rows]
        return _take(tensor.rows, rows)

    def read_bytes(self, name, rows):
        return _take(self._tensors[name].rows, rows)

    def decode_row(self, name, row):
        return decode_any_image(self._tensors[name].rows[row])

    def metadata(self, name):
        return dict(self._tensors[name].metadata)

    def lineage(self):
        branch, until, commits = self._branch, self.version.commit, []
        while True:
            found = self._repository.branches[branch]
            ids = [commit.id for commit in found.commits]
            own = found.commits[: ids.index(until) + 1]
            commits[:0] = [(branch, commit) for commit in own]
            if found.base is None:
                return commits
            branch, until = found.base

    def branch_names(self):
        return list(self._repository.branches)

    @property
    def base(self):
        base = self._repository.branches[self._branch].base
        return base and Version(self.version.dataset_id, *base)

    def is_empty_branch_of(self, name, version):
        branch = self.open_branch(name)
        return branch.base == version and len(branch.own_commits()) == 1

    def own_commits(self):
        return self._repository.branches[self._branch].commits

    def select(self, rows, flags=None):
        dataset = InMemoryDataset({})
        dataset._repository.branches["main"].states[-1] = self._tensors
        return InMemoryView(dataset, rows)

    # -- moving

    def head(self):
        return InMemoryStore(self._repository, self._branch)

    def at(self, version):
        return InMemoryStore(self._repository, version.branch, version.commit)

    def writer(self):
        return InMemoryStore(self._repository, self._branch)

    def open_branch(self, name):
        if name not in self._repository.branches:
            raise DatasetError(
                f"in-memory dataset: the branch {name!r} does not exist; it has "
                f"{', '.join(map(repr, self._repository.branches))}."
            )
        return InMemoryStore(self._repository, name)

    def create_branch(self, name):
        if name in self._repository.branches:
            raise DatasetError(f"in-memory dataset: the branch {name!r} already exists")
        first = Commit(_new_id(), f"Branch created from {self._branch}")
        base = (self._branch, self.version.commit)
        self._repository.branches[name] = _Branch(base, [first], [self._tensors])
        return InMemoryStore(self._repository, name)

    # -- editing

    def guarded(self, n_bytes):
        return contextlib.nullcontext()

    def add_column(self, name, tensor):
        new = _tensor(name, tensor.values, tensor.class_names)
        info = dataclasses.replace(new.info, kind=tensor.kind)
        new = dataclasses.replace(new, info=info, default=tensor.default)
        self._tensors = {**self._tensors, name: new}

    def drop_column(self, name):
        self._tensors = {k: t for k, t in self._tensors.items() if k != name}

    def set_metadata(self, name, key, value):
        tensor = self._tensors[name]
        tensor = dataclasses.replace(tensor, metadata={**tensor.metadata, key: value})
        self._tensors = {**self._tensors, name: tensor}

    def set_rows(self, name, rows, values):
        tensor = self._tensors[name]
        changed = tensor.rows.copy()
        for row, value in zip(rows, values, strict=True):
            changed[row] = value
        tensor = dataclasses.replace(tensor, rows=changed)
        self._tensors = {**self._tensors, name: tensor}

    def delete_rows(self, rows):
        kept = np.setdiff1d(np.arange(self.n_rows), np.asarray(rows, dtype=np.intp))
        self._tensors = {
            name: dataclasses.replace(tensor, rows=_take(tensor.rows, kept))
            for name, tensor in self._tensors.items()
        }

    def commit(self, message):
        commit = self._repository.add(
            self._branch, self.version.commit, message, self._tensors
        )
        self.version = dataclasses.replace(self.version, commit=commit)
        return commit

    def rollback(self):
        self._tensors = self._repository.state(self._branch, self.version.commit)

    def undo_last_commit(self, message):
        states = self._repository.branches[self._branch].states
        self._tensors = states[-2]
        self.commit(message)


def _new_id():
    return uuid.uuid4().hex[:16]


def _n_rows(tensors):
    return len(next(iter(tensors.values())).rows) if tensors else 0


def _tensor(name, rows, class_names=None):
    """Make a tensor of rows, and say what it is."""
    rows = _as_rows(rows)
    kind, dtype, shape, encoded = "array", rows, (), False
    if isinstance(rows, np.ndarray):
        dtype, shape = rows.dtype, rows.shape[1:]
    first = rows[0] if len(rows) else None
    if isinstance(first, (bytes, bytearray)):
        kind, dtype, shape, encoded = "image", np.dtype(np.uint8), (None,) * 3, True
    elif isinstance(first, str):
        kind, dtype = "text", np.dtype(object)
    elif isinstance(first, np.ndarray) and not isinstance(rows, np.ndarray):
        dtype, shape = first.dtype, (None,) * first.ndim
    elif not isinstance(rows, np.ndarray):
        kind, dtype = "object", np.dtype(object)
    if class_names is not None:
        kind = "class_label"
    names = None if class_names is None else tuple(class_names)
    info = ColumnInfo(name, kind, np.dtype(dtype), tuple(shape), names, encoded)
    return _Tensor(info, rows, {} if names is None else {"class_names": list(names)})


def _as_rows(rows):
    """Rows as one array where they have one shape and type, else as a list."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind not in "OUS":
        return rows
    rows = list(rows)
    if rows and not isinstance(rows[0], (str, bytes, bytearray, dict)):
        if len({np.shape(row) for row in rows}) == 1:
            return np.asarray(rows)
    return [str(row) if isinstance(row, str) else row for row in rows]


def _take(rows, positions):
    if isinstance(rows, np.ndarray):
        return rows[np.asarray(positions, dtype=np.intp)]
    return [rows[position] for position in positions]


def _concatenate(rows, more):
    if isinstance(rows, np.ndarray):
        return np.concatenate([rows, more]).astype(rows.dtype)
    return [*rows, *more]
