"""The recorder of traces: what each act becomes in the file."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
from sqlalchemy import (
    Engine,
    NullPool,
    Pool,
    StaticPool,
    create_engine,
    event,
    exc,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session
from sqlalchemy.pool import SingletonThreadPool

from hermetic.sanitizer.detector import Mode
from hermetic.sanitizer.tracing import FIRST_POOL, NO_SESSION
from runtime.models import User
from runtime.sanitizer.found import marks
from runtime.sanitizer.traces import PAUSE, Trace, recorded

HERE = "tests/runtime/sanitizer/test_tracing.py"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to record; places are shown relative to the repository."""
    monkeypatch.chdir(Path(__file__).parents[3])
    return tmp_path / "trace.json"


@pytest.fixture(params=Mode)
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both modes record the same."""
    mode: Mode = request.param
    return mode


def at(function: object, mark: str, name: str) -> str:
    """A marked line of a test as traces show it."""
    (line,) = [line for line, names in marks(function).items() if names == mark]  # type: ignore[arg-type]
    return f"{HERE}:{line} in {name}"


def test_the_life_of_a_session(sync_engine: Engine, path: Path, mode: Mode) -> None:
    def work() -> None:
        with Session(sync_engine) as session:  # mark: session
            session.add(User(name="Ada"))
            session.flush()  # mark: insert
            time.sleep(PAUSE)
            session.scalars(select(User.name).where(User.name == "Ada")).all()  # mark: select
            session.commit()  # mark: commit

    with recorded(path, mode):
        work()
    trace = Trace(path)
    here = "test_the_life_of_a_session.work"

    (session,) = trace.args("session")
    assert session == {
        "session": session["session"],
        "opened": at(work, "session", here),
        "closed": at(work, "session", here),
        "task": 'thread "MainThread"',
        "findings": [],
    }
    assert trace.names()[session["session"]].startswith(f"Session {session['session']} (Session) {HERE}:")
    assert trace.args("transaction") == [{"outcome": "commit", "ended": at(work, "commit", here)}]
    assert [event["name"] for event in trace.of("statement")] == ["INSERT users", "SELECT users"]
    assert [each["at"] for each in trace.args("statement")] == [at(work, "insert", here), at(work, "select", here)]
    (wait,) = trace.waits()
    assert (wait["after"], wait["before"]) == (at(work, "insert", here), at(work, "select", here))


async def test_the_life_of_an_async_session(async_engine: AsyncEngine, path: Path, mode: Mode) -> None:
    async def work() -> None:
        async with async_sessionmaker(async_engine).begin() as session:  # mark: session
            await session.scalars(select(User))  # mark: select

    with recorded(path, mode):
        await work()
    trace = Trace(path)
    here = "test_the_life_of_an_async_session.work"

    (session,) = trace.args("session")
    assert (session["opened"], session["closed"]) == (at(work, "session", here),) * 2
    assert session["task"].startswith('task "')
    assert "(AsyncSession)" in trace.names()[session["session"]]
    assert trace.args("transaction") == [{"outcome": "commit", "ended": at(work, "session", here)}]
    assert [each["at"] for each in trace.args("statement")] == [at(work, "select", here)]


def test_the_pool(sync_url: str, path: Path) -> None:
    with recorded(path):
        engine = create_engine(sync_url, pool_size=2, max_overflow=1)
        with engine.connect(), Session(engine) as session:
            session.scalars(select(User)).all()
        engine.dispose()
        with Session(engine) as session:
            session.scalars(select(User)).all()
        engine.dispose()
    trace = Trace(path)

    assert trace.in_use() == [1, 2, 1, 0, 1, 0]
    assert {count["size"] for count in trace.args("pool")} == {3}
    (lane,) = {event["tid"] for event in trace.of("pool")}
    assert trace.names()[lane].startswith(f"pool of {sync_url.partition(':')[0]}")
    numbers = [each["session"] for each in trace.args("session")]
    assert [event["args"]["session"] for event in trace.of("connection") if event["ph"] == "b"] == [None, *numbers]


@pytest.mark.parametrize("pool", [NullPool, SingletonThreadPool, StaticPool])
def test_a_pool_without_limits(sqlite_url: str, path: Path, pool: type[Pool]) -> None:
    with recorded(path):
        engine = create_engine(sqlite_url, poolclass=pool)
        engine.connect().close()
        engine.dispose()

    assert Trace(path).args("pool") == [{"in use": 1}, {"in use": 0}]


def test_an_engine_that_is_older_than_the_recording(sync_engine: Engine, path: Path) -> None:
    with recorded(path):
        sync_engine.connect().close()

    assert [name for lane, name in Trace(path).names().items() if lane >= FIRST_POOL] == [
        "pool of an engine older than the recording"
    ]


def test_a_wait_before_the_end_of_the_transaction(sync_engine: Engine, path: Path, mode: Mode) -> None:
    def work() -> None:
        session = Session(sync_engine)
        session.scalars(select(User)).all()  # mark: first
        time.sleep(PAUSE)
        session.commit()  # mark: commit
        session.scalars(select(User)).all()  # mark: second
        time.sleep(PAUSE)
        session.close()  # mark: close

    with recorded(path, mode):
        work()
    here = "test_a_wait_before_the_end_of_the_transaction.work"

    assert [(wait["after"], wait["before"]) for wait in Trace(path).waits()] == [
        (at(work, "first", here), at(work, "commit", here)),
        (at(work, "second", here), at(work, "close", here)),
    ]


def test_a_statement_that_fails(sync_engine: Engine, path: Path, mode: Mode) -> None:
    with recorded(path, mode), Session(sync_engine) as session:
        with pytest.raises(exc.DatabaseError):
            session.execute(text("SELECT secret FROM nowhere"))
        session.rollback()
    trace = Trace(path)

    (statement,) = trace.args("statement")
    assert statement["failed"] in ("OperationalError", "ProgrammingError")
    assert [each["outcome"] for each in trace.args("transaction")] == ["rollback"]


def test_a_session_that_is_used_again_after_its_end(sync_engine: Engine, path: Path) -> None:
    with recorded(path):
        session = Session(sync_engine)
        for _ in range(2):
            session.scalars(select(User)).all()
            session.close()
    trace = Trace(path)

    assert len(trace.of("session")) == 2
    assert len({event["tid"] for event in trace.of("session")}) == 1


def test_a_session_that_leaks_has_its_finding(sync_engine: Engine, path: Path, mode: Mode) -> None:
    def work() -> None:
        session = Session(sync_engine)
        session.scalars(select(User)).all()

    with recorded(path, mode) as running:
        work()
        gc.collect()
        running.drain()
    trace = Trace(path)

    (session,) = trace.args("session")
    assert (session["closed"], session["findings"]) == (None, ["SES001"])
    (finding,) = trace.of("finding")
    assert (finding["name"], finding["tid"]) == ("SES001 session-not-closed", session["session"])
    assert finding["args"]["path"] == HERE
    assert [step[0] for step in finding["args"]["trace"]] == [HERE] * len(finding["args"]["trace"])


async def test_a_finding_about_no_session(sync_engine: Engine, path: Path) -> None:
    with recorded(path), sync_engine.connect() as connection:
        connection.execute(select(User))
    trace = Trace(path)

    assert [event["tid"] for event in trace.of("finding")] == [NO_SESSION]
    assert trace.names()[NO_SESSION] == "no session"


def test_a_session_that_was_forgotten_without_a_transaction(sync_engine: Engine, path: Path) -> None:
    with recorded(path):
        Session(sync_engine)
        gc.collect()
        Session(sync_engine).close()
    trace = Trace(path)

    assert sorted(each["closed"] is None for each in trace.args("session")) == [False, True]


def test_what_is_open_at_the_end_of_the_recording(sync_engine: Engine, path: Path) -> None:
    with recorded(path):
        session = Session(sync_engine)
        session.scalars(select(User)).all()
    session.close()
    trace = Trace(path)

    assert [each["closed"] for each in trace.args("session")] == [None]
    assert [each["outcome"] for each in trace.args("transaction")] == ["open"]
    assert [event["ph"] for event in trace.of("connection")] == ["b"]


def test_no_value_of_a_statement_is_recorded(sync_engine: Engine, path: Path) -> None:
    with recorded(path), Session(sync_engine) as session:
        session.execute(text("SELECT 'literal-secret', 4711"))
        session.execute(select(literal("bound-secret")))
        with pytest.raises(exc.DatabaseError):
            session.execute(text("SELECT :secret FROM nowhere"), {"secret": "failed-secret"})

    assert "secret'" not in Trace(path).text
    assert not any(word in Trace(path).text for word in ("literal-secret", "4711", "bound-secret", "failed-secret"))


async def test_a_session_is_made_in_one_task_and_used_by_none(async_engine: AsyncEngine, path: Path) -> None:
    with recorded(path):
        async with AsyncSession(async_engine):
            pass
    trace = Trace(path)

    assert len(trace.of("session")) == 1
    assert trace.of("transaction") == []


def test_a_slow_commit_is_no_wait(sync_engine: Engine, path: Path) -> None:
    def slow(connection: object) -> None:
        time.sleep(PAUSE)

    event.listen(sync_engine, "commit", slow)
    with recorded(path), Session(sync_engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        session.add(User(name="Eve"))
        session.flush()
        session.commit()
        session.commit()
        session.scalars(select(User)).all()
        time.sleep(PAUSE)

    assert len(Trace(path).waits()) == 1
