"""Calls whose result a function asks about: whoever tests what a helper returns, or returns it in turn, may know of a
failure that the helper has swallowed."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine import ir, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function

# `y = x` is followed that often.
MOST_COPIES = 3


def asked_calls(fn: Function) -> frozenset[ir.Pos]:
    """The positions of these calls."""
    asking = list(_asking(fn))
    names: set[str] = set()
    for expression in asking:
        names.update(_names(expression))
    assignments = [statement for statement in fn.statements() if statement[0] == ir.ASSIGN]
    for _ in range(MOST_COPIES):
        for statement in assignments:
            if not names.isdisjoint(name for target in statement[1] for name in _names(target)):
                names.update(_names(statement[2]))
                asking.append(statement[2])
    return frozenset(node[4] for expression in asking for node in walk.subexpressions(expression) if node[0] == ir.CALL)


def _asking(fn: Function) -> Iterator[Expr]:
    """Expressions that decide what the function does next, or are its result."""
    for statement in fn.statements():
        if statement[0] in (ir.IF, ir.WHILE, ir.ASSERT, ir.RETURN):
            yield statement[1]
    for node in fn.nodes():
        if node[0] in (ir.IFEXP, ir.NOT):
            yield node[1]
        elif node[0] == ir.BOOL:
            yield from node[2]
        elif node[0] == ir.CMP:
            yield node


def _names(expression: Expr) -> Iterator[str]:
    if type(expression) is str:
        yield expression
    elif type(expression) is tuple:
        for node in walk.subexpressions(expression):
            yield from (child for child in _children(node) if type(child) is str)


def _children(node: Node) -> list[Expr]:
    return walk.children(node) if node[0] != ir.NAMED else [node[1], *walk.children(node)]
