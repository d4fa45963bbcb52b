"""What was seen at run time: read from a report, and set beside what the code shows.

`hermetic run --report` and the plugin of pytest write the report, in the format of `hermetic check --output-format
json`. Each finding has `tests` besides, those that caused it; the list is empty for a program that runs no tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hermetic import files
from hermetic.finding import Finding, Fix, Position, Severity, Sighting, Step

LARGEST_FILE = 64 * 1024 * 1024
SEVERITIES = {severity.label: severity for severity in Severity}


class ReportError(Exception):
    """This is no report of a run; the message says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding of a run, and the tests that caused it."""

    finding: Finding
    tests: tuple[str, ...]


def read(path: str) -> tuple[Seen, ...]:
    """The findings in a report. Raises ReportError."""
    import json

    try:
        document = json.loads(files.read(path, LARGEST_FILE))
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path} is no report of a run: it is no JSON") from None
    if not isinstance(document, dict) or document.get("version") != 1 or "findings" not in document:
        raise ReportError(f"{path} is no report of a run: it has no `findings` of version 1")
    try:
        return tuple(_seen(entry) for entry in document["findings"])
    except _OfCheckError:
        raise ReportError(f"{path} is a report of `hermetic check`, and none of a run") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is no report of a run: a finding in it cannot be read ({error})") from None


def finding_of(entry: Mapping[str, Any]) -> Finding:
    """A finding from the keys of the contract. Raises KeyError, TypeError or ValueError."""
    end = entry["end_line"], entry["end_column"]
    at = Position(_text(entry["path"]), *map(_number, (entry["line"], entry["column"], *end)))
    trace = tuple(
        Step(Position(_text(step["path"]), _number(step["line"])), _text(step["text"])) for step in entry["trace"]
    )
    fix = entry["fix"]
    return Finding(
        at,
        SEVERITIES[entry["severity"]],
        _text(entry["message"]),
        trace,
        None if fix is None else Fix(_text(fix["safety"]), _text(fix["message"])),
        _text(entry["function"]),
        _text(entry["rule"]),
        _text(entry["name"]),
        _text(entry["fingerprint"]),
    )


class _OfCheckError(Exception):
    """A finding of code that was only read."""


def _seen(entry: Mapping[str, Any]) -> Seen:
    finding = finding_of(entry)
    if "tests" not in entry or "runtime" in entry:
        raise _OfCheckError
    return Seen(finding, tuple(_text(test) for test in entry["tests"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is no number")
    return value


def confirm(findings: Iterable[Finding], seen: Iterable[Seen], least: Severity) -> list[Finding]:
    """The findings of the code, marked where a run has shown them, and then what only the run shows.

    A finding below `least` is not shown, and confirms nothing. Paths are of one kind.
    """
    marked = list(findings)
    only: dict[tuple[str, Position], Finding] = {}
    for each in seen:
        indices = _meant(marked, each.finding, least)
        for index in indices:
            marked[index] = _sighted(marked[index], each, only=False)
        if not indices and each.finding.severity >= least:
            key = (each.finding.rule, each.finding.at)
            only[key] = _sighted(only.get(key, each.finding), each, only=True)
    return [*marked, *only.values()]


def _meant(findings: list[Finding], seen: Finding, least: Severity) -> list[int]:
    """Which findings of the code the run has shown: those on its line; else those with a place in common, one of the
    two being reported there; else those in its function, unless that is a whole module."""
    of_rule = [
        (index, each) for index, each in enumerate(findings) if each.rule == seen.rule and each.severity >= least
    ]
    at = _line(seen.at)
    function = (seen.at.path, seen.function)
    on_line = [index for index, each in of_rule if _line(each.at) == at]
    in_common = [index for index, each in of_rule if at in _lines(each) or _line(each.at) in _lines(seen)]
    inside = [index for index, each in of_rule if (each.at.path, each.function) == function]
    return on_line or in_common or (inside if seen.function != "<module>" else [])


def _lines(finding: Finding) -> set[tuple[str, int]]:
    return {_line(step.at) for step in finding.trace}


def _line(at: Position) -> tuple[str, int]:
    return at.path, at.line


def _sighted(finding: Finding, seen: Seen, only: bool) -> Finding:
    before = finding.sighting
    tests = dict.fromkeys((*(before.tests if before is not None else ()), *seen.tests))
    at = before.at if before is not None else seen.finding.at
    return replace(finding, sighting=Sighting(only, at, tuple(tests)))
