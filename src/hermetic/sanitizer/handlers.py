"""Does the application expect an error? It does where it catches it by its name, around what raises it.

`except Exception` expects nothing in particular; what a test expects is the plugin's to tell. The source is read, and
not the table of handlers in the byte code, which names no exceptions. A handler of a name that was imported as another
one is not recognised.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator

from hermetic.sanitizer.evidence import place
from hermetic.sanitizer.stacks import Frames


def catches(frames: Frames, names: frozenset[str]) -> bool:
    """Does one of these frames, in the middle of a `try` or a `suppress()`, catch one of these classes by name?"""
    for frame in frames:
        line = place(frame, "").line
        if any(first <= line <= last and names & caught for first, last, caught in _guarded(frame[0].co_filename)):
            return True
    return False


@functools.lru_cache(256)
def _guarded(filename: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """The guarded lines of a file, with the names of what is caught; none if it cannot be read."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(_ranges(tree))


def _ranges(tree: ast.Module) -> Iterator[tuple[int, int, frozenset[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            types = [handler.type for handler in node.handlers if handler.type is not None]
        elif isinstance(node, ast.With | ast.AsyncWith):
            calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
            types = [each for call in calls if "suppress" in _names(call.func) for each in call.args]
        else:
            continue
        if types:
            caught = frozenset(name for each in types for name in _names(each))
            yield node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno, caught


def _names(expression: ast.expr) -> set[str]:
    nodes = list(ast.walk(expression))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }
