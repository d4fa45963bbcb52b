"""Finishing what must not be left half done, although the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_completion(
    work: Coroutine[Any, Any, T], *, wait: float, may_stop: Callable[[], bool]
) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Runs `work` in a task of its own until that is done; gives it, and the cancellation that came meanwhile.

    A cancellation reaches `work` at once while `may_stop()`, else after `wait` seconds. It may be repeated, as AnyIO
    does; the first one counts.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    done: asyncio.Future[None] = loop.create_future()
    task.add_done_callback(functools.partial(_wake, done))
    try:
        await done  # what asyncio.wait() does, at a third of its cost
    except asyncio.CancelledError as cancelled:
        await _wait_though_cancelled(task, 0 if may_stop() else wait)
        return task, cancelled
    return task, None


def _wake(waiting: asyncio.Future[None], task: asyncio.Task[Any]) -> None:
    if not waiting.done():
        waiting.set_result(None)


async def _wait_though_cancelled(task: asyncio.Task[Any], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    deadline: float | None = loop.time() + seconds
    while not task.done():
        left = None if deadline is None else deadline - loop.time()
        if left is not None and left <= 0:
            task.cancel()
            deadline = None
            continue
        try:
            await asyncio.wait((task,), timeout=left)
        except asyncio.CancelledError:
            continue
