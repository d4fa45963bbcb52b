"""SES004 at run time: synchronous database work on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from litestar import Litestar
from litestar.testing import TestClient as LitestarClient
from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from runtime.models import User
from runtime.sanitizer.found import Found


async def test_a_query_in_a_coroutine(sync_engine: Engine, found: Found) -> None:
    async def load() -> None:
        with Session(sync_engine) as session:  # mark: made
            session.scalars(select(User)).all()  # mark: query

    await load()

    assert found.places("SES004", load) == ("query", {"query", "made"})


async def test_a_query_in_a_helper_of_a_coroutine(sync_engine: Engine, in_production: Found) -> None:
    def helper() -> None:
        with sync_engine.connect() as connection:
            connection.execute(select(User))  # mark: query

    await asyncio.sleep(0)
    helper()

    assert in_production.places("SES004", helper) == ("query", {"query"})


async def test_moved_off_the_loop(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()

    await asyncio.to_thread(load)

    assert found.codes == []


async def test_an_async_session(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        await session.scalars(select(User))

    assert found.codes == []


def test_a_loop_that_runs_no_task(sync_engine: Engine, found: Found) -> None:
    def load() -> None:
        with Session(sync_engine) as session:
            session.scalars(select(User)).all()
        loop.stop()

    loop = asyncio.new_event_loop()
    loop.call_soon(load)
    loop.run_forever()
    loop.close()

    assert found.codes == []


@pytest.fixture
def load(memory_engine: Engine) -> Any:
    def load() -> None:
        with Session(memory_engine) as session:
            session.scalars(select(User)).all()

    return load


def test_an_application_that_starts_and_stops(load: Any, found: Found) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        load()
        yield
        load()

    with TestClient(FastAPI(lifespan=lifespan)):
        pass

    assert found.codes == []


def test_an_application_of_litestar_that_starts(load: Any, found: Found) -> None:
    async def start() -> None:
        load()

    with LitestarClient(Litestar([], on_startup=[start])):
        pass

    assert found.codes == []


def test_a_request_to_an_application_that_has_started(load: Any, found: Found) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        load()
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def show() -> None:
        load()

    with TestClient(app) as client:
        client.get("/")

    assert found.codes == ["SES004"]
    assert "called by `test_a_request_to_an_application_that_has_started.show`" in found.findings[0].trace[1].text


def test_a_task_that_an_application_leaves_running(load: Any, found: Found) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async def work() -> None:
            load()

        task = asyncio.create_task(work())
        yield
        await task

    with TestClient(FastAPI(lifespan=lifespan)):
        pass

    assert found.codes == ["SES004"]
