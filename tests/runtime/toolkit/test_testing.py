"""What a test writes is committed as far as it can tell, and gone afterwards."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import exc as sa_exc, func, select
from sqlalchemy.orm import Session as PlainSession, sessionmaker

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.testing import rolled_back
from runtime.models import Account, Base, Payment, User
from runtime.rows import count

ACCOUNTS = select(func.count(Account.id))


def add(db: Database) -> None:
    with db.transaction() as session:
        session.add(Account())


async def add_async(db: AsyncDatabase) -> None:
    async with db.transaction() as session:
        session.add(Account())


def how_many(db: Database) -> int | None:
    with db.read() as session:
        return session.scalar(ACCOUNTS)


async def how_many_async(db: AsyncDatabase) -> int | None:
    async with db.read() as session:
        return await session.scalar(ACCOUNTS)


def test_blocks_see_what_was_committed_and_others_do_not(db: Database, sync_url: str) -> None:
    add(db)
    with rolled_back(db):
        add(db)
        add(db)
        assert how_many(db) == 3
        assert count(sync_url) == 1
    assert how_many(db) == 1

    add(db)
    assert count(sync_url) == 2


def test_it_is_undone_after_an_error_too(db: Database) -> None:
    with pytest.raises(ValueError, match="no"), rolled_back(db):
        add(db)
        raise ValueError("no")

    assert how_many(db) == 0
    add(db)


def test_callbacks_of_a_commit_run(db: Database) -> None:
    told: list[object] = []
    with rolled_back(db):
        with db.transaction() as session:
            session.on_commit(lambda: told.append(how_many(db)))
            session.add(Account())
        with pytest.raises(ValueError, match="no"), db.transaction() as session:
            session.on_commit(lambda: told.append("never"))
            raise ValueError("no")

    assert told == [1]


def test_a_block_that_fails_is_undone_alone(db: Database) -> None:
    with rolled_back(db):
        add(db)
        with pytest.raises(sa_exc.IntegrityError), db.transaction() as session:
            session.add(Account())
            session.flush()
            session.add_all([User(name="Ada"), User(name="Ada")])
        add(db)
        assert how_many(db) == 2


def test_savepoints_work_inside(db: Database) -> None:
    with rolled_back(db):
        with db.transaction() as session:
            session.add(Account())
            with pytest.raises(ValueError, match="no"), db.savepoint(session):
                session.add(Account())
                session.flush()
                raise ValueError("no")
        assert how_many(db) == 1


def test_a_swallowed_failure_is_still_told(db: Database) -> None:
    with rolled_back(db), pytest.raises(errors.SwallowedFailure):
        with db.transaction() as session:
            session.add_all([User(name="Ada"), User(name="Ada")])
            with pytest.raises(sa_exc.IntegrityError):
                session.flush()


def test_released_works_inside(db: Database) -> None:
    with rolled_back(db):
        add(db)
        with db.transaction() as session:
            account = session.scalars(select(Account)).one()
            with db.released(session):
                add_independent(db)
            assert account.balance == 0
            assert session.scalar(ACCOUNTS) == 2


def add_independent(db: Database) -> None:
    with db.transaction(independent=True) as session:
        session.add(Account())


def test_reading_refuses_to_write_inside(db: Database) -> None:
    with rolled_back(db), pytest.raises(errors.ReadOnly), db.read() as session:
        session.add(Account())
        session.flush()


def test_a_deferred_constraint_fails_where_the_block_commits(db: Database, sync_url: str) -> None:
    with rolled_back(db):
        with pytest.raises(sa_exc.IntegrityError), db.transaction() as session:
            session.add(Payment(earlier=999))
        with db.transaction() as session:  # deferred again: the first is written before what it refers to
            session.add(Payment(id=1, earlier=2))
            session.flush()
            session.add(Payment(id=2, earlier=1))
        add(db)
    assert count(sync_url, "payments") == 0


def test_plain_sessions_on_the_engine_are_undone_as_well(db: Database) -> None:
    make: sessionmaker[PlainSession] = sessionmaker(db.engine)
    with rolled_back(db):
        with make() as session:
            session.add(Account())
            session.commit()
            session.add(Account())
            session.rollback()
        assert how_many(db) == 1
    assert how_many(db) == 0


def test_two_blocks_at_once_are_too_many(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hermetic.toolkit.testing.WAIT", 0.05)
    with rolled_back(db), db.transaction() as session:
        session.scalar(ACCOUNTS)
        with pytest.raises(sa_exc.TimeoutError):
            add_independent(db)


def test_replicas_are_not_in_use(sqlite_url: str, tmp_path: object) -> None:
    with Database(sqlite_url, replicas=[f"sqlite:///{tmp_path}/replica.db"]) as db, rolled_back(db):
        add(db)
        assert how_many(db) == 1


def test_a_lost_connection_is_told(db: Database) -> None:
    with rolled_back(db):
        add(db)
        with db.engine.connect() as connection:
            connection.invalidate()
        with pytest.raises(errors.RollbackLost, match="a database of their own"):
            how_many(db)
    assert how_many(db) == 0


def test_it_is_not_rolled_back_twice(db: Database) -> None:
    with rolled_back(db), pytest.raises(ValueError, match="already"):
        rolled_back(db)


def test_a_database_in_memory_keeps_its_tables() -> None:
    with Database("sqlite://") as db:
        Base.metadata.create_all(db.engine)
        for _ in range(2):
            with rolled_back(db):
                add(db)
                assert how_many(db) == 1
        assert how_many(db) == 0


async def test_asynchronous_blocks_are_undone(adb: AsyncDatabase, async_url: str) -> None:
    await add_async(adb)
    async with rolled_back(adb):
        await add_async(adb)
        with pytest.raises(sa_exc.IntegrityError):
            async with adb.transaction() as session:
                session.add(Account())
                await session.flush()
                session.add_all([User(name="Ada"), User(name="Ada")])
        await add_async(adb)
        assert await how_many_async(adb) == 3
        assert count(async_url) == 1
    assert await how_many_async(adb) == 1


async def test_tasks_wait_for_each_other(adb: AsyncDatabase) -> None:
    async with rolled_back(adb):
        await asyncio.gather(*(add_async(adb) for _ in range(5)))
        assert await how_many_async(adb) == 5


def test_each_test_may_have_an_event_loop_of_its_own(async_url: str) -> None:
    adb = AsyncDatabase(async_url)

    async def test() -> None:
        async with rolled_back(adb):
            await add_async(adb)
            assert await how_many_async(adb) == 1

    asyncio.run(test())
    asyncio.run(test())
    asyncio.run(adb.dispose())
    assert count(async_url) == 0


def test_an_asynchronous_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="one for each test"):
        rolled_back(AsyncDatabase("sqlite+aiosqlite://"))


@pytest.fixture
def disposed(sqlite_url: str) -> Database:
    db = Database(sqlite_url)
    db.dispose()
    return db


def test_a_database_that_is_disposed_of_is_refused(disposed: Database) -> None:
    with pytest.raises(errors.DatabaseDisposed):
        rolled_back(disposed)
