"""What the adapters share: a block around one request, job or command, whose errors name the function that does it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from sqlalchemy import orm

from hermetic.toolkit import transactional
from hermetic.toolkit.block import Kind, Serves
from hermetic.toolkit.database import Database
from hermetic.toolkit.places import Place
from hermetic.toolkit.transactional import Transactional

if TYPE_CHECKING:
    from hermetic.toolkit.async_database import AsyncDatabase  # needs greenlet

AnyDatabase: TypeAlias = "Database[Any] | AsyncDatabase[Any]"
S = TypeVar("S", bound=orm.Session)

_LATER = "opens its own block, `with db.read() as session:`, and gets ids; or do it before the function returns"

REQUEST = Serves(
    what="the request, whose block ended before its response was sent",
    instead=f"what runs later (a stream, a background task) {_LATER}",
)
JOB = Serves(what="the job", instead=f"what runs later (a thread, another job) {_LATER}")
COMMAND = Serves(what="the command", instead=f"what runs later (an exit handler, a thread) {_LATER}")


def place_of(function: Callable[..., Any] | None) -> Place | None:
    """What errors name instead of the framework's line that opened a block."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    return None if code is None else Place(code, -1)


def function_block(
    database: Database[S], serves: Serves, *, retry: int = 0, reads: bool = False, primary: bool = False
) -> Transactional[S]:
    """A decorator like `db.transactional`, for what a framework calls."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        kind = Kind(reads=reads, primary=primary, serves=replace(serves, at=place_of(function)))
        return transactional.Sync(database, retry=retry, kind=kind)(function)

    return cast(Transactional[S], decorate)


def refuse_async(database: AnyDatabase, why: str) -> None:
    """Raises TypeError for an AsyncDatabase, where the framework has no event loop that lasts."""
    if not isinstance(database, Database):
        raise TypeError(f"{why}, and an AsyncDatabase belongs to one; use a Database")
