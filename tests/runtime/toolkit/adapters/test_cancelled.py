"""Requests that a server cancels."""

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from hermetic.toolkit.adapters.fastapi import transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import committed
from hermetic.toolkit.session import Session
from runtime.models import Account
from runtime.rows import count

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [],
    "http_version": "1.1",
}


async def _ask(app: Any, told: list[Any]) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(dict(SCOPE), receive, send)


async def _cancelled(app: Any, when: Callable[[], bool]) -> BaseException:
    """What a request raises that is cancelled at a moment. Its client is told nothing."""
    told: list[Any] = []
    task = asyncio.create_task(_ask(app, told))
    while not when():
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert told == []
    return caught.value


async def test_a_request_on_the_loop_is_rolled_back(async_url: str) -> None:
    app, reached = FastAPI(), asyncio.Event()
    async with AsyncDatabase(async_url) as db:

        @app.post("/")
        async def wait(session: Annotated[AsyncSession, transaction(db)]) -> None:
            session.add(Account())
            await session.flush()
            reached.set()
            await asyncio.sleep(60)

        error = await _cancelled(app, reached.is_set)

        assert committed(error) is False
        assert count(async_url) == 0
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_request_in_a_thread_is_rolled_back(sync_url: str) -> None:
    app, reached, go_on = FastAPI(), threading.Event(), threading.Event()
    with Database(sync_url) as db:

        @app.post("/")
        def wait(session: Annotated[Session, transaction(db)]) -> None:
            session.add(Account())
            session.flush()
            reached.set()
            go_on.wait(10)

        asyncio.get_running_loop().call_later(0.2, go_on.set)
        error = await _cancelled(app, reached.is_set)

        assert committed(error) is False
        assert count(sync_url) == 0
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_during_commit_in_a_thread_its_outcome_is_waited_for(sync_url: str) -> None:
    app, committing = FastAPI(), threading.Event()
    with Database(sync_url) as db:

        def slow(connection: Any) -> None:
            committing.set()
            threading.Event().wait(0.2)

        event.listen(db.engine, "commit", slow)

        @app.post("/")
        def pay(session: Annotated[Session, transaction(db)]) -> None:
            session.add(Account())

        error = await _cancelled(app, committing.is_set)

        assert committed(error) is True
        assert count(sync_url) == 1
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_request_that_waits_for_its_turn_leaves_nothing_behind(sqlite_url: str) -> None:
    app = FastAPI()
    with Database(sqlite_url, pool_size=1, max_overflow=0) as db:
        taken, go_on, asked = threading.Event(), threading.Event(), []

        @app.post("/")
        def work(session: Annotated[Session, transaction(db)]) -> None:
            asked.append(session)
            session.execute(text("SELECT 1"))
            taken.set()
            go_on.wait(10)

        first = asyncio.create_task(_ask(app, []))
        await asyncio.to_thread(taken.wait, 10)
        beginning = asyncio.get_running_loop().time()
        await _cancelled(app, lambda: asyncio.get_running_loop().time() > beginning + 0.1)
        go_on.set()
        await first

        assert len(asked) == 1
        assert not db._core.open_blocks
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
