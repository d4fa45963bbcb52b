"""Observers: they are told every moment they ask for, in both modes, and go with the watch that takes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, exc, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from hermetic.finding import Finding
from hermetic.sanitizer.detector import EVERYWHERE, Detector, Mode
from hermetic.sanitizer.watch import Watch, watch
from runtime.models import User

MOMENTS = (
    "made",
    "begun",
    "after_statement",
    "failed",
    "committing",
    "committed",
    "rolled_back",
    "closing",
    "ended",
    "closed",
    "taken",
    "returned",
    "reported",
)


class Heard:
    """An observer of all moments: their names in order, and what came with the last of each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.details: dict[str, tuple[Any, ...]] = {}
        hooks: dict[str, Any] = {name: self._hook(name) for name in MOMENTS}
        self.observer = Detector(code="", modes=EVERYWHERE, **hooks)

    def _hook(self, name: str) -> Any:
        def hear(_: Watch, *details: Any) -> None:
            self.names.append(name)
            self.details[name] = details

        return hear


@pytest.fixture(params=Mode)
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """An observer of a watch in each mode."""
    heard = Heard()
    with Watch(request.param, lambda report: None, observers=[heard.observer]).start() as running:
        yield heard
    assert (running.errors, running.last_error) == (0, "")


def test_the_moments_of_a_session_in_their_order(sync_engine: Engine, heard: Heard) -> None:
    with Session(sync_engine) as session:
        session.add(User(name="Ada"))
        session.flush()
        session.commit()

    assert heard.names == [
        *("made", "taken", "begun", "after_statement"),
        *("committing", "committed", "returned", "ended", "closing", "closed"),
    ]


async def test_the_moments_of_an_async_session_in_their_order(async_engine: AsyncEngine, heard: Heard) -> None:
    async with AsyncSession(async_engine) as session:
        await session.scalars(select(User))

    assert heard.names[-5:] == ["after_statement", "closing", "returned", "ended", "closed"]


def test_a_savepoint_is_no_commit(sync_engine: Engine, heard: Heard) -> None:
    with Session(sync_engine) as session, session.begin_nested():
        session.add(User(name="Ada"))

    assert "committing" not in heard.names
    assert "committed" not in heard.names


def test_a_statement_that_fails(sync_engine: Engine, heard: Heard) -> None:
    with Session(sync_engine) as session:
        session.add_all([User(id=1, name="Ada"), User(id=2, name="Ada")])
        with pytest.raises(exc.IntegrityError):
            session.commit()

    assert heard.details["failed"][1].error == "IntegrityError"
    assert "after_statement" not in heard.names


def test_a_detached_connection_has_left_the_pool_for_good(sync_engine: Engine, heard: Heard) -> None:
    with sync_engine.connect() as connection:
        connection.detach()

        assert heard.names == ["taken", "returned"]

    assert heard.names == ["taken", "returned"]


def test_a_connection_that_another_listener_refuses(sqlite_url: str, heard: Heard) -> None:
    refused: list[object] = []

    def refuse(connection: object, entry: object, proxy: object) -> None:
        if not refused:
            refused.append(connection)
            raise exc.DisconnectionError

    engine = create_engine(sqlite_url)
    event.listen(engine, "checkout", refuse)
    engine.connect().close()
    engine.dispose()

    assert heard.names == ["taken", "returned"] * 2


def test_a_finding_comes_with_its_session(sync_engine: Engine) -> None:
    heard = Heard()
    found: list[Finding] = []
    with Watch(Mode.TESTS, lambda report: found.append(report.finding), observers=[heard.observer]).start() as running:
        session = Session(sync_engine)
        session.scalars(select(User)).all()
        running.end_scope("")
        session.close()

    finding, record = heard.details["reported"]
    assert found == [finding]
    assert record.session() is session


def test_a_watch_that_takes_over_has_its_observers(sync_engine: Engine, heard: Heard) -> None:
    with watch("tests", lambda finding: None) as second, Session(sync_engine) as session:
        session.scalars(select(User)).all()

    assert heard.names.count("after_statement") == 1
    assert second.observers == (heard.observer,)
