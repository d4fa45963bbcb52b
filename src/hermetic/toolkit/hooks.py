"""What the toolkit learns from SQLAlchemy's events: failures, savepoints, writes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext, ExecutionContext

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here

# How a connection knows the block that holds it. Connections have a `__dict__`, and end with their session.
_KEY = "_hermetic_block"

_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)
_READS = frozenset("select values table show describe desc pragma begin savepoint release rollback set fetch".split())
# What stands in front of either.
_PREFIXES = frozenset(("with", "explain", "declare"))
_WRITE = re.compile(r"\b(?:insert|update|delete|merge)\b", re.IGNORECASE)

_SAVEPOINT_WORDS = ("SAVE", "RELEASE", "ROLLBACK")
_SAVEPOINT = re.compile(
    r"(?:(?P<undo>ROLLBACK TO SAVEPOINT|ROLLBACK TO|ROLLBACK TRANSACTION)|(?P<keep>RELEASE SAVEPOINT|RELEASE)"
    r"|SAVEPOINT|SAVE TRANSACTION) (?P<name>\S+)$"
)


@functools.lru_cache(maxsize=1024)
def writes(statement: str) -> bool:
    """Whether a statement may write. A SELECT of a function that writes is not seen."""
    match = _FIRST_WORD.match(statement)
    word = match[1].lower() if match else ""
    if word in _PREFIXES:
        return _WRITE.search(statement) is not None
    return word not in _READS


def block_of(connection: Connection | None) -> Block | None:
    return None if connection is None else vars(connection).get(_KEY)


def hold(connection: Connection, block: Block) -> None:
    """The connection works for this block from now on."""
    vars(connection)[_KEY] = block
    block.connection = connection


# Returning None lets the dialect go on.
def do_execute(cursor: Any, statement: str, parameters: Any, context: ExecutionContext) -> None:
    _seen(context.root_connection, statement)


do_executemany = do_execute


def do_execute_no_params(cursor: Any, statement: str, context: ExecutionContext) -> None:
    _seen(context.root_connection, statement)


def _seen(connection: Connection, statement: str) -> None:
    block = block_of(connection)
    if block is None:
        return
    if statement.startswith(_SAVEPOINT_WORDS):
        _note_savepoint(block, statement)
    if block.wrote or not writes(statement):
        return
    if block.reads:
        text = f"a write in `db.read()`: {statement.split()[0]}"
        instead = "`with db.transaction() as session:`"
        raise errors.ReadOnly(explain(text, called_at=here(), block_opened_at=block.opened, instead=instead))
    block.wrote = True


def _note_savepoint(block: Block, statement: str) -> None:
    """SQLAlchemy's own event for a new savepoint comes without its name."""
    match = _SAVEPOINT.match(statement)
    if match is None:
        return
    if match["undo"]:
        block.undone(match["name"])
    elif match["keep"]:
        block.kept(match["name"])
    else:
        block.saved(match["name"])


# What asyncpg says, and SQLAlchemy does not take for a lost connection, when the server's farewell has been read
# between two commands: asyncpg/protocol/coreproto.pyx, `_set_state` after `_parse_msg_error_response`.
_ASYNCPG_LOST = "cannot switch to state"


def handle_error(context: ExceptionContext) -> None:
    if context.dialect.driver == "asyncpg" and _ASYNCPG_LOST in str(context.original_exception):
        context.is_disconnect = True
    block = block_of(context.connection)
    if block is not None and not getattr(context, "is_pre_ping", False):
        block.fail(context.sqlalchemy_exception or context.original_exception, lost=context.is_disconnect)


# All are events of the dialect: those of an engine would cost each of its connections 30 µs, heard or not.
_HOOKS: dict[str, Callable[..., None]] = {
    "do_execute": do_execute,
    "do_executemany": do_executemany,
    "do_execute_no_params": do_execute_no_params,
    "handle_error": handle_error,
}


def install(engine: Engine) -> None:
    for name, hook in _HOOKS.items():
        if not event.contains(engine, name, hook):
            event.listen(engine, name, hook)


def uninstall(engine: Engine) -> None:
    for name, hook in _HOOKS.items():
        if event.contains(engine, name, hook):
            event.remove(engine, name, hook)
