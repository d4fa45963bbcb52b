"""Context managers that swallow what their block raises: the `except` around the `yield` that lets it pass."""

from __future__ import annotations

from typing import Any

from hermetic.engine import ir, walk
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.state import Mark
from hermetic.engine.walk import last_name

# Exceptions under which those of a database come.
BROAD = frozenset(("Exception", "BaseException", "SQLAlchemyError", "DBAPIError", "IntegrityError", "OperationalError"))


def swallowing_handler(fn: Function) -> Mark | None:
    """The handler of a manager function that takes a database error and ends normally."""
    for statement in fn.statements():
        if statement[0] == ir.TRY and _yields(statement[1]):
            for types, _, line, body in statement[2]:
                if _takes_database_errors(types) and not _raises(body):
                    return (fn.module, (line, -1, line, -1), None)
    return None


def handler_of(leaving: list[tuple[str, Any]]) -> Mark | None:
    """That of the managers whose block is left."""
    for how, what in leaving:
        if how == "context" and what[0].suppresses:
            handler = swallowing_handler(what[1].callee)
            if handler is not None:
                return handler
    return None


def _yields(block: Block) -> bool:
    nodes, _ = walk.expressions(walk.statements(block))
    return any(node[0] == ir.YIELD for node in nodes)


def _takes_database_errors(types: Expr) -> bool:
    named: tuple[Expr, ...] = types[2] if type(types) is tuple and types[0] == ir.SEQ else (types,)
    return types is None or any(last_name(name) in BROAD for name in named)


def _raises(body: tuple[Node, ...]) -> bool:
    return bool(body) and body[-1][0] == ir.RAISE
