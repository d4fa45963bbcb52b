"""Every rule on its own examples, and hermetic as a whole on every fixture.

A folder `fixtures/ses001/<situation>/` is one mini-project; its marks say what all rules together find in it.
"""

from __future__ import annotations

from pathlib import Path

import expectations
import pytest
from conftest import CheckProject
from situations import each_situation, project_at

from hermetic.rule import Example, Rule
from hermetic.rules import load

BAD = [(rule, example) for rule in load() for example in rule.bad]
GOOD = [(rule, example) for rule in load() for example in rule.good]


def _id(value: Rule | Example) -> str:
    return value.code if isinstance(value, Rule) else value.title


@pytest.mark.parametrize(("rule", "example"), BAD, ids=_id)
def test_bad_example_is_flagged_where_it_says(rule: Rule, example: Example, check_project: CheckProject) -> None:
    sources = expectations.files_of(example.source)
    marks = expectations.read(sources)

    findings = [finding for finding in check_project(sources) if finding.rule == rule.code]

    assert {mark.code for mark in marks} == {rule.code}
    assert expectations.mismatches(marks, findings) == []


@pytest.mark.parametrize(("rule", "example"), GOOD, ids=_id)
def test_good_example_is_silent(rule: Rule, example: Example, check_project: CheckProject) -> None:
    sources = expectations.files_of(example.source)

    findings = check_project(sources)

    assert expectations.read(sources) == []
    assert expectations.mismatches([], findings) == [], f"in a good example of {rule.code}"


@each_situation
def test_fixture_is_judged_as_marked(situation: Path, check_project: CheckProject) -> None:
    sources = project_at(situation)

    findings = check_project(sources)

    assert expectations.mismatches(expectations.read(sources), findings) == []
