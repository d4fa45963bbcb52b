"""Databases for the frameworks."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres", "aiosqlite", "asyncpg"])
def url(request: pytest.FixtureRequest) -> str:
    """A database for each synchronous or asynchronous driver."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "asyncpg"])
def one_url(request: pytest.FixtureRequest) -> str:
    """The same, one for each kind of driver."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def plain_url(request: pytest.FixtureRequest) -> str:
    """The same, for synchronous drivers only."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
