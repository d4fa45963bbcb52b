"""SES102 at run time: transactions that wait for something else than the database."""

from __future__ import annotations

import asyncio
import os
import pdb  # noqa: T100 - it is what is tested
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from freezegun import freeze_time
from sqlalchemy import Engine, create_engine, event, func, insert, select
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import CompileError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from runtime.models import Post, User
from runtime.sanitizer.found import Found, watched

IDLE = 0.1
WAIT = 0.35


@pytest.fixture
def found() -> Iterator[Found]:
    """A watch for which a tenth of a second is a wait."""
    with watched(idle_ms=IDLE * 1000) as found:
        yield found


def count(session: Session) -> int:
    return session.scalars(select(func.count(User.id))).one()


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_wait_between_two_statements(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()  # mark: before
            time.sleep(WAIT)
            session.scalars(select(Post)).all()  # mark: after

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})
    assert found.codes == ["SES102"]


async def test_a_wait_of_an_async_session(async_engine: AsyncEngine, found: Found) -> None:
    async def pay() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))  # mark: before
            await asyncio.sleep(WAIT)
            await session.scalars(select(Post))  # mark: after

    await pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


def test_a_wait_before_the_commit(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session:
            session.add(User(name="Ada"))
            session.flush()  # mark: before
            time.sleep(WAIT)
            session.commit()  # mark: after

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


def test_a_wait_before_the_flush_of_a_commit(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session, session.begin():  # mark: after
            session.scalars(select(User)).all()  # mark: before
            session.add(User(name="Ada"))
            time.sleep(WAIT)

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})
    assert found.codes == ["SES102"]


def test_a_wait_before_the_rollback(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()  # mark: before
            time.sleep(WAIT)
            session.rollback()  # mark: after

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


def test_a_wait_before_the_end_of_the_block(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session:  # mark: after
            session.scalars(select(User)).all()  # mark: before
            time.sleep(WAIT)

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


async def test_a_wait_before_the_end_of_an_async_block(async_engine: AsyncEngine, found: Found) -> None:
    async def pay() -> None:
        async with async_sessionmaker(async_engine).begin() as session:  # mark: after
            await session.scalars(select(User))  # mark: before
            await asyncio.sleep(WAIT)

    await pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


def test_a_wait_in_another_thread(sync_engine: Engine, found: Found) -> None:
    def work(session: Session) -> None:
        time.sleep(WAIT)
        session.scalars(select(Post)).all()

    async def pay(session: Session) -> None:
        await asyncio.to_thread(count, session)
        await asyncio.to_thread(work, session)

    with Session(sync_engine) as session:
        asyncio.run(pay(session))

    assert found.codes == ["SES102"]


def test_a_wait_outside_of_a_transaction(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        count(session)
        session.commit()
        time.sleep(WAIT)
        count(session)

    assert found.codes == []


def test_many_short_waits(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        for _ in range(4):
            count(session)
            time.sleep(IDLE * 0.4)

    assert found.codes == []


def test_computing_is_no_waiting(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        count(session)
        compute(WAIT)
        count(session)

    assert found.codes == []


def test_computing_in_another_thread(sync_engine: Engine, found: Found) -> None:
    found.watch.idle = 4 * IDLE  # a busy machine lets the threads wait for each other, which nobody measures

    def work(session: Session) -> None:
        compute(5 * IDLE)
        count(session)

    with Session(sync_engine) as session:
        count(session)
        thread = threading.Thread(target=work, args=[session])
        thread.start()
        thread.join()

    assert found.codes == []


def test_a_test_that_waits_for_what_it_tests(
    sync_engine: Engine, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 1000.0, 1000.0))  # whatever it is just now
    with Session(sync_engine) as session:
        count(session)
        thread = threading.Thread(target=compute, args=[5 * IDLE])
        thread.start()
        thread.join()
        count(session)

    assert found.codes == []


def test_a_driver_that_takes_its_time(sync_engine: Engine, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_cursor(self: DefaultExecutionContext) -> Any:
        time.sleep(WAIT)
        return original(self)

    original = DefaultExecutionContext.create_default_cursor
    monkeypatch.setattr(DefaultExecutionContext, "create_default_cursor", create_cursor)
    with Session(sync_engine) as session:
        count(session)
        count(session)

    assert found.codes == []


def test_a_statement_of_another_session_is_no_wait(postgres_url: str, found: Found) -> None:
    engine = create_engine(postgres_url)
    with Session(engine) as session, Session(engine) as other, engine.connect() as connection:
        for executes in (other, connection):
            count(session)
            executes.execute(select(func.pg_sleep(WAIT)))
            count(session)
    engine.dispose()

    assert found.codes == []


def test_a_statement_of_another_session_that_fails_late(postgres_url: str, found: Found) -> None:
    engine = create_engine(postgres_url, connect_args={"options": f"-c statement_timeout={IDLE * 2000:.0f}"})
    with Session(engine) as session, Session(engine) as other:
        count(session)
        with pytest.raises(OperationalError):
            other.execute(select(func.pg_sleep(WAIT)))
        count(session)
    engine.dispose()

    assert found.codes == []


def test_a_pool_that_another_session_waits_for_is_no_wait(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session, Session(sync_engine) as other:
        count(session)
        event.listen(sync_engine, "checkout", lambda *_: time.sleep(WAIT))
        count(other)
        count(session)

    assert found.codes == []


async def test_statements_of_other_tasks_are_no_wait(postgres_async_url: str, found: Found) -> None:
    async def slowly(seconds: float) -> None:
        async with AsyncSession(engine) as other:
            await other.execute(select(func.pg_sleep(seconds)))

    engine = create_async_engine(postgres_async_url)
    async with AsyncSession(engine) as session:
        await session.scalars(select(User))
        await asyncio.gather(slowly(WAIT), slowly(WAIT / 2))
        await session.scalars(select(User))
    await engine.dispose()

    assert found.codes == []


def test_a_wait_beside_a_statement_of_another_session(postgres_url: str, found: Found) -> None:
    engine = create_engine(postgres_url)
    with Session(engine) as session, Session(engine) as other:
        count(session)
        other.execute(select(func.pg_sleep(IDLE)))
        time.sleep(WAIT)
        count(session)
        other.rollback()
    engine.dispose()

    assert found.codes == ["SES102", "SES102"]  # the other one waits as well


async def test_a_driver_that_waits_for_what_was_cancelled(
    aiosqlite_url: str, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiosqlite closes a connection only when its thread has done the statement that nobody wants any more."""
    engine = create_async_engine(aiosqlite_url, connect_args={"timeout": 30})

    @event.listens_for(engine.sync_engine, "connect")
    def add_function(connection: Any, _: object) -> None:
        connection.run_async(lambda raw: raw.create_function("rest", 1, time.sleep))

    async with AsyncSession(engine) as session:
        await session.scalars(select(User))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.execute(select(func.rest(IDLE + WAIT))), IDLE / 2)
        await session.rollback()
        await session.scalars(select(User))
    await engine.dispose()

    assert found.codes == []


def test_a_wait_after_a_statement_that_came_to_nothing(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        count(session)
        with pytest.raises(CompileError):
            session.execute(insert(Post).values(nothing=1))
        time.sleep(WAIT)
        count(session)

    assert found.codes == ["SES102"]


@pytest.fixture
def users(sync_engine: Engine) -> None:
    with Session(sync_engine) as session, session.begin():
        session.add_all(User(name=f"user {number}") for number in range(6))


@pytest.mark.usefixtures("users")
def test_rows_that_are_streamed_slowly(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        for _ in session.scalars(select(User), execution_options={"yield_per": 1}):
            time.sleep(IDLE * 0.4)
        count(session)

    assert found.codes == []


@pytest.mark.usefixtures("users")
def test_a_wait_after_the_last_streamed_row(sync_engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User), execution_options={"yield_per": 1}).all()  # mark: before
            time.sleep(WAIT)
            session.scalars(select(Post)).all()  # mark: after

    pay()

    assert found.places("SES102", pay) == ("before", {"before", "after"})


async def test_async_rows_that_are_streamed_slowly(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        session.add_all(User(name=f"user {number}") for number in range(6))
        await session.commit()
        async for _ in await session.stream_scalars(select(User).execution_options(yield_per=1)):
            await asyncio.sleep(IDLE * 0.4)
        await session.scalars(select(Post))

    assert found.codes == []


@pytest.mark.usefixtures("users")
def test_waits_between_rows_that_have_all_come(sync_engine: Engine, found: Found) -> None:
    def remind() -> None:
        with Session(sync_engine) as session:
            for _ in session.scalars(select(User)):  # mark: before
                time.sleep(IDLE * 0.4)
            session.scalars(select(Post)).all()  # mark: after

    remind()

    assert found.places("SES102", remind) == ("before", {"before", "after"})


def tracing(frame: FrameType, event: str, argument: Any) -> None:
    """What a debugger sets."""


def test_a_debugger_is_attached(sync_engine: Engine, found: Found) -> None:
    former = sys.gettrace()
    with Session(sync_engine) as session:
        count(session)
        time.sleep(WAIT)
        sys.settrace(tracing)
        try:
            count(session)
        finally:
            sys.settrace(former)

    assert found.codes == []


def test_measuring_coverage_is_no_debugging(sync_engine: Engine, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "__module__", "coverage.pytracer")
    former = sys.gettrace()
    with Session(sync_engine) as session:
        count(session)
        time.sleep(WAIT)
        sys.settrace(tracing)
        try:
            count(session)
        finally:
            sys.settrace(former)

    assert found.codes == ["SES102"]


def test_somebody_has_looked_around_in_pdb(sync_engine: Engine, found: Found) -> None:
    class Slow(pdb.Pdb):
        def cmdloop(self, intro: Any = None) -> None:
            time.sleep(WAIT)

        _cmdloop = cmdloop

    with Session(sync_engine) as session:
        count(session)
        debugger = Slow(nosigint=True, readrc=False)
        debugger.reset()
        debugger.interaction(sys._getframe(), None)
        count(session)

    assert found.codes == []


def test_a_test_moves_the_time(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.execute(select(User))
        with freeze_time("2020-01-01") as frozen:
            session.execute(select(User))
            frozen.tick(3600)
            session.execute(select(User))
        session.execute(select(User))

    assert found.codes == []
