"""SES002 at run time: one session in two tasks or threads at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from runtime.models import Account, Post, User
from runtime.sanitizer.found import Found

Load = Callable[[AsyncSession], Coroutine[Any, Any, object]]


@pytest_asyncio.fixture
async def warm_session(async_engine: AsyncEngine, found: Found) -> AsyncIterator[AsyncSession]:
    """A session that has its connection."""
    async with AsyncSession(async_engine) as session:
        await session.execute(select(User))
        yield session


async def until_busy(session: AsyncSession, found: Found) -> None:
    """Until another task is in the middle of a statement."""
    while found.watch.ledger.record(session.sync_session).busy is None:
        await asyncio.sleep(0)


async def settled() -> None:
    """All other tasks are done."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


class Gate:
    """Holds a thread in the middle of its statement, until there is another statement."""

    def __init__(self) -> None:
        self.reached, self.opened = Event(), Event()

    def __call__(self, *_: object) -> None:
        if self.reached.is_set():
            self.opened.set()
        else:
            self.reached.set()
            assert self.opened.wait(10)


@pytest.fixture
def gate(sync_engine: Engine) -> Iterator[Gate]:
    """Closed for the first statement of a test."""
    gate = Gate()
    event.listen(sync_engine, "before_cursor_execute", gate)
    yield gate
    gate.opened.set()
    event.remove(sync_engine, "before_cursor_execute", gate)


async def gathered(session: AsyncSession) -> None:
    await asyncio.gather(session.execute(select(User)), session.execute(select(Post)))  # mark: both


async def test_gather_of_two_statements(warm_session: AsyncSession, found: Found) -> None:
    await gathered(warm_session)

    assert found.places("SES002", gathered) == ("both", {"both"})


async def gathered_by_functions(session: AsyncSession) -> None:
    async def users() -> None:
        await session.execute(select(User))  # mark: users

    async def posts() -> None:
        await session.execute(select(Post))  # mark: posts

    await asyncio.gather(users(), posts())  # mark: gather


async def test_gather_of_two_functions(warm_session: AsyncSession, found: Found) -> None:
    await gathered_by_functions(warm_session)

    assert found.places("SES002", gathered_by_functions) == ("gather", {"users", "posts", "gather"})


async def grouped(session: AsyncSession) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(session.execute(select(User)))  # mark: users
        group.create_task(session.execute(select(Post)))  # mark: posts


async def test_a_task_group(warm_session: AsyncSession, found: Found) -> None:
    await grouped(warm_session)

    assert found.places("SES002", grouped) == ("posts", {"users", "posts"})


async def in_the_background(session: AsyncSession) -> None:
    task = asyncio.create_task(session.execute(select(User)))  # mark: task
    await asyncio.sleep(0)
    await session.execute(select(Post))  # mark: here
    await task


async def test_a_task_and_its_maker(warm_session: AsyncSession, found: Found) -> None:
    await in_the_background(warm_session)

    assert found.places("SES002", in_the_background) == ("here", {"task", "here"})


async def test_a_loop_that_does_not_tell_where_it_makes_tasks(
    warm_session: AsyncSession, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermetic.sanitizer.probes.spawned", lambda coroutine: None)

    await gathered(warm_session)

    assert found.places("SES002", gathered) == ("both", {"both"})


def test_a_loop_of_uvloop(aiosqlite_url: str, found: Found) -> None:
    async def left_alone() -> None:
        engine = create_async_engine(aiosqlite_url)
        async with AsyncSession(engine) as session:
            await session.execute(select(User))
            loop = asyncio.get_running_loop()
            tasks = [
                loop.create_task(session.execute(select(User))),  # mark: users
                loop.create_task(session.execute(select(Post))),  # mark: posts
            ]
            while not all(task.done() for task in tasks):  # who waits for them is not to be seen
                await asyncio.sleep(0)
        await engine.dispose()

    uvloop.run(left_alone())

    assert found.places("SES002", left_alone) == ("posts", {"users", "posts"})


@pytest.mark.parametrize("load", [gathered, gathered_by_functions])
async def test_a_session_without_its_connection(async_engine: AsyncEngine, found: Found, load: Load) -> None:
    """SQLAlchemy refuses the second statement while the first is connecting, and does not name the first."""
    session = AsyncSession(async_engine)
    with pytest.raises(SQLAlchemyError) as raised:
        await load(session)
    await settled()
    await session.close()

    _, steps = found.places("SES002", load)
    assert steps in ({"both"}, {"users", "posts", "gather"})
    assert "hermetic SES002: two tasks use one session at once" in raised.value.__notes__[0]
    assert f"in {load.__name__}" in raised.value.__notes__[0]


async def test_a_warm_pool(async_engine: AsyncEngine, found: Found) -> None:
    async with async_engine.connect():
        pass

    async with AsyncSession(async_engine) as session:
        await asyncio.gather(gathered(session), return_exceptions=True)
        await settled()

    assert found.places("SES002", gathered) == ("both", {"both"})


async def test_a_statement_during_a_commit(warm_session: AsyncSession, found: Found) -> None:
    async def write() -> None:
        await warm_session.execute(select(User))
        await warm_session.commit()  # mark: commit

    async def read() -> None:
        while found.watch.ledger.record(warm_session.sync_session).working is None:
            await asyncio.sleep(0)
        await warm_session.execute(select(Post))  # mark: read

    await asyncio.gather(write(), read(), return_exceptions=True)  # mark: both

    here = test_a_statement_during_a_commit
    assert found.places("SES002", here) == ("both", {"both", "commit", "read"})


async def test_a_commit_during_a_statement(warm_session: AsyncSession, found: Found) -> None:
    async def read() -> None:
        await warm_session.execute(select(User))  # mark: read

    async def write() -> None:
        await until_busy(warm_session, found)
        await warm_session.commit()  # mark: commit

    await asyncio.gather(read(), write(), return_exceptions=True)  # mark: both

    here = test_a_commit_during_a_statement
    assert found.places("SES002", here) == ("both", {"both", "commit", "read"})


async def test_a_flush_during_a_flush(warm_session: AsyncSession, found: Found) -> None:
    async def flush() -> None:
        await warm_session.flush()  # mark: flush

    warm_session.add(User(name="Ada"))
    await asyncio.gather(flush(), flush(), return_exceptions=True)  # mark: both

    here = test_a_flush_during_a_flush
    assert found.places("SES002", here) == ("both", {"flush", "both"})


@pytest.mark.parametrize("async_url", ["aiosqlite", "psycopg"], indirect=True)
async def test_left_while_a_task_goes_on(async_engine: AsyncEngine, found: Found) -> None:
    """A failing sibling lets `gather` return, and the session is closed under the task that has not ended.

    asyncpg cannot roll back in the middle of a statement: there the connection leaks, and no test can end cleanly.
    """
    slow = func.pg_sleep(0.3) if async_engine.name == "postgresql" else func.randomblob(10**8)

    async def fail(session: AsyncSession) -> None:
        await until_busy(session, found)
        raise LookupError

    async def read(session: AsyncSession) -> None:
        await session.execute(select(slow))  # mark: read

    async def both() -> None:
        async with AsyncSession(async_engine) as session:  # mark: left
            await session.connection()
            await asyncio.gather(read(session), fail(session))

    with pytest.raises(LookupError):
        await both()
    await settled()

    assert found.places("SES002", read)[1] == {"read"}
    assert found.places("SES002", both)[0] == "left"


def test_two_threads(sync_engine: Engine, gate: Gate, found: Found) -> None:
    session = Session(sync_engine)  # mark: made

    def work() -> None:
        session.execute(select(User))  # mark: thread

    thread = Thread(target=work)
    thread.start()
    assert gate.reached.wait(10)
    session.execute(select(Post))  # mark: here
    thread.join()
    session.close()

    assert found.places("SES002", test_two_threads) == ("made", {"made", "thread", "here"})


def test_two_threads_commit(sync_engine: Engine, gate: Gate, found: Found) -> None:
    session = Session(sync_engine)  # mark: made

    def work() -> None:
        session.execute(select(User))  # mark: thread

    thread = Thread(target=work)
    thread.start()
    assert gate.reached.wait(10)
    session.commit()  # mark: here
    gate.opened.set()
    thread.join()
    session.close()

    here = test_two_threads_commit
    assert found.places("SES002", here) == ("made", {"made", "thread", "here"})


def test_threads_that_run_library_code_alone(sync_engine: Engine, gate: Gate, found: Found) -> None:
    session = Session(sync_engine)  # mark: made

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(session.execute, select(User))
        assert gate.reached.wait(10)
        pool.submit(session.execute, select(Post)).result()
        first.result()
    session.close()

    here = test_threads_that_run_library_code_alone
    assert found.places("SES002", here) == ("made", {"made"})


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_runs_the_loop_has_not_run_the_statements(
    aiosqlite_url: str, found: Found, new_event_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def load() -> None:
        engine = create_async_engine(aiosqlite_url)
        async with AsyncSession(engine) as session:
            await session.connection()
            await gathered(session)
        await engine.dispose()

    loop = new_event_loop()
    loop.run_until_complete(load())
    loop.close()

    assert found.places("SES002", gathered) == ("both", {"both"})
    assert not [step for step in found.findings[0].trace if "statement in `test_who_runs" in step.text]


# Taking turns is allowed.


def test_threads_take_turns(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session, ThreadPoolExecutor() as pool:
        for model in (User, Post, Account):
            pool.submit(session.execute, select(model)).result()
        session.execute(select(User))

    assert found.codes == []


def test_one_session_a_thread(sync_engine: Engine, found: Found) -> None:
    registry = scoped_session(sessionmaker(sync_engine))

    def work(_: int) -> None:
        registry.scalars(select(User)).all()
        registry.remove()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(12)))

    assert found.codes == []


async def test_handed_to_a_thread_and_awaited(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        await asyncio.to_thread(session.execute, select(User))
        await asyncio.to_thread(session.execute, select(Post))

    assert found.codes == []


async def test_one_session_a_task(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        async with AsyncSession(async_engine) as session:
            await session.execute(select(User))

    await asyncio.gather(load(), load(), load())

    assert found.codes == []


async def test_a_fixture_made_it(warm_session: AsyncSession, found: Found) -> None:
    await warm_session.execute(select(User))

    assert found.codes == []


async def test_wait_for(warm_session: AsyncSession, found: Found) -> None:
    await asyncio.wait_for(warm_session.execute(select(User)), 10)
    await warm_session.execute(select(Post))

    assert found.codes == []


async def test_a_statement_that_ran_out_of_time(warm_session: AsyncSession, found: Found) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(warm_session.execute(select(User)), 0)
    await warm_session.rollback()
    await warm_session.execute(select(Post))

    assert found.codes == []


async def test_a_cancelled_task_and_then_its_canceller(warm_session: AsyncSession, found: Found) -> None:
    task = asyncio.create_task(warm_session.execute(select(User)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await warm_session.rollback()
    await warm_session.execute(select(Post))

    assert found.codes == []


async def test_cancelled_in_a_statement_and_left(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> None:
        async with AsyncSession(async_engine) as session:
            while True:
                await session.execute(select(User))

    task = asyncio.create_task(load())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])

    assert found.codes == []


async def test_committed_by_the_maker_in_a_task_of_its_own(async_engine: AsyncEngine, found: Found) -> None:
    async with async_sessionmaker(async_engine).begin() as session:
        session.add(User(name="Ada"))

    assert found.codes == []


async def test_rows_are_streamed(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        session.add_all([User(name=f"user {number}") for number in range(30)])
        await session.commit()
        async for user in await session.stream_scalars(select(User).execution_options(yield_per=5)):
            assert user.name

    assert found.codes == []


def test_sql_of_an_event_handler(sync_engine: Engine, found: Found) -> None:
    """A handler may run statements in the middle of a flush or a commit of its own session."""
    with Session(sync_engine) as session:
        event.listen(session, "before_flush", lambda session, *_: session.execute(select(Post)))
        event.listen(session, "before_commit", lambda session: session.execute(select(Account)))
        session.add(User(name="Ada"))
        session.commit()

    assert found.codes == []
