"""The outcome of a check, as every output format gets it."""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class NotAnalysed:
    """A file of which nothing is known, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What was looked at, so that a silent run can be told from a blind one. `seconds` is wall time."""

    files: int
    functions: int
    sessions: int
    unresolved: int
    errors: int
    warnings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """Findings in the order of paths and lines; paths as they are to be shown."""

    findings: tuple[Finding, ...]
    not_analysed: tuple[NotAnalysed, ...]
    summary: Summary
    strict_warnings: bool = False  # is there a warning where warnings fail?

    @property
    def fails(self) -> bool:
        """Is there a finding that has to be fixed before this may land?"""
        return self.strict_warnings or any(finding.severity == Severity.ERROR for finding in self.findings)
