import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone

from hubclean import HubLabelCleaner
from hubclean._notebook import summary_html


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    y = np.repeat(["<b>cat</b>", "dog"], 40)
    X = rng.normal(size=(80, 2)) + 6 * (y == "dog")[:, None]
    y[[3, 9]] = "dog"
    cleaner = HubLabelCleaner(
        cv=3, score_by="self_confidence", threshold=0.5, random_state=0
    )
    return cleaner.fit(X, y)


def test_a_fitted_cleaner_tells_what_it_found(fitted):
    html = fitted._repr_html_()
    assert "<strong>2 of 80 labels look wrong</strong> (2.5%)" in html
    assert "<td>&lt;b&gt;cat&lt;/b&gt;</td>" in html and "<td><b>" not in html
    rows = re.findall(r"<tr><td>(\d+)</td>", html)
    assert sorted(rows) == ["3", "9"]
    bundle = fitted._repr_mimebundle_()
    assert "labels look wrong" in bundle["text/html"]
    assert "sk-top-container" in bundle["text/html"]  # scikit-learn's diagram


def test_it_names_the_commonest_confusions_of_the_rows_that_look_wrong():
    given = np.array([0, 0, 0, 1, 1, 2, 2])
    issues = pd.DataFrame(
        {
            "is_label_issue": [True] * 6 + [False],
            "label_quality": [0.5, 0.4, 0.3, 0.2, 0.1, np.nan, 0.9],
            "predicted_labels": [
                "bee",
                "bee",
                "cat",
                "<b>ape</b>",
                "cat",
                "cat",
                "cat",
            ],
        }
    )
    cleaner = SimpleNamespace(
        label_issues_=issues,
        classes_=np.array(["<b>ape</b>", "bee", "cat"]),
        confident_joint_=np.array([[90, 0, 0], [0, 80, 99], [2, 0, 70]]),
        _given_codes_of_issues=given[:6],
    )
    html = summary_html(cleaner)
    ape = "&lt;b&gt;ape&lt;/b&gt;"
    assert (
        f"Most often: {ape} for bee (2), {ape} for cat (1), bee for {ape} (1)." in html
    )
    worst = "<tr><td>4</td><td>0.100</td><td>bee</td><td>cat</td></tr>"
    assert f"<tbody>{worst}" in html
    del cleaner._given_codes_of_issues  # fitted by an older version
    html = summary_html(cleaner)
    assert "Most often" not in html and "<td>4</td><td>0.100</td><td>cat</td>" in html


def test_what_it_names_is_among_what_it_found():
    y = np.repeat([0, 1, 2], 30)
    X = np.eye(3)[y] * 6 + np.random.default_rng(0).normal(size=(90, 3))
    y[:5], y[30:32] = 1, 2
    cleaner = HubLabelCleaner(cv=3, random_state=0).fit(X, y)
    found = cleaner.label_issues_[cleaner.label_issues_["is_label_issue"]]
    n_first, n_second = (y[found.index] == 1).sum(), (y[found.index] == 2).sum()
    assert n_first > n_second > 0
    told = f"Most often: 1 for 0 ({n_first}), 2 for 1 ({n_second})."
    assert told in cleaner._repr_html_()


def test_before_it_is_fitted_it_is_a_diagram_only(fitted):
    html = clone(fitted)._repr_html_()
    assert "look wrong" not in html and "HubLabelCleaner" in html


def test_plain_text_where_that_is_asked_for(fitted):
    with config_context(display="text"):
        assert "text/html" not in fitted._repr_mimebundle_()
        assert not hasattr(fitted, "_repr_html_")


def test_the_result_is_a_table_in_a_notebook(fitted):
    assert "<table" in fitted.label_issues_._repr_html_()
