"""Findings, each charged to the test or fixture that caused it, without those that somebody has silenced."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hermetic.finding import Finding, Fix, Position, Severity, Step
from hermetic.integrations import pytest_scopes
from hermetic.integrations.pytest_options import Options

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Report

UNREADABLE = frozenset({"DetachedInstanceError", "MissingGreenlet"})  # what SES005 is about
MOST_EXCEPTIONS = 100  # looked at behind one that a test raised


@dataclass(frozen=True, slots=True)
class Charge:
    """A finding and who caused it, in words: the node id of a test, or a fixture."""

    finding: Finding
    cause: str

    def as_plain(self) -> dict[str, Any]:
        """In types that travel between processes, whatever carries them."""
        return {"cause": self.cause, "finding": {**asdict(self.finding), "severity": int(self.finding.severity)}}


def from_plain(plain: dict[str, Any]) -> Charge:
    """The charge that `as_plain` was of."""
    given = dict(plain["finding"])
    given["at"] = Position(**given["at"])
    given["severity"] = Severity(given["severity"])
    given["trace"] = tuple(Step(Position(**step["at"]), step["text"]) for step in given["trace"])
    given["fix"] = Fix(**given["fix"]) if given["fix"] else None
    return Charge(Finding(**given), plain["cause"])


class Charges:
    """What one process has found. `pending` belongs to the running test; `late` to no test that is still reported."""

    def __init__(self, options: Options, baseline: frozenset[str]) -> None:
        self.late: list[Charge] = []
        self.silenced: Counter[str] = Counter()  # by what silenced them
        self._pending: list[Charge] = []
        self._raised: WeakKeyDictionary[BaseException, list[Charge]] = WeakKeyDictionary()  # by the error they raise
        self._options = options
        self._baseline = baseline
        self._marked: dict[str, frozenset[str]] = {}  # codes that a test's markers ignore

    def mark(self, test: str, codes: frozenset[str]) -> None:
        """A test ignores these rules, also in what is found after its end."""
        if codes:
            self._marked[test] = codes

    def add(self, report: Report, running: str) -> None:
        """A finding of the watch, made while the test `running` runs."""
        if report.finding.severity == Severity.HINT:
            return
        test = pytest_scopes.test_of(report.scope)
        by = self._silenced_by(report.finding, test)
        if by:
            self.silenced[by] += 1
            return
        charge = Charge(self._displayed(report.finding), pytest_scopes.described(report.scope))
        (self._pending if test and test == running else self.late).append(charge)
        if report.error is not None and type(report.error).__weakrefoffset__:  # Python's own have none
            self._raised.setdefault(report.error, []).append(charge)

    def expected(self, error: BaseException) -> None:
        """A test expects this error by its name: it is no misuse."""
        for charge in self._raised.pop(error, ()):
            for charges in (self._pending, self.late):
                charges[:] = [each for each in charges if each is not charge]

    def take(self, error: BaseException | None) -> list[Charge]:
        """What the running test has caused until the end of a phase that raised `error`; it is taken once."""
        taken, self._pending = self._pending, []
        return [charge for charge in taken if not self._was_expected(charge.finding, error)]

    def _silenced_by(self, finding: Finding, test: str) -> str:
        if finding.rule in self._marked.get(test, ()):
            return "markers"
        if any(
            finding.rule in each.codes and _matches(each.pattern, finding.at.path) for each in self._options.ignores
        ):
            return "hermetic_ignore"
        if finding.fingerprint in self._baseline:
            return "the baseline"
        from hermetic.report import suppress

        return "comments" if suppress.excuses(finding, str(self._options.root)) else ""

    def _displayed(self, finding: Finding) -> Finding:
        """With paths relative to where pytest was started."""
        if self._options.root == self._options.start:
            return finding
        trace = tuple(Step(self._shown(step.at), step.text) for step in finding.trace)
        return replace(finding, at=self._shown(finding.at), trace=trace)

    def _shown(self, at: Position) -> Position:
        path = os.path.relpath(os.path.join(self._options.root, at.path), self._options.start)
        return replace(at, path=path.replace(os.sep, "/"))

    def _was_expected(self, finding: Finding, error: BaseException | None) -> bool:
        """Does a test provoke an error and catch it, in whatever way? Only a read in test code that did not escape the
        phase tells."""
        if finding.rule != "SES005":
            return False
        from hermetic.sanitizer.operations import is_test_file

        in_test = is_test_file(os.path.join(self._options.start, finding.at.path))
        return in_test and not any(type(each).__name__ in UNREADABLE for each in _chain(error))


@lru_cache(256)
def _matches(pattern: str, path: str) -> bool:
    from hermetic.patterns import Patterns

    return Patterns((pattern,)).match(path)


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception with all that it was raised from or holds."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in found or len(found) >= MOST_EXCEPTIONS:
            continue
        found.append(each)
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return found
