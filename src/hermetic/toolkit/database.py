"""`Database`: one engine, and blocks that cannot leak, split, go stale or swallow a failure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar as PlainTypeVar, cast, overload

from sqlalchemy import URL, Engine, create_engine, make_url, orm
from typing_extensions import TypeVar

from hermetic.toolkit import ending, engines, loading, parts, transactional
from hermetic.toolkit.block import READ, TRANSACTION, Kind
from hermetic.toolkit.callbacks import call
from hermetic.toolkit.core import Core, current_block, open_block
from hermetic.toolkit.places import here
from hermetic.toolkit.session import Session, of, session_class as made_class
from hermetic.toolkit.transactional import Transactional

P = ParamSpec("P")
R = PlainTypeVar("R")
Instance = PlainTypeVar("Instance")
S = TypeVar("S", bound=orm.Session, default=Session)


class Database(Generic[S]):
    """One database of this process: its engine, made once, and the blocks in which it is used.

    ```python
    db = Database("postgresql+psycopg://localhost/shop")

    with db.transaction() as session:
        session.add(Order(…))
    ```

    Parameters:
        url_or_engine: what `create_engine` takes, or an engine that exists; that one keeps its options and stays in use
            wherever else it is used.
        name: tells several databases for one URL apart.
        replicas: URLs or engines that `read()` takes turns on.
        session_class: a subclass of SQLAlchemy's Session that sessions shall have, such as SQLModel's.
        statement_timeout: seconds after which the server gives up a statement (PostgreSQL); None for its own setting.
        idle_in_transaction_timeout: seconds after which it ends a transaction in which nothing happens (PostgreSQL).
        allow_on_loop: lets it be used where an event loop runs, which it blocks. For notebooks.
        engine_options: what `create_engine` takes; `engines.POOL` has the defaults. Connections that have rested for
            half a second are pinged, with `pool_pre_ping=True` all. SQLite gets foreign keys, write-ahead logging and,
            in memory, one connection that all blocks wait for.

    Raises DatabaseExists if this process has one for the URL and the name (removes SES007). `dispose()` frees them.
    """

    def __init__(
        self,
        url_or_engine: str | URL | Engine,
        *,
        session_class: type[S] | None = None,
        name: str | None = None,
        replicas: Iterable[str | URL | Engine] = (),
        statement_timeout: float | None = 30,
        idle_in_transaction_timeout: float | None = 60,
        allow_on_loop: bool = False,
        **engine_options: Any,
    ) -> None:
        self.name = name
        self._session_class: Callable[..., Any] = made_class(session_class or Session)

        def make(url: URL) -> Engine:
            engine = create_engine(url, **engines.with_defaults(url, engine_options, is_async=False))
            engines.set_up_connections(engine, statement=statement_timeout, idle=idle_in_transaction_timeout)
            engines.ping_rested(engine, engine_options)
            return engine

        sources = [source if isinstance(source, Engine) else make_url(source) for source in (url_or_engine, *replicas)]
        self._core, self._key = engines.set_up(
            "Database", sources, make, name=name, options=engine_options, allow_on_loop=allow_on_loop
        )

    @property
    def engine(self) -> Engine:
        """The engine of the primary, for Alembic, `create_all` and SQLAlchemy Core."""
        return self._core.engine

    def transaction(self, *, join: S | None = None, independent: bool = False) -> AbstractContextManager[S]:
        """A block that commits at its end, or rolls back when an error leaves it (removes SES001, SES003, SES006).

        Parameters:
            join: the session of an open block: work in its transaction. It commits or rolls back as a whole.
            independent: a transaction of its own although one is open around it; both need a connection.

        Raises NestedBlock or InheritedBlock where one is open around it and neither is given; OnEventLoop where an
        event loop runs (removes SES004). Its end raises SwallowedFailure, CommitUnknown, CallbackFailed, or what the
        database says.
        """
        if join is not None:
            return _joined(self._core, join, reads=False)
        return _Scope(self, Kind(independent=True) if independent else TRANSACTION)

    def _scope(self, kind: Kind) -> _Scope[S]:
        """For what opens blocks in the name of others."""
        return _Scope(self, kind)

    @overload
    def transactional(self, function: Callable[Concatenate[S, P], R], /) -> Callable[P, R]: ...
    @overload
    def transactional(
        self, function: Callable[Concatenate[Instance, S, P], R], /
    ) -> Callable[Concatenate[Instance, P], R]: ...
    @overload
    def transactional(self, /, *, retry: int = 0, join: bool = False) -> Transactional[S]: ...

    def transactional(
        self, function: Callable[..., Any] | None = None, /, *, retry: int = 0, join: bool = False
    ) -> Any:
        """Makes a function a transaction. It gets the session as its first argument, after `self` or `cls`.

        ```python
        @db.transactional(retry=3)
        def transfer(session: Session, source: int, target: int, amount: int) -> None: ...

        transfer(1, 2, 100)
        ```

        Parameters:
            retry: how often the whole function runs again after a serialization failure, a deadlock or a lost
                connection, with a session of its own each time; callbacks of failed attempts are dropped. It never does
                once COMMIT may have been applied (CommitUnknown), after `released()`, in a joined block, nor for an
                error of a callback. Needs tenacity, of the extra `toolkit`.
            join: work in the block that is open around the call, if there is one.

        Raises TypeError for a coroutine or generator function; calls raise as `transaction()`.
        """
        decorator = transactional.Sync(self, retry=retry, join=join)
        return decorator if function is None else decorator(function)

    def read(
        self, *, join: S | None = None, independent: bool = False, primary: bool = False
    ) -> AbstractContextManager[S]:
        """A block that only reads. What it has loaded stays readable afterwards (removes SES005).

        Parameters:
            join, independent: as in `transaction()`.
            primary: read from the primary though there are replicas, which may lag behind it.

        Raises as `transaction()`; ReadOnly for a write, ChangesDropped if there are changes at its end.
        """
        if join is not None:
            return _joined(self._core, join, reads=True)
        kind = Kind(reads=True, independent=independent, primary=primary) if independent or primary else READ
        return _Scope(self, kind)

    def savepoint(self, session: S) -> AbstractContextManager[S]:
        """A part of a block that is undone alone when an error leaves it; the rest of the block goes on.

        Raises SwallowedFailure at its end, as `transaction()`.
        """
        return _savepoint(self._core, session)

    def released(self, session: S) -> AbstractContextManager[None]:
        """Gives the connection back for slow work in the middle of a block (removes SES008 and SES102).

        Ends the transaction, in which nothing may have been written; begins another one afterwards, and reads anew
        everything that is still referenced. Decide after it, on what you read then.

        Raises CannotRelease if something was written or is about to be, or inside of a joined block or a savepoint;
        Released for work on the session meanwhile; RowGone if a row was deleted meanwhile.
        """
        return _released(self._core, session)

    def detach(self, instance: object, *names: str) -> None:
        """Takes an instance out of its block, with the attributes and relationships of these names loaded.

        Names may be dotted, `"posts.comments"`. Every other attribute that is not loaded raises NotLoaded when it is
        read, and says which name was missing (removes SES005). Pending changes of the block are written first.

        Raises NoBlock if the instance is in no open block.
        """
        loading.detach(loading.session_of(instance), instance, names)

    def on_commit(self, function: Callable[[], Any]) -> None:
        """`session.on_commit(function)` for the block around this code. Raises NoBlock, InheritedBlock, ReadOnly."""
        current_block(self._core, "`db.on_commit()`").after_commit(function)

    def allow(self, session: S) -> None:
        """Lets other threads use this session as well, one after the other: they wait for each other."""
        of(session)._block.shared = True

    def dispose(self) -> None:
        """Closes the pools that were made here, and frees URL and name. Every later use raises DatabaseDisposed."""
        engines.end(self._core, self._key)
        for engine in self._core.owned:
            engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.dispose()


@contextmanager
def _joined(core: Core, session: S, *, reads: bool) -> Iterator[S]:
    inner = parts.enter_joined(core, session, reads=reads)
    try:
        yield session
        if reads:
            parts.check_only_read(inner)
    except BaseException as error:
        parts.leave_joined(inner, error)
        raise
    parts.leave_joined(inner, None)


@contextmanager
def _savepoint(core: Core, session: S) -> Iterator[S]:
    inner = parts.own_session(core, session, "`db.savepoint()`")
    savepoint = inner.begin_nested()
    try:
        yield session
    except BaseException as error:
        parts.end_savepoint(inner, savepoint, error)
        raise
    parts.end_savepoint(inner, savepoint, None)


@contextmanager
def _released(core: Core, session: S) -> Iterator[None]:
    inner = parts.own_session(core, session, "`db.released()`")
    kept = parts.release(inner)
    try:
        yield
    except BaseException as error:
        parts.resume(inner, kept, error)
        raise
    parts.resume(inner, kept, None)


class _Scope(Generic[S]):
    """What `transaction()` and `read()` give: a block of its own."""

    __slots__ = ("_database", "_kind", "_session", "may_run_again")

    def __init__(self, database: Database[S], kind: Kind) -> None:
        self._database, self._kind = database, kind
        self._session: Session | None = None
        self.may_run_again = False

    def __enter__(self) -> S:
        kind, core = self._kind, self._database._core
        block = open_block(core, kind)
        bind = core.reader(primary=kind.primary) if kind.reads else core.engine
        session: Session = self._database._session_class(bind, block=block, **ending.STRICT)
        orm.Session.begin(session)
        self._session = block.session = session
        return cast(S, session)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        session, self._session = self._session, None
        if session is None:
            return False
        block = session._block
        block.leaving = here()
        if error is not None:
            ending.abort(session, error)
            self.may_run_again = block.may_run_again
            return False
        try:
            callbacks = ending.finish(session)
        except BaseException:
            self.may_run_again = block.may_run_again
            raise
        if callbacks:
            call(callbacks, block)
        return False

    def __getattr__(self, name: str) -> Any:
        raise parts.no_session(name, "with", reads=self._kind.reads)

    def __del__(self) -> None:
        if self._session is not None:
            block = self._session._block
            ending.abort(self._session, GeneratorExit())
            warnings.warn(parts.leaked(block), ResourceWarning, source=self, stacklevel=1)
