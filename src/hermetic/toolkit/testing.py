"""Tests that leave nothing behind: all that the application commits meanwhile is undone.

One connection stands in for the pool of a database's engine. It is in a transaction that is never committed; inside of
it, COMMIT is the end of a savepoint. So commits happen as far as the application can tell: `on_commit` runs, the next
block sees what was written, and so does whatever else uses the same engine, plain sessions of SQLAlchemy included.

Limits: there is one connection, which blocks wait for. Two that are open at once (`independent=True` inside of another
one, a test that keeps its own block open while the application works, concurrency) raise SQLAlchemy's TimeoutError, so
such tests need a database of their own. Isolation levels and read replicas are not in use. Sequences are not set back.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from sqlalchemy import Dialect, Engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from hermetic.toolkit import errors
from hermetic.toolkit.core import Core
from hermetic.toolkit.database import Database
from hermetic.toolkit.engines import is_memory
from hermetic.toolkit.errors import explain
from hermetic.toolkit.hooks import watch_returns
from hermetic.toolkit.places import here

if TYPE_CHECKING:
    from hermetic.toolkit.async_database import AsyncDatabase  # needs greenlet

# Seconds after which a block that finds the connection in use gives up: nobody in a test holds it for that long.
WAIT = 3

_SAVEPOINT = "hermetic_test"
_REPLACED = ("do_begin", "do_commit", "do_rollback")

# What COMMIT would have found out: constraints that are deferred. PostgreSQL is asked and then set back.
_POSTGRESQL_CHECK = (
    "SAVEPOINT hermetic_check",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "ROLLBACK TO SAVEPOINT hermetic_check",
    "RELEASE SAVEPOINT hermetic_check",
)


@overload
def rolled_back(database: Database[Any]) -> AbstractContextManager[None]: ...
@overload
def rolled_back(database: AsyncDatabase[Any]) -> AbstractAsyncContextManager[None]: ...


def rolled_back(
    database: Database[Any] | AsyncDatabase[Any],
) -> AbstractContextManager[None] | AbstractAsyncContextManager[None]:
    """A context in which all that is written to this database is undone at its end.

    ```python
    with rolled_back(db):  # `async with`, on the event loop that uses it, for an AsyncDatabase
        place_order(…)
    ```

    Removes SES006 and SES101 in disguise: code that a test can only undo by giving it a session that never commits.

    An AsyncDatabase may be used on another event loop each time. Raises DatabaseDisposed after `dispose()`; ValueError
    where it is rolled back already, and for an AsyncDatabase in memory, whose connection does not outlive a loop: make
    one for each test. RollbackLost is raised where the connection is asked for again after it was lost.
    """
    core = database._core
    core.check_open("`rolled_back()`")
    if "do_commit" in vars(core.engine.dialect):
        raise ValueError("this database is rolled back already")
    if isinstance(database, Database):
        return _rolled_back(core)
    if is_memory(core.engine.url):
        raise ValueError("an AsyncDatabase in memory has nothing to roll back to: make one for each test")
    return _rolled_back_async(core)


@contextmanager
def _rolled_back(core: Core) -> Iterator[None]:
    outer = _begin(core.engine)
    try:
        with _one_connection(core, outer):
            yield
    finally:
        _undo(outer)


@asynccontextmanager
async def _rolled_back_async(core: Core) -> AsyncIterator[None]:
    outer = await greenlet_spawn(_begin, core.engine)
    core.loop = None
    try:
        with _one_connection(core, outer):
            yield
    finally:
        core.loop = None
        await greenlet_spawn(_undo, outer)


@dataclass
class _Outer:
    """The connection, and how far it is: its transaction is the test's, a savepoint in it is the application's."""

    dialect: Dialect
    source: Pool
    fairy: PoolProxiedConnection
    memory: bool
    in_savepoint: bool = False
    taken: bool = False

    def take(self) -> Any:
        """Makes the connection of the pool that stands in. Raises RollbackLost for a second one."""
        if self.taken:
            text = "the connection that a test's writes were to be undone on is gone, and what was written with it"
            instead = "tests that lose connections, or dispose of the database, need a database of their own"
            raise errors.RollbackLost(explain(text, called_at=here(), instead=instead))
        self.taken = True
        return self.fairy.dbapi_connection

    def begin(self, connection: PoolProxiedConnection) -> None:
        _execute(connection, f"SAVEPOINT {_SAVEPOINT}")
        self.in_savepoint = True

    def commit(self, connection: PoolProxiedConnection) -> None:
        if not self.in_savepoint:
            return
        try:
            _check_deferred(self.dialect, connection)
            _execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
        except BaseException:
            self.roll_back(connection)  # as a COMMIT that fails does
            raise
        self.in_savepoint = False

    def roll_back(self, connection: PoolProxiedConnection) -> None:
        if self.in_savepoint:
            _execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}", f"RELEASE SAVEPOINT {_SAVEPOINT}")
            self.in_savepoint = False


def _begin(engine: Engine) -> _Outer:
    memory = is_memory(engine.url)
    # A fresh pool: what waits in the old one may belong to an event loop that has ended.
    source = engine.pool if memory else engine.pool.recreate()
    fairy = source.connect()
    engine.dialect.do_begin(fairy)
    if engine.dialect.name == "sqlite":
        _execute(fairy, "BEGIN IMMEDIATE")
    return _Outer(engine.dialect, source, fairy, memory)


def _undo(outer: _Outer) -> None:
    try:
        outer.dialect.do_rollback(outer.fairy)
    except Exception:  # of any driver: the connection is lost, and with it all that is to be undone
        outer.fairy.invalidate()
    outer.fairy.close()
    if not outer.memory:
        outer.source.dispose()


@contextmanager
def _one_connection(core: Core, outer: _Outer) -> Iterator[None]:
    engine, dialect = core.engine, core.engine.dialect
    pool, replicas = engine.pool, core.replicas
    pool_class = AsyncAdaptedQueuePool if core.is_async else QueuePool
    engine.pool = pool_class(
        outer.take, pool_size=1, max_overflow=0, timeout=WAIT, reset_on_return=None, dialect=dialect
    )
    watch_returns(engine.pool)
    core.replicas, core.in_one_transaction = (), True
    vars(dialect).update(zip(_REPLACED, (outer.begin, outer.commit, outer.roll_back), strict=True))
    try:
        yield
    finally:
        for name in _REPLACED:
            del vars(dialect)[name]
        engine.pool, core.replicas, core.in_one_transaction = pool, replicas, False


def _check_deferred(dialect: Dialect, connection: PoolProxiedConnection) -> None:
    if dialect.name == "postgresql":
        _execute(connection, *_POSTGRESQL_CHECK)
    elif dialect.name == "sqlite":
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA foreign_key_check")
            if cursor.fetchone() is not None:
                raise dialect.loaded_dbapi.IntegrityError("FOREIGN KEY constraint failed")


def _execute(connection: PoolProxiedConnection, *statements: str) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
