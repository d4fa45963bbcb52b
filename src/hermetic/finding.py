"""What is reported, by the static half and the runtime half alike: `Finding`, its place, its path, its fix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """What a finding means to whoever reads it; larger is worse."""

    HINT = 1  # weak evidence: shown with --all, never counted
    WARNING = 2  # works today, and hangs on something outside of the code seen, or is fragile
    ERROR = 3  # it leaks, races, blocks, raises or loses data on a path that can happen

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A range in a file. Lines and columns count from 1, columns in characters; `end_column` is exclusive.

    `path` is relative to the project root, with `/`.
    """

    path: str
    line: int
    column: int = 1
    end_line: int = 0
    end_column: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One stop on the path that proves a finding."""

    at: Position
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """What to write instead. `safety` is "safe" where the rewrite cannot change what correct code does."""

    safety: str
    message: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a run has shown of a finding. `only`: nothing but the run shows it. `at` is where it was seen, by `tests`;
    they are none where a program ran that is no test."""

    only: bool
    at: Position
    tests: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return "only" if self.only else "confirmed"

    @property
    def words(self) -> str:
        return "seen at run time only" if self.only else "confirmed at run time"


@dataclass(frozen=True, slots=True)
class Finding:
    """One report. A rule fills in the first group, the driver the second, with `sighting` if it knows of a run."""

    at: Position
    severity: Severity
    message: str
    trace: tuple[Step, ...] = ()
    fix: Fix | None = None
    function: str = "<module>"

    rule: str = ""
    name: str = ""
    fingerprint: str = ""
    sighting: Sighting | None = None
