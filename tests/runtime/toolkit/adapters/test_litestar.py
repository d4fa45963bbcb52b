"""Litestar: what a client is told is what the database has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, WebSocketDisconnect
from litestar.response import Response, Stream
from litestar.testing import TestClient
from sqlalchemy import func, make_url, select

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.litestar import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment
from runtime.rows import count


@dataclass
class Shop:
    url: str
    client: TestClient[Litestar]
    told: list[Any] = field(default_factory=list)


def threads(told: list[Any]) -> list[Any]:
    @post("/accounts", sync_to_thread=True)
    def create(session: NamedDependency[Session]) -> int:
        account = Account(balance=0)
        session.add(account)
        session.flush()
        return account.id

    @post("/fails-at-commit", sync_to_thread=True)
    def fail_at_commit(session: NamedDependency[Session]) -> None:
        session.add(Payment(earlier=999))

    @post("/http-error", sync_to_thread=True)
    def http_error(session: NamedDependency[Session]) -> None:
        session.add(Account())
        session.flush()
        raise HTTPException(status_code=409)

    @get("/accounts", sync_to_thread=True)
    def how_many(reading: NamedDependency[Session]) -> int:
        return reading.scalars(select(func.count(Account.id))).one()

    @get("/stream", sync_to_thread=True)
    def stream(session: NamedDependency[Session]) -> Stream:
        def body() -> Iterator[str]:
            try:
                session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)
            yield "done"

        return Stream(body())

    @post("/background", sync_to_thread=True)
    def background(session: NamedDependency[Session]) -> Response[None]:
        def later() -> None:
            try:
                session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)

        return Response(None, background=BackgroundTask(later))

    return [create, fail_at_commit, http_error, how_many, stream, background]


def on_loop(told: list[Any]) -> list[Any]:
    @post("/accounts")
    async def create(session: NamedDependency[AsyncSession]) -> int:
        account = Account(balance=0)
        session.add(account)
        await session.flush()
        return account.id

    @post("/fails-at-commit")
    async def fail_at_commit(session: NamedDependency[AsyncSession]) -> None:
        session.add(Payment(earlier=999))

    @post("/http-error")
    async def http_error(session: NamedDependency[AsyncSession]) -> None:
        session.add(Account())
        await session.flush()
        raise HTTPException(status_code=409)

    @get("/accounts")
    async def how_many(reading: NamedDependency[AsyncSession]) -> int:
        return (await reading.scalars(select(func.count(Account.id)))).one()

    @get("/stream")
    async def stream(session: NamedDependency[AsyncSession]) -> Stream:
        async def body() -> AsyncIterator[str]:
            try:
                await session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)
            yield "done"

        return Stream(body())

    @post("/background")
    async def background(session: NamedDependency[AsyncSession]) -> Response[None]:
        async def later() -> None:
            try:
                await session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)

        return Response(None, background=BackgroundTask(later))

    return [create, fail_at_commit, http_error, how_many, stream, background]


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any], session: NamedDependency[Any]) -> None: ...


@pytest.fixture
def shop(one_url: str) -> Iterator[Shop]:
    told: list[Any] = []

    def tell(error: Exception, scope: Any) -> None:
        told.append(error)

    if make_url(one_url).get_dialect().is_async:
        adb = AsyncDatabase(one_url)
        app = Litestar(
            [*on_loop(told), socket],
            dependencies={"session": transaction(adb), "reading": read(adb)},
            after_exception=[tell],
            on_shutdown=[adb.dispose],
        )
        with TestClient(app) as client:
            yield Shop(one_url, client, told)
        return
    with Database(one_url, pool_size=1, max_overflow=0, pool_timeout=2) as db:
        app = Litestar(
            [*threads(told), socket],
            dependencies={"session": transaction(db), "reading": read(db)},
            after_exception=[tell],
        )
        with TestClient(app) as client:
            yield Shop(one_url, client, told)


def test_a_handler_that_returns_has_committed(shop: Shop) -> None:
    assert shop.client.post("/accounts").json() == 1
    assert count(shop.url) == 1
    assert shop.client.get("/accounts").json() == 1


def test_a_commit_that_fails_is_a_failed_request(shop: Shop) -> None:
    assert shop.client.post("/fails-at-commit").status_code == 500
    assert count(shop.url, "payments") == 0


def test_an_http_exception_rolls_back_and_gives_the_connection_back(shop: Shop) -> None:
    for _ in range(3):
        assert shop.client.post("/http-error").status_code == 409
    assert count(shop.url) == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/stream"), ("POST", "/background")])
def test_what_runs_after_the_response_cannot_use_the_session(shop: Shop, method: str, path: str) -> None:
    assert shop.client.request(method, path).is_success

    [error] = shop.told
    assert isinstance(error, errors.BlockEnded)
    assert "after the end of the request" in str(error)
    assert f"in {'on_loop' if 'async' in shop.url or 'aio' in shop.url else 'threads'}.<locals>." in str(error)


def test_a_web_socket_gets_no_session(shop: Shop) -> None:
    with pytest.raises(WebSocketDisconnect), shop.client.websocket_connect("/socket"):
        pass

    [error] = shop.told
    assert isinstance(error, errors.HeldTooLong)
    assert "for each message" in str(error)


def test_a_handler_on_the_event_loop_cannot_use_a_synchronous_database(sqlite_url: str) -> None:
    @get("/", sync_to_thread=False)
    def handler(session: NamedDependency[Session]) -> None:
        session.connection()

    with (
        Database(sqlite_url) as db,
        TestClient(Litestar([handler], dependencies={"session": transaction(db)})) as client,
    ):
        client.app.debug = True
        assert "OnEventLoop" in client.get("/").text
