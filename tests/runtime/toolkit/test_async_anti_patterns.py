"""The eight anti-patterns, written with an AsyncDatabase as far as it lets one, and what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import exc as sa_exc, select, update

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from runtime.models import Account, User

Pay = Callable[[AsyncDatabase], Awaitable[None]]


async def balance(db: AsyncDatabase, number: int = 1) -> int:
    async with db.read() as session:
        return (await session.get_one(Account, number)).balance


def told(raised: pytest.ExceptionInfo[errors.ToolkitError], rule: str, places: int) -> None:
    """The error names the rule, the lines of this file, and what to write instead."""
    text = str(raised.value)
    assert raised.value.rule == rule
    assert text.count("test_async_anti_patterns.py") == places
    assert "instead: " in text


async def test_ses001_a_session_that_nobody_closes(afilled: AsyncDatabase) -> None:
    async def get_session() -> AsyncSession:
        async with afilled.transaction() as session:
            return session

    session = await get_session()
    with pytest.raises(errors.BlockEnded) as raised:
        await session.get(User, 1)
    told(raised, "SES001", 3)
    assert afilled.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_ses001_a_session_made_by_hand(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.BlockRules, match="outside of a block"):
        AsyncSession(afilled.engine)


async def test_ses002_a_session_of_two_tasks(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.Overlap) as raised:
        async with afilled.transaction() as session:
            await session.connection()  # a warm pool, where SQLAlchemy itself is silent
            await asyncio.gather(session.get(User, 1), session.get(Account, 1))
    told(raised, "SES002", 3)


async def test_ses002_a_block_of_another_task(afilled: AsyncDatabase) -> None:
    async def child() -> None:
        async with afilled.transaction():
            pass

    async with afilled.transaction():
        with pytest.raises(errors.InheritedBlock) as raised:
            await asyncio.create_task(child())
    told(raised, "SES002", 2)


async def test_ses003_a_commit_by_hand(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.BlockRules, match=r"`session.commit\(\)` inside of `db.transaction\(\)`"):
        async with afilled.transaction() as session:
            session.add(User(name="Eve"))
            await session.commit()


async def test_ses003_a_failure_that_is_swallowed(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.SwallowedFailure) as raised:
        async with afilled.transaction() as session:
            await session.execute(update(Account).values(balance=0))
            session.add(User(name="Ada"))
            with contextlib.suppress(sa_exc.IntegrityError):
                await session.flush()
    told(raised, "SES003", 2)
    assert await balance(afilled) == 100


async def test_ses004_work_on_the_loop(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.NotAwaited):
        async with afilled.read() as session:
            session.sync_session.execute(select(User))


async def test_ses005_a_relationship_after_the_end(afilled: AsyncDatabase) -> None:
    async with afilled.read() as session:
        ada = await session.get_one(User, 1)
    assert ada.name == "Ada"
    with pytest.raises(errors.NotLoaded) as raised:
        _ = ada.posts
    told(raised, "SES005", 3)


async def test_ses005_a_relationship_that_would_be_loaded_on_the_loop(afilled: AsyncDatabase) -> None:
    async with afilled.read() as session:
        ada = await session.get_one(User, 1)
        with pytest.raises(errors.NotAwaited, match=r"selectinload") as raised:
            _ = ada.posts
    told(raised, "SES005", 2)
    assert isinstance(raised.value, sa_exc.MissingGreenlet)


async def test_ses006_two_commits_for_one_transfer(afilled: AsyncDatabase) -> None:
    with pytest.raises(errors.BlockRules) as raised:
        async with afilled.transaction() as session:
            (await session.get_one(Account, 1)).balance -= 10
            await session.commit()
            (await session.get_one(Account, 2)).balance += 10
            await session.commit()
    told(raised, "SES006", 2)
    assert (await balance(afilled, 1), await balance(afilled, 2)) == (100, 100)


async def test_ses006_a_helper_that_commits(afilled: AsyncDatabase) -> None:
    async def deposit() -> None:
        async with afilled.transaction() as session:
            (await session.get_one(Account, 2)).balance += 10

    with pytest.raises(errors.NestedBlock) as raised:
        async with afilled.transaction() as session:
            (await session.get_one(Account, 1)).balance -= 10
            await deposit()
    told(raised, "SES006", 2)
    assert (await balance(afilled, 1), await balance(afilled, 2)) == (100, 100)


async def test_ses007_an_engine_for_each_call(async_url: str) -> None:
    async def get_user() -> User | None:
        async with AsyncDatabase(async_url).read() as session:
            return await session.get(User, 1)

    async with AsyncDatabase(async_url):
        with pytest.raises(errors.DatabaseExists) as raised:
            await get_user()
    told(raised, "SES007", 2)


@pytest.fixture
def pay() -> Pay:
    """A payment, during which somebody else takes the account's money."""

    async def pay(db: AsyncDatabase) -> None:
        await asyncio.sleep(0.3)
        async with db.transaction(independent=True) as session:
            (await session.get_one(Account, 1)).balance = 0

    return pay


async def test_ses008_a_row_from_before_the_wait(afilled: AsyncDatabase, pay: Pay) -> None:
    async with afilled.read() as session:
        account = await session.get_one(Account, 1)
    await pay(afilled)
    with pytest.raises(errors.InstanceEnded) as raised:
        async with afilled.transaction() as session:
            account.balance -= 10
    told(raised, "SES008", 3)
    assert await balance(afilled) == 0


async def test_ses008_the_connection_released_reads_anew(afilled: AsyncDatabase, pay: Pay) -> None:
    async with afilled.transaction() as session:
        account = await session.get_one(Account, 1)
        async with afilled.released(session):
            await pay(afilled)
        if account.balance >= 10:
            account.balance -= 10

    assert await balance(afilled) == 0


async def test_ses008_a_transaction_kept_open_over_the_wait(postgres_async_url: str, pay: Pay) -> None:
    async with AsyncDatabase(postgres_async_url, idle_in_transaction_timeout=0.1) as db:
        async with db.transaction() as session:
            session.add(Account(balance=100))
        with pytest.raises(sa_exc.DBAPIError, match=r"idle-in-transaction|connection is closed|was closed"):
            async with db.transaction() as session:
                account = await session.get_one(Account, 1)
                await pay(db)
                account.balance -= 10

        assert await balance(db) == 0
