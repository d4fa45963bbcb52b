"""The live table of sessions, and what a pool's time-out says of its holders."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from flask import Flask, Response
from sqlalchemy import AsyncAdaptedQueuePool, Engine, create_engine, exc, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import hermetic
from hermetic.sanitizer.watch import watch
from runtime.models import User
from runtime.sanitizer.found import Found, marks


def line_of(function: Any, mark: str) -> str:
    (number,) = [line for line, name in marks(function).items() if name == mark]
    return f"test_live.py:{number} in "


# The table


def test_a_session_that_is_idle(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()  # mark: taken
        (row,) = hermetic.sessions()  # mark: now

    here = test_a_session_that_is_idle
    assert (row.kind, row.state, row.statements, row.who) == ("Session", "idle", 1, 'thread "MainThread"')
    assert line_of(here, "taken") in row.taken
    assert line_of(here, "now") in row.now
    assert 0 <= row.idle <= row.since < 5
    assert row.engine.startswith(f"{sync_engine.dialect.name}")


async def test_an_async_session_that_is_idle(async_engine: AsyncEngine, in_production: Found) -> None:
    async def handler() -> None:
        async with AsyncSession(async_engine) as session:
            await session.scalars(select(User))  # mark: taken
            begun.set()
            await over.wait()  # mark: now

    begun, over = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(handler(), name="order 7")
    await begun.wait()
    (row,) = hermetic.sessions()
    over.set()
    await task

    assert (row.kind, row.state, row.who) == ("AsyncSession", "idle", 'task "order 7"')
    assert line_of(handler, "taken") in row.taken
    assert line_of(handler, "now") in row.now


def test_a_session_in_a_statement(postgres_url: str, in_production: Found) -> None:
    def wait() -> None:
        with Session(engine) as session:
            session.execute(text("SELECT pg_sleep(0.5)"))

    engine = create_engine(postgres_url)
    thread = threading.Thread(target=wait, name="report")
    thread.start()
    rows: list[hermetic.LiveSession] = []
    while thread.is_alive() and not any(row.state == "in a statement" for row in rows):
        rows = hermetic.sessions()
    thread.join()
    engine.dispose()

    assert [(row.kind, row.state, row.who) for row in rows] == [("Session", "in a statement", 'thread "report"')]


def test_a_session_whose_statement_failed_is_idle(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        with pytest.raises(exc.DBAPIError):
            session.execute(text("SELECT nothing"))
        (row,) = hermetic.sessions()

    assert (row.state, row.statements) == ("idle", 1)


def test_many_rows_of_one_flush_are_one_statement(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        session.add_all(User(name=f"user {number}") for number in range(3))
        session.flush()
        (row,) = hermetic.sessions()

    assert (row.state, row.statements) == ("idle", 1)


def test_a_connection_without_a_session(sync_engine: Engine, in_production: Found) -> None:
    with sync_engine.connect():  # mark: taken
        (row,) = hermetic.sessions()

    assert (row.kind, row.state) == ("Connection", "")
    assert line_of(test_a_connection_without_a_session, "taken") in row.taken


def test_a_session_on_a_connection_is_one_row(sync_engine: Engine, in_production: Found) -> None:
    with sync_engine.connect() as connection, Session(connection) as session:
        session.scalars(select(User)).all()

        assert [row.kind for row in hermetic.sessions()] == ["Session"]


def test_a_committed_session_holds_nothing(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        session.commit()

        assert hermetic.sessions() == []


def test_the_oldest_comes_first(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as first, Session(sync_engine) as second:
        first.scalars(select(User)).all()
        second.scalars(select(User)).all()
        older, newer = hermetic.sessions()

    assert older.since > newer.since


def test_who_is_over(sync_url: str, in_production: Found) -> None:
    engine = create_engine(sync_url, connect_args={"check_same_thread": False} if "sqlite" in sync_url else {})
    session = Session(engine)
    thread = threading.Thread(target=lambda: session.scalars(select(User)).all())
    thread.start()
    thread.join()
    (row,) = hermetic.sessions()
    session.close()
    engine.dispose()

    assert row.now == "over"


def test_the_password_is_hidden(postgres_url: str, in_production: Found) -> None:
    url = make_url(postgres_url).set(password="tiger").update_query_dict({"sslpassword": "lion"})
    engine = create_engine(url)
    with engine.connect():
        (row,) = hermetic.sessions()
    engine.dispose()

    assert row.engine.startswith("postgresql+psycopg://postgres:***@/")
    assert "sslpassword=hidden" in row.engine


def test_where_it_was_made_is_known_in_tests(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:  # mark: made
        session.scalars(select(User)).all()
        (row,) = hermetic.sessions()

    assert line_of(test_where_it_was_made_is_known_in_tests, "made") in row.made


def test_no_watch() -> None:
    with pytest.raises(RuntimeError, match="no watch is running"):
        hermetic.sessions()


def test_the_text_says_that_there_is_no_watch() -> None:
    assert "no watch is running" in hermetic.sessions_text()


def test_the_text_is_a_table(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session, sync_engine.connect():
        session.scalars(select(User)).all()
        title, head, *lines = hermetic.sessions_text().splitlines()

    assert title == "hermetic: 2 out of their pools, mode production, 0 mistakes of hermetic's own"
    assert head.split()[:3] == ["number", "kind", "since"]
    assert [line.split()[1] for line in lines] == ["Connection", "Session"]
    assert {line.index("test_live.py") >= head.index("taken") for line in lines} == {True}


def test_a_row_is_json(sync_engine: Engine, in_production: Found) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        answer = json.loads(json.dumps([dataclasses.asdict(row) for row in hermetic.sessions()]))

    assert [row["kind"] for row in answer] == ["Session"]


def test_an_endpoint_of_fastapi(sync_engine: Engine, in_production: Found) -> None:
    app = FastAPI()
    app.add_api_route("/hermetic", hermetic.sessions_text, response_class=PlainTextResponse)
    app.add_api_route("/hermetic.json", hermetic.sessions)
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        client = TestClient(app)

        assert client.get("/hermetic").text.startswith("hermetic: 1 out of")
        assert client.get("/hermetic.json").json()[0]["kind"] == "Session"


def test_an_endpoint_of_flask(sync_engine: Engine, in_production: Found) -> None:
    app = Flask("shop")
    app.add_url_rule("/hermetic", view_func=lambda: Response(hermetic.sessions_text(), mimetype="text/plain"))
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()

        assert app.test_client().get("/hermetic").text.startswith("hermetic: 1 out of")


# Time-outs of pools


@pytest.fixture(params=["tests", "production"])
def running(request: pytest.FixtureRequest) -> Iterator[hermetic.Watch]:
    with watch(request.param, lambda finding: None) as running:
        yield running
    assert (running.errors, running.last_error) == (0, "")


def test_a_pool_that_timed_out(sync_url: str, running: hermetic.Watch, caplog: pytest.LogCaptureFixture) -> None:
    engine = create_engine(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with Session(engine) as session:
        session.scalars(select(User)).all()  # mark: taken
        with pytest.raises(exc.TimeoutError) as caught, engine.connect():  # mark: now
            pass
    engine.dispose()

    here = test_a_pool_that_timed_out
    (note,) = caught.value.__notes__
    assert f"who holds the connections of {engine.dialect.name}" in note
    assert ", idle for 0.0 s: taken at " in note or ", idle for 0.1 s: taken at " in note
    assert line_of(here, "taken") in note
    assert 'by thread "MainThread", which is now at ' in note
    assert line_of(here, "now") in note
    assert [record.getMessage() for record in caplog.records if record.name == "hermetic"] == [note]
    assert running.pool_timeouts == 1


async def test_an_async_pool_that_timed_out(async_url: str, running: hermetic.Watch) -> None:
    async def hold() -> None:
        async with AsyncSession(engine) as session:
            await session.scalars(select(User))  # mark: taken
            begun.set()
            await over.wait()  # mark: now

    pool = AsyncAdaptedQueuePool  # before 2.0.38, a file of aiosqlite has no pool that can time out
    engine = create_async_engine(async_url, poolclass=pool, pool_size=1, max_overflow=0, pool_timeout=0.05)
    begun, over = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(), name="holder")
    await begun.wait()
    with pytest.raises(exc.TimeoutError) as caught:
        async with engine.connect():
            pass
    over.set()
    await holder
    await engine.dispose()

    (note,) = caught.value.__notes__
    assert line_of(hold, "taken") in note
    assert 'by task "holder", which is now at ' in note
    assert line_of(hold, "now") in note


def test_a_holder_that_is_over(sync_url: str, running: hermetic.Watch) -> None:
    sqlite = {"check_same_thread": False} if "sqlite" in sync_url else {}
    engine = create_engine(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.05, connect_args=sqlite)
    session = Session(engine)
    thread = threading.Thread(target=lambda: session.scalars(select(User)).all(), name="gone")
    thread.start()
    thread.join()
    with pytest.raises(exc.TimeoutError) as caught, engine.connect():
        pass
    session.close()
    engine.dispose()

    assert "which is over" in caught.value.__notes__[0]


def test_only_the_holders_of_this_pool(sync_url: str, running: hermetic.Watch) -> None:
    engine = create_engine(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    other = create_engine(sync_url)
    with other.connect(), engine.connect(), pytest.raises(exc.TimeoutError) as caught, engine.connect():
        pass
    engine.dispose()
    other.dispose()

    assert caught.value.__notes__[0].count("taken at") == 1


def test_holders_from_before_the_watch(sync_url: str) -> None:
    engine = create_engine(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect(), watch("production"), pytest.raises(exc.TimeoutError) as caught, engine.connect():
        pass
    engine.dispose()

    assert "nobody who took one since hermetic watches" in caught.value.__notes__[0]


def test_many_holders_are_counted(sync_url: str, running: hermetic.Watch) -> None:
    engine = create_engine(sync_url, pool_size=27, max_overflow=0, pool_timeout=0.05)
    held = [engine.connect() for _ in range(27)]
    with pytest.raises(exc.TimeoutError) as caught, engine.connect():
        pass
    for connection in held:
        connection.close()
    engine.dispose()

    assert caught.value.__notes__[0].endswith("\n  and 2 more")


def test_an_error_of_the_driver_gets_no_note(running: hermetic.Watch, caplog: pytest.LogCaptureFixture) -> None:
    engine = create_engine("postgresql+psycopg://nobody@/nothing?host=/nowhere")
    with caplog.at_level(logging.WARNING), pytest.raises(exc.OperationalError) as caught, engine.connect():
        pass

    assert not getattr(caught.value, "__notes__", [])
    assert (caplog.records, running.pool_timeouts) == ([], 0)
