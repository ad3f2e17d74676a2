"""Is a dataset still the one that was judged? And the branch to write on.

It imports `_contract` and `_open` of this folder.
"""

from hubclean.exceptions import DatasetChangedError, DatasetError
from hubclean.hub._contract import Version
from hubclean.hub._open import reading_store

#: Begins the messages of commits that change neither data nor labels.
TENSORS_MESSAGE = "hubclean create_tensors"


def newest_store(dataset, *, branch=None, creds=None):
    """Store for reading the newest commit, also of a source opened earlier."""
    store = reading_store(dataset, creds=creds, branch=branch)
    return store.head() if hasattr(dataset, "bad_rows") else store


def check_unchanged(store, judged):
    """Refuse a dataset that somebody else changed since it was judged.

    Commits of `create_tensors` do not count: they touch neither data nor labels.
    """
    said, judged = judged, Version.parse(str(judged))
    if judged == store.version:
        return
    if judged is not None and judged.dataset_id == store.version.dataset_id:
        lineage = store.lineage()
        places = [(branch, commit.id) for branch, commit in lineage]
        place = (judged.branch, judged.commit)
        if place in places:
            later = lineage[places.index(place) + 1 :]
            if all_harmless(later):
                return
    raise DatasetChangedError(
        f"{store.where} was changed since it was judged: expected version {said}, "
        f"got {store.version}. Judge it again, and write the new table."
    )


def all_harmless(lineage):
    """Whether these commits change neither data nor labels."""
    return all(_is_harmless(commit) for _, commit in lineage)


def _is_harmless(commit):
    return commit.empty or commit.message.startswith(
        (TENSORS_MESSAGE, "Branch created from ")
    )


def branch_for_writing(store, name, *, overwrite=None):
    """Create a branch, or take up one that a killed call left without a commit.

    With `overwrite`, one that holds nothing but label tensors is taken up as well.
    """
    branch = branch_to_take_up(store, name, overwrite=overwrite)
    return store.create_branch(name) if branch is None else branch


def branch_to_take_up(store, name, *, overwrite=None):
    """A branch that is there and may be written, or None where it is not there.

    Raises
    ------
    DatasetError
        If it is there and may not be written.
    """
    if name not in store.branch_names():
        return None
    if store.is_empty_branch_of(name, store.version):
        return store.open_branch(name)
    if overwrite:
        branch = store.open_branch(name)
        own = [commit for where, commit in branch.lineage() if where == name]
        if branch.base == store.version and all(map(_is_harmless, own)):
            return branch
    earlier = (
        "pass overwrite=True (--overwrite on the command line) where it only holds an "
        "earlier result, "
    )
    earlier = earlier if overwrite is False else ""
    raise DatasetError(
        f"{store.where}: the branch {name!r} exists and holds commits of its own, or "
        f"starts elsewhere. Choose another name, {earlier}or "
        "open that branch and write there."
    )
