"""Finishing what must not be left half done, although the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
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
    cancelled: asyncio.CancelledError | None = None
    deadline: float | None = None
    while not task.done():
        left = None if deadline is None else deadline - loop.time()
        if left is not None and left <= 0:
            task.cancel()
            deadline = None
            continue
        try:
            await asyncio.wait((task,), timeout=left)
        except asyncio.CancelledError as error:
            if cancelled is None:
                cancelled, deadline = error, loop.time() + (0 if may_stop() else wait)
    return task, cancelled
