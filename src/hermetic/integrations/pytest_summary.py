"""What the plugin prints: the findings of a test that fails, and those of the run by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hermetic.finding import Finding, Severity, Step
from hermetic.integrations.pytest_charges import Charge
from hermetic.report.style import COLOUR, PLAIN, Styles

MOST_PLACES = 20  # places listed for one rule; the report file has all


@dataclass(slots=True)
class Seen:
    """What a run has seen, of all its processes together."""

    charges: list[Charge] = field(default_factory=list)
    late: list[Charge] = field(default_factory=list)  # those among them that no test's own report tells
    silenced: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)  # of hermetic's own: the class of the error and its place
    notes: list[str] = field(default_factory=list)
    tests: set[str] = field(default_factory=set)  # node ids
    sessions: int = 0
    statements: int = 0

    def distinct(self) -> list[Finding]:
        """Each finding once, in the order of places."""
        found = {charge.finding.fingerprint: charge.finding for charge in reversed(self.charges)}
        return sorted(found.values(), key=lambda finding: (finding.at, finding.rule, finding.message))

    def causes(self) -> dict[str, list[str]]:
        """By fingerprint, who caused it, in the order in which they ran."""
        found: dict[str, list[str]] = {}
        for charge in self.charges:
            listed = found.setdefault(charge.finding.fingerprint, [])
            if charge.cause not in listed:
                listed.append(charge.cause)
        return found


def of_test(charges: Iterable[Charge], root: str) -> str:
    """The findings of a test, the worst first, as `hermetic check` shows them."""
    ordered = sorted(charges, key=lambda charge: (-charge.finding.severity, charge.finding.at))
    return "\n".join(in_full(charge.finding, PLAIN, root) for charge in ordered)


def in_full(finding: Finding, styles: Styles, root: str) -> str:
    """A finding with its code, both acts, and how to silence it."""
    from hermetic.report.text import render_finding

    code = finding.rule
    comment = f"`# hermetic: ignore[{code}] reason` on line {finding.at.line}"
    silence = f'{comment}, or `@pytest.mark.hermetic(ignore=["{code}"])`'
    notes = [("silence", silence), ("more", f"hermetic explain {code}")]
    return render_finding(finding, notes, styles, root)


def write(terminal: pytest.TerminalReporter, seen: Seen, fails: frozenset[Severity], root: str) -> None:
    """The section of hermetic at the end of a run; one line where nothing was found."""
    quiet = not (seen.charges or seen.mistakes or seen.notes)
    if quiet and (not seen.sessions or terminal.verbosity < 0):
        return
    terminal.write_sep("=", "hermetic")
    by_rule: dict[str, list[Finding]] = {}
    for finding in seen.distinct():
        by_rule.setdefault(finding.rule, []).append(finding)
    causes = seen.causes()
    for code in sorted(by_rule):
        _write_rule(terminal, by_rule[code], causes, root)
    for line in (*_verdict(seen, fails), *seen.notes):
        terminal.write_line(line)
    if seen.mistakes:
        last = seen.mistakes[-1]
        terminal.write_line(f"hermetic made {_count(len(seen.mistakes), 'mistake')} of its own; the last was {last}")


def _write_rule(
    terminal: pytest.TerminalReporter, findings: Sequence[Finding], causes: dict[str, list[str]], root: str
) -> None:
    severities = Counter(finding.severity for finding in findings)
    counted = ", ".join(_count(severities[each], each.label) for each in sorted(severities, reverse=True))
    colour = {"red": True} if Severity.ERROR in severities else {"yellow": True}
    terminal.write_line(f"{findings[0].rule} {findings[0].name}: {counted}", bold=True, **colour)
    for finding in findings[:MOST_PLACES]:
        if terminal.verbosity > 0:
            terminal.write_line(in_full(finding, COLOUR if terminal.hasmarkup else PLAIN, root))
        else:
            _write_place(terminal, finding)
        terminal.write_line(f"      {_caused(causes[finding.fingerprint])}", light=True)
    if len(findings) > MOST_PLACES:
        more = len(findings) - MOST_PLACES
        terminal.write_line(f"  and {_count(more, 'more place')}; --hermetic-report=FILE lists all")


def _write_place(terminal: pytest.TerminalReporter, finding: Finding) -> None:
    at = finding.at
    terminal.write_line(f"  {at.path}:{at.line} in {finding.function}: {finding.message}")
    for step in _acts(finding):
        terminal.write_line(f"      {step.at.path}:{step.at.line}: {step.text}")


def _acts(finding: Finding) -> list[Step]:
    """The steps without the callers, which -v shows."""
    return [step for step in finding.trace if not step.text.startswith("called by ")]


def _caused(causes: Sequence[str]) -> str:
    more = f" and {len(causes) - 1:,} more" if len(causes) > 1 else ""
    return f"by {causes[0]}{more}"


def _verdict(seen: Seen, fails: frozenset[Severity]) -> list[str]:
    lines = []
    late = [charge for charge in seen.late if charge.finding.severity in fails]
    if late:
        who = ", ".join(dict.fromkeys(charge.cause for charge in late))
        lines.append(f"This run fails for what no test could be failed for any more: {who}")
    if seen.silenced:
        by = ", ".join(f"{count:,} by {what}" for what, count in sorted(seen.silenced.items()))
        lines.append(f"Silenced: {by}")
    watched = f"{_count(seen.sessions, 'session')}, {_count(seen.statements, 'statement')} watched"
    if seen.charges:
        rule = min(charge.finding.rule for charge in seen.charges)
        lines.append(f"{watched}; -v shows the code; more about a rule: hermetic explain {rule}")
    elif seen.sessions:
        lines.append(f"nothing to report: {watched}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_plain(seen: Seen) -> dict[str, Any]:
    """What a worker tells the process that started it; what its tests' reports carry is not told again."""
    return {
        "late": [charge.as_plain() for charge in seen.late],
        "silenced": dict(seen.silenced),
        "mistakes": list(seen.mistakes),
        "sessions": seen.sessions,
        "statements": seen.statements,
    }
