"""Imports point one way, and `import hubclean` loads no optional package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hubclean

PACKAGE = Path(hubclean.__file__).parent
#: Layers from the inside out: a file imports from its own or an inner layer only.
CORE = {
    "exceptions": 0,
    "_compat": 1,
    "_progress": 1,
    "_hooks": 1,
    "_lazy_column": 1,
    "_fingerprint": 1,
    "_threads": 1,
    "_rows": 2,
    "_row_memory": 4,
    "_validation": 3,
    "_label_validation": 3,
    "_weights": 2,
    "_issue_engine": 2,
    "_confident_learning": 4,
    "_label_quality": 5,
    "_label_correction": 4,
    "_labels_version": 2,
    "_decisions": 4,
    "_data_identity": 3,
    "_model_store": 1,
    "_mean_of_folds": 1,
    "_fold_cache": 4,
    "_folds": 4,
    "_feature_table": 2,
    "_final_model": 6,
    "_folder": 3,
    "_pixels": 2,
    "_notebook": 1,
    "_out_of_sample": 5,
    "_judgement": 7,
    "_label_issues": 8,
    "_adapt": 5,
    "_label_refinement": 6,
    "_leave_one_out": 7,
    "_temperature": 1,
    "_score_link": 2,
    "_noise_model": 3,
    "_class_profiles": 4,
    "_auto_rule": 5,
    "_margin_rule": 6,
    "evidence": 8,
    "_base": 9,
    "_cleaner": 10,
    "_sampler": 10,
}
LEAVES = {"datasets", "pytorch", "keras", "hub", "plotting", "report"}
#: Leaves that may use another leaf.
ALLOWED = {("report", "plotting")}
ABOVE = {"cli", "_demo", "__main__", "__init__"}
OPTIONAL = (
    "torch",
    "skorch",
    "keras",
    "tensorflow",
    "scikeras",
    "deeplake",
    "hub",
    "matplotlib",
    "PIL",
    "jinja2",
    "typer",
    "numba",
    "polars",
)


def part_of(path):
    """`_cleaner` for _cleaner.py, `hub` for hub/_open.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(module, name):
    """The module that `from module import name` needs."""
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    inner = (folder / f"{name}.py").exists() or (folder / name).is_dir()
    return f"{module}.{name}" if inner else module


def imports_at_import_time(path):
    """Modules of hubclean that a file imports outside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [*tree.body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            yield "relative"
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.partition(".")[0] == "hubclean":
                yield from {name_of(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("hubclean."):
                    yield alias.name
        nodes.extend(ast.iter_child_nodes(node))


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_inwards(path):
    here = part_of(path)
    for module in imports_at_import_time(path):
        assert module != "relative", "imports are absolute"
        there = module.partition(".")[2].partition(".")[0] or "__init__"
        if there == here or here in ABOVE:
            continue
        if here in LEAVES:
            assert there in CORE or (here, there) in ALLOWED, (here, there)
        else:
            assert there in CORE, f"{here} imports the leaf {there}"
            assert CORE[there] < CORE[here], f"{here} imports {there}"


def test_every_file_has_a_layer():
    known = set(CORE) | LEAVES | ABOVE
    assert {part_of(path) for path in FILES} <= known


def test_no_cycle_inside_a_folder():
    """Files of a folder import each other in one direction."""
    edges = {}
    for path in FILES:
        name = ".".join(("hubclean", *path.relative_to(PACKAGE).with_suffix("").parts))
        edges[name.removesuffix(".__init__")] = set(imports_at_import_time(path))
    done, open_ = set(), []

    def visit(name):
        if name in done or name not in edges:
            return
        assert name not in open_, f"cycle: {' -> '.join([*open_, name])}"
        open_.append(name)
        for other in edges[name]:
            visit(other)
        open_.pop()
        done.add(name)

    for name in edges:
        visit(name)


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("line", ["import hubclean", "from hubclean import *"])
def test_import_loads_no_optional_package(line):
    code = (
        f"import sys\n{line}\n"
        f"print([name for name in {OPTIONAL!r} if name in sys.modules])"
    )
    done = run(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_cleaning_with_scikit_learn_loads_no_framework():
    code = (
        "import sys, hubclean\n"
        "from sklearn.datasets import load_iris\n"
        "hubclean.HubLabelCleaner().fit(*load_iris(return_X_y=True))\n"
        "names = ('torch', 'skorch', 'keras', 'tensorflow', 'deeplake')\n"
        "print([name for name in names if name in sys.modules])"
    )
    assert run(code).stdout == "[]\n"


def test_a_missing_package_names_the_pip_line(monkeypatch):
    from hubclean._compat import require
    from hubclean.exceptions import MissingPackageError

    monkeypatch.setitem(sys.modules, "deeplake", None)
    message = r"HubSource needs the package 'deeplake'.*pip install 'hubclean\[hub\]'"
    with pytest.raises(MissingPackageError, match=message):
        require("deeplake", extra="hub", by="HubSource")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'typo'"):
        hubclean.typo  # noqa: B018
    assert {*hubclean.__all__, "skorch", "clean_labels"} <= set(dir(hubclean))
