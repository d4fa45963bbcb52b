"""Functions that pass a call on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

R = TypeVar("R")


def service(act: Callable[[], R]) -> R:
    return repository(act)


def repository(act: Callable[[], R]) -> R:
    return act()


def twice(act: Callable[[], R]) -> tuple[R, R]:
    first = repository(act)
    return first, repository(act)


async def async_service(act: Callable[[], Awaitable[R]]) -> tuple[R, R]:
    first = await act()
    return first, await act()
