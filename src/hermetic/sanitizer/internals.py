"""What SQLAlchemy's objects and frames tell of what is going on, beyond its events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, NullPool
from sqlalchemy.orm import Session, SessionTransaction

from hermetic.sanitizer.ledger import Read
from hermetic.sanitizer.stacks import is_library

# Databases on which one failed statement makes the server refuse everything until a rollback.
# https://www.postgresql.org/docs/current/tutorial-transactions.html
ABORTING = frozenset({"postgresql", "cockroachdb", "redshift"})
# Files of those who show values to people, and catch what that raises.
SHOWING = (
    "/_pytest/_io/saferepr.py",
    "/_pytest/_code/code.py",
    "/_pytest/assertion/",
    "/traceback.py",
    "/pdb.py",
    "/pydevd",
    "/debugpy/",
    "/IPython/",
    "/rich/",
    "/sentry_sdk/",
)
WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE")


def writes(sql: str, context: Any) -> bool:
    """Does a statement change rows? What is written as text is known by its first word alone."""
    if context is None:
        return False
    if context.isinsert or context.isupdate or context.isdelete:
        return True
    return bool(context.is_text) and sql.lstrip()[:7].upper().startswith(WRITES)


def is_streaming(context: Any) -> bool:
    """Do the rows of a statement come later, as they are asked for?"""
    return context._is_server_side or bool(context.execution_options.get("yield_per"))


def isolation(connection: Any) -> str:
    """The isolation level that the program has asked for, as "SERIALIZABLE"; "" for the database's own."""
    asked = connection.get_execution_options().get("isolation_level") or connection.dialect._on_connect_isolation_level
    return str(asked or "").upper().replace("_", " ")


def aborts(connection: Any, cause: BaseException) -> bool:
    """Does a session refuse everything after this error of its driver's, until it is rolled back?

    What the driver itself refuses, as a value that it cannot send, never reaches the server; an error of the server's
    has a severity: `diag` is of psycopg, `severity` of the error that asyncpg raised, a dict of fields of pg8000.
    """
    if connection.invalidated:
        return True
    if connection.dialect.name not in ABORTING or isolation(connection) == "AUTOCOMMIT":
        return False
    if getattr(getattr(cause, "diag", None), "severity", None) or getattr(cause.__cause__, "severity", None):
        return True
    return bool(cause.args) and isinstance(cause.args[0], dict) and "S" in cause.args[0]


WROTE = "_hermetic_wrote"  # marks a savepoint inside of which a flush has succeeded


def has_flushed(session: Session) -> None:
    """Note that what a flush has written is undone with the innermost savepoint, if there is one."""
    savepoint = session.get_nested_transaction()
    if savepoint is not None:
        setattr(savepoint, WROTE, True)


def lost_quietly(savepoint: SessionTransaction) -> bool:
    """Has a flush failed since a savepoint, which undid another one that had succeeded before it?"""
    return not savepoint.is_active and getattr(savepoint, WROTE, False)


def computes_here(dialect: Any) -> bool:
    """Is the database a library that works in the thread which asks? What it takes is CPU time of that thread."""
    return dialect.name in ("sqlite", "duckdb") and not dialect.is_async


def keeps_connections(engine: Engine) -> bool:
    """Does an engine keep connections to a server or a file open when nobody uses them?"""
    if isinstance(engine.pool, NullPool):
        return False
    name = engine.url.database or ""
    is_in_memory = name in ("", ":memory:") or "mode=memory" in name or engine.url.query.get("mode") == "memory"
    return not (engine.dialect.name == "sqlite" and (is_in_memory or ":memory:" in name))


def made_through(frame: Any) -> tuple[bool, bool]:
    """Is a session being made by an AsyncSession, by a registry? The frames that make it are few and SQLAlchemy's."""
    is_async = in_registry = False
    for _ in range(8):
        if frame is None:
            break
        name = frame.f_code.co_filename.replace("\\", "/")
        is_async = is_async or name.endswith("sqlalchemy/ext/asyncio/session.py")
        in_registry = in_registry or name.endswith("/scoping.py")
        frame = frame.f_back
    return is_async, in_registry


def subject_of(frame: Any) -> SessionTransaction | None:
    """The transaction that SQLAlchemy's innermost frames work on."""
    for _ in range(8):
        if frame is None:
            return None
        subject = frame.f_locals.get("self")
        if isinstance(subject, SessionTransaction):
            return subject
        if isinstance(subject, Session):
            return subject.get_transaction()
        frame = frame.f_back
    return None


def what_was_read(frame: Any) -> Read:
    """What the frames of an error could not load.

    Reading one expired attribute loads them all, and loading may go through other instances, so the outermost of
    SQLAlchemy's frames is the one that says what was asked for.
    """
    state: Any = None
    session: Session | None = None
    names: tuple[str, ...] = ()
    package = ""
    for _ in range(200):  # MissingGreenlet is raised deep below the attribute, in the driver's adapter
        package = str(frame.f_globals.get("__name__", "")).split(".")[0] if frame is not None else ""
        if package not in ("sqlalchemy", "hermetic"):
            break
        variables = frame.f_locals
        if hasattr(variables.get("state"), "manager"):
            state, names = variables["state"], _names_in(variables) or names
        if isinstance(variables.get("self"), Session):
            session = variables["self"]
        frame = frame.f_back
    by = package if frame is not None and is_library(frame.f_code.co_filename) else ""
    return Read(state if names else None, names, session, by)


def is_shown(frame: Any) -> bool:
    """Does a debugger, a traceback or a failing assertion show an instance, whose `__repr__` reads what it cannot?"""
    for _ in range(200):
        if frame is None:
            return False
        code = frame.f_code
        if not is_library(code.co_filename):
            if code.co_name not in ("__repr__", "__str__"):
                return False
        elif any(part in code.co_filename.replace("\\", "/") for part in SHOWING):
            return True
        frame = frame.f_back
    return False


def _names_in(variables: dict[str, Any]) -> tuple[str, ...]:
    key = getattr(variables.get("self"), "key", None)
    if isinstance(key, str):
        return (key,)
    for name in ("attribute_names", "toload"):
        if variables.get(name):
            return tuple(sorted(str(each) for each in variables[name]))
    return ()
