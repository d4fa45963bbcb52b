"""SES001 at run time: sessions that nobody closes."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from runtime.models import User
from runtime.sanitizer.found import Found, marks


def test_garbage_with_a_connection_is_reported_where_it_was_made(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        session = Session(sync_engine)  # mark: made
        session.scalars(select(User)).all()  # mark: begun

    load()
    gc.collect()
    found.watch.drain()

    assert found.places("SES001", load) == ("made", {"made", "begun"})


def test_a_session_alive_at_the_end_of_the_test(sync_engine: Engine, found: Found) -> None:
    session = Session(sync_engine)  # mark: made
    session.scalars(select(User)).all()  # mark: begun

    found.scope_ends()

    here = test_a_session_alive_at_the_end_of_the_test
    assert found.places("SES001", here) == ("made", {"made", "begun"})
    session.close()


async def test_an_async_session_alive_at_the_end_of_the_test(async_engine: AsyncEngine, found: Found) -> None:
    session = AsyncSession(async_engine)  # mark: made
    await session.scalars(select(User))  # mark: begun

    found.scope_ends()

    here = test_an_async_session_alive_at_the_end_of_the_test
    assert found.places("SES001", here) == ("made", {"made", "begun"})
    await session.close()


def test_left_open_by_a_fixture(sync_engine: Engine, found: Found) -> None:
    found.watch.scope = "fixture:module:session:test_users.py"
    session = Session(sync_engine)
    session.scalars(select(User)).all()

    found.scope_ends()

    (finding,) = found.findings
    assert finding.message == "session is still open, with its connection, when the fixture that made it is over"
    session.close()


def test_a_thread_that_is_still_at_work(sync_engine: Engine, found: Found) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()
            begun.set()
            go_on.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    found.scope_ends()
    go_on.set()
    thread.join()

    assert found.codes == []


def test_left_open_by_an_idle_thread_of_a_pool(sync_engine: Engine, found: Found) -> None:
    kept = []

    def work() -> None:
        session = Session(sync_engine)  # mark: made
        kept.append(session)
        session.scalars(select(User)).all()  # mark: begun

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
        found.scope_ends()

    assert found.places("SES001", work) == ("made", {"made", "begun"})
    kept.pop().close()


async def test_a_task_that_is_still_at_work(async_engine: AsyncEngine, found: Found) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))
            begun.set()
            await go_on.wait()

    task = asyncio.create_task(work())
    await begun.wait()
    found.scope_ends()
    go_on.set()
    await task

    assert found.codes == []


def test_two_sessions_of_one_connection_in_memory(memory_engine: Engine, found: Found) -> None:
    with Session(memory_engine) as first:
        first.scalars(select(User)).all()
        session = Session(memory_engine)  # mark: made
        session.scalars(select(User)).all()  # mark: begun
        found.scope_ends()
        session.close()

    here = test_two_sessions_of_one_connection_in_memory
    second = [finding for finding in found.findings if finding.at.line > here.__code__.co_firstlineno + 2]
    assert len(second) == 1
    assert {marks(here).get(step.at.line) for step in second[0].trace} == {"made", "begun"}


def test_closed_by_with(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()

    found.scope_ends()

    assert found.codes == []


def test_committed_and_forgotten_holds_nothing(sync_engine: Engine, found: Found) -> None:
    session = Session(sync_engine)
    session.add(User(name="Ada"))
    session.commit()

    found.scope_ends()

    assert found.codes == []


def test_made_outside_of_the_test_that_uses_it(sync_engine: Engine, found: Found) -> None:
    found.watch.scope = "module"
    session = Session(sync_engine)
    found.watch.scope = "test"
    session.scalars(select(User)).all()

    found.scope_ends()

    assert found.codes == []
    session.close()


def test_a_registry_owns_its_session(sync_engine: Engine, found: Found) -> None:
    registry = scoped_session(sessionmaker(sync_engine))
    registry.scalars(select(User)).all()

    found.scope_ends()

    assert found.codes == []
    registry.remove()


def test_a_borrowed_connection_has_another_owner(sync_engine: Engine, found: Found) -> None:
    with sync_engine.connect() as connection:
        session = Session(connection)
        session.scalars(select(User)).all()
        del session
        gc.collect()
        found.scope_ends()

    assert found.codes == []


def test_an_engine_made_before_the_watch(sync_engine: Engine, in_production: Found) -> None:
    def load() -> None:
        session = Session(sync_engine)
        session.scalars(select(User)).all()  # mark: begun

    load()
    gc.collect()
    in_production.watch.drain()

    assert in_production.places("SES001", load) == ("begun", {"begun"})
