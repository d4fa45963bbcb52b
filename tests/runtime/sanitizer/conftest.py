"""A watch around each test that asks for one, and what it has found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.sanitizer.found import Found, watched


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
