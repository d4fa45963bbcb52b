"""Where frameworks begin a request or a task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from flask import Flask
from litestar import Litestar, get
from litestar.background_tasks import BackgroundTask
from litestar.response import Response
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette

from hermetic.sanitizer.operations import Operation, declared
from hermetic.sanitizer.watch import watch
from runtime.sanitizer.found import Found

Seen = list["Operation | None"]


@pytest.fixture
def seen(found: Found) -> Seen:
    """What the application under test notes, while a watch is running."""
    return []


@pytest.fixture
def application(seen: Seen) -> FastAPI:
    app = FastAPI()

    def dependency() -> Iterator[None]:
        seen.append(declared())
        yield
        seen.append(declared())

    @app.get("/sync", dependencies=[Depends(dependency)])
    def sync() -> None:
        seen.append(declared())

    @app.get("/async", dependencies=[Depends(dependency)])
    async def in_loop() -> None:
        await asyncio.sleep(0)
        seen.append(declared())

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> None:
        seen.append(declared())
        tasks.add_task(lambda: seen.append(declared()))
        tasks.add_task(lambda: seen.append(declared()))

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        seen.append(declared())
        await socket.close()

    mounted = FastAPI()
    mounted.get("/sync")(sync)
    app.mount("/mounted", mounted)

    @app.middleware("http")
    async def middleware(request: Any, call_next: Any) -> Any:
        if "mounted" in request.url.path:
            seen.append(declared())
        return await call_next(request)

    return app


def kinds(seen: Seen) -> list[str]:
    return [operation.kind if operation is not None else "" for operation in seen]


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_a_request_with_its_dependencies(application: FastAPI, seen: Seen, path: str) -> None:
    TestClient(application).get(path).raise_for_status()

    assert kinds(seen) == ["request"] * 3
    assert len(set(map(id, seen))) == 1


def test_two_requests(application: FastAPI, seen: Seen) -> None:
    client = TestClient(application)
    client.get("/sync").raise_for_status()
    client.get("/sync").raise_for_status()

    assert seen[0] is not seen[-1]


def test_a_mounted_application_serves_the_same_request(application: FastAPI, seen: Seen) -> None:
    TestClient(application).get("/mounted/sync").raise_for_status()

    assert kinds(seen) == ["request"] * 2
    assert seen[0] is seen[1]


def test_background_tasks_are_operations_of_their_own(application: FastAPI, seen: Seen) -> None:
    TestClient(application).get("/background").raise_for_status()

    assert kinds(seen) == ["request", "task", "task"]
    assert seen[1] is not seen[2]


def test_a_websocket_is_no_operation(application: FastAPI, seen: Seen) -> None:
    with TestClient(application).websocket_connect("/socket"):
        pass

    assert seen == [None]


def test_a_request_of_flask(seen: Seen) -> None:
    app = Flask("shop")

    @app.get("/")
    def index() -> str:
        seen.append(declared())
        return ""

    app.teardown_request(lambda _: seen.append(declared()))
    app.test_client().get("/")

    assert kinds(seen) == ["request"] * 2
    assert seen[0] is seen[1]


def test_a_request_of_litestar_and_its_background_task(seen: Seen) -> None:
    async def later() -> None:
        seen.append(declared())

    @get("/")
    async def index() -> Response[None]:
        seen.append(declared())
        return Response(None, background=BackgroundTask(later))

    with LitestarClient(Litestar([index])) as client:
        client.get("/").raise_for_status()

    assert kinds(seen) == ["request", "task"]


def test_a_task_of_celery(seen: Seen) -> None:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True

    @app.task  # type: ignore[untyped-decorator]
    def inner() -> None:
        seen.append(declared())

    @app.task  # type: ignore[untyped-decorator]
    def outer() -> None:
        seen.append(declared())
        inner.delay()
        seen.append(declared())

    outer.delay()
    seen.append(declared())

    assert kinds(seen) == ["task", "task", "task", ""]
    assert seen[0] is seen[2] is not seen[1]
    assert seen[0] is not None
    assert seen[0].name.endswith("outer")


def test_a_task_of_celery_that_fails(seen: Seen) -> None:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True

    @app.task  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise LookupError

    fail.delay()

    assert declared() is None


def test_frameworks_are_left_as_they_were() -> None:
    before = Starlette.__call__, Flask.__call__, Litestar.__call__
    with watch("tests"):
        during = Starlette.__call__, Flask.__call__, Litestar.__call__

    assert (Starlette.__call__, Flask.__call__, Litestar.__call__) == before
    assert not set(before) & set(during)


def test_frameworks_are_left_alone_in_production() -> None:
    before = Starlette.__call__, Flask.__call__, Litestar.__call__
    with watch("production"):
        assert (Starlette.__call__, Flask.__call__, Litestar.__call__) == before
