"""A Database, and an AsyncDatabase, on a fresh database of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from runtime.models import Account, Post, User


@pytest.fixture
def db(sync_url: str) -> Iterator[Database]:
    with Database(sync_url, pool_size=4, max_overflow=0, pool_timeout=2) as database:
        yield database


@pytest.fixture
def filled(db: Database) -> Database:
    """Ada has two posts; accounts 1 and 2 have 100 each."""
    with db.transaction() as session:
        session.add(User(name="Ada", posts=[Post(title="Notes"), Post(title="Numbers")]))
        session.add_all([Account(balance=100), Account(balance=100)])
    return db


@pytest_asyncio.fixture
async def adb(async_url: str) -> AsyncIterator[AsyncDatabase]:
    async with AsyncDatabase(async_url, pool_size=4, max_overflow=0, pool_timeout=2) as database:
        yield database


@pytest_asyncio.fixture
async def afilled(adb: AsyncDatabase) -> AsyncDatabase:
    """The same, for asyncio."""
    async with adb.transaction() as session:
        session.add(User(name="Ada", posts=[Post(title="Notes"), Post(title="Numbers")]))
        session.add_all([Account(balance=100), Account(balance=100)])
    return adb
