"""What the plugin is asked for: on the command line, by the environment, in the settings of pytest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hermetic.finding import Severity

DEFAULT = "errors"

# Which findings fail their test, by mode.
FAILS = {
    "fail": frozenset({Severity.ERROR, Severity.WARNING}),
    "errors": frozenset({Severity.ERROR}),
    "warn": frozenset[Severity](),
    "off": frozenset[Severity](),
}


@dataclass(frozen=True, slots=True)
class Ignore:
    """A line of `hermetic_ignore`: the codes of rules, and a pattern of paths relative to pytest's root."""

    codes: tuple[str, ...]
    pattern: str


@dataclass(frozen=True, slots=True)
class Options:
    """`root` is pytest's; `start` is where pytest was started, which paths are shown relative to. `idle` in seconds."""

    mode: str
    fails: frozenset[Severity]
    root: Path
    start: Path
    ignores: tuple[Ignore, ...]
    idle: float
    report: Path | None
    trace: Path | None
    baseline: Path | None
    updates_baseline: bool


def add(parser: pytest.Parser) -> None:
    """Declare options and settings."""
    group = parser.getgroup("hermetic", "misuse of SQLAlchemy sessions")
    group.addoption(
        "--hermetic",
        choices=tuple(FAILS),
        help="what fails the test that caused it: every finding, errors alone (the default), nothing; or watch nothing",
    )
    group.addoption("--hermetic-report", metavar="FILE", help="write all findings to FILE, as JSON")
    group.addoption("--hermetic-trace", metavar="FILE", help="record what sessions and pools do, for `hermetic trace`")
    group.addoption("--hermetic-baseline", metavar="FILE", help="do not report the findings that FILE lists")
    group.addoption("--hermetic-update-baseline", action="store_true", help="write what is found to the baseline")
    parser.addini("hermetic", "fail, errors, warn or off; as --hermetic", default="")
    parser.addini("hermetic_ignore", "findings to ignore, each `RULE path-pattern [reason]`", type="linelist")
    parser.addini("hermetic_idle_ms", "how long a transaction may wait for anything but the database", default="500")
    parser.addini("hermetic_baseline", "as --hermetic-baseline, relative to pytest's root", default="")


def read(config: pytest.Config) -> Options:
    """The options of a run, which may still be starting. Raises pytest.UsageError for what cannot be meant."""
    given = config.known_args_namespace
    mode = _mode(config, given)
    start = config.invocation_params.dir
    baseline = _below(start, given.hermetic_baseline) or _below(config.rootpath, config.getini("hermetic_baseline"))
    updates = bool(given.hermetic_update_baseline)
    if updates and baseline is None:
        raise pytest.UsageError("--hermetic-update-baseline needs --hermetic-baseline=FILE")
    return Options(
        mode=mode,
        fails=frozenset() if updates else FAILS[mode],
        root=config.rootpath,
        start=start,
        ignores=tuple(_ignore(line) for line in config.getini("hermetic_ignore") if line.strip()),
        idle=_idle(config.getini("hermetic_idle_ms")),
        report=_below(start, given.hermetic_report),
        trace=_below(start, given.hermetic_trace),
        baseline=baseline,
        updates_baseline=updates,
    )


def _mode(config: pytest.Config, given: Any) -> str:
    for where, value in (
        ("--hermetic", given.hermetic),
        ("HERMETIC in the environment", os.environ.get("HERMETIC")),
        ("hermetic in the settings", config.getini("hermetic")),
    ):
        if value:
            if value not in FAILS:
                raise pytest.UsageError(f"{where} is {value!r}; it is one of: {', '.join(FAILS)}")
            return str(value)
    return DEFAULT


def _below(directory: Path, given: str | None) -> Path | None:
    return directory / given if given else None


def _idle(given: str) -> float:
    try:
        milliseconds = float(given)
    except ValueError:
        milliseconds = -1
    if not 0 < milliseconds < float("inf"):
        raise pytest.UsageError(f"hermetic_idle_ms is {given!r}; it has to be a number of milliseconds")
    return milliseconds / 1000


def _ignore(line: str) -> Ignore:
    from hermetic import patterns

    words = line.split(maxsplit=2)
    if len(words) < 2:
        raise pytest.UsageError(f"hermetic_ignore: `{line.strip()}` is not `RULE path-pattern [reason]`")
    if not patterns.is_valid(words[1]):
        raise pytest.UsageError(f"hermetic_ignore: `{words[1]}` is no pattern of paths")
    return Ignore(codes_of([words[0]], "hermetic_ignore"), words[1])


def codes_of(given: Iterable[str], where: str) -> tuple[str, ...]:
    """The codes that codes or their beginnings name. Raises pytest.UsageError for a rule that does not exist."""
    from hermetic.settings import SettingsError, matching_codes

    try:
        return tuple(code for each in given for code in matching_codes(each, _known_codes()))
    except SettingsError as error:
        raise pytest.UsageError(f"{where}: {error}") from None


@cache
def _known_codes() -> tuple[str, ...]:
    from hermetic import rules

    return tuple(rule.code for rule in rules.load())


def ignored_by(markers: Iterable[pytest.Mark]) -> frozenset[str]:
    """The codes that a test's markers ignore. Fails the test for a marker that cannot be meant."""
    return frozenset(code for marker in markers for code in _ignored_by(marker))


def _ignored_by(marker: pytest.Mark) -> tuple[str, ...]:
    ignored = marker.kwargs.get("ignore", ())
    given = [ignored] if isinstance(ignored, str) else list(ignored)
    if marker.args or not given or not set(marker.kwargs) <= {"ignore", "reason"}:
        pytest.fail('write @pytest.mark.hermetic(ignore=["SES001"], reason="...")', pytrace=False)
    try:
        return codes_of(given, "@pytest.mark.hermetic")
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)
