"""When a coroutine function runs again, and when it must not; and replicas of an AsyncDatabase."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, exc as sa_exc, orm, select

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from runtime.models import Account, Base, User


@pytest_asyncio.fixture
async def strict(postgres_async_url: str) -> AsyncIterator[AsyncDatabase]:
    """A serializable PostgreSQL, with two accounts of 100."""
    async with AsyncDatabase(postgres_async_url, isolation_level="SERIALIZABLE") as database:
        async with database.transaction() as session:
            session.add_all([Account(balance=100), Account(balance=100)])
        yield database


async def collide(db: AsyncDatabase, session: AsyncSession) -> None:
    """Changes an account that somebody else has changed meanwhile."""
    account = await session.get_one(Account, 1)
    async with db.transaction(independent=True) as other:
        (await other.get_one(Account, 1)).balance -= 10
    account.balance -= 1
    await session.flush()


async def balances(db: AsyncDatabase) -> list[int]:
    async with db.read() as session:
        return list(await session.scalars(select(Account.balance).order_by(Account.id)))


async def test_what_the_server_refuses_at_commit_runs_again(strict: AsyncDatabase) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=2)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        total = sum(await session.scalars(select(Account.balance)))
        (await session.get_one(Account, 1)).balance = 200 - total
        await session.flush()
        if len(attempts) == 1:
            async with strict.transaction(independent=True) as other:
                total = sum(await other.scalars(select(Account.balance)))
                (await other.get_one(Account, 2)).balance = 200 - total

    await take()

    assert len(attempts) == 2
    assert sorted(await balances(strict)) == [0, 100]


async def test_nothing_runs_again_after_slow_work(strict: AsyncDatabase) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        async with strict.released(session):
            pass
        await collide(strict, session)

    with pytest.raises(sa_exc.DBAPIError, match="could not serialize"):
        await take()
    assert len(attempts) == 1


async def test_a_joined_function_does_not_run_again(strict: AsyncDatabase) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3, join=True)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        await collide(strict, session)

    with pytest.raises(sa_exc.DBAPIError, match="could not serialize"):
        async with strict.transaction():
            await take()
    assert len(attempts) == 1


async def test_callbacks_of_failed_attempts_are_dropped(strict: AsyncDatabase) -> None:
    heard: list[int] = []
    attempts: list[int] = []

    @strict.transactional(retry=2)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        number = len(attempts)
        session.on_commit(lambda: heard.append(number))
        if number == 1:
            await collide(strict, session)

    await take()

    assert heard == [2]


async def test_an_error_of_a_callback_does_not_run_again(strict: AsyncDatabase) -> None:
    attempts: list[int] = []

    async def fail() -> None:
        raise sa_exc.OperationalError("SELECT 1", None, Exception(), connection_invalidated=True)

    @strict.transactional(retry=2)
    async def take(session: AsyncSession) -> None:
        attempts.append(1)
        (await session.lock(Account, 1)).balance -= 1
        session.on_commit(fail)

    with pytest.raises(errors.CallbackFailed):
        await take()
    assert (len(attempts), (await balances(strict))[0]) == (1, 99)


async def test_reads_go_to_the_replicas_in_turn(tmp_path: Path) -> None:
    for name in ("primary", "one", "two"):
        engine = create_engine(f"sqlite:///{tmp_path / name}.db")
        Base.metadata.create_all(engine)
        with orm.Session(engine) as plain:
            plain.add(User(name=name))
            plain.commit()
        engine.dispose()
    primary, *replicas = (f"sqlite+aiosqlite:///{tmp_path / name}.db" for name in ("primary", "one", "two"))
    found = []
    async with AsyncDatabase(primary, replicas=replicas) as db:
        for insist in (False, False, False, True):
            async with db.read(primary=insist) as session:
                found.append(await session.scalar(select(User.name)))

    assert found == ["one", "two", "one", "primary"]
