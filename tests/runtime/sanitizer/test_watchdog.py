"""Production: transactions that wait and connections that are held, seen while it happens."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

import hermetic
from hermetic.sanitizer import others
from hermetic.sanitizer.turns import NONE
from hermetic.sanitizer.watch import watch
from runtime.models import User
from runtime.sanitizer.found import Found, watched

IDLE, HELD = 0.1, 0.3  # seconds
LONG = 0.6  # longer than IDLE by several looks of the watchdog, of which a busy machine makes few and late


def production(*, idle: float, held: float) -> AbstractContextManager[Found]:
    return watched("production", idle_ms=idle * 1000, held_ms=held * 1000)


@pytest.fixture
def impatient() -> Iterator[Found]:
    """A watch in production mode that lets a transaction wait for no more than `IDLE`."""
    with production(idle=IDLE, held=60) as found:
        yield found


@pytest.fixture
def patient() -> Iterator[Found]:
    """One that lets a connection be held for no more than `HELD`."""
    with production(idle=60, held=HELD) as found:
        yield found


@pytest.fixture
def strict() -> Iterator[Found]:
    """Both."""
    with production(idle=IDLE, held=HELD) as found:
        yield found


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.01)


def slow_step() -> None:
    time.sleep(LONG)  # mark: slow


async def slow_step_async() -> None:
    await asyncio.sleep(LONG)  # mark: slow


# Transactions that wait


def test_a_transaction_waits_in_a_thread(sync_engine: Engine, impatient: Found) -> None:
    def handler() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()  # mark: begun
            time.sleep(LONG)  # mark: slow

    handler()

    assert impatient.places("SES102", handler) == ("slow", {"begun", "slow"})


async def test_a_transaction_waits_in_a_task(async_engine: AsyncEngine, impatient: Found) -> None:
    async def handler() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))  # mark: begun
            await asyncio.sleep(LONG)  # mark: slow

    await asyncio.create_task(handler())

    assert impatient.places("SES102", handler) == ("slow", {"begun", "slow"})


async def test_the_place_is_where_the_innermost_coroutine_waits(async_engine: AsyncEngine, impatient: Found) -> None:
    async with AsyncSession(async_engine) as session:
        await session.scalars(select(User))
        await slow_step_async()

    assert impatient.places("SES102", slow_step_async)[0] == "slow"


def test_each_wait_is_reported_once(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        time.sleep(LONG * 2)

    assert impatient.codes == ["SES102"]


def test_two_waits_of_one_transaction(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        time.sleep(LONG)
        session.scalars(select(User)).all()
        slow_step()

    assert impatient.codes == ["SES102", "SES102"]


def test_committed_before_the_wait(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        session.commit()
        slow_step()

    assert impatient.codes == []


def test_a_slow_statement_is_no_wait(postgres_url: str, impatient: Found) -> None:
    engine = create_engine(postgres_url)
    with Session(engine) as session:
        session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": LONG})
    engine.dispose()

    assert impatient.codes == []


def test_computing_is_no_wait(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        began = time.thread_time()
        while time.thread_time() - began < LONG:
            pass

    assert impatient.codes == []


async def test_a_task_is_not_blamed_for_another_that_blocks_the_loop(
    async_engine: AsyncEngine, impatient: Found
) -> None:
    async def quick() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))
            started.set()
            await asyncio.sleep(0)

    async def block() -> None:
        await started.wait()
        time.sleep(LONG)

    started = asyncio.Event()
    await asyncio.gather(quick(), block())

    assert impatient.codes == []


def test_waiting_for_another_connection_is_no_wait(sync_engine: Engine, impatient: Found) -> None:
    one = create_engine(sync_engine.url, pool_size=1, max_overflow=0, pool_timeout=LONG)
    with Session(one) as session, Session(one) as second:
        session.scalars(select(User)).all()
        with pytest.raises(Exception, match="QueuePool limit"):
            second.scalars(select(User)).all()
    one.dispose()

    assert impatient.codes == []


def test_long_running_may_wait(sync_engine: Engine, strict: Found) -> None:
    with hermetic.long_running(), Session(sync_engine) as session:
        session.scalars(select(User)).all()
        time.sleep(LONG + HELD)

    assert strict.codes == []


async def test_long_running_follows_a_task(async_engine: AsyncEngine, impatient: Found) -> None:
    async def work() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))
            await asyncio.sleep(LONG)

    with hermetic.long_running():
        await asyncio.create_task(work())

    assert impatient.codes == []


def test_nothing_while_a_debugger_runs(sync_engine: Engine, impatient: Found) -> None:
    namespace = {"stop": slow_step}
    exec(compile("def interaction():\n    stop()", "/usr/lib/python3/bdb.py", "exec"), namespace)
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        namespace["interaction"]()

    assert impatient.codes == []


# Connections that stay out


def test_a_connection_is_held(sync_engine: Engine, patient: Found) -> None:
    def handler() -> None:
        with sync_engine.connect():  # mark: taken
            until(lambda: patient.codes)  # mark: now

    handler()

    assert patient.places("SES102", handler) == ("taken", {"taken", "now"})


async def test_an_async_connection_is_held(async_engine: AsyncEngine, patient: Found) -> None:
    async def handler() -> None:
        async with async_engine.connect():  # mark: taken
            await asyncio.sleep(HELD * 2)  # mark: now

    await handler()

    assert patient.places("SES102", handler) == ("taken", {"taken", "now"})


def test_a_connection_that_comes_back_after_all(
    sync_engine: Engine, patient: Found, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "hermetic"):
        with sync_engine.connect():
            until(lambda: patient.codes)
        until(lambda: caplog.records)

    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "test_watchdog.py" in caplog.text
    assert "was returned after some 0." in caplog.text


def test_a_connection_that_comes_back_in_time_is_not_worth_a_line(
    sync_engine: Engine, patient: Found, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "hermetic"):
        with sync_engine.connect():
            pass
        time.sleep(HELD)

    assert caplog.records == []


def test_a_session_of_a_thread_that_is_over(sync_url: str, patient: Found) -> None:
    engine = create_engine(sync_url, connect_args={"check_same_thread": False} if "sqlite" in sync_url else {})
    kept: list[Session] = []

    def handler() -> None:
        session = Session(engine)
        kept.append(session)
        session.scalars(select(User)).all()  # mark: taken

    thread = threading.Thread(target=handler)
    thread.start()
    thread.join()
    until(lambda: patient.codes)

    assert patient.places("SES001", handler) == ("taken", {"taken"})
    kept[0].close()
    engine.dispose()


async def test_a_session_of_a_task_that_is_over(async_engine: AsyncEngine, patient: Found) -> None:
    async def handler() -> AsyncSession:
        session = AsyncSession(async_engine)
        await session.scalars(select(User))  # mark: taken
        return session

    session = await asyncio.create_task(handler())
    await asyncio.sleep(HELD * 2)

    assert patient.places("SES001", handler) == ("taken", {"taken"})
    await session.close()


async def test_a_session_that_another_task_goes_on_with(async_engine: AsyncEngine, patient: Found) -> None:
    async def handler() -> AsyncSession:
        session = AsyncSession(async_engine)
        await session.scalars(select(User))
        return session

    session = await asyncio.create_task(handler())
    for _ in range(6):
        await asyncio.sleep(HELD / 3)
        await session.scalars(select(User))
    await session.close()

    assert "SES001" not in patient.codes


def test_a_wait_that_was_reported_is_no_held_connection_too(sync_engine: Engine, strict: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        time.sleep(LONG + HELD)

    assert strict.codes == ["SES102"]


def test_what_the_collector_finds_is_reported_without_another_session(
    sync_engine: Engine, in_production: Found
) -> None:
    def leak() -> None:
        session = Session(sync_engine)
        session.scalars(select(User)).all()

    leak()
    gc.collect()
    until(lambda: in_production.codes)

    assert in_production.codes == ["SES001"]


# A share of the connections


def test_stacks_of_a_share_of_the_connections(sync_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.4, 0.6])
    monkeypatch.setattr("hermetic.sanitizer.sampling.random", lambda: next(drawn))
    with watch("production", sample=0.5) as running, sync_engine.connect(), sync_engine.connect():
        taken = [bool(hold.frames) for hold in running.ledger.holds.values()]

    assert taken == [True, False]


def test_a_connection_that_was_not_sampled_waits(sync_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()
            time.sleep(LONG)  # mark: slow

    monkeypatch.setattr("hermetic.sanitizer.sampling.random", lambda: 0.9)
    found = Found()
    with watch("production", found.append, idle_ms=IDLE * 1000, sample=0.5):
        handler()

    assert found.places("SES102", handler) == ("slow", {"slow"})


def test_a_connection_that_was_not_sampled_is_held(sync_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler() -> None:
        with sync_engine.connect():
            time.sleep(HELD * 3)  # mark: now

    monkeypatch.setattr("hermetic.sanitizer.sampling.random", lambda: 0.9)
    found = Found()
    with watch("production", found.append, held_ms=HELD * 1000, sample=0.5):
        handler()

    assert found.places("SES102", handler) == ("now", {"now"})


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_no_share(share: float) -> None:
    with pytest.raises(ValueError, match="a share above 0 and at most 1"):
        watch("production", sample=share)


# The thread


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hermetic"]


def test_no_thread_before_a_connection_is_taken(impatient: Found) -> None:
    assert watchers() == []


def test_one_daemon_thread(sync_engine: Engine, impatient: Found) -> None:
    for _ in range(3):
        with sync_engine.connect():
            pass

    assert [thread.daemon for thread in watchers()] == [True]


def test_the_thread_ends_with_the_watch(sync_engine: Engine) -> None:
    with watch("production"), sync_engine.connect():
        pass

    assert watchers() == []


def test_no_thread_in_tests(sync_engine: Engine, found: Found) -> None:
    with sync_engine.connect():
        assert watchers() == []


def test_a_watch_that_takes_over_and_ends(sync_engine: Engine, impatient: Found) -> None:
    with sync_engine.connect():
        pass
    with watch("tests"), sync_engine.connect():
        time.sleep(0.05)  # the thread of the other watch takes the time of its last look
        during = watchers()
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        slow_step()

    assert (during, impatient.codes) == ([], ["SES102"])


def test_a_look_that_fails_is_counted(sync_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise LookupError

    monkeypatch.setattr("hermetic.sanitizer.watchdog.being_debugged", fail)
    with watch("production", idle_ms=20) as running, Session(sync_engine) as session:
        session.scalars(select(User)).all()
        until(lambda: running.errors >= 2)

        assert running.errors >= 2
        assert running.last_error.startswith("LookupError in test_watchdog.py")


def test_the_collector_never_runs_in_the_thread(sync_engine: Engine, strict: Found) -> None:
    def note(phase: str, _: object) -> None:
        ran_in.add(threading.get_ident())

    with sync_engine.connect():
        until(watchers)
    (thread,) = watchers()
    ran_in: set[int] = set()
    thresholds = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1, 1, 1)
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        until(lambda: strict.codes)
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(note)

    assert strict.codes == ["SES102"]
    assert threading.get_ident() in ran_in
    assert thread.ident not in ran_in


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(sync_engine: Engine, enabled: bool) -> None:
    if not enabled:
        gc.disable()
    try:
        with watch("production", idle_ms=20), sync_engine.connect():
            time.sleep(0.1)
        after = gc.isenabled()
    finally:
        gc.enable()

    assert after == enabled


# Forks


def in_child(work: Callable[[], object]) -> str:
    """What the work returns in a forked child, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(work()).encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    return answer


def test_a_child_does_not_have_its_parents_connections(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        answer = in_child(lambda: (impatient.watch.ledger.open, impatient.watch.ledger.holds))

        assert answer == "({}, {})"
        assert len(impatient.watch.ledger.open) == 1


def test_a_child_is_watched_by_a_thread_of_its_own(sync_url: str, impatient: Found) -> None:
    engine = create_engine(sync_url)
    with engine.connect():
        pass
    engine.dispose()

    def work() -> list[str]:
        with Session(engine) as session:
            session.scalars(select(User)).all()
            slow_step()
        return impatient.codes

    assert in_child(work) == "['SES102']"
    assert impatient.codes == []


def test_a_session_of_the_parent_that_the_child_forgets_is_no_leak(sync_engine: Engine, patient: Found) -> None:
    sessions = [Session(sync_engine)]
    sessions[0].scalars(select(User)).all()

    def forget() -> list[str]:
        sessions.clear()
        gc.collect()
        patient.watch.drain()
        return patient.codes

    assert in_child(forget) == "[]"
    sessions[0].close()


def test_the_parent_is_watched_again_after_a_fork(sync_engine: Engine, impatient: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        in_child(lambda: None)
        slow_step()

    assert impatient.codes == ["SES102"]


# Clocks


def test_how_busy_another_thread_was() -> None:
    def compute() -> None:
        while time.thread_time() < LONG:
            pass
        done.set()
        over.wait()

    done, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=compute)
    before = time.monotonic()
    thread.start()
    done.wait()
    turns = others.turns_of_thread(thread.ident or 0)
    wall = time.monotonic() - before
    over.set()
    thread.join()

    assert LONG * 0.95 <= turns.ran <= turns.ran + turns.queued <= wall + 0.01


def test_a_thread_that_is_over_is_not_busy() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

    assert others.turns_of_thread(thread.ident or 0) == NONE
