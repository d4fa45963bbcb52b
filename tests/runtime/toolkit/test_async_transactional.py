"""`@db.transactional` on coroutine functions, and tasks that are cancelled around COMMIT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
import pytest_asyncio
from sqlalchemy import event, func, select

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from runtime.models import Account, User
from runtime.toolkit.servers import kill, killed_at_commit, make_commits_slow


@pytest_asyncio.fixture
async def strict(postgres_async_url: str) -> AsyncIterator[AsyncDatabase]:
    """A serializable PostgreSQL, with one account of 100."""
    async with AsyncDatabase(postgres_async_url, isolation_level="SERIALIZABLE") as database:
        async with database.transaction() as session:
            session.add(Account(balance=100))
        yield database


@pytest_asyncio.fixture
async def slow(postgres_async_url: str) -> AsyncIterator[AsyncDatabase]:
    """A PostgreSQL that takes 0.4 seconds to commit a new user."""
    make_commits_slow(postgres_async_url, 0.4)
    async with AsyncDatabase(postgres_async_url) as database:
        yield database


async def balance(db: AsyncDatabase) -> int:
    async with db.read() as session:
        return (await session.get_one(Account, 1)).balance


async def names(db: AsyncDatabase) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(select(User.name)))


async def test_the_session_comes_first_or_after_self(adb: AsyncDatabase) -> None:
    @adb.transactional
    async def add(session: AsyncSession, name: str) -> str:
        session.add(User(name=name))
        return name

    class Service:
        @adb.transactional(retry=1)
        async def add(self, session: AsyncSession, name: str) -> None:
            session.add(User(name=name))

    assert await add("Ada") == "Ada"
    await Service().add("Bob")
    assert sorted(await names(adb)) == ["Ada", "Bob"]


async def test_a_plain_function_is_refused(adb: AsyncDatabase) -> None:
    def add(session: AsyncSession) -> None: ...

    with pytest.raises(TypeError, match="no coroutine function"):
        adb.transactional(add)  # type: ignore[arg-type]


async def test_a_call_inside_of_a_block_joins_it(adb: AsyncDatabase) -> None:
    @adb.transactional(join=True)
    async def add(session: AsyncSession) -> AsyncSession:
        return session

    async with adb.transaction() as session:
        assert await add() is session


async def test_a_serialization_failure_runs_again(strict: AsyncDatabase) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=2)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        account = await session.get_one(Account, 1)
        if len(attempts) == 1:
            async with strict.transaction(independent=True) as other:
                (await other.get_one(Account, 1)).balance -= 10
        account.balance -= 1

    await take()

    assert (len(attempts), await balance(strict)) == (2, 89)


async def test_a_lost_connection_runs_again(strict: AsyncDatabase, postgres_async_url: str) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=1)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            process = (await session.execute(select(func.pg_backend_pid()))).scalar_one()
            await asyncio.to_thread(kill, postgres_async_url, process)
        (await session.lock(Account, 1)).balance -= 1

    await take()

    assert (len(attempts), await balance(strict)) == (2, 99)


async def test_a_connection_lost_during_commit_is_never_retried(strict: AsyncDatabase, postgres_async_url: str) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        (await session.lock(Account, 1)).balance -= 1

    with killed_at_commit(strict.engine.sync_engine, postgres_async_url) as killed:
        with pytest.raises(errors.CommitUnknown):
            await take()

    assert (len(attempts), len(killed)) == (1, 1)


async def test_a_cancelled_task_waits_for_commit(slow: AsyncDatabase) -> None:
    heard: list[str] = []

    async def add() -> None:
        async with slow.transaction() as session:
            session.add(User(name="Ada"))
            session.on_commit(lambda: heard.append("committed"))

    task = asyncio.create_task(add())
    await asyncio.sleep(0.25)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task

    assert errors.committed(raised.value) is True
    assert (heard, await names(slow)) == (["committed"], ["Ada"])
    assert slow.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_time_out_during_commit_says_that_it_is_committed(slow: AsyncDatabase) -> None:
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.25):
            async with slow.transaction() as session:
                session.add(User(name="Ada"))

    assert errors.committed(raised.value) is True
    assert await names(slow) == ["Ada"]


def test_a_time_out_without_a_cause_says_so_too() -> None:
    cancelled = asyncio.CancelledError()
    cancelled.__cause__ = errors.CancelledAfterCommit("during COMMIT")
    with pytest.raises(TimeoutError) as raised:
        try:
            raise cancelled
        except asyncio.CancelledError:
            raise TimeoutError  # noqa: B904 - as Python 3.11.2 does

    assert errors.committed(raised.value) is True


async def test_anyio_cancels_again_and_again(slow: AsyncDatabase) -> None:
    with anyio.move_on_after(0.25) as scope:
        async with slow.transaction() as session:
            session.add(User(name="Ada"))

    assert scope.cancelled_caught
    assert await names(slow) == ["Ada"]
    assert slow.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_waiting_for_commit_has_an_end(postgres_async_url: str) -> None:
    make_commits_slow(postgres_async_url, 3)
    async with AsyncDatabase(postgres_async_url, commit_wait=0.1) as db:

        async def add() -> None:
            async with db.transaction() as session:
                session.add(User(name="Ada"))

        task = asyncio.create_task(add())
        await asyncio.sleep(0.25)
        task.cancel()
        with pytest.raises(errors.CommitUnknown) as raised:
            await asyncio.wait_for(task, 2)
        assert errors.committed(raised.value) is None
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_task_that_is_cancelled_before_commit_applies_nothing(slow: AsyncDatabase) -> None:
    async def add() -> None:
        async with slow.transaction() as session:
            session.add(User(name="Ada"))
            await session.flush()
            await asyncio.sleep(5)

    task = asyncio.create_task(add())
    await asyncio.sleep(0.25)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task

    assert errors.committed(raised.value) is False
    assert await names(slow) == []
    assert slow.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_connection_that_cannot_be_made_yet_runs_again(postgres_async_url: str) -> None:
    attempts: list[int] = []
    async with AsyncDatabase(postgres_async_url) as db:
        engine = db.engine.sync_engine

        def refuse(*_: object) -> None:
            event.remove(engine, "do_connect", refuse)
            raise engine.dialect.loaded_dbapi.OperationalError("the server is starting up")

        event.listen(engine, "do_connect", refuse)

        @db.transactional(retry=1)
        async def add(session: AsyncSession) -> None:
            attempts.append(1)
            await session.execute(select(User))

        await add()

    assert len(attempts) == 2
