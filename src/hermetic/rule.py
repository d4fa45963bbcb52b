"""The contract of a rule. Read this first when you add one, then copy a neighbour in `rules/`.

A rule is a value: a code, a name, a function that asks the program questions and yields findings, and examples
that the tests run. Its module's docstring is its documentation: `hermetic explain CODE` prints it. The file's
presence in `rules/` is its registration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hermetic.finding import Finding

if TYPE_CHECKING:
    from hermetic.engine.program import Program

Check = Callable[["Program"], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Example:
    """A small project. Each line that the rule must flag ends in `# expect: CODE`; a good example has none.

    Lines of the form `# file: app/db.py` begin another file; without one, everything is `example.py`.
    """

    title: str
    source: str


@dataclass(frozen=True, slots=True)
class Rule:
    """`code` and `name` are public and stable. `doc` is filled in from the module by `rules.load`."""

    code: str
    name: str
    summary: str
    check: Check
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    doc: str = ""
