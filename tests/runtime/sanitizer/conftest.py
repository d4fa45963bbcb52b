"""A watch around each test that asks for one, and what it has found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.sanitizer.found import Found, watched

HERE = Path(__file__).parent

# What drivers say of a connection that a test has leaked on purpose, in whatever test the collector runs.
LEAKED = (
    "ignore:unclosed connection <asyncpg:ResourceWarning",
    "ignore:<psycopg.AsyncConnection .* was deleted while still open:ResourceWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for ignored in LEAKED:
                item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.fixture
def found() -> Iterator[Found]:
    """What the watch around this test finds."""
    with watched() as found:
        yield found


@pytest.fixture
def in_production() -> Iterator[Found]:
    """The same in production mode."""
    with watched("production") as found:
        yield found
