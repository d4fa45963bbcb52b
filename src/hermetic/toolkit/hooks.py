"""What the toolkit learns from SQLAlchemy's events: failures, savepoints, writes, when COMMIT is sent."""

from __future__ import annotations

import functools
import re
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

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


def before_cursor_execute(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
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


def commit(connection: Connection) -> None:
    if (block := block_of(connection)) is not None and block.released is None:
        block.commit_sent = True


_HOOKS = (before_cursor_execute, handle_error, commit)


def install(engine: Engine) -> None:
    for hook in _HOOKS:
        if not event.contains(engine, hook.__name__, hook):
            event.listen(engine, hook.__name__, hook)


def uninstall(engine: Engine) -> None:
    for hook in _HOOKS:
        if event.contains(engine, hook.__name__, hook):
            event.remove(engine, hook.__name__, hook)
