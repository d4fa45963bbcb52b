"""SES003 at run time: a session that goes on after a failure which nobody rolled back."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import Engine, bindparam, create_engine, event, insert, select, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    PendingRollbackError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from runtime.models import Account, Post, User
from runtime.sanitizer.found import Found

NOBODY = insert(User).values(name=None)  # violates NOT NULL
only_postgres = pytest.mark.parametrize("sync_url", ["postgres"], indirect=True)
only_postgres_async = pytest.mark.parametrize("async_url", ["asyncpg", "psycopg"], indirect=True)


def names(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(User.name)))


def used_after_a_failed_flush(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User())
        with suppress(IntegrityError):
            session.flush()  # mark: failed
        session.scalars(select(User)).all()  # mark: used


def test_used_after_a_failed_flush(sync_engine: Engine, found: Found) -> None:
    with pytest.raises(PendingRollbackError) as raised:
        used_after_a_failed_flush(sync_engine)

    assert found.places("SES003", used_after_a_failed_flush) == ("failed", {"failed", "used"})
    note = raised.value.__notes__[0]
    assert note.startswith("hermetic SES003: the session is used after a failure that was not rolled back")
    assert "a flush failed (IntegrityError): " in note


def test_used_after_a_failed_commit(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        session.add(User())
        with suppress(IntegrityError):
            session.commit()  # mark: failed
        session.add(User(name="Ada"))
        session.commit()  # mark: used

    with Session(sync_engine) as session, pytest.raises(PendingRollbackError):
        load()

    assert found.places("SES003", load) == ("failed", {"failed", "used"})


async def test_used_after_a_failed_commit_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        session.add(User())
        with suppress(IntegrityError):
            await session.commit()  # mark: failed
        await session.execute(select(User))  # mark: used

    async with AsyncSession(async_engine) as session:
        with pytest.raises(PendingRollbackError):
            await load()

    assert found.places("SES003", load) == ("failed", {"failed", "used"})


@only_postgres
def test_the_answer_to_commit_is_the_failure(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        session.execute(text("INSERT INTO posts (title, author_id) VALUES ('Notes', 7)"))
        with suppress(IntegrityError):
            session.commit()  # mark: failed
        session.execute(select(User))  # mark: used

    deferred = "ALTER TABLE posts ALTER CONSTRAINT posts_author_id_fkey DEFERRABLE INITIALLY DEFERRED"
    with sync_engine.begin() as connection:
        connection.execute(text(deferred))
    with Session(sync_engine) as session, pytest.raises(SQLAlchemyError):
        load()

    assert found.places("SES003", load) == ("failed", {"failed", "used"})
    assert found.findings[0].trace[0].text.startswith("a commit failed (IntegrityError)")


@only_postgres
def test_a_statement_after_one_that_failed(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with suppress(IntegrityError):
            session.execute(NOBODY)  # mark: failed
        session.execute(select(User))  # mark: used

    with Session(sync_engine) as session, pytest.raises(DBAPIError) as raised:
        load()

    assert found.places("SES003", load) == ("failed", {"failed", "used"})
    assert raised.value.__notes__[0].startswith("hermetic SES003: the session is used after a failure")


@only_postgres
def test_one_failure_and_a_loop_that_goes_on(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        for name in (None, "Ada", "Bob"):
            with suppress(DBAPIError):
                session.execute(insert(User).values(name=name))  # mark: row

    with Session(sync_engine) as session:
        load()

    assert found.places("SES003", load) == ("row", {"row"})
    assert names(sync_engine) == []


@only_postgres_async
async def test_a_statement_after_one_that_failed_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        with suppress(IntegrityError):
            await session.execute(NOBODY)  # mark: failed
        await session.execute(select(User))  # mark: used

    async with AsyncSession(async_engine) as session:
        with pytest.raises(DBAPIError):
            await load()

    assert found.places("SES003", load) == ("failed", {"failed", "used"})


@only_postgres
def test_a_commit_after_a_statement_that_failed(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        session.execute(insert(User).values(name="Ada"))
        with suppress(IntegrityError):
            session.execute(NOBODY)  # mark: failed
        session.commit()  # mark: commit

    with Session(sync_engine) as session:
        load()

    assert found.places("SES003", load) == ("failed", {"failed", "commit"})
    assert names(sync_engine) == []


@only_postgres
def test_a_savepoint_that_is_released_after_a_failure(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with session.begin_nested(), suppress(IntegrityError):  # mark: savepoint
            session.execute(NOBODY)  # mark: failed

    with Session(sync_engine) as session, pytest.raises(DBAPIError):
        load()

    assert found.places("SES003", load) == ("failed", {"failed", "savepoint"})


def test_swallowed_in_a_savepoint_that_has_written_before(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with Session(sync_engine) as session, session.begin(), session.begin_nested():  # mark: savepoint
            first = User(name="Ada")
            session.add(first)
            session.flush()
            session.add(User(name="Ada"))
            with suppress(IntegrityError):
                session.flush()  # mark: failed

    load()

    assert found.places("SES003", load) == ("failed", {"failed", "savepoint"})
    assert names(sync_engine) == []


async def test_swallowed_in_a_savepoint_of_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        async with AsyncSession(async_engine) as session, session.begin(), session.begin_nested():  # mark: savepoint
            session.add(User(name="Ada"))
            await session.flush()
            session.add(User(name="Ada"))
            with suppress(IntegrityError):
                await session.flush()  # mark: failed

    await load()

    assert found.places("SES003", load) == ("failed", {"failed", "savepoint"})


def test_swallowed_in_a_savepoint_beside_one_that_is_over(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session, session.begin():
        with session.begin_nested():
            session.add(User(name="Ada"))
        with session.begin_nested(), suppress(IntegrityError):
            session.add_all([User(name="Grace"), User(name="Ada")])
            session.flush()

    assert found.codes == []
    assert names(sync_engine) == ["Ada"]


def test_swallowed_in_a_savepoint_of_its_own(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session, session.begin():
        for name in ("Ada", "Ada", "Grace"):
            with session.begin_nested(), suppress(IntegrityError):
                session.add(User(name=name))
                session.flush()

    assert found.codes == []
    assert names(sync_engine) == ["Ada", "Grace"]


@only_postgres_async
async def test_used_after_a_cancelled_statement(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        await session.connection()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.execute(text("SELECT pg_sleep(10)"))  # mark: cancelled
        await session.execute(select(User))  # mark: used

    async with AsyncSession(async_engine) as session:
        with pytest.raises(PendingRollbackError):
            await load()

    assert found.places("SES003", load) == ("cancelled", {"cancelled", "used"})


def swallowed_in_begin(engine: Engine) -> None:
    with Session(engine) as session, session.begin():  # mark: block
        session.add(User(name="Ada"))
        session.flush()
        session.add(User())
        with suppress(IntegrityError):
            session.flush()  # mark: failed


def test_swallowed_inside_begin(sync_engine: Engine, found: Found) -> None:
    swallowed_in_begin(sync_engine)

    assert found.places("SES003", swallowed_in_begin) == ("failed", {"failed", "block"})
    assert names(sync_engine) == []


def test_swallowed_inside_the_makers_begin(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with sessionmaker(sync_engine).begin() as session:  # mark: block
            session.add(User())
            with suppress(IntegrityError):
                session.flush()  # mark: failed

    load()

    assert found.places("SES003", load) == ("failed", {"failed", "block"})


async def test_swallowed_inside_begin_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        async with AsyncSession(async_engine) as session, session.begin():  # mark: block
            session.add(User())
            with suppress(IntegrityError):
                await session.flush()  # mark: failed

    await load()

    assert found.places("SES003", load) == ("failed", {"failed", "block"})


async def test_swallowed_inside_the_makers_begin_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        async with async_sessionmaker(async_engine).begin() as session:  # mark: block
            session.add(User())
            with suppress(IntegrityError):
                await session.flush()  # mark: failed

    await load()

    assert found.places("SES003", load) == ("failed", {"failed", "block"})


@only_postgres
def test_a_statement_swallowed_inside_begin(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with sessionmaker(sync_engine).begin() as session:  # mark: block
            session.execute(insert(User).values(name="Ada"))
            with suppress(IntegrityError):
                session.execute(NOBODY)  # mark: failed

    load()

    assert found.places("SES003", load) == ("failed", {"failed", "block"})
    assert names(sync_engine) == []


@pytest.mark.parametrize("sync_url", ["sqlite"], indirect=True)
def test_a_flush_after_a_failure_that_did_no_harm(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with sessionmaker(sync_engine).begin() as session:  # mark: block
            with suppress(IntegrityError):
                session.execute(NOBODY)
            session.add(Post(author=None))
            with suppress(IntegrityError):
                session.flush()  # mark: failed

    load()

    assert found.places("SES003", load) == ("failed", {"failed", "block"})


# Failures that are taken care of.


def test_rolled_back_in_the_handler(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        for name in (None, "Ada"):
            session.add(User(name=name))
            try:
                session.commit()
            except IntegrityError:
                session.rollback()

    assert found.codes == []
    assert names(sync_engine) == ["Ada"]


async def test_rolled_back_in_the_handler_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        for name in (None, "Ada"):
            session.add(User(name=name))
            try:
                await session.commit()
            except IntegrityError:
                await session.rollback()

    assert found.codes == []


def test_a_savepoint_is_undone_on_its_own(sync_engine: Engine, found: Found) -> None:
    with sessionmaker(sync_engine).begin() as session:
        for name in (None, "Ada", None, "Bob"):
            with suppress(IntegrityError), session.begin_nested():
                session.add(User(name=name))

    assert found.codes == []
    assert names(sync_engine) == ["Ada", "Bob"]


def test_a_savepoint_around_a_statement(sync_engine: Engine, found: Found) -> None:
    with sessionmaker(sync_engine).begin() as session:
        for name in (None, "Ada", None, "Bob"):
            with suppress(IntegrityError), session.begin_nested():
                session.execute(insert(User).values(name=name))

    assert found.codes == []
    assert names(sync_engine) == ["Ada", "Bob"]


def test_a_savepoint_by_hand(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.execute(text("SAVEPOINT before"))
        with suppress(IntegrityError):
            session.execute(NOBODY)
        session.execute(text("rollback to savepoint before"))
        session.execute(insert(User).values(name="Ada"))
        session.commit()

    assert found.codes == []


async def test_savepoints_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async with async_sessionmaker(async_engine).begin() as session:
        for name in (None, "Ada"):
            with suppress(IntegrityError):
                async with session.begin_nested():
                    session.add(User(name=name))

    assert found.codes == []


def test_the_exception_leaves_the_block(sync_engine: Engine, found: Found) -> None:
    with suppress(IntegrityError), sessionmaker(sync_engine).begin() as session:
        session.add(User())

    assert found.codes == []


async def test_the_exception_leaves_the_block_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    with suppress(IntegrityError):
        async with async_sessionmaker(async_engine).begin() as session:
            session.add(User())

    assert found.codes == []


def test_rolled_back_once_the_session_refuses(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.add(User())
        with suppress(IntegrityError):
            session.flush()
        try:
            session.scalars(select(User)).all()
        except PendingRollbackError:
            session.rollback()
        session.scalars(select(User)).all()

    assert found.codes == []


def test_a_listener_that_uses_the_session_while_it_is_rolled_back(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        event.listen(session, "after_rollback", lambda session: session.execute(select(User)))
        session.connection()
        with pytest.raises(InvalidRequestError):
            session.rollback()

    assert found.codes == []


def test_closed_right_after_the_failure(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.add(User())
        with suppress(IntegrityError):
            session.commit()

    assert found.codes == []


@pytest.mark.parametrize("sync_url", ["sqlite"], indirect=True)
def test_sqlite_goes_on_after_a_failed_statement(sync_engine: Engine, found: Found) -> None:
    with sessionmaker(sync_engine).begin() as session:
        for name in (None, "Ada"):
            with suppress(IntegrityError):
                session.execute(insert(User).values(name=name))

    assert found.codes == []
    assert names(sync_engine) == ["Ada"]


def test_a_read_that_may_fail_before_a_commit_of_nothing(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        with suppress(DBAPIError):
            session.execute(text("SELECT * FROM no_such_table"))
        session.commit()

    assert found.codes == []


def test_a_value_that_never_reaches_the_database(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        with suppress(StatementError):
            session.execute(select(User).where(User.name == bindparam("name")), {"name": object()})
        session.execute(select(User))

    assert found.codes == []


async def test_a_value_that_the_driver_refuses(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        with suppress(StatementError):
            await session.execute(select(Account).where(Account.id == bindparam("id")), {"id": object()})
        await session.execute(select(User))

    assert found.codes == []


@only_postgres
def test_nothing_is_aborted_without_a_transaction(postgres_url: str, sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        with suppress(IntegrityError):
            session.execute(NOBODY)
        session.execute(select(User))

    assert found.codes == []


@only_postgres
def test_another_database_of_the_session(postgres_url: str, sync_engine: Engine, found: Found) -> None:
    other = create_engine(postgres_url)
    with Session(binds={User: sync_engine, Account: other}) as session:
        with suppress(IntegrityError):
            session.execute(NOBODY)
        session.execute(select(Account))
    other.dispose()

    assert found.codes == []


def test_a_test_inside_of_an_outer_transaction(sync_engine: Engine, found: Found) -> None:
    with sync_engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(User())
            with suppress(IntegrityError):
                session.commit()
            session.rollback()
            session.add(User(name="Ada"))
            session.commit()
        outer.rollback()

    assert found.codes == []


async def test_a_new_session_after_a_cancelled_statement(async_url: str, found: Found) -> None:
    engine = create_async_engine(async_url)
    async with AsyncSession(engine) as session:
        task = asyncio.create_task(session.execute(select(User)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await session.rollback()
        await session.execute(select(User))
    await engine.dispose()

    assert found.codes == []
