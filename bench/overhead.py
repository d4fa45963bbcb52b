"""What watching costs, beside bare SQLAlchemy in the same run.

CPU time of this process for a session that takes its connection and gives it back, for a statement, and for a row of
an ORM query; then, with --load, requests a second and CPU time a request of a FastAPI endpoint under load. The
ways of running take turns, because clocks and neighbours drift. Neighbours only ever add to the CPU time of an
operation, by emptying caches, so what counts is the cheapest round of each way; of the load, the median of the ratios
within a round.

usage: python bench/overhead.py [--rounds N] [--load SECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from sqlalchemy import Engine, StaticPool, create_engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import load
from runtime.conftest import with_driver
from runtime.models import Base, User
from runtime.postgres import running

from hermetic.sanitizer.watch import watch

BARE = "bare"
WAYS = (BARE, "production", "tests")
ROWS = 500
BATCHES = 5  # short ones, of which some find the machine quiet
ONE = select(User.id).where(User.id == 1)
ALL = select(User)


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is done many times. `run(count)` does it that often."""

    database: str
    unit: str
    count: int
    run: Callable[[int], None]


def sync_work(database: str, engine: Engine, scale: int) -> Iterator[Work]:
    def sessions(count: int) -> None:
        for _ in range(count):
            with Session(engine) as session:
                session.connection()

    def statements(count: int) -> None:
        with Session(engine) as session:
            for _ in range(count):
                session.execute(ONE)

    def rows(count: int) -> None:
        with Session(engine) as session:
            for _ in range(count // ROWS):
                session.scalars(ALL).all()
                session.expunge_all()

    yield Work(database, "session", 50 * scale, sessions)
    yield Work(database, "statement", 50 * scale, statements)
    yield Work(database, "row", 10 * ROWS, rows)


def async_work(database: str, engine: AsyncEngine, scale: int, loop: asyncio.AbstractEventLoop) -> Iterator[Work]:
    async def sessions(count: int) -> None:
        for _ in range(count):
            async with AsyncSession(engine) as session:
                await session.connection()

    async def statements(count: int) -> None:
        async with AsyncSession(engine) as session:
            for _ in range(count):
                await session.execute(ONE)

    async def rows(count: int) -> None:
        async with AsyncSession(engine) as session:
            for _ in range(count // ROWS):
                (await session.scalars(ALL)).all()
                session.expunge_all()

    yield Work(database, "session", 50 * scale, lambda count: loop.run_until_complete(sessions(count)))
    yield Work(database, "statement", 50 * scale, lambda count: loop.run_until_complete(statements(count)))
    yield Work(database, "row", 10 * ROWS, lambda count: loop.run_until_complete(rows(count)))


@contextmanager
def all_work(url: str) -> Iterator[list[Work]]:
    """On SQLite, and on the PostgreSQL database of this URL, both filled with users."""
    loop = asyncio.new_event_loop()
    memory = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    psycopg = create_engine(url)
    asyncpg = create_async_engine(with_driver(url, "postgresql+asyncpg"))
    Base.metadata.create_all(memory)
    for engine in (memory, psycopg):
        with Session(engine) as session, session.begin():
            session.add_all(User(name=f"user {number}") for number in range(ROWS))
    yield [
        *sync_work("SQLite in memory", memory, 10),
        *sync_work("PostgreSQL, psycopg", psycopg, 4),
        *async_work("PostgreSQL, asyncpg", asyncpg, 4, loop),
    ]
    loop.run_until_complete(asyncpg.dispose())
    psycopg.dispose()
    loop.close()


def microseconds(work: Work, way: str) -> float:
    """CPU time for one, in the cheapest batch.

    SQLAlchemy remembers that there was a listener once, and a session then costs it some 5 µs more, so that is undone.
    """
    Engine._has_events = False
    with nullcontext() if way == BARE else watch(way, lambda finding: None) as watched:
        work.run(max(work.count // 4, ROWS))  # listeners make the interpreter forget what it knew of a class
        gc.collect()
        used = min(_seconds(work) for _ in range(BATCHES))
        if watched is not None and watched.errors:
            raise RuntimeError(watched.last_error)
    return used / work.count * 1e6


def _seconds(work: Work) -> float:
    began = process_time()
    work.run(work.count)
    return process_time() - began


def measure_operations(rounds: int, url: str) -> None:
    """Print what a session, a statement and a row cost."""
    with all_work(url) as works:
        for work in works:
            work.run(work.count)
        times: list[dict[str, list[float]]] = [{way: [] for way in WAYS} for _ in works]
        for _ in range(rounds):
            for work, taken in zip(works, times, strict=True):
                for way in WAYS:
                    taken[way].append(microseconds(work, way))
    print("CPU time, microseconds; what watching adds to it\n")
    print(f"| database | for one | {BARE} | production | tests |\n|---|---|---|---|---|")
    for work, taken in zip(works, times, strict=True):
        added = [_added(taken, way) for way in WAYS[1:]]
        cells = [work.database, work.unit, f"{min(taken[BARE]):.1f}", *(f"{more:+.1f}" for more in added)]
        print(f"| {' | '.join(cells)} |")


def _added(taken: dict[str, list[float]], way: str) -> float:
    return min(taken[way]) - min(taken[BARE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--load", type=float, default=0.0, help="seconds of load on each way of running, per round")
    chosen = parser.parse_args()
    with running(f"overhead-{os.getpid()}") as server, server.database() as name:
        measure_operations(chosen.rounds, server.url(name))
        if chosen.load:
            ways = load.measure(WAYS, server.url(name, "asyncpg"), chosen.rounds, chosen.load)
            print("", *load.table(ways), sep="\n")


if __name__ == "__main__":
    main()
