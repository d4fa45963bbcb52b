"""`@db.transactional`: a function that is a transaction, and runs again as a whole where that helps."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import ModuleType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from sqlalchemy import orm

from hermetic.toolkit.block import TRANSACTION, Kind
from hermetic.toolkit.core import current_session

if TYPE_CHECKING:
    from sqlalchemy.ext import asyncio as sa_asyncio

    from hermetic.toolkit.async_database import AsyncDatabase
    from hermetic.toolkit.database import Database

P = ParamSpec("P")
R = TypeVar("R")
Instance = TypeVar("Instance")
S = TypeVar("S", bound=orm.Session)
A = TypeVar("A", bound="sa_asyncio.AsyncSession")
# A function that takes any session will do where this one is given.
S_co = TypeVar("S_co", bound=orm.Session, covariant=True)
A_co = TypeVar("A_co", bound="sa_asyncio.AsyncSession", covariant=True)

# Seconds to wait before the next attempt: a random time below a bound that doubles from the first to the second.
WAIT, LONGEST_WAIT = 0.02, 1.0


class Transactional(Protocol[S_co]):
    """What `db.transactional(…)` gives: a decorator that takes the session out of a function's parameters."""

    @overload
    def __call__(self, function: Callable[Concatenate[S_co, P], R], /) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Instance, S_co, P], R], /
    ) -> Callable[Concatenate[Instance, P], R]: ...


class AsyncTransactional(Protocol[A_co]):
    @overload
    def __call__(
        self, function: Callable[Concatenate[A_co, P], Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Instance, A_co, P], Coroutine[Any, Any, R]], /
    ) -> Callable[Concatenate[Instance, P], Coroutine[Any, Any, R]]: ...


class Sync(Generic[S]):
    def __init__(self, database: Database[S], *, retry: int, join: bool = False, kind: Kind = TRANSACTION) -> None:
        self._database, self._retry, self._join, self._kind = database, retry, join, kind

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} would run after its transaction; a plain function is needed")
        position = _position(function)

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            def in_session(session: S) -> Any:
                return function(*args[:position], session, *args[position:], **options)

            around = current_session(self._database._core, function.__qualname__) if self._join else None
            if around is not None:
                with self._database.transaction(join=around):
                    return in_session(around)
            return self._attempts(in_session)

        return _without_session(call, function, position)

    def _attempts(self, in_session: Callable[[S], Any]) -> Any:
        scope = self._database._scope(self._kind)

        def once() -> Any:
            nonlocal scope
            scope = self._database._scope(self._kind)
            with scope as session:
                return in_session(session)

        if not self._retry:
            return once()
        tenacity = _tenacity()
        return tenacity.Retrying(**_policy(tenacity, self._retry, lambda error: scope.may_run_again))(once)


class Async(Generic[A]):
    def __init__(self, database: AsyncDatabase[A], *, retry: int, join: bool = False, kind: Kind = TRANSACTION) -> None:
        self._database, self._retry, self._join, self._kind = database, retry, join, kind

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function, which an AsyncDatabase needs")
        position = _position(function)

        @functools.wraps(function)
        async def call(*args: Any, **options: Any) -> Any:
            async def in_session(session: A) -> Any:
                return await function(*args[:position], session, *args[position:], **options)

            around = current_session(self._database._core, function.__qualname__) if self._join else None
            if around is not None:
                async with self._database.transaction(join=around):
                    return await in_session(around)
            return await self._attempts(in_session)

        return _without_session(call, function, position)

    async def _attempts(self, in_session: Callable[[A], Awaitable[Any]]) -> Any:
        scope = self._database._scope(self._kind)

        async def once() -> Any:
            nonlocal scope
            scope = self._database._scope(self._kind)
            async with scope as session:
                return await in_session(session)

        if not self._retry:
            return await once()
        tenacity = _tenacity()
        return await tenacity.AsyncRetrying(**_policy(tenacity, self._retry, lambda error: scope.may_run_again))(once)


def _position(function: Callable[..., Any]) -> int:
    """Where the session goes: first, or after `self` or `cls`."""
    names = list(inspect.signature(function).parameters)
    return 1 if names and names[0] in ("self", "cls") else 0


def _without_session(call: Callable[..., Any], function: Callable[..., Any], position: int) -> Callable[..., Any]:
    """Frameworks read signatures to know what to pass."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if len(parameters) <= position:
        raise TypeError(f"{function.__qualname__} has no parameter for the session")
    del parameters[position]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


def _tenacity() -> ModuleType:
    try:
        import tenacity
    except ImportError as error:
        raise ImportError("retry= needs tenacity: pip install 'hermetic[toolkit]'") from error
    return tenacity


def _policy(tenacity: Any, retry: int, again: Callable[[BaseException], bool]) -> dict[str, Any]:
    return {
        "stop": tenacity.stop_after_attempt(retry + 1),
        "wait": tenacity.wait_random_exponential(multiplier=WAIT, max=LONGEST_WAIT),
        "retry": tenacity.retry_if_exception(again),
        "reraise": True,
    }
