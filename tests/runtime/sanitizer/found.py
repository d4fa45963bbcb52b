"""Findings as tests compare them: by rule, by the marked line, and by the marked lines of their steps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from hermetic.finding import Finding
from hermetic.sanitizer.watch import Watch

MARK = re.compile(r"#\s*mark:\s*([\w, ]+)")


class Found:
    """The findings of one watch, in their order. `append` is its `on_finding`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.watch: Watch

    def append(self, finding: Finding) -> None:
        self.findings.append(finding)

    def scope_ends(self) -> None:
        """What the plugin does at the end of each test."""
        self.watch.end_scope(self.watch.scope)

    @property
    def codes(self) -> list[str]:
        return sorted(finding.rule for finding in self.findings)

    def places(self, code: str, function: Callable[..., Any]) -> tuple[str, set[str]]:
        """Of the only finding of a rule: the mark on its line, and the marks on the lines of its steps.

        Marks are comments `# mark: NAME` in the source of `function`; a line without one is "line N".
        """
        (finding,) = [each for each in self.findings if each.rule == code]
        names = marks(function)
        steps = {names.get(step.at.line, "") for step in finding.trace} - {""}
        return names.get(finding.at.line, f"line {finding.at.line}"), steps


def marks(function: Callable[..., Any]) -> dict[int, str]:
    """The marked lines of a function, by line number."""
    lines, first = inspect.getsourcelines(function)
    return {number: mark[1].strip() for number, line in enumerate(lines, first) if (mark := MARK.search(line))}
