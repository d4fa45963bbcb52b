"""A block as a dependency of asynchronous frameworks, for functions on the event loop and for those in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.serving import REQUEST, AnyDatabase, place_of
from hermetic.toolkit.adapters.turns import turn
from hermetic.toolkit.block import Kind
from hermetic.toolkit.completion import to_completion
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import explain

# Seconds that a cancelled request waits for the outcome of COMMIT.
COMMIT_WAIT = 10


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
    if not isinstance(database, Database):
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
    """Even if the request is cancelled; and although all threads of requests may wait for this one's connection.

    A request that is cancelled during COMMIT waits for its outcome, as with an AsyncDatabase.
    """
    work = anyio.to_thread.run_sync(end, error and type(error), error, None, limiter=anyio.CapacityLimiter(1))
    with anyio.CancelScope(shield=True):
        task, cancelled = await to_completion(work, wait=COMMIT_WAIT, may_stop=lambda: False)
    if cancelled is not None and error is None:
        reason = asyncio.CancelledError() if task.cancelled() else task.exception()
        raise cancelled from reason or errors.CancelledAfterCommit(
            "the request was cancelled during COMMIT; its transaction is committed"
        )
    await task


def held_too_long(endpoint: Callable[..., Any] | None) -> errors.HeldTooLong:
    text = "a session for a WebSocket's endpoint would hold its transaction as long as the client stays connected"
    instead = "`async with db.transaction() as session:` for each message, in the endpoint"
    return errors.HeldTooLong(explain(text, endpoint_at=place_of(endpoint), instead=instead))
