"""The FastAPI application behind a real server, with more clients than connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from runtime.rows import count
from runtime.toolkit.adapters.fastapi_shop import async_shop, sync_shop
from runtime.toolkit.adapters.servers import served

CLIENTS = 60  # more than the 40 threads of the endpoints


async def _ask_at_once(address: str) -> list[int]:
    async with httpx.AsyncClient(base_url=address, timeout=20, limits=httpx.Limits(max_connections=None)) as client:
        paths = ["/accounts", "/http-error", "/accounts"] * (CLIENTS // 3)
        answers = await asyncio.gather(*(client.post(path) for path in paths))
    return [answer.status_code for answer in answers]


def _each_answer_is_true(url: str, answers: list[int]) -> None:
    assert sorted(answers) == [200] * 40 + [409] * 20
    assert count(url) == 40


def test_threads_that_wait_for_connections_get_them(plain_url: str) -> None:
    with Database(plain_url, pool_size=3, max_overflow=0) as db:
        with served(sync_shop(db, [])) as address:
            answers = asyncio.run(_ask_at_once(address))

        _each_answer_is_true(plain_url, answers)
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_tasks_that_wait_for_connections_get_them(postgres_async_url: str) -> None:
    left: list[int] = []
    db = AsyncDatabase(postgres_async_url, pool_size=3, max_overflow=0)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        left.append(db.engine.pool.checkedout())  # type: ignore[attr-defined]
        await db.dispose()

    app = async_shop(db, [])
    app.router.lifespan_context = lifespan
    with served(app) as address:
        answers = asyncio.run(_ask_at_once(address))

    _each_answer_is_true(postgres_async_url, answers)
    assert left == [0]
