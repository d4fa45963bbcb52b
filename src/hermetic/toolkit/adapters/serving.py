"""What the adapters share: a block around one request, job or command, whose errors name the function that does it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread

from hermetic.toolkit.adapters.turns import turn
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.block import Kind, Serves
from hermetic.toolkit.database import Database
from hermetic.toolkit.places import Place

AnyDatabase = Database[Any] | AsyncDatabase[Any]

REQUEST = Serves(
    what="the request, whose block ended before its response was sent",
    instead="what runs later (a stream, a background task) opens its own block, `with db.read() as session:`, and gets "
    "ids from the request; or do it before the function returns",
)


def place_of(function: Callable[..., Any] | None) -> Place | None:
    """What errors name instead of the framework's line that opened a block."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    return None if code is None else Place(code, code.co_firstlineno)


@asynccontextmanager
async def request_block(
    database: AnyDatabase, function: Callable[..., Any] | None, *, reads: bool, primary: bool
) -> AsyncIterator[Any]:
    """The session of one request.

    With a synchronous database it is used in threads: opening it here on the loop sends nothing, and lets the request's
    context know of the block; its end, which does, runs in a thread.
    """
    threads = isinstance(database, Database)
    kind = Kind(reads=reads, primary=primary, serves=replace(REQUEST, at=place_of(function), threads=threads))
    if isinstance(database, AsyncDatabase):
        async with database._scope(kind) as session:
            yield session
        return
    scope = database._scope(kind)
    session = scope.__enter__()
    try:
        async with turn(session.get_bind().pool):
            yield session
            await _end_in_thread(scope.__exit__, None)
    except BaseException as error:
        await _end_in_thread(scope.__exit__, error)
        raise


async def _end_in_thread(end: Callable[..., object], error: BaseException | None) -> None:
    """Even if the request is cancelled; and although all threads of requests may wait for this one's connection."""
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(end, error and type(error), error, None, limiter=anyio.CapacityLimiter(1))
