"""Litestar: a session for each request, committed before the response is sent.

```python
app = Litestar([create], dependencies={"session": transaction(db)})


@post("/orders")
async def create(data: NewOrder, session: NamedDependency[AsyncSession]) -> int: ...
```

With an AsyncDatabase handlers are `async def`, with a Database `def` with `sync_to_thread=True`. A handler that returns
commits, whatever its response says; one that raises, HTTPException included, rolls back. Litestar ends dependencies
when the response is made and before it is sent; several that end in one request it ends at the same time, each in a
task of its own, so a dependency with `yield` must not use the session after its `yield`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import Scope

from hermetic.toolkit.adapters.requests import held_too_long, request_block
from hermetic.toolkit.adapters.serving import AnyDatabase


def transaction(database: AnyDatabase) -> Provide:
    """A dependency: the request's session, whose transaction commits when the handler has returned.

    Removes SES001, SES002, SES003, SES006 and SES103 of sessions that are committed by the status of a response that
    has been sent.

    Parameters:
        database: a Database for handlers in threads, an AsyncDatabase for `async def` ones.

    A commit that fails is a failed request: its error goes to the application's exception handlers, and the client gets
    what they make of it, 500 by default. What is raised is what the end of `Database.transaction()` raises, in an
    ExceptionGroup if other dependencies end as well. The session in a stream or a background task raises BlockEnded, in
    a WebSocket's handler HeldTooLong, and that of a Database on the event loop OnEventLoop.
    """
    return _provide(database, reads=False)


def read(database: AnyDatabase, *, primary: bool = False) -> Provide:
    """A dependency: a session that only reads, `Database.read()`. Removes SES001, SES002 and SES103.

    Parameters:
        database: as in `transaction`.
        primary: read from the primary though there are replicas, which may lag behind it.

    Raises as `transaction`; ReadOnly for a write.
    """
    return _provide(database, reads=True, primary=primary)


def _provide(database: AnyDatabase, *, reads: bool, primary: bool = False) -> Provide:
    async def session(scope: Scope) -> AsyncGenerator[Any, None]:
        handler: Any = scope["route_handler"].fn
        if scope["type"] != ScopeType.HTTP:
            raise held_too_long(handler)
        async with request_block(database, handler, reads=reads, primary=primary) as opened:
            yield opened

    return Provide(session)
