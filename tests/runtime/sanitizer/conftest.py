"""A watch around each test that asks for one, and what it has found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hermetic.sanitizer.watch import watch
from runtime.sanitizer.found import Found


@pytest.fixture
def found() -> Iterator[Found]:
    """What the watch around this test finds. A mistake of hermetic's own fails the test."""
    found = Found()
    with watch("tests", found.append) as running:
        found.watch = running
        yield found
    assert (running.errors, running.last_error) == (0, "")


@pytest.fixture
def in_production() -> Iterator[Found]:
    """The same in production mode."""
    found = Found()
    with watch("production", found.append) as running:
        found.watch = running
        yield found
    assert (running.errors, running.last_error) == (0, "")
