"""Requests that wait for a connection before they take a thread."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import exc as sa_exc

from hermetic.toolkit.adapters.turns import turn
from hermetic.toolkit.database import Database


async def test_there_are_as_many_turns_as_connections(sqlite_url: str) -> None:
    with Database(sqlite_url, pool_size=1, max_overflow=1, pool_timeout=0.05) as db:
        async with turn(db.engine.pool), turn(db.engine.pool):
            with pytest.raises(sa_exc.TimeoutError, match="2 requests have held all 2 connections"):
                async with turn(db.engine.pool):
                    pass
        async with turn(db.engine.pool):
            pass


async def test_a_pool_without_limit_gives_turns_without_limit(sqlite_url: str) -> None:
    with Database(sqlite_url, pool_size=1, max_overflow=-1) as db:
        async with turn(db.engine.pool), turn(db.engine.pool):
            pass


def test_each_event_loop_has_its_own_turns(sqlite_url: str) -> None:
    with Database(sqlite_url, pool_size=1, max_overflow=0, pool_timeout=0.05) as db:

        async def take() -> None:
            async with turn(db.engine.pool):
                await asyncio.sleep(0)

        asyncio.run(take())
        asyncio.run(take())
