"""What every kind of dataset must be able to do for hubclean: the store contract.

A store is one handle on one branch of one dataset, at one commit. There are three:
Deep Lake 4, the Hub line before it (`deeplake<4`), and the in-memory twin. Nothing
outside this folder sees a store; it imports only numpy.
"""

import dataclasses
from typing import Protocol

import numpy as np

#: Kinds of column that hubclean tells apart; whatever else a store has is "array".
KINDS = ("image", "text", "class_label", "array", "object")


@dataclasses.dataclass(frozen=True)
class ColumnInfo:
    """What a store says about one column, without reading it."""

    name: str
    kind: str
    #: Type of one element of a row.
    dtype: np.dtype
    #: Shape of one row; None for a dimension that the schema leaves open.
    row_shape: tuple
    class_names: tuple | None = None
    #: Rows can be had as the bytes of an image file.
    encoded: bool = False


@dataclasses.dataclass(frozen=True)
class Commit:
    """One entry of a dataset's history."""

    id: str
    message: str
    #: It changes nothing: a process was killed as Deep Lake began to write it.
    empty: bool = False


@dataclasses.dataclass(frozen=True)
class Version:
    """Names one state of one dataset; its text form travels in tables and reports.

    Examples
    --------
    >>> version = Version("5f3a", "main", "0001")
    >>> str(version)
    '5f3a@main:0001'
    >>> Version.parse("5f3a@main:0001") == version
    True
    """

    dataset_id: str
    branch: str
    commit: str

    def __str__(self):
        return f"{self.dataset_id}@{self.branch}:{self.commit}"

    @classmethod
    def parse(cls, text):
        """Read the text form; None where it is not one."""
        dataset_id, at, rest = str(text).partition("@")
        branch, colon, commit = rest.rpartition(":")
        return cls(dataset_id, branch, commit) if at and colon else None


class Store(Protocol):
    """One handle on one branch of one dataset, at one commit.

    A store pickles by address: another process opens the dataset itself, at the same
    commit. (The in-memory twin has no address and carries its data.)
    """

    #: What it is, for messages: "Deep Lake 4 dataset", say.
    title: str
    #: Where it is, for messages; never holds a secret.
    where: str
    version: Version
    #: Tells states apart that have one version: where commits are only numbered,
    #: copies that went on apart, and branches of one name made one after the other.
    mark: str
    n_rows: int
    #: Version that this branch starts at; None for the main branch.
    base: Version | None
    #: Name to `ColumnInfo`, in the order of the dataset.
    columns: dict

    def read(self, name, rows):
        """Rows at these positions: an array where shapes agree, else a list."""

    def read_bytes(self, name, rows):
        """Rows of an encoded image column as the bytes of image files."""

    def decode_row(self, name, row):
        """Pixels of one image as the dataset itself decodes it; None if it cannot."""

    def metadata(self, name):
        """Plain dict stored with a column."""

    def lineage(self):
        """``(branch, Commit)`` from the first to this one, through parent branches."""

    def branch_names(self):
        """Names of the branches of the dataset."""

    def is_empty_branch_of(self, name, version):
        """Whether a branch starts at this version and has no commit of its own."""

    def select(self, rows, flags=None):
        """View of these rows in the dataset's own manner, to train on.

        `flags` may name a boolean column that is False in just these rows.
        """

    def head(self):
        """Read-only store of the newest commit of this branch."""

    def at(self, version):
        """Read-only store of a version of this dataset, also of another branch."""

    def writer(self):
        """Store of the newest commit of this branch that can be edited.

        Raises `DatasetError` where the dataset cannot be written, or has changes
        that nobody committed.
        """

    def open_branch(self, name):
        """Writable store of another branch."""

    def create_branch(self, name):
        """Branch off at this commit; gives its writable store."""

    # Edits gather in a writer and are seen by nobody before `commit`.

    def guarded(self, n_bytes):
        """Context to edit and commit in, where up to so many bytes are written.

        Raises `DatasetError`, the dataset unchanged, where there is no room for them.
        """

    def add_column(self, name, tensor):
        """Add a column; `tensor` has values, kind, class_names and a default."""

    def drop_column(self, name):
        """Remove a column."""

    def set_metadata(self, name, key, value):
        """Store a JSON-like value with a column."""

    def set_rows(self, name, rows, values):
        """Overwrite rows of a column."""

    def delete_rows(self, rows):
        """Remove rows; those after them move up."""

    def commit(self, message):
        """Make all edits visible at once; gives the commit id."""

    def rollback(self):
        """Forget all edits since the last commit."""

    def undo_last_commit(self, message):
        """Take back the last commit of this branch, by another."""
