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


def test_it_names_the_commonest_confusions():
    cleaner = SimpleNamespace(
        label_issues_=pd.DataFrame(
            {"is_label_issue": [False], "label_quality": 1.0, "predicted_labels": 0}
        ),
        classes_=np.array(["<b>ape</b>", "bee", "cat"]),
        confident_joint_=np.array([[90, 3, 0], [9, 80, 1], [2, 0, 70]]),
    )
    told = "Most often: bee for &lt;b&gt;ape&lt;/b&gt;, &lt;b&gt;ape&lt;/b&gt; for bee,"
    assert told in summary_html(cleaner)
    assert cleaner.confident_joint_[0, 0] == 90


def test_before_it_is_fitted_it_is_a_diagram_only(fitted):
    html = clone(fitted)._repr_html_()
    assert "look wrong" not in html and "HubLabelCleaner" in html


def test_plain_text_where_that_is_asked_for(fitted):
    with config_context(display="text"):
        assert "text/html" not in fitted._repr_mimebundle_()
        assert not hasattr(fitted, "_repr_html_")


def test_the_result_is_a_table_in_a_notebook(fitted):
    assert "<table" in fitted.label_issues_._repr_html_()
