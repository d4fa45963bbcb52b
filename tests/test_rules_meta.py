"""What every rule and every fixture has to have, so that a new one cannot arrive half done."""

from __future__ import annotations

import pkgutil
import re
import warnings
from importlib import import_module
from pathlib import Path

import expectations
import pytest
from expectations import EXPECT, MISSED
from situations import FIXTURES, SITUATIONS, each_situation, project_at

from hermetic import rules as rule_files
from hermetic.rule import Rule

RULES = rule_files.load()

# Public and stable: users write them in suppressions, settings and dashboards.
NAMES = {
    "SES001": "session-not-closed",
    "SES002": "session-shared",
    "SES003": "commit-without-rollback",
    "SES004": "sync-session-in-async",
    "SES005": "session-used-after-end",
    "SES006": "split-transaction",
    "SES007": "factory-misconfigured",
    "SES008": "stale-after-wait",
    "SES101": "missing-commit",
    "SES102": "transaction-held-across-slow-work",
    "SES103": "session-outlives-scope",
    "SES104": "dependency-not-a-session",
}

HEADINGS = ["## Why it hurts", "## What to do", "## When it stays silent", "## References"]
LONGEST_DOCUMENTATION = 40

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def test_codes_are_unique_and_in_order() -> None:
    codes = [rule.code for rule in RULES]

    assert codes == sorted(set(codes))
    assert set(NAMES) >= set(codes) >= {f"SES00{number}" for number in range(1, 9)}


@each_rule
def test_code_and_name_are_the_public_ones(rule: Rule) -> None:
    assert re.fullmatch(r"SES\d{3}", rule.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert rule.name == NAMES[rule.code]


def test_files_are_named_by_code_and_name() -> None:
    files = {info.name: import_module(f"{rule_files.__name__}.{info.name}") for info in _rule_modules()}

    assert {name: _file_name(module.RULE) for name, module in files.items()} == {name: name for name in files}


def _rule_modules() -> list[pkgutil.ModuleInfo]:
    return list(pkgutil.iter_modules(rule_files.__path__))


def _file_name(rule: Rule) -> str:
    return f"{rule.code}_{rule.name}".replace("-", "_").lower()


@each_rule
def test_documentation_has_the_fixed_parts(rule: Rule) -> None:
    lines = rule.doc.splitlines()

    assert [line for line in lines if line.startswith("#")] == HEADINGS
    assert lines[0].endswith(".")
    assert len(lines) <= LONGEST_DOCUMENTATION


@each_rule
def test_every_part_of_the_documentation_says_something(rule: Rule) -> None:
    parts = re.split(r"^## .*$", rule.doc, flags=re.MULTILINE)

    assert all(part.strip() for part in parts)


@each_rule
def test_references_are_links(rule: Rule) -> None:
    references = rule.doc.partition(HEADINGS[-1])[2].split()

    assert all(reference.startswith("https://") for reference in references)


@each_rule
def test_examples_are_titled_and_on_both_sides(rule: Rule) -> None:
    titles = [example.title for example in (*rule.bad, *rule.good)]

    assert rule.bad
    assert rule.good
    assert all(titles)
    assert len(titles) == len(set(titles))


@each_rule
def test_as_many_quiet_fixtures_as_flagged_ones(rule: Rule) -> None:
    folders = [path for path in SITUATIONS if path.parent.name == rule.code.lower()]
    flagged = [path for path in folders if _is_about(rule.code, path)]

    assert flagged
    assert len(folders) - len(flagged) >= len(flagged)


def _is_about(code: str, situation: Path) -> bool:
    """Does the project have the mistake, found or not?"""
    marks = expectations.read(project_at(situation))
    return any(mark.code == code and mark.kind in (EXPECT, MISSED) for mark in marks)


def test_fixture_folders_belong_to_rules() -> None:
    folders = {path.name for path in FIXTURES.iterdir() if path.is_dir()}

    assert folders == {rule.code.lower() for rule in RULES}


@each_situation
def test_fixture_is_named_by_its_situation(situation: Path) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", situation.name)


@each_situation
def test_fixture_is_python(situation: Path) -> None:
    sources = project_at(situation)

    assert sources
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, text in sources.items():
            compile(text, path, "exec", dont_inherit=True)
