"""Traces of applications: FastAPI over aiosqlite, and threads that share a pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request
from sqlalchemy import AsyncAdaptedQueuePool, Engine, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from runtime.models import User
from runtime.sanitizer.traces import PAUSE, Trace, recorded


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Db = Annotated[AsyncSession, Depends(get_session)]


def users_app(url: str) -> FastAPI:
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=3, max_overflow=0)
    app = FastAPI()
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)

    @app.post("/users/{name}")
    async def register(name: str, db: Db) -> int:
        user = User(name=name)
        db.add(user)
        await db.commit()
        return user.id

    @app.get("/users")
    async def names(db: Db) -> list[str]:
        found = await db.scalars(select(User.name))
        await asyncio.sleep(PAUSE)
        await db.scalars(select(User.name))
        return list(found)

    @app.post("/close")
    async def close() -> None:
        await engine.dispose()

    return app


async def test_requests_of_a_fastapi_application(aiosqlite_url: str, tmp_path: Path) -> None:
    with recorded(tmp_path / "trace.json"):
        transport = httpx.ASGITransport(users_app(aiosqlite_url))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            for number in range(5):
                await client.post(f"/users/user{number}")
            answers = await asyncio.gather(*(client.get("/users") for _ in range(8)))
            await client.post("/close")
    trace = Trace(tmp_path / "trace.json")

    assert [len(answer.json()) for answer in answers] == [5] * 8
    assert len({each["session"] for each in trace.args("session")}) == 13
    assert [each["outcome"] for each in trace.args("transaction")].count("commit") == 5
    assert len([wait for wait in trace.waits() if "names" in wait["after"] and "names" in wait["before"]]) == 8
    assert max(trace.in_use()) == 3
    assert trace.in_use()[-1] == 0
    assert len(trace.of("connection")) == 2 * 13


def test_threads_that_share_a_pool(sync_url: str, tmp_path: Path) -> None:
    engine: Engine

    def job(number: int) -> None:
        with Session(engine) as session:
            session.scalars(select(User)).all()
            time.sleep(PAUSE)
            session.add(User(name=f"user{number}"))
            session.commit()

    with recorded(tmp_path / "trace.json"):
        engine = create_engine(sync_url, pool_size=2, max_overflow=0)
        with ThreadPoolExecutor(4, thread_name_prefix="worker") as pool:
            list(pool.map(job, range(8)))
        engine.dispose()
    trace = Trace(tmp_path / "trace.json")

    assert len(trace.of("session")) == 8
    assert {each["task"].partition("_")[0] for each in trace.args("session")} == {'thread "worker'}
    assert len(trace.waits()) == 8
    assert max(trace.in_use()) == 2
    assert trace.in_use()[-1] == 0
    assert {count["size"] for count in trace.args("pool")} == {2}
