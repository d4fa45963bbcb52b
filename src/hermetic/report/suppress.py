"""Suppression comments: `# hermetic: ignore[SES001] the reason`.

A comment holds for the findings on its own line; one that stands alone on a line holds for the next line of code. One
that suppresses nothing is reported itself (HERMETIC001): the code it excused has changed.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass

from hermetic.finding import Finding, Position, Severity

CODE = "HERMETIC001"
NAME = "unused-suppression"

COMMENT = re.compile(r"#\s*hermetic:\s*ignore(?:\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment: where it stands, the line it is about, and the codes it names."""

    at: Position
    line: int
    codes: tuple[str, ...]


def read(path: str, source: str) -> list[Suppression]:
    """The suppressions of a file, in order."""
    found = []
    lines = source.splitlines()
    for line, column, text in _comments(source):
        match = COMMENT.search(text)
        if match is None:
            continue
        codes = tuple(code.strip().upper() for code in (match["codes"] or "").split(",") if code.strip())
        start = column + match.start() + 1
        at = Position(path, line, start, line, column + len(text.rstrip()) + 1)
        alone = not lines[line - 1][:column].strip()
        found.append(Suppression(at, _next_code(lines, line) if alone else line, codes))
    return found


def _comments(source: str) -> list[tuple[int, int, str]]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        # Newer syntax than this interpreter's: then whatever looks like the comment is taken for one.
        return [(number, 0, text) for number, text in enumerate(source.splitlines(), 1) if COMMENT.search(text)]
    return [(*token.start, token.string) for token in tokens if token.type == tokenize.COMMENT]


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
        hidden = False
        for suppression in suppressions:
            if finding.rule in suppression.codes and finding.at.line <= suppression.line <= max(
                finding.at.end_line, finding.at.line
            ):
                used.add((suppression, finding.rule))
                hidden = True
        if not hidden:
            kept.append(finding)
    for suppression in suppressions:
        kept.extend(_complaints(suppression, used, selected, known))
    return kept


def _complaints(
    suppression: Suppression, used: set[tuple[Suppression, str]], selected: frozenset[str], known: frozenset[str]
) -> list[Finding]:
    if not suppression.codes:
        return [_finding(suppression, "this comment names no rule; write `# hermetic: ignore[SES001] reason`")]
    out = []
    for code in suppression.codes:
        if code not in known:
            out.append(_finding(suppression, f"there is no rule `{code}`"))
        elif code in selected and (suppression, code) not in used:
            out.append(
                _finding(suppression, f"nothing on this line is reported as {code} any more; remove the comment")
            )
    return out


def _finding(suppression: Suppression, message: str) -> Finding:
    return Finding(suppression.at, Severity.WARNING, message, rule=CODE, name=NAME)
