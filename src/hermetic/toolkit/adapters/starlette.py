"""Starlette: a session for each endpoint, as its first argument, committed before the response is sent.

```python
@transaction(db)
async def pay(session: AsyncSession, request: Request) -> Response: ...


app = Starlette(routes=[Route("/orders/{number}", pay, methods=["POST"])])
```

With an AsyncDatabase endpoints are `async def`, with a Database `def`. An endpoint that returns commits, whatever its
response says; one that raises, HTTPException included, rolls back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import orm

from hermetic.toolkit import transactional
from hermetic.toolkit.adapters.serving import REQUEST, AnyDatabase, function_block, place_of
from hermetic.toolkit.block import Kind
from hermetic.toolkit.database import Database
from hermetic.toolkit.transactional import AsyncTransactional, Transactional

if TYPE_CHECKING:  # they need greenlet
    from sqlalchemy.ext import asyncio as sa_asyncio

    from hermetic.toolkit.async_database import AsyncDatabase

S = TypeVar("S", bound=orm.Session)
A = TypeVar("A", bound="sa_asyncio.AsyncSession")


@overload
def transaction(database: Database[S], *, retry: int = 0) -> Transactional[S]: ...
@overload
def transaction(database: AsyncDatabase[A], *, retry: int = 0) -> AsyncTransactional[A]: ...


def transaction(database: AnyDatabase, *, retry: int = 0) -> Any:
    """A decorator: the endpoint is a transaction. It gets the session as its first argument, after `self`.

    Removes SES001, SES003, SES006 and SES103 of sessions that a middleware opens and commits after the response.

    Parameters:
        database: a Database for `def` endpoints, an AsyncDatabase for `async def` ones.
        retry: how often the endpoint runs again after a serialization failure, a deadlock or a lost connection; see
            `Database.transactional`.

    A commit that fails is a failed request; what is raised is what the end of `Database.transaction()` raises. The
    session in a stream or a background task raises BlockEnded. Raises TypeError for an endpoint of the other kind.
    """
    return _decorator(database, retry=retry, reads=False)


@overload
def read(database: Database[S], *, primary: bool = False) -> Transactional[S]: ...
@overload
def read(database: AsyncDatabase[A], *, primary: bool = False) -> AsyncTransactional[A]: ...


def read(database: AnyDatabase, *, primary: bool = False) -> Any:
    """A decorator: the endpoint only reads, with the session of `Database.read()` as its first argument.

    Parameters:
        database: as in `transaction`.
        primary: read from the primary though there are replicas, which may lag behind it.

    Raises as `transaction`; ReadOnly for a write.
    """
    return _decorator(database, reads=True, primary=primary)


def _decorator(database: AnyDatabase, *, retry: int = 0, reads: bool, primary: bool = False) -> Any:
    if isinstance(database, Database):
        return function_block(database, REQUEST, retry=retry, reads=reads, primary=primary)

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        kind = Kind(reads=reads, primary=primary, serves=replace(REQUEST, at=place_of(endpoint)))
        return transactional.Async(database, retry=retry, kind=kind)(endpoint)

    return decorate
