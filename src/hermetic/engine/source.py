"""Reading source: bytes to a syntax tree or to the reason why there is none."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

from hermetic.engine import ir
from hermetic.engine.ir import Node
from hermetic.engine.lower import lower_module

T = TypeVar("T")

# Larger files are generated; nobody reviews them, and their trees would take gigabytes.
LARGEST_FILE = 16 * 1024 * 1024

# For source that nests deeper than Python's own limits: a thread with a large stack.
DEEP_STACK = 512 * 1024 * 1024
DEEP_RECURSION = 200_000


class NotAnalysed(Exception):
    """A file has no facts; the message says why."""


def facts_of(data: bytes) -> Node:
    """The facts of a file's bytes.

    Raises NotAnalysed where the file is no Python that any supported version could read.
    """
    if len(data) > LARGEST_FILE:
        raise NotAnalysed(f"larger than {LARGEST_FILE // 1024 // 1024} MB")
    try:
        return lower_module(parse(data))
    except (RecursionError, MemoryError):
        return _on_deep_stack(lambda: _shallow(lower_module(parse(data))))
    except KeyError as error:
        raise NotAnalysed(f"syntax that hermetic does not know yet: {error}") from None


def parse(data: bytes) -> ast.Module:
    """A syntax tree, also of syntax newer than the running interpreter's."""
    try:
        return _compile(data)
    except SyntaxError as error:
        from hermetic.engine.newer_syntax import rewrite

        older = rewrite(data)
        if older is None:
            raise NotAnalysed(_reason(error)) from None
        try:
            return _compile(older)
        except (SyntaxError, ValueError):
            raise NotAnalysed(_reason(error)) from None
    except ValueError as error:
        raise NotAnalysed(str(error)) from None


def _compile(data: bytes | str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the linter's business
        return ast.parse(data, "<source>")


def _reason(error: SyntaxError) -> str:
    where = f"line {error.lineno}: " if error.lineno else ""
    return f"{where}{error.msg or 'invalid syntax'}"


def _on_deep_stack(work: Callable[[], T]) -> T:
    """Run work in a thread whose stack is large enough for deeply nested source."""
    import threading  # here, because no usual file needs it

    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(DEEP_RECURSION)
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            sys.setrecursionlimit(limit)

    size = threading.stack_size(DEEP_STACK)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    if failure:
        if isinstance(failure[0], NotAnalysed):
            raise failure[0]
        raise NotAnalysed("expressions are nested too deeply") from None
    return outcome[0]


# Expressions nested deeper than this are dropped, with the calls in them, so that the IR stays within the limits of
# `marshal` and of the interpreter's recursion. No hand-written code comes near.
DEEPEST_EXPRESSION = 120


def _shallow(node: Node, depth: int = 0) -> Node:
    if depth > DEEPEST_EXPRESSION * 2 and _is_expression(node):
        return ir.NONE
    return tuple([_shallow(part, depth + 1) if type(part) is tuple else part for part in node])


def _is_expression(node: Node) -> bool:
    """Tell an expression from the positions and the tuples of arguments around it: it begins with its opcode."""
    return bool(node) and type(node[0]) is int and any(type(part) is not int for part in node)
