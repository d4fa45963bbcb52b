"""`AsyncDatabase`: the asyncio twin of `Database`. What it does to a session, it does through the same functions."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar as PlainTypeVar, cast, overload

from sqlalchemy import URL, Engine, make_url, orm
from sqlalchemy.ext import asyncio as sa_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn
from typing_extensions import TypeVar

from hermetic.toolkit import ending, engines, errors, loading, parts, transactional
from hermetic.toolkit.async_session import AsyncSession, async_session_class
from hermetic.toolkit.block import READ, TRANSACTION, Block, Callback, Kind
from hermetic.toolkit.callbacks import call_async
from hermetic.toolkit.completion import to_completion
from hermetic.toolkit.core import Core, current_block, forget, leave_block, open_block
from hermetic.toolkit.places import here, owner
from hermetic.toolkit.session import Session, of
from hermetic.toolkit.transactional import AsyncTransactional

P = ParamSpec("P")
R = PlainTypeVar("R")
Instance = PlainTypeVar("Instance")
T = PlainTypeVar("T")
A = TypeVar("A", bound=sa_asyncio.AsyncSession, default=AsyncSession)


class AsyncDatabase(Generic[A]):
    """One database of this process for asyncio: `Database` with `async with`.

    ```python
    db = AsyncDatabase("postgresql+asyncpg://localhost/shop")

    async with db.transaction() as session:
        order = await session.lock(Order, order_id)
    ```

    Parameters are those of `Database`, and:
        session_class: a subclass of SQLAlchemy's AsyncSession.
        commit_wait: seconds that a cancelled task still waits for the answer to COMMIT, before CommitUnknown.

    It belongs to the event loop that uses it first; OtherLoop is raised on a second one.
    """

    def __init__(
        self,
        url_or_engine: str | URL | AsyncEngine,
        *,
        session_class: type[A] | None = None,
        name: str | None = None,
        replicas: Iterable[str | URL | AsyncEngine] = (),
        statement_timeout: float | None = 30,
        idle_in_transaction_timeout: float | None = 60,
        commit_wait: float = 10,
        **engine_options: Any,
    ) -> None:
        self.name = name
        self._commit_wait = commit_wait
        self._session_class: Callable[..., Any] = async_session_class(session_class or AsyncSession)

        def make(url: URL) -> Engine:
            made = create_async_engine(url, **engines.with_defaults(url, engine_options, is_async=True)).sync_engine
            engines.set_up_connections(made, statement=statement_timeout, idle=idle_in_transaction_timeout)
            engines.ping_rested(made, engine_options)
            return made

        sources = [_inner(source) for source in (url_or_engine, *replicas)]
        self._core, self._key = engines.set_up("AsyncDatabase", sources, make, name=name, options=engine_options)
        core = self._core
        # Sessions want the asynchronous face of an engine.
        self._faces = {id(each): AsyncEngine(each) for each in core.engines}

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the primary, for Alembic, `create_all` and SQLAlchemy Core."""
        return self._faces[id(self._core.engine)]

    def transaction(self, *, join: A | None = None, independent: bool = False) -> AbstractAsyncContextManager[A]:
        """See `Database.transaction`.

        A task that is cancelled while COMMIT is under way waits for its outcome, `commit_wait` seconds at most. Its
        CancelledError comes from CancelledAfterCommit if the transaction is committed; CommitUnknown is raised if the
        outcome does not come. `hermetic.committed(error)` tells them apart.
        """
        if join is not None:
            return _joined(self._core, join, reads=False)
        return _Scope(self, Kind(independent=True) if independent else TRANSACTION)

    def _scope(self, kind: Kind) -> _Scope[A]:
        """For what opens blocks in the name of others."""
        return _Scope(self, kind)

    @overload
    def transactional(
        self, function: Callable[Concatenate[A, P], Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def transactional(
        self, function: Callable[Concatenate[Instance, A, P], Coroutine[Any, Any, R]], /
    ) -> Callable[Concatenate[Instance, P], Coroutine[Any, Any, R]]: ...
    @overload
    def transactional(self, /, *, retry: int = 0, join: bool = False) -> AsyncTransactional[A]: ...

    def transactional(
        self, function: Callable[..., Any] | None = None, /, *, retry: int = 0, join: bool = False
    ) -> Any:
        """See `Database.transactional`; for coroutine functions. Raises TypeError for any other."""
        decorator = transactional.Async(self, retry=retry, join=join)
        return decorator if function is None else decorator(function)

    def read(
        self, *, join: A | None = None, independent: bool = False, primary: bool = False
    ) -> AbstractAsyncContextManager[A]:
        """See `Database.read`."""
        if join is not None:
            return _joined(self._core, join, reads=True)
        kind = Kind(reads=True, independent=independent, primary=primary) if independent or primary else READ
        return _Scope(self, kind)

    def savepoint(self, session: A) -> AbstractAsyncContextManager[A]:
        """See `Database.savepoint`."""
        return _savepoint(self._core, session)

    def released(self, session: A) -> AbstractAsyncContextManager[None]:
        """See `Database.released`."""
        return _released(self._core, session)

    async def detach(self, instance: object, *names: str) -> None:
        """See `Database.detach`."""
        loading.session_of(instance)
        session = sa_asyncio.async_object_session(instance)
        if session is not None:
            await _run(session, loading.detach, instance, names)

    def on_commit(self, function: Callable[[], Any]) -> None:
        """See `Database.on_commit`; the function may be a coroutine function."""
        current_block(self._core, "`db.on_commit()`").after_commit(function)

    def allow(self, session: A) -> None:
        """Lets other tasks use this session as well, one after the other: they wait for each other."""
        of(session)._block.shared = True
        cast(AsyncSession, session)._turn = asyncio.Lock()

    async def dispose(self) -> None:
        """See `Database.dispose`."""
        engines.end(self._core, self._key)
        for engine in self._core.owned:
            await AsyncEngine(engine).dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.dispose()


def _inner(source: str | URL | AsyncEngine) -> URL | Engine:
    return source.sync_engine if isinstance(source, AsyncEngine) else make_url(source)


async def _run(session: sa_asyncio.AsyncSession, function: Callable[..., T], *arguments: Any) -> T:
    """Calls what works on the synchronous session, where it can wait for the driver."""
    return await sa_asyncio.AsyncSession.run_sync(session, function, *arguments)


@asynccontextmanager
async def _joined(core: Core, session: A, *, reads: bool) -> AsyncIterator[A]:
    inner = parts.enter_joined(core, session, reads=reads)
    try:
        yield session
        if reads:
            parts.check_only_read(inner)
    except BaseException as error:
        parts.leave_joined(inner, error)
        raise
    parts.leave_joined(inner, None)


@asynccontextmanager
async def _savepoint(core: Core, session: A) -> AsyncIterator[A]:
    parts.own_session(core, session, "`db.savepoint()`")
    savepoint = await _run(session, Session.begin_nested)
    try:
        yield session
    except BaseException as error:
        await _run(session, parts.end_savepoint, savepoint, error)
        raise
    await _run(session, parts.end_savepoint, savepoint, None)


@asynccontextmanager
async def _released(core: Core, session: A) -> AsyncIterator[None]:
    parts.own_session(core, session, "`db.released()`")
    kept = await _run(session, parts.release)
    try:
        yield
    except BaseException as error:
        await _run(session, parts.resume, kept, error)
        raise
    await _run(session, parts.resume, kept, None)


class _Scope(Generic[A]):
    """What `transaction()` and `read()` give: a block of its own."""

    __slots__ = ("_database", "_kind", "_session", "may_run_again")

    def __init__(self, database: AsyncDatabase[A], kind: Kind) -> None:
        self._database, self._kind = database, kind
        self._session: A | None = None
        self.may_run_again = False

    async def __aenter__(self) -> A:
        kind, database = self._kind, self._database
        core = database._core
        block = open_block(core, kind)
        bind = core.reader(primary=kind.primary) if kind.reads else core.engine
        session: A = database._session_class(database._faces[id(bind)], block=block, **ending.STRICT)
        orm.Session.begin(session.sync_session)
        self._session = block.session = session
        return session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        session, self._session = self._session, None
        if session is None:
            return False
        block = of(session)._block
        block.leaving = here()
        try:
            if error is not None:
                await self._abort(session, block, error)
            else:
                await self._finish(session, block)
        finally:
            self.may_run_again = block.may_run_again
            forget(block)
        return False

    async def _abort(self, session: A, block: Block, error: BaseException) -> None:
        async def abort() -> None:
            # An operation that another task is in the middle of would keep its connection for ever.
            give_up = time.monotonic() + self._database._commit_wait
            while block.using is not None and time.monotonic() < give_up:
                await asyncio.sleep(0.005)
            await greenlet_spawn(ending.abort, of(session), error)

        _, cancelled = await to_completion(abort(), wait=self._database._commit_wait, may_stop=lambda: False)
        if cancelled is not None and not isinstance(error, asyncio.CancelledError):
            raise cancelled

    async def _finish(self, session: A, block: Block) -> None:
        if (running := block.using) is not None:
            overlap = block.overlap("the end of the block", owner(), running, block.leaving or here())
            await self._abort(session, block, overlap)
            raise overlap
        work = greenlet_spawn(ending.finish, session.sync_session)
        task, cancelled = await to_completion(
            work, wait=self._database._commit_wait, may_stop=lambda: not block.committing
        )
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is None:
            await self._succeed(task.result(), block, cancelled)
        elif isinstance(failure, asyncio.CancelledError) and block.commit_sent and not block.committed:
            raise ending.commit_unknown(block) from failure
        elif cancelled is not None and not isinstance(failure, errors.CommitUnknown):
            raise cancelled
        else:
            raise failure

    async def _succeed(
        self, callbacks: Sequence[Callback], block: Block, cancelled: asyncio.CancelledError | None
    ) -> None:
        if callbacks:
            await call_async(callbacks, block)
        if cancelled is not None and block.committed:
            text = "the task was cancelled during COMMIT; the transaction is committed"
            raise cancelled from errors.CancelledAfterCommit(text)
        if cancelled is not None:
            raise cancelled

    def __getattr__(self, name: str) -> Any:
        raise parts.no_session(name, "async with", reads=self._kind.reads)

    def __del__(self) -> None:
        if self._session is not None:
            block = of(self._session)._block
            leave_block(block)
            warnings.warn(parts.leaked(block), ResourceWarning, source=self, stacklevel=1)
