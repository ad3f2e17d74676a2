"""Every contract test runs against the twin and the real thing."""

import io
import json
import logging
import pathlib
import uuid

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hubclean import hub

CLASS_NAMES = ["cat", 'a "quoted" name', "<script>alert(1)</script>", "кошка\nдва"]


def encode(pixels, format="PNG", **options):
    """Bytes of an image file."""
    buffer = io.BytesIO()
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def random_images(n, shape=(6, 5, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def deeplake_type(types, rows, class_names):
    first = rows[0]
    if class_names is not None:
        if np.ndim(first):
            return types.ClassLabel(types.Array(first.dtype.name, 1))
        return types.ClassLabel(np.asarray(rows).dtype.name)
    if isinstance(first, bytes):
        jpeg = first.startswith(b"\xff\xd8")
        return types.Image(sample_compression="jpeg" if jpeg else "png")
    if isinstance(first, str):
        return types.Text()
    if isinstance(first, dict):
        return types.Dict()
    if np.ndim(first) == 0:
        return np.asarray(rows).dtype.name
    if len({np.shape(row) for row in rows}) > 1:
        return types.Array(first.dtype.name, dimensions=first.ndim)
    return types.Array(np.asarray(rows).dtype.name, shape=list(np.shape(first)))


def create_deeplake(path, columns, class_names=None, creds=None):
    """Write a Deep Lake 4 dataset; gives its path."""
    import deeplake

    names = class_names or {}
    options = {"creds": creds} if creds else {}
    dataset = deeplake.create(str(path), **options)
    for name, rows in columns.items():
        if not (isinstance(rows, np.ndarray) or isinstance(rows[0], (str, bytes))):
            rows = [np.asarray(r) if np.ndim(r) else r for r in rows]
        kind = deeplake_type(deeplake.types, rows, names.get(name))
        dataset.add_column(name, kind)
        if name in names:
            dataset[name].metadata["class_names"] = list(names[name])
    dataset.append(
        {
            name: rows if isinstance(rows, np.ndarray) else list(rows)
            for name, rows in columns.items()
        }
    )
    dataset.commit("first rows")
    return str(path)


def on_s3_too(test):
    """Run a contract test against a bucket as well."""
    test.on_s3_too = True
    return test


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        kinds = ["memory", "deeplake4"]
        if hasattr(metafunc.function, "on_s3_too"):
            kinds.append(pytest.param("s3", marks=pytest.mark.s3))
        metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def kind(request):
    """Where the dataset lies: in memory, in a folder, or in a bucket."""
    if request.param == "s3":
        request.getfixturevalue("bucket")
    return request.param


@pytest.fixture(scope="session")
def s3():
    """Credentials of an S3 server on loopback that checks signatures."""
    boto3 = pytest.importorskip("boto3")
    settings = pytest.importorskip("moto.settings")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "region_name": "us-east-1",
        "aws_access_key_id": "anybody",
        "aws_secret_access_key": "anything",
    }
    boto3.client("s3", **options).create_bucket(Bucket="bucket")
    iam = boto3.client("iam", **options)
    iam.create_user(UserName="somebody")
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="somebody", PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    unchecked = settings.INITIAL_NO_AUTH_ACTION_COUNT
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # check every request from now on
    yield {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "endpoint_url": options["endpoint_url"],
        "aws_region": "us-east-1",
    }
    settings.INITIAL_NO_AUTH_ACTION_COUNT = unchecked
    server.stop()


@pytest.fixture
def bucket(s3, monkeypatch):
    """Put the credentials into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3["aws_secret_access_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3["endpoint_url"])
    monkeypatch.setenv("AWS_REGION", s3["aws_region"])
    return f"s3://bucket/{uuid.uuid4().hex}"


@pytest.fixture
def make(kind, tmp_path, request):
    """Make a dataset of this kind from columns."""
    made = []
    root = request.getfixturevalue("bucket") if kind == "s3" else tmp_path

    def make(columns, class_names=None):
        if kind == "memory":
            return hub.InMemoryDataset(columns, class_names=class_names)
        made.append(f"{root}/dataset{len(made)}")
        return create_deeplake(made[-1], columns, class_names)

    return make


def simple_columns(n=12):
    images = random_images(n)
    return {
        "images": [encode(image) for image in images],
        "labels": np.arange(n, dtype=np.int64) % len(CLASS_NAMES),
    }


@pytest.fixture
def dataset(make):
    """Twelve images of four classes with awkward names."""
    return make(simple_columns(), class_names={"labels": CLASS_NAMES})


@pytest.fixture
def deeplake_dataset(tmp_path):
    """Return the same, on Deep Lake only."""
    return create_deeplake(
        tmp_path / "dataset", simple_columns(), {"labels": CLASS_NAMES}
    )


def result_table(n=12, n_classes=4, flagged=(1, 5, 6)):
    flags = np.zeros(n, dtype=bool)
    flags[list(flagged)] = True
    return pd.DataFrame(
        {
            "is_label_issue": flags,
            "label_quality": np.linspace(0.1, 1.0, n),
            "predicted_labels": (np.arange(n) + flags) % n_classes,
        }
    )


@pytest.fixture
def table():
    return result_table()


def append_rows(dataset, columns):
    """Change a dataset behind everybody's back."""
    if isinstance(dataset, hub.InMemoryDataset):
        dataset.append(columns)
        return
    import deeplake

    opened = deeplake.open(dataset)
    opened.append(columns)
    opened.commit("somebody else")


def everything(dataset, branch=None):
    """Content of a dataset, to see that nothing changed."""
    source = hub.open(dataset, branch=branch)
    store = source._store
    rows = np.arange(store.n_rows)
    columns = {}
    for name, info in store.columns.items():
        read = store.read_bytes if info.encoded else store.read
        columns[name] = [np.asarray(value).tolist() for value in read(name, rows)]
    return str(store.version), sorted(store.branch_names()), columns


def folder_of(path):
    """Relative paths and sizes of all files, to see what a call left behind."""
    root = pathlib.Path(path)
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
