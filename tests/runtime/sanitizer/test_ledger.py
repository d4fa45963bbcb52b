"""What the ledger keeps, and what it must not keep alive."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from sqlalchemy import Engine, event, exc, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

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
