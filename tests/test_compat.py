"""Deep Lake and TensorFlow in one process, in both orders."""

import importlib.util
import os
import subprocess
import sys

import pytest

from hubclean import _compat
from hubclean.exceptions import MissingPackageError


def in_a_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("tensorflow", "scikeras", "deeplake"))),
    reason="needs the packages tensorflow, scikeras and deeplake",
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux mixes the two OpenSSLs")
def test_keras_and_then_hub_in_one_process():
    code = "import hubclean.keras; import deeplake, tensorflow; print('both')"
    done = in_a_process(code)
    assert done.returncode == 0 and "both" in done.stdout


def test_deeplake_after_tensorflow_is_refused_in_words_where_it_must(monkeypatch):
    monkeypatch.delattr(os, "RTLD_DEEPBIND", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.delitem(sys.modules, "deeplake", raising=False)
    with pytest.raises(MissingPackageError, match="imported after TensorFlow"):
        _compat.require("deeplake", extra="hub", by="hubclean.hub")
    _compat.load_deeplake_first()
    assert "deeplake" not in sys.modules


def test_other_systems_do_not_refuse(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.setitem(sys.modules, "deeplake", object())
    assert _compat.require("deeplake", extra="hub", by="t") is sys.modules["deeplake"]
    assert not _compat._deeplake_would_abort()


@pytest.mark.parametrize("name", ["stopped_package", "stopped_package.inside"])
def test_a_stop_while_a_package_is_imported_is_no_missing_package(
    tmp_path, monkeypatch, name
):
    """Compiled packages make an ImportError of Ctrl-C, as pybind11 does."""
    (tmp_path / "stopped_package.py").write_text(
        "try:\n    raise KeyboardInterrupt\n"
        "except KeyboardInterrupt as exc:\n"
        "    raise ImportError('initialization failed') from exc\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        _compat.require(name, extra="hub", by="t")
