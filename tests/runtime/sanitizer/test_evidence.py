"""Findings from stacks."""

from __future__ import annotations

from hermetic import rules
from hermetic.sanitizer import evidence


def test_rules_have_the_names_of_their_files() -> None:
    assert evidence.names() == {rule.code: rule.name for rule in rules.load()}
