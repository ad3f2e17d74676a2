"""What only a bucket has: credentials. The contract tests run against it as well."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from hubclean import hub
from hubclean.exceptions import DatasetError
from tests.hub.conftest import (
    CLASS_NAMES,
    create_deeplake,
    everything,
    random_images,
    result_table,
    simple_columns,
)

pytestmark = pytest.mark.s3


@pytest.fixture
def dataset(s3, tmp_path):
    path = f"s3://bucket/{tmp_path.name}"
    return create_deeplake(path, simple_columns(), {"labels": CLASS_NAMES}, creds=s3)


def test_the_whole_way_with_credentials_in_hand(dataset, s3):
    source = hub.open(dataset, creds=s3)
    np.testing.assert_array_equal(np.asarray(source.X), random_images(12))
    hub.create_tensors(source, result_table(), branch="review")
    hub.create_tensors(source, result_table())
    assert len(hub.clean_view(source)) == 9
    assert len(hub.clean_view(dataset, branch="review", creds=s3)) == 9
    table, _ = hub.read_label_issues(dataset, creds=s3)
    assert table.equals(result_table())


def test_an_open_dataset_brings_its_credentials(dataset, s3):
    import deeplake

    opened = deeplake.open(dataset, creds=s3)
    hub.create_tensors(opened, result_table())
    assert (
        np.asarray(hub.open(opened).y).tolist() == simple_columns()["labels"].tolist()
    )


def test_another_process_opens_it_by_itself(dataset, s3, tmp_path):
    path = tmp_path / "column"
    path.write_bytes(pickle.dumps(hub.open(dataset, creds=s3).X[[5, 3]]))
    code = (
        "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).read().sum())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert int(out.stdout) == random_images(12)[[5, 3]].sum()


@pytest.mark.parametrize("wrong", ["aws_secret_access_key", "aws_access_key_id"])
def test_a_wrong_key_is_told_without_the_secret(dataset, s3, wrong, caplog):
    before = everything(hub.open(dataset, creds=s3))
    secret = "not/the+secret=key"
    creds = {**s3, wrong: secret}
    with pytest.raises(DatasetError, match="access was refused.*Check the cred") as got:
        hub.open(dataset, creds=creds)
    for text in (str(got.value), repr(got.value), caplog.text):
        assert creds["aws_secret_access_key"] not in text
    assert got.value.__cause__ is None and got.value.__suppress_context__
    assert everything(hub.open(dataset, creds=s3)) == before


def test_the_secret_is_not_shown(dataset, s3):
    source = hub.open(dataset, creds=s3)
    address = source._store._address
    for text in (repr(source), str(source.X), repr(address), str(source.X.identity)):
        assert s3["aws_secret_access_key"] not in text


def test_a_missing_dataset_is_told(s3):
    with pytest.raises(DatasetError, match="s3://bucket/nothing.*Check the path"):
        hub.open("s3://bucket/nothing", creds=s3)
