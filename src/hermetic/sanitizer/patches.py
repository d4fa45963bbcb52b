"""Every place where SQLAlchemy is patched, because no event of its own tells the moment.

Each patch calls the original with what it was called with and returns or raises what the original does; what the watch
does beside it goes through `quietly`, which swallows and counts its errors. `remove` puts every original back.
Each line says what is missing otherwise.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hermetic.sanitizer.clock import perf_counter

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes

Make = Callable[["Probes", Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Patch:
    """A method or a module's function by owner and name, and what makes its replacement from the original."""

    owner: Any
    name: str
    make: Make


def install(probes: Probes, patches: tuple[Patch, ...]) -> Callable[[], None]:
    """Put replacements in. Returns what takes them out again, unless somebody else has patched on top since."""
    done: list[tuple[Patch, Any, Any]] = []
    for patch in patches:
        own = vars(patch.owner).get(patch.name)  # a function or a classmethod; None where it is inherited
        original = own.__func__ if isinstance(own, classmethod) else getattr(patch.owner, patch.name)
        replacement: Any = functools.wraps(original)(patch.make(probes, original))
        if isinstance(own, classmethod):
            replacement = classmethod(replacement)
        setattr(patch.owner, patch.name, replacement)
        done.append((patch, own, replacement))

    def remove() -> None:
        for patch, own, replacement in reversed(done):
            if vars(patch.owner).get(patch.name) is not replacement:
                continue
            if own is not None:
                setattr(patch.owner, patch.name, own)
            else:
                delattr(patch.owner, patch.name)

    return remove


def _session_init(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        probes.made(self)

    return __init__


def _session_close(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> None:
        probes.closing(self)
        try:
            original(self)
        finally:
            probes.closed(self)

    return close


def _async_exit(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # AsyncSession's and its maker's `__aexit__` close in a new task, whose stack names nobody.
    async def __aexit__(self: Any, type_: Any, value: Any, traceback: Any) -> Any:
        probes.leaving(getattr(self, "async_session", self), type_ is not None)
        return await original(self, type_, value, traceback)

    return __aexit__


def _async_close(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # The greenlet that closes sees no exception that is in flight around it.
    async def close(self: Any) -> None:
        probes.leaving(self, sys.exc_info()[0] is not None)
        await original(self)

    return close


def _statement(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    watching = probes.statements

    def _exec_context(self: Any, dialect: Any, context: Any, *args: Any) -> Any:
        if not self._allow_autobegin:  # SQLAlchemy itself looks at a server that it does not know yet
            return original(self, dialect, context, *args)
        record = watching.begins(self, context)
        since = perf_counter()
        answer = None
        try:
            answer = original(self, dialect, context, *args)
            return answer
        finally:
            watching.ends(record, since, context, answer)

    return _exec_context


# What `Connection._exec_single_context` takes in SQLAlchemy 2.0 and 2.1.
SINGLE = ("self", "dialect", "context", "statement", "parameters")


def _single_statement(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # The same with each argument named: the interpreter goes on in the frame that it has, and not in another loop.
    code = getattr(original, "__code__", None)  # none if somebody else has put an object in its place
    if code is None or code.co_varnames[: code.co_argcount] != SINGLE:
        return _statement(probes, original)
    watching = probes.statements

    def _exec_single_context(self: Any, dialect: Any, context: Any, statement: Any, parameters: Any) -> Any:
        if not self._allow_autobegin:
            return original(self, dialect, context, statement, parameters)
        record = watching.begins(self, context)
        since = perf_counter()
        answer = None
        try:
            answer = original(self, dialect, context, statement, parameters)
            return answer
        finally:
            watching.ends(record, since, context, answer)

    return _exec_single_context


def _asking(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # A driver may take its time before the cursor is there.
    watching: Any = probes.statements

    def create_cursor(self: Any) -> Any:
        watching.asked(self.root_connection)
        return original(self)

    return create_cursor


def _rolling_back(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    watching: Any = probes.statements

    def _rollback_impl(self: Any) -> Any:
        watching.rolls_back(self)
        return original(self)

    return _rollback_impl


def _failing(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # The event `handle_error` comes before a cursor is closed or a connection given up, for which a driver may wait
    # until the server has done what nobody wants any more; and a listener makes each statement look for others.
    def _handle_dbapi_exception(self: Any, error: Any, *args: Any, **kwargs: Any) -> Any:
        if self._reentrant_error:
            return original(self, error, *args, **kwargs)
        try:
            return original(self, error, *args, **kwargs)
        except BaseException as raised:
            probes.database_failed(self, error, raised)
            raise

    return _handle_dbapi_exception


def _cursor_close(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # No event tells that the last row of a statement has come.
    watching: Any = probes.statements

    def _safe_close_cursor(self: Any, cursor: Any) -> None:
        original(self, cursor)
        watching.cursor_closed(self, cursor)

    return _safe_close_cursor


def _modified(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # Sessions have no event for an assignment, and attributes have one each.
    def _modified_event(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        probes.modified(self)

    return _modified_event


def _transaction_exit(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # A failure swallowed inside `with session.begin()` ends the block without a word.
    def __exit__(self: Any, type_: Any, value: Any, traceback: Any) -> Any:
        if type_ is None:
            probes.left_quietly(self)
        return original(self, type_, value, traceback)

    return __exit__


def _refusal(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # PendingRollbackError comes before any cursor event.
    def _raise_for_prerequisite_state(self: Any, operation_name: str, state: Any) -> Any:
        try:
            return original(self, operation_name, state)
        except Exception as error:
            probes.refused(self.session, operation_name, state.name, error)
            raise

    return _raise_for_prerequisite_state


def _invalid(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # After a cancelled statement or a lost connection it is the connection that refuses, not the session.
    def _invalid_transaction(self: Any) -> Any:
        try:
            return original(self)
        except Exception as error:
            probes.invalid(self, error)
            raise

    return _invalid_transaction


def _ending(doing: str) -> Make:
    # Between a commit's last statement and the answer to COMMIT no cursor is in use.
    def make(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
        def end(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._parent is not None:
                return original(self, *args, **kwargs)
            entered = probes.ending(self.session, doing)
            try:
                return original(self, *args, **kwargs)
            finally:
                if entered:
                    probes.worked(self.session)

        return end

    return make


def _flush(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # "Session is already flushing" comes before `before_flush`.
    def flush(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._flushing:  # almost always
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            probes.refused(self, "flush", "FLUSHING", error)
            raise

    return flush


def _flushing(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # Between its statements a flush uses no cursor; no event tells that it failed.
    def _flush(self: Any, *args: Any, **kwargs: Any) -> Any:
        entered = probes.flushes(self)
        try:
            return original(self, *args, **kwargs)
        finally:
            if entered:
                probes.worked(self)

    return _flush


def create_task(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    """In `gather(session.execute(...))` no frame of a task is the application's."""

    def create(self: Any, coro: Any, *args: Any, **kwargs: Any) -> Any:
        probes.spawning(coro)
        return original(self, coro, *args, **kwargs)

    return create


def _provisioning(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # While the first connection is made, a second operation is refused without naming the first.
    def _connection_for_bind(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._connections:
            return original(self, *args, **kwargs)
        entered = probes.provisioning(self)
        try:
            return original(self, *args, **kwargs)
        finally:
            if entered:
                probes.provisioned(self)

    return _connection_for_bind


def _engine_created(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # Not `Engine.__init__`: create_engine reads the names of its arguments off the code of that function.
    def engine_created(cls: Any, engine: Any) -> None:
        original(cls, engine)
        probes.pools.engine_made(engine)

    return engine_created


def _engine_dispose(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def dispose(self: Any, *args: Any, **kwargs: Any) -> Any:
        probes.pools.engine_disposed(self)
        return original(self, *args, **kwargs)

    return dispose


def _pool_get(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # `handle_error` does not fire for the pool's time-out.
    def _do_get(self: Any) -> Any:
        try:
            return original(self)
        except Exception as error:
            probes.pools.pool_failed(self, error)
            raise

    return _do_get


def _expunge(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # The event `persistent_to_detached` also comes for each instance of a session that is closed.
    def expunge(self: Any, instance: Any) -> None:
        original(self, instance)
        probes.expunged(self, instance)

    return expunge


def _unreadable(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # These errors name neither the class nor the attribute; the frames that raise them know both.
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        probes.unreadable(self)

    return __init__


def _overlap(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        probes.overlap_refused(self)

    return __init__


def sessions() -> tuple[Patch, ...]:
    """What every mode needs."""
    from sqlalchemy.orm import Session

    return (Patch(Session, "__init__", _session_init),)


def closing() -> tuple[Patch, ...]:
    """Where sessions are closed, on the application's own stack."""
    from sqlalchemy.orm import Session

    return (Patch(Session, "close", _session_close), Patch(Session, "reset", _session_close), *_async_closing())


def _async_closing() -> tuple[Patch, ...]:
    """Nothing where greenlet is not installed: SQLAlchemy's asyncio half cannot be imported there."""
    if find_spec("greenlet") is None:
        return ()
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.ext.asyncio.session import _AsyncSessionContextManager

    return (
        Patch(AsyncSession, "close", _async_close),
        Patch(AsyncSession, "reset", _async_close),
        Patch(AsyncSession, "__aexit__", _async_exit),
        Patch(_AsyncSessionContextManager, "__aexit__", _async_exit),
    )


def of_statements() -> tuple[Patch, ...]:
    """`Connection._cursor_execute`, which asks for the next number of a sequence, is left out: the statement that needs
    the number follows at once."""
    from sqlalchemy.engine import Connection

    return (
        Patch(Connection, "_exec_single_context", _single_statement),
        Patch(Connection, "_exec_insertmany_context", _statement),
    )


def around_statements() -> tuple[Patch, ...]:
    """What comes before a statement, rows that come long after it, and the rollback of a connection."""
    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.default import DefaultExecutionContext

    return (
        Patch(DefaultExecutionContext, "create_cursor", _asking),
        Patch(Connection, "_safe_close_cursor", _cursor_close),
        Patch(Connection, "_rollback_impl", _rolling_back),
    )


def changes() -> tuple[Patch, ...]:
    """Assignments to attributes of instances."""
    from sqlalchemy.orm import InstanceState

    return (Patch(InstanceState, "_modified_event", _modified),)


def failures() -> tuple[Patch, ...]:
    """Refusals of a session or its connection, and blocks that end quietly after one."""
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import SessionTransaction

    return (
        Patch(SessionTransaction, "_raise_for_prerequisite_state", _refusal),
        Patch(SessionTransaction, "__exit__", _transaction_exit),
        Patch(Connection, "_invalid_transaction", _invalid),
    )


def database_failures() -> tuple[Patch, ...]:
    """What a database, or the driver, answers with an error."""
    from sqlalchemy.engine import Connection

    return (Patch(Connection, "_handle_dbapi_exception", _failing),)


def overlaps() -> tuple[Patch, ...]:
    """Two operations of one session at once: what no cursor event tells, and where SQLAlchemy refuses the second."""
    from asyncio import BaseEventLoop

    from sqlalchemy.exc import IllegalStateChangeError
    from sqlalchemy.orm import Session, SessionTransaction

    return (
        Patch(SessionTransaction, "_connection_for_bind", _provisioning),
        Patch(IllegalStateChangeError, "__init__", _overlap),
        Patch(SessionTransaction, "commit", _ending("commit")),
        Patch(SessionTransaction, "rollback", _ending("rollback")),
        Patch(Session, "flush", _flush),
        Patch(Session, "_flush", _flushing),
        Patch(BaseEventLoop, "create_task", create_task),
    )


def engines() -> tuple[Patch, ...]:
    """No event tells that an engine is made or disposed."""
    from sqlalchemy.engine import Dialect, Engine

    return Patch(Dialect, "engine_created", _engine_created), Patch(Engine, "dispose", _engine_dispose)


def pools() -> tuple[Patch, ...]:
    """A pool that has nothing to give."""
    from sqlalchemy.pool import QueuePool

    return (Patch(QueuePool, "_do_get", _pool_get),)


def reads() -> tuple[Patch, ...]:
    """Attributes that cannot be loaded any more."""
    from sqlalchemy.exc import MissingGreenlet
    from sqlalchemy.orm import Session
    from sqlalchemy.orm.exc import DetachedInstanceError

    return (
        Patch(Session, "expunge", _expunge),
        Patch(DetachedInstanceError, "__init__", _unreadable),
        Patch(MissingGreenlet, "__init__", _unreadable),
    )
