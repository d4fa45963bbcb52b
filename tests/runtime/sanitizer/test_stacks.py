"""Whose code a file is, and where a task stands."""

from __future__ import annotations

import asyncio
import os
import sysconfig
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from hermetic.sanitizer.stacks import is_library, task_frames

SCRIPT = os.path.join(sysconfig.get_path("scripts"), "hermetic")


@pytest.mark.parametrize("filename", [SCRIPT, os.path.relpath(SCRIPT), sqlalchemy.__file__, os.__file__, "<string>"])
def test_a_library(filename: str) -> None:
    assert is_library(filename)


@pytest.mark.parametrize("filename", [__file__, "app.py", str(Path("app", "users.py").absolute())])
def test_the_application(filename: str) -> None:
    assert not is_library(filename)


class Slow:
    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.sleep(10).__await__()


async def wait() -> None:
    await Slow()


async def items() -> AsyncIterator[int]:
    try:
        yield 1
        await wait()
    finally:
        await wait()


async def read() -> None:
    async for _ in items():
        pass


async def read_by_hand() -> None:
    iterator = items()
    await anext(iterator)
    await anext(iterator, None)


async def leave() -> None:
    iterator = items()
    await anext(iterator)
    await iterator.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("work", [read, read_by_hand, leave])
async def test_a_task_that_waits_in_an_asynchronous_generator(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)

    names = [code.co_name for code, _ in task_frames(task)]
    task.cancel()

    assert names == ["wait", "items", work.__name__]
