"""Findings as tests compare them: by rule, by the marked line, and by the marked lines of their steps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hermetic.finding import Finding
from hermetic.sanitizer.watch import Watch, watch

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


@contextmanager
def watched(mode: str = "tests", **options: Any) -> Iterator[Found]:
    """What a watch around the block finds. A mistake of hermetic's own fails the test."""
    found = Found()
    with watch(mode, found.append, **options) as running:
        found.watch = running
        yield found
    assert (running.errors, running.last_error) == (0, "")


def marks(function: Callable[..., Any]) -> dict[int, str]:
    """The marked lines of a function, by line number."""
    lines, first = inspect.getsourcelines(function)
    return {number: mark[1].strip() for number, line in enumerate(lines, first) if (mark := MARK.search(line))}
