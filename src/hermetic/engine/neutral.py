"""Edits that cannot change a finding: comments, blank lines, docstrings, and what else has no place in facts.

Such an edit leaves all facts of its file as they were, but for the numbers of lines.
"""

from __future__ import annotations

import ast
from typing import Any

from hermetic.engine.ir import Node
from hermetic.engine.lower import lower_module
from hermetic.engine.source import LARGEST_FILE, NotAnalysed, parse

Moved = dict[int, int]  # each line that facts name, before and now


class Line(int):
    """The number of a line, which can be told from any other number."""


def moved_lines(before: Node, now: bytes) -> Moved | None:
    """Where the lines are now that the facts of a file name; None if the edit may matter.

    Two lines that have become one, or one that has become two, may matter: of equal findings on a line one is shown.
    """
    if len(now) > LARGEST_FILE:
        return None
    try:
        tree = parse(now)
        if repr(lower_module(tree)) == repr(before):  # which tells True from 1
            return {line: line for line in range(1, now.count(b"\n") + 2)}
        for node in ast.walk(tree):
            if "lineno" in node._attributes:
                node.lineno, node.end_lineno = Line(node.lineno), Line(node.end_lineno)  # type: ignore[attr-defined]
        after = lower_module(tree)
        moved: Moved = {}
        is_neutral = _differ_in_lines(before, after, moved)
    except (NotAnalysed, RecursionError, MemoryError, KeyError):  # a whole run knows what to do
        return None
    return moved if is_neutral and len(set(moved.values())) == len(moved) else None


def _differ_in_lines(before: Any, after: Any, moved: Moved) -> bool:
    """Are these parts of facts the same, but for lines? `moved` takes those in."""
    if type(after) is Line:
        return type(before) is int and moved.setdefault(before, int(after)) == after
    if type(before) is not type(after):
        return False
    if type(after) is not tuple:
        return bool(before == after)
    return len(before) == len(after) and all(
        _differ_in_lines(old, new, moved) for old, new in zip(before, after, strict=True)
    )
