"""Read the marks in the comments of a mini-project, and compare them with findings, both ways and by exact line.

The marks, each at the end of the line that it is about:

    # expect: SES001                     this line is flagged
    # expect: SES001, SES003 warning     by two rules, by the second with this severity
    # missed: SES001 the reason          should be flagged, and is not yet
    # false-alarm: SES003 the reason     is flagged, and should not be

With `-next` behind the word (`# expect-next: SES001`) a mark is about the next line of code, for lines that are too
long or that cannot carry a comment. A known mistake that hermetic stops making is a mismatch too: its mark has to
become an `expect`, or go.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from hermetic.finding import Finding, Severity
from hermetic.rules import load

EXPECT, MISSED, FALSE_ALARM = "expect", "missed", "false-alarm"

KNOWN_CODES = frozenset(rule.code for rule in load())
SEVERITIES = {severity.label: severity for severity in (Severity.WARNING, Severity.ERROR)}

MARK = re.compile(rf"(?P<kind>{EXPECT}|{MISSED}|{FALSE_ALARM})(?P<next>-next)?: (?P<rest>\S.*)")
SUPPRESSION = re.compile(r"hermetic:\s*ignore")
# A comment that names a rule or begins like a mark must be one: a misspelt mark would otherwise expect nothing.
INTENDED = re.compile(r"SES[\s-]?\d|(?:expect|miss|false)\S*:", re.IGNORECASE)

FILE_LINE = re.compile(r"# file: (?P<path>\S+\.py)\n")
FIRST_FILE = "example.py"

NOT_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)

Place = tuple[str, int, str]  # path, line, code


class MarkError(Exception):
    """A mark that cannot be read; the message says where, and what is wrong."""


class Mark(NamedTuple):
    """One code of one mark. `severity` is None where any will do."""

    path: str
    line: int
    code: str
    kind: str
    severity: Severity | None = None

    @property
    def place(self) -> Place:
        return self.path, self.line, self.code


def files_of(source: str) -> dict[str, str]:
    """The files of an example, which `# file: app/db.py` lines split; before the first such line, `example.py`."""
    first, *rest = re.split(FILE_LINE, source)
    files = {FIRST_FILE: first} if first.strip() else {}
    return files | dict(zip(rest[::2], rest[1::2], strict=True))


def read(sources: Mapping[str, str]) -> list[Mark]:
    """Every mark of a project, given as path and text.

    Raises MarkError for a comment that looks like a mark and cannot be read as one, and for a repeated mark.
    """
    marks = [mark for path, text in sources.items() for mark in _marks_of_file(path, text)]
    seen: set[Place] = set()
    for mark in marks:
        if mark.place in seen:
            raise MarkError(f"{mark.path}:{mark.line}: {mark.code} has two marks")
        seen.add(mark.place)
    return marks


def mismatches(marks: Iterable[Mark], findings: Iterable[Finding]) -> list[str]:
    """What differs between marks and findings, as lines for people; empty where they agree. Hints do not count."""
    found = {(f.at.path, f.at.line, f.rule): f.severity for f in findings if f.severity > Severity.HINT}
    marked = {mark.place: mark for mark in marks}
    out = [
        (place, f"false alarm, {severity.label} (or an `expect` is missing)")
        for place, severity in found.items()
        if place not in marked
    ]
    for place, mark in marked.items():
        complaint = _complaint(mark, found.get(place))
        if complaint:
            out.append((place, complaint))
    return [f"{path}:{line}: {code} {text}" for (path, line, code), text in sorted(out)]


def _complaint(mark: Mark, found: Severity | None) -> str:
    if mark.kind == MISSED:
        return "flip: it is found now, change `missed` into `expect`" if found else ""
    if found is None:
        return "missed alarm" if mark.kind == EXPECT else "flip: the false alarm is gone, remove its mark"
    if mark.severity not in (None, found):
        return f"expected as {mark.severity.label}, found as {found.label}"
    return ""


def _marks_of_file(path: str, text: str) -> Iterator[Mark]:
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for position, token in enumerate(tokens):
        if token.type != tokenize.COMMENT:
            continue
        for comment in token.string.split("#"):
            match = MARK.fullmatch(comment.strip())
            if match:
                line = _next_code(tokens[position:]) if match["next"] else token.start[0]
                yield from _codes(match, path, line)
            elif INTENDED.search(comment) and not SUPPRESSION.search(comment):
                raise MarkError(f"{path}:{token.start[0]}: cannot read the mark in {token.string!r}")


def _next_code(tokens: list[tokenize.TokenInfo]) -> int:
    return next((token.start[0] for token in tokens if token.type not in NOT_CODE), tokens[-1].start[0])


def _codes(match: re.Match[str], path: str, line: int) -> Iterator[Mark]:
    if match["kind"] == EXPECT:
        for part in match["rest"].split(","):
            code, _, severity = part.strip().partition(" ")
            if severity and severity not in SEVERITIES:
                raise MarkError(f"{path}:{line}: {severity!r} is neither a severity nor separated by a comma")
            yield Mark(path, line, _known(code, path, line), EXPECT, SEVERITIES.get(severity))
        return
    code, _, reason = match["rest"].partition(" ")
    if not reason.strip():
        raise MarkError(f"{path}:{line}: `{match['kind']}` needs a reason")
    yield Mark(path, line, _known(code, path, line), match["kind"])


def _known(code: str, path: str, line: int) -> str:
    if code not in KNOWN_CODES:
        raise MarkError(f"{path}:{line}: there is no rule {code!r}")
    return code
