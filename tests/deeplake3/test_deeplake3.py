"""The workflow on the Hub line, in an environment with `deeplake<4`.

Run by `make test-deeplake3`; elsewhere these tests say that they are skipped.
"""

import pickle

import numpy as np
import pandas as pd
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetChangedError, DatasetError
from hubclean.hub._label_tensors import open_judged
from tests.deeplake3.make_old_dataset import CLASS_NAMES, images, make

deeplake = pytest.importorskip("deeplake")
pytestmark = [
    pytest.mark.skipif(
        not deeplake.__version__.startswith("3."),
        reason="needs deeplake<4: run make test-deeplake3",
    ),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def path(tmp_path):
    return make(str(tmp_path / "old"))


@pytest.fixture
def table():
    flags = np.isin(np.arange(12), [1, 5, 6])
    return pd.DataFrame(
        {
            "is_label_issue": flags,
            "label_quality": np.linspace(0.1, 1, 12),
            "predicted_labels": (np.arange(12) + flags) % 4,
        }
    )


@pytest.fixture
def decisions():
    return pd.DataFrame(
        {
            "row": [7, 2, 3],
            "decision": ["prune", "relabel", "keep"],
            "new_label": ["", CLASS_NAMES[3], ""],
        }
    )


def labels(path, branch=None):
    return np.asarray(hub.open(path, branch=branch).y).tolist()


def test_images_and_labels_are_lazy(path):
    source = hub.open(path)
    np.testing.assert_array_equal(np.asarray(source.X), images())
    np.testing.assert_array_equal(source.X[[5, 3]].read([1]), images()[[3]])
    assert source.class_names == CLASS_NAMES
    assert labels(path) == [row % 4 for row in range(12)]
    again = pickle.loads(pickle.dumps(source.X[[5, 3]]))
    np.testing.assert_array_equal(again.read(), images()[[5, 3]])
    assert again.identity == source.X.identity


def test_texts_and_numbers(path):
    texts = hub.open(path, images="texts").X.read([2, 0])
    assert texts.tolist() == ["text 2 ж", "text 0 ж"]
    assert hub.open(path, images="numbers").X.read([2, 0]).tolist() == [2.0, 0.0]


def test_the_cache_works(path):
    source = hub.open(path, cache=1 << 20)
    for _ in range(2):
        np.testing.assert_array_equal(source.X.read(), images())
    assert source._images_reader.decoded_rows == 12


def test_a_dataset_without_a_commit_can_be_read(tmp_path):
    path = make(str(tmp_path / "old"), commit=False)
    assert labels(path) == [row % 4 for row in range(12)]


def test_the_table_comes_back(path, table):
    source = hub.open(path)
    commit_id = hub.create_tensors(source, table)
    again, provenance = hub.read_label_issues(path)
    pd.testing.assert_frame_equal(again, table)
    assert provenance["dataset_version"] == source.version
    assert hub.open(path).version.endswith(commit_id)
    assert len(hub.clean_view(path)) == 9
    with pytest.raises(DatasetError, match="this very table"):
        hub.create_tensors(path, table)
    hub.create_tensors(path, table.assign(is_label_issue=True), overwrite=True)
    assert hub.read_label_issues(path)[0]["is_label_issue"].all()


def test_it_can_be_written_on_a_branch(path, table):
    hub.create_tensors(path, table, branch="review")
    pd.testing.assert_frame_equal(
        hub.read_label_issues(path, branch="review")[0], table
    )
    with pytest.raises(DatasetError, match="no label tensors on branch 'main'"):
        hub.read_label_issues(path)
    with pytest.raises(DatasetError, match="exists and holds commits"):
        hub.create_tensors(path, table, branch="review")


def test_what_was_judged_is_opened_as_it_was(path, table):
    source = hub.open(path)
    hub.create_tensors(source, table, branch="review")
    opened = deeplake.load(path, verbose=False)
    opened.pop(0)
    opened.commit("somebody else")
    again, _, judged = open_judged(path, "review")
    pd.testing.assert_frame_equal(again, table)
    assert judged.version == source.version
    assert np.asarray(judged.y).tolist() == [row % 4 for row in range(12)]
    np.testing.assert_array_equal(judged.X.read([0, 3]), images()[[0, 3]])


def test_no_row_keeps_shape_and_type(path):
    source = hub.open(path)
    for column in (source.X, source.y):
        assert column.read([]).dtype == column.dtype


def test_a_view_of_a_table(path, table):
    view = hub.clean_view(path, table)
    kept = [row % 4 for row in range(12) if row not in (1, 5, 6)]
    assert view.labels.numpy().ravel().tolist() == kept


def test_decisions_on_a_branch(path, decisions):
    commit_id = hub.apply_decisions(path, decisions, "reviewed")
    assert labels(path, "reviewed") == [0, 1, 3, 3, 0, 1, 2, 0, 1, 2, 3]
    assert labels(path) == [row % 4 for row in range(12)]
    assert hub.apply_decisions(path, decisions, "reviewed") == commit_id
    with pytest.raises(DatasetError, match="exists and holds commits"):
        hub.apply_decisions(path, decisions.iloc[:1], "reviewed")


def test_a_changed_dataset_is_refused(path, table, decisions):
    source = hub.open(path)
    opened = deeplake.load(path, verbose=False)
    opened.labels[0] = 3
    opened.commit("somebody else")
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.create_tensors(source, table)
    with pytest.raises(DatasetChangedError, match="changed since it was judged"):
        hub.apply_decisions(source, decisions, "b")


def test_changes_without_a_commit_are_not_committed_along(path, table):
    opened = deeplake.load(path, verbose=False)
    opened.labels[0] = 3
    opened.flush()
    del opened
    assert labels(path)[0] == 0  # of the last commit
    with pytest.raises(DatasetError, match="changes that are not committed"):
        hub.create_tensors(path, table)


def test_a_missing_dataset_is_told(tmp_path):
    with pytest.raises(DatasetError, match="nothing.*Check the path"):
        hub.open(str(tmp_path / "nothing"))


def test_conversion_needs_the_new_line(path, tmp_path):
    with pytest.raises(DatasetError, match="Deep Lake 4 must be installed"):
        hub.convert(path, tmp_path / "new")
