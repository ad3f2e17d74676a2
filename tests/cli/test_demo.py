"""`hubclean demo`."""

import pytest

from tests.cli.conftest import run


def test_demo_runs_the_demo(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("hubclean._demo.run_demo", seen.append)
    assert run("demo", "--output", tmp_path / "d") == 0
    assert seen == [str(tmp_path / "d")]


@pytest.mark.parametrize("theirs", ["digits/zero/only_copy.txt", "worst_images.png"])
def test_demo_deletes_nothing_that_it_did_not_write(tmp_path, capsys, theirs):
    pytest.importorskip("deeplake")
    pytest.importorskip("skorch")
    (tmp_path / theirs).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / theirs).write_text("precious")
    assert run("demo", "--output", tmp_path) == 1
    err = capsys.readouterr().err
    assert "there is something else already" in err and err.count("\n") == 1
    assert (tmp_path / theirs).read_text() == "precious"


def test_demo_replaces_what_it_wrote_itself(tmp_path, monkeypatch):
    pytest.importorskip("deeplake")
    pytest.importorskip("skorch")
    from hubclean import _demo, datasets

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "_plant_errors", stop)
    monkeypatch.setattr(datasets, "write_digits", write_digits := SpyOnDigits())
    for _ in range(2):
        assert run("demo", "--output", tmp_path) == 130
    assert write_digits.found == [False, False]


class SpyOnDigits:
    """Stands for `write_digits`, and tells whether something was there."""

    def __init__(self):
        self.found = []

    def __call__(self, path):
        self.found.append(path.exists())
        path.mkdir(parents=True)
        return str(path)
