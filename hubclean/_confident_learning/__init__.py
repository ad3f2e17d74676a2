"""Confident learning: thresholds, joint, issue rules. Arrays in, arrays out.

It imports only `hubclean._issue_engine` and `hubclean.exceptions`.
"""

from hubclean._confident_learning._issue_rule import (
    FILTERS,
    IssueRule,
    issue_mask,
    learn_rule,
)
from hubclean._confident_learning._joint import (
    class_thresholds,
    confident_joint,
    noise_matrix,
)
from hubclean._confident_learning._rules import RULES, Evidence, Rule

__all__ = [
    "FILTERS",
    "RULES",
    "Evidence",
    "IssueRule",
    "Rule",
    "class_thresholds",
    "confident_joint",
    "issue_mask",
    "learn_rule",
    "noise_matrix",
]
