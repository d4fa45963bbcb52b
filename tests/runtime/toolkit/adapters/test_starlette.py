"""Starlette: what a client is told is what the database has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, make_url, select
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.starlette import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment
from runtime.rows import count


def threads(db: Database, told: list[Any]) -> list[Route]:
    @transaction(db)
    def create(session: Session, request: Request) -> Response:
        session.add(Account(balance=int(request.query_params["balance"])))

        def later() -> None:
            try:
                session.flush()
            except Exception as error:
                told.append(error)

        return JSONResponse({}, background=BackgroundTask(later))

    @transaction(db)
    def fail_at_commit(session: Session, request: Request) -> Response:
        session.add(Payment(earlier=999))
        return JSONResponse({})

    @transaction(db)
    def http_error(session: Session, request: Request) -> Response:
        session.add(Account())
        session.flush()
        raise HTTPException(409)

    @read(db)
    def how_many(session: Session, request: Request) -> Response:
        return JSONResponse(session.scalar(select(func.count(Account.id))))

    return routes(create, fail_at_commit, http_error, how_many)


def on_loop(db: AsyncDatabase, told: list[Any]) -> list[Route]:
    @transaction(db)
    async def create(session: AsyncSession, request: Request) -> Response:
        session.add(Account(balance=int(request.query_params["balance"])))

        async def later() -> None:
            try:
                await session.flush()
            except Exception as error:
                told.append(error)

        return JSONResponse({}, background=BackgroundTask(later))

    @transaction(db)
    async def fail_at_commit(session: AsyncSession, request: Request) -> Response:
        session.add(Payment(earlier=999))
        return JSONResponse({})

    @transaction(db)
    async def http_error(session: AsyncSession, request: Request) -> Response:
        session.add(Account())
        await session.flush()
        raise HTTPException(409)

    @read(db)
    async def how_many(session: AsyncSession, request: Request) -> Response:
        return JSONResponse(await session.scalar(select(func.count(Account.id))))

    return routes(create, fail_at_commit, http_error, how_many)


def routes(create: Any, fail_at_commit: Any, http_error: Any, how_many: Any) -> list[Route]:
    return [
        Route("/accounts", create, methods=["POST"]),
        Route("/fails-at-commit", fail_at_commit, methods=["POST"]),
        Route("/http-error", http_error, methods=["POST"]),
        Route("/accounts", how_many),
    ]


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def client(one_url: str, told: list[Any]) -> Iterator[TestClient]:
    if make_url(one_url).get_dialect().is_async:
        adb = AsyncDatabase(one_url)
        with TestClient(Starlette(routes=on_loop(adb, told)), raise_server_exceptions=False) as client:
            yield client
            assert client.portal is not None
            client.portal.call(adb.dispose)
    else:
        with (
            Database(one_url) as db,
            TestClient(Starlette(routes=threads(db, told)), raise_server_exceptions=False) as client,
        ):
            yield client


def test_an_endpoint_that_returns_has_committed(client: TestClient, one_url: str) -> None:
    assert client.post("/accounts?balance=5").status_code == 200
    assert count(one_url) == 1
    assert client.get("/accounts").json() == 1


def test_a_commit_that_fails_is_a_failed_request(client: TestClient, one_url: str) -> None:
    assert client.post("/fails-at-commit").status_code == 500
    assert count(one_url, "payments") == 0


def test_an_http_exception_rolls_back(client: TestClient, one_url: str) -> None:
    assert client.post("/http-error").status_code == 409
    assert count(one_url) == 0


def test_a_background_task_cannot_use_the_session(client: TestClient, told: list[Any]) -> None:
    client.post("/accounts?balance=5")

    [error] = told
    assert isinstance(error, errors.BlockEnded)
    assert "after the end of the request" in str(error)
