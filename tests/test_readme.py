"""The README's Python runs as it stands, from top to bottom."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_runs(capsys, tmp_path, monkeypatch):
    pytest.importorskip("skorch")
    pytest.importorskip("deeplake")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        block = block.replace("epochs=10", "epochs=1")  # so that it is quick
        exec(compile(block, str(README), "exec"), names)
    shown = capsys.readouterr().out
    planted = int(re.search(r"of the 100 worst rows, planted: (\d+)", shown)[1])
    assert planted >= 90
    assert names["new"]["is_label_issue"].tolist() == [False] * 4 + [True]
    assert 0 < len(names["clean"]) <= 1797
    assert set(names["search"].best_params_) == {"clean__cv", "clean__threshold"}


def test_readme_names_what_exists():
    text = README.read_text("utf-8")
    for path in re.findall(r"\]\(([^):]+)\)", text):
        assert (README.parent / path).exists(), path
    makefile = README.with_name("Makefile").read_text("utf-8")
    for target in re.findall(r"\$ make ([a-z0-9-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    pyproject = README.with_name("pyproject.toml").read_text("utf-8")
    for extra in re.findall(r"^\| `([a-z`, ]+)` \|", text, re.MULTILINE):
        for name in extra.replace("`", "").split(", "):
            assert re.search(rf"^{name} = \[", pyproject, re.MULTILINE), name
