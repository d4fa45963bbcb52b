"""FastAPI: what a client is told is what the database has."""

# No `from __future__ import annotations`, see `fastapi_shop`.

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import exc as sa_exc, make_url

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.fastapi import transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.rows import count
from runtime.toolkit.adapters.fastapi_shop import async_shop, sync_shop


@dataclass
class Shop:
    url: str
    client: TestClient
    pool: Any
    told: list[object] = field(default_factory=list)

    def post(self, path: str) -> Any:
        """What the application raises, is raised here."""
        return self.client.post(path)

    def ask(self, method: str, path: str) -> int:
        """The status that a client gets."""
        quiet = TestClient(self.client.app, raise_server_exceptions=False)
        quiet.portal = self.client.portal  # the same event loop
        return int(quiet.request(method, path).status_code)


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    told: list[object] = []
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 2}
    if make_url(url).get_dialect().is_async:
        adb = AsyncDatabase(url, **options)
        with TestClient(async_shop(adb, told)) as client:
            yield Shop(url, client, adb.engine.pool, told)
            assert client.portal is not None
            client.portal.call(adb.dispose)
    else:
        with Database(url, **options) as db, TestClient(sync_shop(db, told)) as client:
            yield Shop(url, client, db.engine.pool, told)


def test_a_request_commits_once_for_its_endpoint_and_its_dependencies(shop: Shop) -> None:
    assert shop.post("/accounts").json() == 1
    assert count(shop.url) == 1
    assert shop.client.get("/accounts").json() == 1
    assert shop.told == ["committed"]


def test_the_commit_comes_before_the_response(shop: Shop) -> None:
    seen: list[tuple[int, list[object]]] = []
    app = shop.client.app

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append((count(shop.url), list(shop.told)))
            await send(message)

        await app(scope, receive, watched)

    outside = TestClient(middleware)
    outside.portal = shop.client.portal
    outside.post("/accounts")

    assert seen == [(1, ["committed"])]


def test_a_commit_that_fails_is_a_failed_request(shop: Shop) -> None:
    with pytest.raises(sa_exc.IntegrityError):
        shop.post("/fails-at-commit")
    assert shop.ask("POST", "/fails-at-commit") == 500
    assert count(shop.url, "payments") == 0


def test_an_http_exception_rolls_back(shop: Shop) -> None:
    assert shop.post("/http-error").status_code == 409
    assert count(shop.url) == 0


def test_an_error_rolls_back(shop: Shop) -> None:
    with pytest.raises(ValueError, match="no"):
        shop.post("/error")
    assert count(shop.url) == 0


def test_no_connection_is_kept_after_errors(shop: Shop) -> None:
    for path in ("/error", "/http-error", "/fails-at-commit", "/nested") * 3:
        shop.ask("POST", path)

    assert shop.pool.checkedout() == 0


def test_a_second_transaction_in_a_request_is_refused(shop: Shop) -> None:
    with pytest.raises(errors.NestedBlock, match=r"fastapi_shop.py:\d+, in .*nested"):
        shop.post("/nested")
    assert count(shop.url) == 0


def test_the_database_knows_the_block_of_the_request(shop: Shop) -> None:
    shop.post("/callback")

    assert shop.told == ["called"]


def test_reading_refuses_to_write(shop: Shop) -> None:
    with pytest.raises(errors.ReadOnly):
        shop.post("/write-in-read")
    assert count(shop.url) == 0


def test_a_stream_cannot_use_the_session_of_its_request(shop: Shop) -> None:
    assert shop.client.get("/stream").text == "first"

    [error] = shop.told
    assert isinstance(error, errors.BlockEnded)
    assert "`session.scalar()` after the end of the request" in str(error)
    assert "a stream, a background task" in str(error)
    assert "in sync_shop.<locals>.stream" in str(error) or "in async_shop.<locals>.stream" in str(error)


def test_a_background_task_cannot_either_and_opens_its_own(shop: Shop) -> None:
    shop.client.get("/background")

    [error] = shop.told
    assert isinstance(error, errors.BlockEnded)
    assert count(shop.url) == 1


def test_a_web_socket_gets_no_session(shop: Shop) -> None:
    with pytest.raises(errors.HeldTooLong, match="for each message"), shop.client.websocket_connect("/socket"):
        pass


def test_a_synchronous_database_refuses_the_event_loop(sqlite_url: str) -> None:
    app = FastAPI()
    with Database(sqlite_url) as db:

        @app.get("/")
        async def on_loop(session: Annotated[Session, transaction(db)]) -> None:
            session.flush()
            session.connection()

        with pytest.raises(errors.OnEventLoop):
            TestClient(app).get("/")


def test_each_request_has_its_own_session(sqlite_url: str) -> None:
    app = FastAPI()
    seen = []
    with Database(sqlite_url) as db:
        request_session = transaction(db)  # the older spelling, without Annotated

        def dependency(session: Session = request_session) -> Session:
            return session

        @app.get("/")
        def both(session: Annotated[Session, transaction(db)], other: Annotated[Session, Depends(dependency)]) -> None:
            assert session is other
            seen.append(session)

        TestClient(app).get("/")
        TestClient(app).get("/")

    assert seen[0] is not seen[1]
