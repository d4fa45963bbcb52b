"""What was seen at run time, read from a report that `hermetic run --report` or the plugin of pytest has written.

The report is of the format of `hermetic check --output-format json`; each finding has `tests` besides, those that
caused it, which is empty for a program that runs no tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermetic import files
from hermetic.finding import Finding, Fix, Position, Severity, Step

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
    if "tests" not in entry:
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
