"""The sessions that blocks of an `AsyncDatabase` give; inside of each is one of `session.Session`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa_asyncio

from hermetic.toolkit.places import Place, here
from hermetic.toolkit.session import Session, of, session_class

M = TypeVar("M")

# As `session.OPERATIONS`. SQLModel's `exec` is a coroutine function as well.
OPERATIONS = tuple(
    "execute scalar scalars get get_one refresh flush connection merge delete stream stream_scalars run_sync "
    "exec".split()
)


class AsyncSession(sa_asyncio.AsyncSession):
    """An SQLAlchemy asyncio session that belongs to one block of an `AsyncDatabase`; see `Session`."""

    sync_session: Session
    sync_session_class: type[orm.Session] = Session
    _turn: asyncio.Lock | None = None

    def on_commit(self, function: Callable[[], Any]) -> None:
        """See `Session.on_commit`; the function may be a coroutine function, which is awaited."""
        of(self).on_commit(function)

    async def lock(self, entity: type[M], identity: Any, *, nowait: bool = False) -> M:
        """See `Session.lock`."""
        return await self.run_sync(lambda session: cast(Session, session).lock(entity, identity, nowait=nowait))


def _guard(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """See `session._guard`."""

    async def operate(self: AsyncSession, at: Place, args: Any, options: Any) -> Any:
        if self._turn is not None:
            async with self._turn:
                return await plain(self, *args, **options)
        block = self.sync_session._block
        if not block.begin_use(name, at):
            return await plain(self, *args, **options)
        try:
            block.check_usable(name)
            return await plain(self, *args, **options)
        finally:
            block.end_use()

    # No coroutine function: in `gather(session.get(...), session.get(...))` the caller's line is known now or never.
    @functools.wraps(plain)
    def guarded(self: AsyncSession, *args: Any, **options: Any) -> Any:
        return operate(self, here(), args, options)

    return guarded


def _guards(wanted: type[sa_asyncio.AsyncSession]) -> dict[str, Callable[..., Any]]:
    return {name: _guard(name, getattr(wanted, name)) for name in OPERATIONS if hasattr(wanted, name)}


for _name, _guarded in _guards(sa_asyncio.AsyncSession).items():
    setattr(AsyncSession, _name, _guarded)


def async_session_class(wanted: type[sa_asyncio.AsyncSession]) -> type[sa_asyncio.AsyncSession]:
    """A class that is a block's session and the wanted one."""
    if issubclass(wanted, AsyncSession):
        return wanted
    inner = session_class(wanted.sync_session_class)
    return type(wanted.__name__, (AsyncSession, wanted), {**_guards(wanted), "sync_session_class": inner})
