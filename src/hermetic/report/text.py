"""The format for people: the code, the path that leads to the trouble, and what to do about it."""

from __future__ import annotations

from functools import lru_cache

from hermetic.finding import Finding, Severity, Step
from hermetic.report.results import Results, Summary
from hermetic.report.style import Styles

CONTEXT = 1  # lines shown around a place
TAB = "    "


def render(results: Results, styles: Styles) -> str:
    """Every finding, then what could not be read, then the summary."""
    parts = [_finding(finding, styles) for finding in results.findings]
    if results.not_analysed:
        listed = "\n".join(f"  {entry.path}: {entry.reason}" for entry in results.not_analysed)
        parts.append(f"{styles.warning('Not analysed')}\n{listed}\n")
    parts.append(_summary(results.summary, styles))
    return "\n".join(parts)


def _finding(finding: Finding, styles: Styles) -> str:
    mark = {Severity.ERROR: styles.error, Severity.WARNING: styles.warning, Severity.HINT: styles.hint}[
        finding.severity
    ]
    head = (
        f"{mark(f'{finding.severity.label} {finding.rule}')} {styles.dim(finding.name)}: {styles.bold(finding.message)}"
    )
    steps = _steps(finding)
    width = max(len(str(step.at.line + CONTEXT)) for step in steps)
    lines = [head]
    path = ""
    for number, step in enumerate(steps):
        if step.at.path != path:
            path = step.at.path
            arrow = "-->" if number == 0 else ":::"
            where = f"{path}:{step.at.line}:{step.at.column}" if number == 0 else path
            lines.append(f"{' ' * width}{styles.accent(arrow)} {where}")
        elif number:
            lines.append(f"{' ' * width} {styles.accent('⋮')}")
        lines += _frame(step, width, number, styles, mark if _is_place(step, finding) else styles.accent)
    if finding.fix is not None:
        lines.append(f"{' ' * width} {styles.accent('=')} {styles.good('help')}: {finding.fix.message}")
    lines.append(f"{' ' * width} {styles.accent('=')} {styles.dim(f'hermetic explain {finding.rule}')}")
    return "\n".join(lines) + "\n"


def _steps(finding: Finding) -> list[Step]:
    """The trace, each place once, with the finding's own place in it."""
    steps: list[Step] = []
    for step in finding.trace:
        if not steps or (step.at, step.text) != (steps[-1].at, steps[-1].text):
            steps.append(step)
    if not any(_is_place(step, finding) for step in steps):
        steps.insert(0, Step(finding.at, "here"))
    return steps


def _is_place(step: Step, finding: Finding) -> bool:
    return (step.at.path, step.at.line) == (finding.at.path, finding.at.line)


def _frame(step: Step, width: int, number: int, styles: Styles, mark: object) -> list[str]:
    """A few lines of source with the step's place underlined."""
    source = _source(step.at.path)
    bar = styles.accent("│")
    out = []
    for line in range(max(1, step.at.line - (CONTEXT if number == 0 else 0)), step.at.line + 1):
        text = source[line - 1].rstrip() if line <= len(source) else ""
        if line == step.at.line or text.strip():
            out.append(f"{styles.dim(f'{line:>{width}}')} {bar} {text.expandtabs(len(TAB))}")
    text = source[step.at.line - 1] if step.at.line <= len(source) else ""
    before = text[: step.at.column - 1].expandtabs(len(TAB))
    if step.at.end_line == step.at.line and step.at.end_column > step.at.column:
        under = "^" * (step.at.end_column - step.at.column)
    else:
        under = "^" * max(1, len(text.rstrip()) - step.at.column + 1)
    out.append(f"{' ' * width} {bar} {' ' * len(before)}{mark(f'{under} {step.text}')}")  # type: ignore[operator]
    return out


@lru_cache(maxsize=64)
def _source(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _summary(summary: Summary, styles: Styles) -> str:
    found = []
    if summary.errors:
        found.append(styles.error(_count(summary.errors, "error")))
    if summary.warnings:
        found.append(styles.warning(_count(summary.warnings, "warning")))
    verdict = " and ".join(found) if found else styles.good("nothing to report")
    seen = f"{_count(summary.sessions, 'session')} in {_count(summary.files, 'file')}"
    unresolved = ""
    if summary.unresolved:
        unresolved = f"; {_count(summary.unresolved, 'call')} on sessions could not be resolved"
    return f"{verdict}: {seen}{unresolved} ({summary.seconds:.2f} s)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
