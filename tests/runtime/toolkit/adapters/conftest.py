"""Databases for the frameworks."""

from __future__ import annotations

import pytest

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
