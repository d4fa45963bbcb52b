"""What is right and looks wrong: with all detectors at once, nothing is reported."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import pytest_asyncio
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from runtime.models import User
from runtime.sanitizer.applications import load
from runtime.sanitizer.found import Found


@pytest.fixture
def app(tmp_path: Path) -> ModuleType:
    return load("proper", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "maker_begin",
        "savepoint_swallow",
        "insert_each_or_ignore",
        "batch",
        "stream",
        "to_thread",
        "in_threads_one_after_another",
    ],
)
async def test_a_session_beside_a_loop(sync_engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    done = getattr(app, name)
    await (done(sync_engine) if inspect.iscoroutinefunction(done) else asyncio.to_thread(done, sync_engine))
    found.scope_ends()

    assert found.codes == []


@pytest.mark.parametrize("name", ["maker_begin", "savepoint_swallow", "insert_each_or_ignore", "batch", "stream"])
def test_a_session_without_a_loop(sync_engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    getattr(app, name)(sync_engine)
    found.scope_ends()

    assert found.codes == []


@pytest.mark.parametrize(
    "name",
    [
        "async_maker_begin",
        "async_wait_for",
        "async_savepoint_swallow",
        "async_session_each",
        "async_stream",
        "async_run_sync",
    ],
)
async def test_an_async_session(async_engine: AsyncEngine, found: Found, app: ModuleType, name: str) -> None:
    await getattr(app, name)(async_engine)
    found.scope_ends()

    assert found.codes == []


@pytest.mark.parametrize("path", ["/thread", "/background"])
def test_a_request_that_changes_threads(sync_engine: Engine, found: Found, app: ModuleType, path: str) -> None:
    client = TestClient(app.web(sync_engine))
    for _ in range(2 if path == "/thread" else 1):
        client.get(path).raise_for_status()
    found.scope_ends()

    assert found.codes == []


@pytest.mark.parametrize("path", ["/write", "/stream"])
async def test_an_async_request(async_engine: AsyncEngine, found: Found, app: ModuleType, path: str) -> None:
    transport = httpx.ASGITransport(app.async_web(async_engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        (await client.get(path)).raise_for_status()
    found.scope_ends()

    assert found.codes == []


@pytest_asyncio.fixture
async def session_of_a_fixture(async_engine: AsyncEngine, found: Found) -> AsyncIterator[AsyncSession]:
    """Made, used and closed in other tasks than the test's, on most runners."""
    async with AsyncSession(async_engine) as session:
        session.add(User(name="Ada"))
        await session.flush()
        yield session
    assert found.codes == []


async def test_a_session_of_a_fixture(session_of_a_fixture: AsyncSession) -> None:
    assert (await session_of_a_fixture.scalars(select(User))).one().name == "Ada"


@pytest.fixture
def rolled_back(sync_engine: Engine, found: Found) -> Iterator[Session]:
    """https://docs.sqlalchemy.org/en/20/orm/session_transaction.html: joining an external transaction."""
    with sync_engine.connect() as connection:
        transaction = connection.begin()
        session = Session(connection, join_transaction_mode="create_savepoint")
        yield session
        session.close()
        transaction.rollback()
    found.scope_ends()
    assert found.codes == []


def test_an_external_transaction(rolled_back: Session) -> None:
    rolled_back.add(User(name="Ada"))
    rolled_back.commit()
    rolled_back.add(User(name="Grace"))
    rolled_back.flush()
    rolled_back.rollback()

    assert rolled_back.scalars(select(User)).one().name == "Ada"


def test_an_external_transaction_with_savepoints_by_hand(sync_engine: Engine, found: Found) -> None:
    with sync_engine.connect() as connection:
        transaction = connection.begin()
        session = Session(connection, join_transaction_mode="rollback_only")
        nested = connection.begin_nested()

        @event.listens_for(session, "after_transaction_end")
        def restart(session: Session, ended: object) -> None:
            nonlocal nested
            if not nested.is_active:
                nested = connection.begin_nested()

        session.add(User(name="Ada"))
        session.commit()
        session.close()
        transaction.rollback()
    found.scope_ends()

    assert found.codes == []
