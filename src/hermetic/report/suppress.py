"""Suppression comments: `# hermetic: ignore[SES001] the reason`.

A comment holds for the findings on its own line; one that stands alone on a line holds for the next line of code. It
can name several rules: `# hermetic: ignore[SES001, SES003] the reason`. One that suppresses nothing is reported
itself, as HERMETIC001: the code that it excused has changed, and the next mistake there would go unseen.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from hermetic.engine.newer_syntax import comments, with_plain_line_ends
from hermetic.finding import Finding, Position, Severity
from hermetic.report.excerpt import lines_of
from hermetic.settings import UNUSED_SUPPRESSION

CODE = UNUSED_SUPPRESSION
NAME = "unused-suppression"

COMMENT = re.compile(r"#\s*hermetic:\s*ignore(?![\w-])(?:\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment: where it stands, the line it is about, and the codes it names."""

    at: Position
    line: int
    codes: tuple[str, ...]


def read(path: str, source: str) -> list[Suppression]:
    """The suppressions of a file, in order."""
    found = []
    source = with_plain_line_ends(source)
    lines = source.split("\n")
    for line, column, text in comments(source):
        alone = not lines[line - 1][:column].strip()
        for match in COMMENT.finditer(text):
            codes = dict.fromkeys(code.strip().upper() for code in (match["codes"] or "").split(",") if code.strip())
            at = Position(path, line, column + match.start() + 1, line, column + len(text.rstrip()) + 1)
            found.append(Suppression(at, _next_code(lines, line) if alone else line, tuple(codes)))
    return found


def _next_code(lines: list[str], line: int) -> int:
    for number in range(line, len(lines)):
        text = lines[number].strip()
        if text and not text.startswith("#"):
            return number + 1
    return line


def apply(
    findings: list[Finding], suppressions: list[Suppression], selected: frozenset[str], known: frozenset[str]
) -> list[Finding]:
    """The findings of a file that stay, and a finding for each code that suppresses nothing.

    A code whose rule is not `selected` in this run may well be needed in another, and is left alone.
    """
    used: set[tuple[Suppression, str]] = set()
    kept = []
    for finding in findings:
        hiding = [suppression for suppression in suppressions if _hides(suppression, finding)]
        used.update((suppression, finding.rule) for suppression in hiding)
        if not hiding:
            kept.append(finding)
    if CODE in selected:
        for suppression in suppressions:
            kept.extend(_complaints(suppression, used, selected, known))
    return kept


def excuses(finding: Finding, root: str) -> bool:
    """Does a comment on its line hide a finding that was made without reading the file?

    `root` is the directory that the finding's path is relative to.
    """
    return any(_hides(suppression, finding) for suppression in _of_file(os.path.join(root, finding.at.path)))


@lru_cache(256)
def _of_file(path: str) -> tuple[Suppression, ...]:
    source = "\n".join(lines_of(path))
    return tuple(read(path, source)) if "hermetic:" in source else ()


def _hides(suppression: Suppression, finding: Finding) -> bool:
    last = max(finding.at.end_line, finding.at.line)
    return finding.rule in suppression.codes and finding.at.line <= suppression.line <= last


def _complaints(
    suppression: Suppression, used: set[tuple[Suppression, str]], selected: frozenset[str], known: frozenset[str]
) -> list[Finding]:
    if not suppression.codes:
        return [_finding(suppression, "this comment names no rule; write `# hermetic: ignore[SES001] reason`")]
    if CODE in suppression.codes:
        return []
    out = []
    for code in suppression.codes:
        if code not in known:
            near = get_close_matches(code, sorted(known), 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            out.append(_finding(suppression, f"there is no rule `{code}`{hint}"))
        elif code in selected and (suppression, code) not in used:
            out.append(_finding(suppression, f"nothing is reported here as {code} any more; remove the comment"))
    return out


def _finding(suppression: Suppression, message: str) -> Finding:
    return Finding(suppression.at, Severity.WARNING, message, rule=CODE, name=NAME)
