"""What the toolkit learns from SQLAlchemy's events: failures, savepoints, writes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, Pool, event
from sqlalchemy.engine import ExceptionContext, ExecutionContext
from sqlalchemy.pool import ConnectionPoolEntry

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here

# In the `info` of a connection that is set to refuse writes: its dialect, which takes that back.
READ_ONLY = "_hermetic_read_only"

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


def hold(connection: Connection, block: Block) -> None:
    """The connection works for this block until it is closed, with its session."""
    connection._hermetic_block = block  # type: ignore[attr-defined]
    block.connection = connection


def block_of(connection: Connection | None) -> Block | None:
    return getattr(connection, "_hermetic_block", None)


# Returning None lets the dialect go on.
def do_execute(cursor: Any, statement: str, parameters: Any, context: ExecutionContext) -> None:
    block = block_of(context.root_connection)
    if block is not None:
        if statement.startswith(_SAVEPOINT_WORDS):
            _note_savepoint(block, statement)
        if not block.wrote and writes(statement):
            _note_write(block, statement)


do_executemany = do_execute


def do_execute_no_params(cursor: Any, statement: str, context: ExecutionContext) -> None:
    do_execute(cursor, statement, None, context)


def _note_write(block: Block, statement: str) -> None:
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


def checkin(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
    """The connection goes back to its pool: whoever has it next may write again."""
    dialect = record.info.pop(READ_ONLY, None)
    if dialect is not None and dbapi_connection is not None:
        try:
            _set_read_only(dialect, dbapi_connection, False)
        except Exception as error:  # of any driver: a connection that is lost, or still in the middle of something
            record.invalidate(error)


def refuse_writes(connection: Connection) -> None:
    """The server refuses what `do_execute` does not see: functions that write, statements past SQLAlchemy."""
    taken = connection.connection
    if connection.dialect.name in ("sqlite", "postgresql"):
        taken.info[READ_ONLY] = connection.dialect
        _set_read_only(connection.dialect, taken.dbapi_connection, True)


def _set_read_only(dialect: Any, dbapi_connection: Any, value: bool) -> None:
    """On PostgreSQL as `postgresql_readonly` does, without what execution options cost; it is sent with BEGIN."""
    if dialect.name == "postgresql":
        dialect.set_readonly(dbapi_connection, value)
    else:
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA query_only = {value:d}")
        cursor.close()


# All are events of the dialect: an engine's would cost each of its connections 30 µs, heard or not.
_HOOKS: dict[str, Callable[..., None]] = {
    "do_execute": do_execute,
    "do_executemany": do_executemany,
    "do_execute_no_params": do_execute_no_params,
    "handle_error": handle_error,
}


def install(engine: Engine) -> None:
    for name, hook in _HOOKS.items():
        if not _hears(engine.dialect, name, hook):
            event.listen(engine, name, hook)
    watch_returns(engine.pool)


def watch_returns(pool: Pool) -> None:
    if not _hears(pool, "checkin", checkin):
        event.listen(pool, "checkin", checkin)


def uninstall(engine: Engine) -> None:
    """What watches the pool stays: a connection may still be out."""
    for name, hook in _HOOKS.items():
        if _hears(engine.dialect, name, hook) and event.contains(engine, name, hook):
            event.remove(engine, name, hook)


def _hears(target: Any, name: str, hook: Callable[..., None]) -> bool:
    """Is the hook among the listeners? `event.contains` knows a target by its address, and goes on to know the address
    of a pool that is gone as long as the one that `dispose()` has put in its place is there."""
    return hook in getattr(target.dispatch, name)
