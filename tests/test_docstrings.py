"""Public docstrings follow numpydoc."""

import inspect

import pytest
from numpydoc.validate import validate

import hubclean
from hubclean import datasets, exceptions

#: Not asked for: See Also, Notes, an extended summary, examples of one-liners, and
#: some rules about first lines, capitals and the mood of verbs.
IGNORED = {
    "GL01",
    "GL08",
    "SA01",
    "SA04",
    "ES01",
    "EX01",
    "RT02",
    "RT03",
    "YD01",
    "PR01",
    "PR08",
    "SS05",
}
EAGER = ["HubLabelCleaner", "LabelCleaningSampler", "find_label_issues"]


def public_names():
    for name in EAGER:
        item = getattr(hubclean, name)
        yield f"hubclean.{name}"
        if inspect.isclass(item):
            for method, member in vars(item).items():
                if not method.startswith("_") and callable(member):
                    yield f"hubclean.{name}.{method}"
    for name in datasets.__all__:
        yield f"hubclean.datasets.{name}"
    for name in exceptions.__all__:
        yield f"hubclean.exceptions.{name}"


@pytest.mark.parametrize("name", sorted(public_names()))
def test_numpydoc(name):
    errors = [
        f"{code}: {text}"
        for code, text in validate(name)["errors"]
        if code not in IGNORED
    ]
    assert not errors
