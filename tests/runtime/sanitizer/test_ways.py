"""Where connections are taken, in production: the search that begins where it met the application before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from sqlalchemy import Connection, Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from runtime.models import User
from runtime.sanitizer.found import Found


def takers(found: Found) -> list[str]:
    """The functions that have taken the connections which are out just now, the innermost of each."""
    return [hold.frames[0][0].co_name for hold in found.watch.ledger.holds.values()]


def executes(session: Session) -> None:
    session.execute(select(User))


def calls_what_executes(session: Session) -> None:
    executes(session)


def queries(session: Session) -> None:
    session.query(User).all()


def flushes(session: Session) -> None:
    session.add(User(name="Ada"))
    session.flush()


def test_each_caller_has_its_own_place(sync_engine: Engine, in_production: Found) -> None:
    sessions = [Session(sync_engine) for _ in range(8)]
    acts = [executes, queries, flushes, calls_what_executes] * 2
    taken = []
    for act, session in zip(acts, sessions, strict=True):
        act(session)
        taken += takers(in_production)
        session.close()

    assert taken == ["executes", "queries", "flushes", "executes"] * 2


def test_the_callers_of_a_place_are_those_of_this_time(sync_engine: Engine, in_production: Found) -> None:
    for act, caller in [(executes, "test_the_callers_of_a_place_are_those_of_this_time")] * 2 + [
        (calls_what_executes, "calls_what_executes")
    ]:
        with Session(sync_engine) as session:
            act(session)
            (hold,) = in_production.watch.ledger.holds.values()

        assert hold.frames[1][0].co_name == caller


def test_a_session_of_the_application_is_the_place(sync_engine: Engine, in_production: Found) -> None:
    class Routing(Session):
        def connection(self, *args: Any, **kwargs: Any) -> Connection:
            return super().connection(*args, **kwargs)

    taken = []
    for kind in (Session, Routing, Session, Routing):
        with kind(sync_engine) as session:
            session.connection()
            taken += takers(in_production)

    here = "test_a_session_of_the_application_is_the_place"
    assert taken == [here, "connection", here, "connection"]


async def test_a_task_that_waits_for_the_greenlet_of_its_session(
    async_engine: AsyncEngine, in_production: Found
) -> None:
    async def reads(session: AsyncSession) -> None:
        await session.execute(select(User))

    async def runs(session: AsyncSession) -> None:
        await session.run_sync(executes)

    taken = []
    for act in (reads, runs, reads, runs):
        async with AsyncSession(async_engine) as session:
            await asyncio.create_task(act(session))
            taken += takers(in_production)

    assert taken == ["reads", "executes"] * 2


def test_a_few_ways_are_remembered(sync_engine: Engine, in_production: Found) -> None:
    for _ in range(2):
        for act in (executes, queries, flushes, lambda session: session.scalars(select(User)), Session.connection):
            with Session(sync_engine) as session:
                act(session)

    assert in_production.watch._probes is not None
    ways = in_production.watch._probes.pools.ways
    assert 1 < len(ways.known) <= ways.most


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_runs_the_loop_of_a_library_takes_nothing(
    sync_engine: Engine, in_production: Found, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    library: dict[str, Any] = {}
    exec("async def work(session): session.connection()", library)
    loop = new_loop()
    taken = []
    for _ in range(3):
        with Session(sync_engine) as session:
            loop.run_until_complete(loop.create_task(library["work"](session)))
            taken += [hold.frames for hold in in_production.watch.ledger.holds.values()]
    loop.close()

    assert taken == [(), (), ()]
