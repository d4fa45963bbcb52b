"""The format for people: the code, the path that leads to the trouble, what comes of it, and what to do about it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from hermetic import rules
from hermetic.finding import Finding, Severity, Sighting, Step
from hermetic.report.excerpt import Label, Paint, draw, lines_of
from hermetic.report.results import Results, Summary
from hermetic.report.style import Styles, printable

WIDTH = 100  # of what is no terminal
NARROWEST = 50
WIDEST_PROSE = 100
LEAST_WHY = 150  # characters of a rule's documentation, to say what its findings do

CLAUSE_END = re.compile(r"(?<=[.;])\s+")
WITHOUT_UNICODE = str.maketrans("│┆…", "|:~")


Lines = Callable[[str], tuple[str, ...]]


def render(results: Results, styles: Styles, width: int | None = None, lines: Lines = lines_of) -> str:
    """Every finding, then what could not be read, then the summary. `lines` gives those of a path."""
    width = max(NARROWEST, width or shutil.get_terminal_size((WIDTH, 24)).columns)
    parts = _findings(results.findings, styles, width, lines)
    if results.not_analysed:
        listed = "\n".join(printable(f"  {entry.path}: {entry.reason}") for entry in results.not_analysed)
        parts.append(f"{styles.warning('Not analysed')}\n{listed}\n")
    parts.append(_summary(results, styles))
    return _for_stdout("\n".join(parts))


def render_findings(findings: Sequence[Finding], styles: Styles, root: str = "") -> str:
    """Every finding, each with its fix, and the first of each rule with why it hurts.

    `root` is the directory that their paths are relative to, by default the working directory.
    """
    width = max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)
    return _for_stdout("\n".join(_findings(findings, styles, width, _lines_below(root))))


def render_finding(
    finding: Finding, notes: Sequence[tuple[str, str]], styles: Styles, root: str = "", width: int | None = None
) -> str:
    """One finding with why it hurts, its fix, and more notes, given as title and text.

    `root` is the directory that the finding's paths are relative to, by default the working directory. The text is for
    the process's own standard output, whatever captures it.
    """
    width = max(NARROWEST, width or shutil.get_terminal_size((WIDTH, 24)).columns)
    why = next((_why(rule.doc) for rule in rules.load() if rule.code == finding.rule), "")
    drawn = _finding(finding, (*_notes(finding, why), *notes), styles, width, _lines_below(root))
    return _for_stream(drawn, sys.__stdout__)


def _lines_below(root: str) -> Lines:
    return lambda path: lines_of(os.path.join(root, path))


def _findings(findings: Sequence[Finding], styles: Styles, width: int, lines: Lines) -> list[str]:
    why = {rule.code: _why(rule.doc) for rule in rules.load()} if findings else {}
    return [_finding(each, _notes(each, why.pop(each.rule, "")), styles, width, lines) for each in findings]


def _for_stdout(text: str) -> str:
    return _for_stream(text, sys.stdout)


def _for_stream(text: str, stream: TextIO | None) -> str:
    try:
        "│┆…".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return text.translate(WITHOUT_UNICODE)
    return text


def _why(doc: str) -> str:
    """What a rule's findings do to the pool or the data: how its "Why it hurts" begins, up to the end of a clause."""
    paragraph = doc.partition("## Why it hurts")[2].partition("##")[0]
    text = ""
    for clause in CLAUSE_END.split(" ".join(paragraph.split())):
        if len(text) >= LEAST_WHY:
            break
        text = f"{text} {clause}".strip()
    return text.removesuffix(";").removesuffix(".") + "." if text else ""


def _notes(finding: Finding, why: str) -> list[tuple[str, str]]:
    seen = "" if finding.sighting is None else _sighting(finding.sighting, finding)
    return [("why", why), ("run time", seen), ("help", finding.fix.message if finding.fix is not None else "")]


def _sighting(sighting: Sighting, finding: Finding) -> str:
    what = "seen there only" if sighting.only else "confirmed"
    if (sighting.at.path, sighting.at.line) != (finding.at.path, finding.at.line):
        what += f" at {sighting.at.path}:{sighting.at.line}"
    if not sighting.tests:
        return what
    more = len(sighting.tests) - 1
    return f"{what}, by {sighting.tests[0]}{f' and {more:,} more' if more else ''}"


def _finding(finding: Finding, notes: Sequence[tuple[str, str]], styles: Styles, width: int, source: Lines) -> str:
    mark = {Severity.ERROR: styles.error, Severity.WARNING: styles.warning, Severity.HINT: styles.hint}[
        finding.severity
    ]
    lines = [*_head(finding, mark, styles, width)]
    labels = _labels(finding, source)
    gutter = max(len(str(label.line)) for listed in labels.values() for label in listed)
    for path, listed in labels.items():
        main = path == finding.at.path
        at = finding.at if main else None
        where = f"{path}:{at.line}:{at.column}" if at else f"{path}:{listed[0].line}"
        lines.append(f"{' ' * gutter}{styles.accent('-->' if main else ':::')} {printable(where)}")
        lines += draw(source(path), listed, gutter, width, styles, mark)
    for title, text in notes:
        if text:
            lines += _note(title, styles.good if title == "help" else styles.bold, text, gutter, styles, width)
    return "\n".join(lines) + "\n"


def _head(finding: Finding, mark: Paint, styles: Styles, width: int) -> Iterator[str]:
    code = f"{finding.severity.label}[{finding.rule}]"
    name = f"{finding.name}: "
    indent = len(code) + 1
    first, *more = textwrap.wrap(name + printable(finding.message), min(width, WIDEST_PROSE) - indent)
    yield f"{mark(code)} {name}{styles.bold(first.removeprefix(name))}"
    for line in more:
        yield " " * indent + styles.bold(line)


def _note(title: str, paint: Paint, text: str, gutter: int, styles: Styles, width: int) -> Iterator[str]:
    start = " " * gutter + " = " + title + ": "
    wrapped = textwrap.wrap(printable(text), min(width, WIDEST_PROSE) - len(start), break_on_hyphens=False)
    for number, line in enumerate(wrapped):
        head = f"{' ' * gutter} {styles.accent('=')} {paint(title)}: "
        yield (head if number == 0 else " " * len(start)) + line


def _labels(finding: Finding, source: Lines) -> dict[str, list[Label]]:
    """What to say in which file, the one of the finding first. The steps are numbered if there are several."""
    steps = _steps(finding)
    exact = any(_key(step) == _main(finding) for step in steps)
    numbers: dict[tuple[str, Label], list[str]] = {}
    for number, step in enumerate(steps, 1):
        at = step.at
        main = _key(step) == _main(finding) if exact else _key(step)[:2] == _main(finding)[:2]
        one_line = at.end_line == at.line and at.end_column > at.column
        end = at.end_column if one_line else _end(source(at.path), at.line)
        label = Label(at.line, max(at.column, _begin(source(at.path), at.line)), end, printable(step.text), main)
        numbers.setdefault((at.path, label), []).append(str(number))
    labels: dict[str, list[Label]] = {finding.at.path: []}
    for (path, label), at_steps in numbers.items():
        if len(steps) > 1:
            label = label._replace(text=f"{', '.join(at_steps)}. {label.text}")
        labels.setdefault(path, []).append(label)
    return labels


def _steps(finding: Finding) -> list[Step]:
    """The trace, each place once in a row, with the finding's own place in it."""
    steps: list[Step] = []
    for step in finding.trace:
        if not steps or (step.at, step.text) != (steps[-1].at, steps[-1].text):
            steps.append(step)
    if not any(_key(step)[:2] == _main(finding)[:2] for step in steps):
        steps.insert(0, Step(finding.at, "here"))
    return steps


def _key(step: Step) -> tuple[str, int, int]:
    return step.at.path, step.at.line, step.at.column


def _main(finding: Finding) -> tuple[str, int, int]:
    return finding.at.path, finding.at.line, finding.at.column


def _begin(source: tuple[str, ...], line: int) -> int:
    """Where the code of a line begins: of a place that was read from a report, no more than its line is known."""
    text = source[line - 1] if line <= len(source) else ""
    return len(text) - len(text.lstrip()) + 1 if text.strip() else 1


def _end(source: tuple[str, ...], line: int) -> int:
    """The end of a place that goes on over several lines, or has none: that of its first line."""
    return len(source[line - 1].rstrip()) + 1 if line <= len(source) else 1


def _summary(results: Results, styles: Styles) -> str:
    summary = results.summary
    found = []
    if summary.errors:
        found.append(styles.error(_count(summary.errors, "error")))
    if summary.warnings:
        found.append(styles.warning(_count(summary.warnings, "warning")))
    verdict = " and ".join(found) if found else styles.good("nothing to report")
    line = f"{verdict}: {_seen(summary)} ({round(summary.seconds, 2)} s)"
    if not results.findings:
        return line
    return f"{line}\n{styles.dim(f'More about a rule: hermetic explain {results.findings[0].rule}')}"


def _seen(summary: Summary) -> str:
    seen = f"{_count(summary.sessions, 'session')} in {_count(summary.files, 'file')}"
    if not summary.unresolved:
        return seen
    return f"{seen}; {_count(summary.unresolved, 'call')} on sessions could not be resolved"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
