"""What the plugin prints: the findings of a test that fails, and those of the run by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hermetic.finding import Finding, Severity
from hermetic.integrations.pytest_charges import Charge
from hermetic.report.style import COLOUR, PLAIN, Styles, printable

MOST_PLACES = 20  # places listed for one rule; the report file has all
MOST_IN_FULL = 3  # tests that show one finding in full
MOST_CAUSES = 5  # tests and fixtures named in one line


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
        """Each finding once, in the order of places, whichever worker was first; of equal ones the first."""
        ordered = sorted(self.charges, key=lambda charge: (charge.cause, charge.finding.at), reverse=True)
        found = {charge.finding.fingerprint: charge.finding for charge in ordered}
        return sorted(found.values(), key=lambda finding: (finding.at, finding.rule, finding.message))

    def causes(self) -> dict[str, list[str]]:
        """By fingerprint, who caused it."""
        found: dict[str, set[str]] = {}
        for charge in self.charges:
            found.setdefault(charge.finding.fingerprint, set()).add(charge.cause)
        return {fingerprint: sorted(causes) for fingerprint, causes in found.items()}


class Drawing:
    """How findings look: their paths are relative to `root`; `width` is in cells, None where there is no terminal.

    One that a great many tests have caused is drawn in full for the first of them, and in short for the others.
    """

    def __init__(self, root: str) -> None:
        self.width: int | None = None
        self._root = root
        self._drawn: Counter[str] = Counter()

    def of_test(self, charges: Iterable[Charge]) -> str:
        """The findings of a test, the worst first, as `hermetic check` shows them."""
        ordered = sorted(charges, key=lambda charge: (-charge.finding.severity, charge.finding.at))
        return "\n".join(self._first_in_full(charge.finding) for charge in ordered)

    def _first_in_full(self, finding: Finding) -> str:
        self._drawn[finding.fingerprint] += 1
        if self._drawn[finding.fingerprint] <= MOST_IN_FULL:
            return self.in_full(finding, PLAIN)
        head = f"{finding.severity.label}[{finding.rule}] {finding.name}, as in other tests:"
        return "\n".join((head, *in_short(finding)))

    def in_full(self, finding: Finding, styles: Styles) -> str:
        """A finding with its code, both acts, and how to silence it."""
        from hermetic.report.text import render_finding

        code = finding.rule
        comment = f"`# hermetic: ignore[{code}] reason` on line {finding.at.line}"
        silence = f'{comment}, or `@pytest.mark.hermetic(ignore=["{code}"])`'
        notes = [("silence", silence), ("more", f"hermetic explain {code}")]
        return render_finding(finding, notes, styles, self._root, self.width)


def in_short(finding: Finding) -> list[str]:
    """Place, message and acts, a line each; without the callers."""
    at = finding.at
    acts = [step for step in finding.trace if not step.text.startswith("called by ")]
    lines = [f"  {at.path}:{at.line} in {finding.function}: {finding.message}"]
    lines += [f"      {step.at.path}:{step.at.line}: {step.text}" for step in acts]
    return [printable(line) for line in lines]


def write(terminal: pytest.TerminalReporter, seen: Seen, fails: frozenset[Severity], drawing: Drawing) -> None:
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
        _write_rule(terminal, by_rule[code], causes, drawing)
    for line in (*_verdict(seen, fails, terminal.verbosity > 0), *seen.notes):
        terminal.write_line(line)
    if seen.mistakes:
        last = seen.mistakes[-1]
        terminal.write_line(f"hermetic made {_count(len(seen.mistakes), 'mistake')} of its own; the last was {last}")


def _write_rule(
    terminal: pytest.TerminalReporter, findings: Sequence[Finding], causes: dict[str, list[str]], drawing: Drawing
) -> None:
    severities = Counter(finding.severity for finding in findings)
    counted = ", ".join(_count(severities[each], each.label) for each in sorted(severities, reverse=True))
    colour = {"red": True} if Severity.ERROR in severities else {"yellow": True}
    terminal.write_line(f"{findings[0].rule} {findings[0].name}: {counted}", bold=True, **colour)
    for finding in findings[:MOST_PLACES]:
        if terminal.verbosity > 0:
            terminal.write_line(drawing.in_full(finding, COLOUR if terminal.hasmarkup else PLAIN))
        else:
            for line in in_short(finding):
                terminal.write_line(line)
        terminal.write_line(f"      {_caused(causes[finding.fingerprint])}", light=True)
    if len(findings) > MOST_PLACES:
        more = len(findings) - MOST_PLACES
        terminal.write_line(f"  and {_count(more, 'more place')}; --hermetic-report=FILE lists all")


def _caused(causes: Sequence[str]) -> str:
    more = f" and {len(causes) - 1:,} more" if len(causes) > 1 else ""
    return f"by {causes[0]}{more}"


def _verdict(seen: Seen, fails: frozenset[Severity], shows_code: bool) -> list[str]:
    lines = []
    late = [charge for charge in seen.late if charge.finding.severity in fails]
    if late:
        causes = sorted({charge.cause for charge in late})
        more = f" and {len(causes) - MOST_CAUSES:,} more" if len(causes) > MOST_CAUSES else ""
        who = ", ".join(causes[:MOST_CAUSES])
        lines.append(f"This run fails for what no test could be failed for any more: {who}{more}")
    if seen.silenced:
        by = ", ".join(f"{count:,} by {what}" for what, count in sorted(seen.silenced.items()))
        lines.append(f"Silenced: {by}")
    watched = f"{_count(seen.sessions, 'session')}, {_count(seen.statements, 'statement')} watched"
    if seen.charges:
        rule = min(charge.finding.rule for charge in seen.charges)
        code = "" if shows_code else " -v shows the code;"
        lines.append(f"{watched};{code} more about a rule: hermetic explain {rule}")
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
        "notes": list(seen.notes),
        "sessions": seen.sessions,
        "statements": seen.statements,
    }
