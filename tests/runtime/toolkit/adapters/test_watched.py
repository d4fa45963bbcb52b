"""The sanitizer has nothing to say about a service on the toolkit, with streams and background tasks, under load."""

# No `from __future__ import annotations`: FastAPI could not see the aliases inside of these functions.

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from hermetic.finding import Finding
from hermetic.sanitizer.watch import watch
from hermetic.toolkit.adapters.fastapi import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account
from runtime.rows import count
from runtime.toolkit.adapters.servers import served

# Requests of each kind. bench/RESULTS.md has the figures of a longer run.
ROUNDS = int(os.environ.get("HERMETIC_ROUNDS", "20"))
PATHS = (("POST", "/accounts"), ("GET", "/accounts"), ("GET", "/stream"), ("POST", "/error"))
IDLE = 10_000  # milliseconds: on a busy machine everything waits for the processor


def threads(db: Database) -> FastAPI:
    app = FastAPI()
    Tx = Annotated[Session, transaction(db)]

    @app.post("/accounts")
    def create(session: Tx, tasks: BackgroundTasks) -> int:
        account = Account(balance=1)
        session.add(account)
        session.flush()
        tasks.add_task(book, account.id)
        return account.id

    def book(number: int) -> None:
        with db.transaction() as session:
            session.lock(Account, number).balance += 1

    @app.get("/accounts")
    def how_many(session: Annotated[Session, read(db)]) -> int:
        return session.scalars(select(func.count(Account.id))).one()

    @app.get("/stream")
    def stream() -> StreamingResponse:
        def body() -> Iterator[str]:
            with db.read() as session:
                found = session.scalars(select(Account.id).limit(5)).all()
            yield from map(str, found)

        return StreamingResponse(body())

    @app.post("/error")
    def fail(session: Tx) -> None:
        session.add(Account())
        session.flush()
        raise HTTPException(409)

    return app


def on_loop(db: AsyncDatabase) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await db.dispose()

    app = FastAPI(lifespan=lifespan)
    Tx = Annotated[AsyncSession, transaction(db)]

    @app.post("/accounts")
    async def create(session: Tx, tasks: BackgroundTasks) -> int:
        account = Account(balance=1)
        session.add(account)
        await session.flush()
        tasks.add_task(book, account.id)
        return account.id

    async def book(number: int) -> None:
        async with db.transaction() as session:
            (await session.lock(Account, number)).balance += 1

    @app.get("/accounts")
    async def how_many(session: Annotated[AsyncSession, read(db)]) -> int:
        return (await session.scalars(select(func.count(Account.id)))).one()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            async with db.read() as session:
                async for number in await session.stream_scalars(select(Account.id).limit(5)):
                    yield str(number)

        return StreamingResponse(body())

    @app.post("/error")
    async def fail(session: Tx) -> None:
        session.add(Account())
        await session.flush()
        raise HTTPException(409)

    return app


def found_under_load(app: FastAPI) -> list[Finding]:
    async def load(address: str) -> list[int]:
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(base_url=address, timeout=httpx.Timeout(60, pool=None), limits=limits) as client:
            answers = await asyncio.gather(*(client.request(*each) for each in PATHS * ROUNDS))
        return sorted(answer.status_code for answer in answers)

    findings: list[Finding] = []
    with watch("tests", findings.append, idle_ms=IDLE) as running:
        with served(app) as address:
            answers = asyncio.run(load(address))
        running.end_scope(running.scope)
    assert (running.errors, running.last_error) == (0, "")
    assert answers == [200] * (3 * ROUNDS) + [409] * ROUNDS
    return findings


def test_in_threads(postgres_url: str) -> None:
    with Database(postgres_url, pool_size=5, max_overflow=0, pool_timeout=30) as db:
        assert found_under_load(threads(db)) == []
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        with db.read() as session:
            assert session.scalars(select(Account.balance)).all() == [2] * ROUNDS
    assert count(postgres_url) == ROUNDS


def test_on_the_event_loop(postgres_async_url: str) -> None:
    app = on_loop(AsyncDatabase(postgres_async_url, pool_size=5, max_overflow=0, pool_timeout=30))

    assert found_under_load(app) == []
    assert count(postgres_async_url) == ROUNDS
