"""Requests that run in threads take turns on the connections of a pool before they take a thread.

Without turns, threads that wait for a connection keep their thread from requests that have a connection and need a
thread to go on (FastAPI validates the response of a `def` endpoint in one): with more requests at once than threads,
all wait until the pool gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import Pool, QueuePool

from hermetic.toolkit.errors import explain

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Pool, asyncio.Semaphore]] = WeakKeyDictionary()


@asynccontextmanager
async def turn(pool: Pool) -> AsyncIterator[None]:
    """One of as many turns as the pool has connections. Raises SQLAlchemy's TimeoutError as the pool would."""
    size = _size(pool)
    if size is None:
        yield
        return
    of_pools = _turns.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    turns = of_pools.get(pool)
    if turns is None:
        turns = of_pools[pool] = asyncio.Semaphore(size)
    await _wait_for(turns, pool, size)
    try:
        yield
    finally:
        turns.release()


async def _wait_for(turns: asyncio.Semaphore, pool: Pool, size: int) -> None:
    seconds = pool.timeout() if isinstance(pool, QueuePool) else None
    try:
        async with asyncio.timeout(seconds):
            await turns.acquire()
    except TimeoutError as error:
        text = f"{size} requests have held all {size} connections of the pool for {seconds:g} seconds"
        instead = "`db.released(session)` around slow work; where there is none, a larger pool (`pool_size`)"
        raise sa_exc.TimeoutError(explain(text, instead=instead)) from error


def _size(pool: Pool) -> int | None:
    """None for a pool without a limit."""
    if not isinstance(pool, QueuePool) or pool.size() == 0 or pool._max_overflow < 0:
        return None
    return pool.size() + pool._max_overflow
