"""What the ledger keeps, and what it must not keep alive."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from contextlib import suppress

import pytest
from sqlalchemy import Engine, create_engine, event, exc, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from hermetic.sanitizer.watch import watch
from runtime.models import User
from runtime.sanitizer.found import Found

# What SQLAlchemy, the drivers and asyncio say of a connection that nobody closed.
LEAKING = pytest.mark.filterwarnings(
    "ignore:The garbage collector is trying to clean up",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


async def collect() -> None:
    """The session first, then what its finalizer lets go of; transports close in their loop."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.01)


def test_a_connection_that_came_back_is_forgotten(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        held = len(in_production.watch.ledger.holds)

    assert (held, in_production.watch.ledger.holds, in_production.watch.ledger.open) == (1, {}, {})


def test_a_detached_connection_is_no_more_of_the_pool(sync_engine: Engine, in_production: Found) -> None:
    with sync_engine.connect() as connection:
        connection.detach()

        assert in_production.watch.ledger.holds == {}


def test_an_invalidated_connection_is_forgotten(sync_engine: Engine, in_production: Found) -> None:
    with sync_engine.connect() as connection:
        connection.invalidate()

    assert in_production.watch.ledger.holds == {}


def test_a_connection_that_a_listener_refused_is_forgotten(sync_engine: Engine, in_production: Found) -> None:
    refused: list[bool] = []

    def refuse_once(connection: object, entry: object, proxy: object) -> None:
        if not refused:
            refused.append(True)
            raise exc.DisconnectionError

    event.listen(sync_engine, "checkout", refuse_once)
    with sync_engine.connect():
        pass

    assert (refused, in_production.watch.ledger.holds) == ([True], {})


@LEAKING
async def test_an_async_connection_that_the_collector_found_is_forgotten(
    async_engine: AsyncEngine, in_production: Found
) -> None:
    async def leak() -> None:
        session = AsyncSession(async_engine)
        await session.scalars(select(User))

    await leak()
    await collect()
    in_production.watch.drain()

    assert (in_production.watch.ledger.holds, in_production.watch.ledger.open) == ({}, {})


@LEAKING
async def test_a_task_that_failed_does_not_keep_its_session_alive(
    async_engine: AsyncEngine, in_production: Found
) -> None:
    made = []

    async def fail() -> None:
        session = AsyncSession(async_engine)
        made.append(weakref.ref(session))
        await session.scalars(select(User))
        raise LookupError

    await asyncio.gather(asyncio.create_task(fail()), return_exceptions=True)
    await collect()

    assert made[0]() is None


def test_of_engines_that_are_garbage_a_few_are_remembered(
    in_production: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermetic.sanitizer.ledger.MOST_ENGINES", 5)
    for _ in range(20):
        create_engine("sqlite://")
        gc.collect()

    assert len(in_production.watch.ledger.engines) <= 5


def test_an_engine_that_is_disposed_is_forgotten(in_production: Found) -> None:
    engine = create_engine("sqlite://")
    known = len(in_production.watch.ledger.engines)
    engine.dispose()

    assert (known, in_production.watch.ledger.engines) == (1, {})


def used(engine: Engine) -> None:
    for _ in range(500):
        with Session(engine) as session:
            session.scalar(select(User.id))
    for _ in range(50):
        Session(engine).scalar(select(User.id))  # leaked
    with suppress(exc.DBAPIError), Session(engine) as session:
        session.execute(text("SELECT nothing"))
    for _ in range(5):
        create_engine("sqlite://")
    gc.collect()


@LEAKING
@pytest.mark.parametrize("mode", ["production", "tests"])
def test_memory_does_not_grow_with_the_sessions(mode: str, memory_engine: Engine) -> None:
    with watch(mode, lambda finding: None) as running:
        used(memory_engine)
        running.drain()
        tracemalloc.start()
        used(memory_engine)
        running.drain()
        before = tracemalloc.get_traced_memory()[0]
        used(memory_engine)
        running.drain()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()

    assert grown < 20_000  # bytes: a record of each of the 550 sessions would take 300,000
