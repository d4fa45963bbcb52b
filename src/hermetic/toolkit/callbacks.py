"""What runs after the commit."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block, Callback
from hermetic.toolkit.errors import explain


def call(callbacks: Iterable[Callback], block: Block) -> None:
    """Calls them all in their order. Raises CallbackFailed from the first error, when all have run."""
    failed: list[tuple[Callback, Exception]] = []
    for callback in callbacks:
        try:
            if inspect.isawaitable(callback.function()):
                raise TypeError("a coroutine function in on_commit() of a synchronous Database")
        except Exception as error:
            failed.append((callback, error))
    _raise_first(failed, block)


async def call_async(callbacks: Iterable[Callback], block: Block) -> None:
    """The same; what a callback gives is awaited where that is possible."""
    failed: list[tuple[Callback, Exception]] = []
    for callback in callbacks:
        try:
            given = callback.function()
            if inspect.isawaitable(given):
                await given
        except Exception as error:
            failed.append((callback, error))
    _raise_first(failed, block)


def _raise_first(failed: list[tuple[Callback, Exception]], block: Block) -> None:
    if not failed:
        return
    callback, error = failed[0]
    text = explain(
        f"the transaction is committed, but {len(failed)} of its callbacks failed, the first with {error!r}",
        registered_at=callback.at,
        block_opened_at=block.opened,
        instead="catch in the callback what may fail in it; work that must not be lost belongs into the transaction "
        "(an outbox row), not behind it",
    )
    raise errors.CallbackFailed(text) from error
