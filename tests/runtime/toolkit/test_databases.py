"""Databases: one for each URL, with defaults for its server, and their end."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, exc as sa_exc, orm, select, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection

import hermetic
from hermetic.toolkit import engines, errors, hooks
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.engines import POOL
from runtime.models import Base, Post, User
from runtime.toolkit.servers import backend, kill


def test_a_second_database_for_one_url_is_refused(sqlite_url: str) -> None:
    with Database(sqlite_url), pytest.raises(errors.DatabaseExists, match="first made at") as raised:
        Database(sqlite_url)

    assert str(raised.value).count("test_databases.py") == 2


def test_a_database_that_nobody_holds_still_has_its_url(sqlite_url: str) -> None:
    def session_of_each_call() -> None:
        Database(sqlite_url, name="made in a function")

    session_of_each_call()
    with pytest.raises(errors.DatabaseExists, match="once, at the top of a module"):
        session_of_each_call()


def test_another_name_makes_another_database(sqlite_url: str) -> None:
    with Database(sqlite_url) as first, Database(sqlite_url, name="reports") as second:
        assert first.engine is not second.engine


def test_the_password_is_in_no_error() -> None:
    url = "postgresql+psycopg://ada:secret@nowhere.invalid/shop"
    with Database(url), pytest.raises(errors.DatabaseExists) as raised:
        Database(url)

    assert "secret" not in str(raised.value)


def test_dispose_frees_the_url(sqlite_url: str) -> None:
    Database(sqlite_url).dispose()
    Database(sqlite_url).dispose()


def test_a_database_is_not_used_after_dispose(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    db.dispose()

    with pytest.raises(errors.DatabaseDisposed, match="disposed at"), db.transaction():
        pass


def test_options_that_cannot_be_leave_the_url_free(sqlite_url: str) -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        Database(sqlite_url, no_such_option=1)
    Database(sqlite_url).dispose()


def test_databases_in_memory_are_not_one() -> None:
    with Database("sqlite://") as first, Database("sqlite://") as second:
        Base.metadata.create_all(first.engine)
        Base.metadata.create_all(second.engine)
        with first.transaction() as session:
            session.add(User(name="Ada"))
        with second.read() as session:
            assert session.scalar(select(User.name)) is None


def test_a_database_in_memory_is_the_same_in_every_thread() -> None:
    found: list[str | None] = []
    with Database("sqlite://") as db:
        Base.metadata.create_all(db.engine)
        with db.transaction() as session:
            session.add(User(name="Ada"))

        def read() -> None:
            with db.read() as session:
                found.append(session.scalar(select(User.name)))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == ["Ada"] * 3


async def test_a_database_in_memory_is_the_same_in_every_task() -> None:
    async with AsyncDatabase("sqlite+aiosqlite://") as db:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with db.transaction() as session:
            session.add(User(name="Ada"))

        async def read() -> str | None:
            async with db.read() as session:
                return await session.scalar(select(User.name))

        assert set(await asyncio.gather(read(), read(), read())) == {"Ada"}


def test_sqlite_checks_foreign_keys(sqlite_url: str) -> None:
    with Database(sqlite_url) as db:
        with pytest.raises(sa_exc.IntegrityError, match="FOREIGN KEY"), db.transaction() as session:
            session.add(Post(title="Notes", author_id=99))


def test_two_writers_of_sqlite_wait_for_each_other(sqlite_url: str) -> None:
    """With a deferred BEGIN both would read and the second could never write."""
    with Database(sqlite_url) as db:
        with db.transaction() as session:
            session.add(User(name="0"))

        def count() -> None:
            for _ in range(5):
                with db.transaction() as session:
                    ada = session.scalars(select(User)).one()
                    ada.name = str(int(ada.name) + 1)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with db.read() as session:
            assert session.scalar(select(User.name)) == "20"


def test_postgres_gets_time_outs(postgres_url: str) -> None:
    with Database(postgres_url, statement_timeout=1.5, idle_in_transaction_timeout=7) as db, db.read() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "1500ms"
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "7s"


async def test_postgres_gets_time_outs_from_each_async_driver(postgres_async_url: str) -> None:
    async with AsyncDatabase(postgres_async_url) as db, db.read() as session:
        assert await session.scalar(text("SHOW statement_timeout")) == "30s"
        assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"


def test_time_outs_can_be_the_servers_own(postgres_url: str) -> None:
    with Database(postgres_url, statement_timeout=None, idle_in_transaction_timeout=None) as db, db.read() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "0"


def test_the_pool_has_limits(postgres_url: str) -> None:
    with Database(postgres_url) as db:
        pool = db.engine.pool
        assert (pool.size(), pool._max_overflow) == (POOL["pool_size"], POOL["max_overflow"])  # type: ignore[attr-defined]


def test_a_full_pool_says_so(sqlite_url: str) -> None:
    with Database(sqlite_url, pool_size=1, max_overflow=0, pool_timeout=0.05) as db, db.read() as session:
        session.scalar(select(User.name))
        with pytest.raises(sa_exc.TimeoutError), db.read(independent=True) as other:
            other.scalar(select(User.name))


def test_an_engine_that_exists_is_used_as_it_is(sync_engine: Engine) -> None:
    with Database(sync_engine) as db:
        with db.transaction() as session:
            session.add(User(name="Ada"))
        with orm.Session(sync_engine) as plain:
            plain.add(User(name="Bob"))
            plain.commit()
        with db.read() as session:
            assert sorted(session.scalars(select(User.name))) == ["Ada", "Bob"]
        with pytest.raises(TypeError, match="keeps its options"):
            Database(sync_engine, name="other", pool_size=3)

    assert db.engine is sync_engine


def test_an_engine_that_exists_outlives_its_database(sync_engine: Engine) -> None:
    Database(sync_engine).dispose()

    with orm.Session(sync_engine) as plain:
        assert plain.scalar(select(User.name)) is None


def test_an_engine_with_the_recipe_for_sqlite_begins_once(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    event.listen(engine, "connect", lambda connection, record: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with Database(engine) as db, db.transaction() as session:
        session.add(User(name="Ada"))
    engine.dispose()


def test_reads_go_to_the_replicas_in_turn(sqlite_url: str, tmp_path: Path) -> None:
    replicas = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")]
    for number, url in enumerate(replicas):
        engine = create_engine(url)
        Base.metadata.create_all(engine)
        with orm.Session(engine) as plain:
            plain.add(User(name=f"replica {number}"))
            plain.commit()
        engine.dispose()
    with Database(sqlite_url, replicas=replicas) as db:
        with db.transaction() as session:
            session.add(User(name="primary"))
        found = []
        for primary in (False, False, False, True):
            with db.read(primary=primary) as session:
                found.append(session.scalar(select(User.name)))

    assert found == ["replica 0", "replica 1", "replica 0", "primary"]


async def test_a_synchronous_database_does_not_block_a_loop(sqlite_url: str) -> None:
    with Database(sqlite_url) as db:
        with pytest.raises(errors.OnEventLoop, match="AsyncDatabase"), db.transaction():
            pass


async def test_a_session_of_a_thread_does_not_block_a_loop(sqlite_url: str) -> None:
    with Database(sqlite_url) as db:
        scope = db.read()
        session = await asyncio.to_thread(scope.__enter__)
        with pytest.raises(errors.OnEventLoop, match=r"session\.scalar"):
            session.scalar(select(User.name))
        await asyncio.to_thread(scope.__exit__, None, None, None)


async def test_a_notebook_may_block_its_loop(sqlite_url: str) -> None:
    with Database(sqlite_url, allow_on_loop=True) as db, db.read() as session:
        assert session.scalar(select(User.name)) is None


def test_a_session_class_of_the_callers(sqlite_url: str) -> None:
    class Audited(orm.Session):
        def audit(self) -> str:
            return "audited"

    with Database(sqlite_url, session_class=Audited) as db, db.read() as session:
        assert session.audit() == "audited"
        with pytest.raises(errors.BlockRules):
            session.commit()


def test_public_names_are_the_toolkits() -> None:
    assert hermetic.Database is Database
    assert hermetic.AsyncDatabase is AsyncDatabase
    assert hermetic.CommitUnknown is errors.CommitUnknown


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_connections_of_its_own(postgres_url: str) -> None:
    with Database(postgres_url) as db:
        with db.transaction() as session:
            session.add(User(name="Ada"))
            session.flush()
            child = os.fork()
            if child == 0:
                os._exit(_in_child(db, session))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            session.add(User(name="Bob"))
        with db.read() as session:
            assert sorted(session.scalars(select(User.name))) == ["Ada", "Bob"]


def _in_child(db: Database, session: hermetic.Session) -> int:
    """0 if the child can work, and cannot use its parent's session."""
    try:
        session.execute(select(User))
    except errors.BlockEnded:
        with db.read() as own:
            return 0 if own.scalar(select(User.name)) is None else 2
    return 1


@pytest.fixture
def pings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that were asked whether they live."""
    asked: list[object] = []
    plain = PGDialect_psycopg.do_ping

    def ping(dialect: PGDialect_psycopg, connection: DBAPIConnection) -> bool:
        asked.append(connection)
        return bool(plain(dialect, connection))  # type: ignore[no-untyped-call]

    monkeypatch.setattr(PGDialect_psycopg, "do_ping", ping)
    return asked


def read_twice(db: Database) -> None:
    for _ in range(2):
        with db.read() as session:
            session.scalar(select(User.name))


def test_a_connection_that_was_just_in_use_is_not_pinged(postgres_url: str, pings: list[object]) -> None:
    with Database(postgres_url) as db:
        read_twice(db)

    assert pings == []


def test_a_connection_that_has_rested_is_pinged(
    postgres_url: str, pings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RESTED", 0)
    with Database(postgres_url) as db:
        read_twice(db)

    assert len(pings) == 1


def test_connections_are_pinged_each_time_on_demand(postgres_url: str, pings: list[object]) -> None:
    with Database(postgres_url, pool_pre_ping=True) as db:
        read_twice(db)

    assert len(pings) == 1


def test_a_connection_that_died_while_it_rested_is_replaced(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "RESTED", 0)
    with Database(postgres_url) as db:
        with db.read() as session:
            killed = backend(session.connection())
        kill(postgres_url, killed)
        with db.read() as session:
            assert backend(session.connection()) != killed
            assert session.scalar(select(User.name)) is None


async def test_a_connection_that_died_while_it_rested_is_replaced_in_a_coroutine(
    postgres_async_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RESTED", 0)
    async with AsyncDatabase(postgres_async_url) as db:
        async with db.read() as session:
            killed = backend(await session.run_sync(lambda inner: inner.connection()))
        await asyncio.to_thread(kill, postgres_async_url, killed)
        async with db.read() as session:
            assert await session.scalar(select(User.name)) is None


def test_one_that_dies_in_use_is_found_by_its_statement_and_runs_again(postgres_url: str) -> None:
    with Database(postgres_url) as db:
        with db.read() as session:
            killed = backend(session.connection())
        kill(postgres_url, killed)

        @db.transactional(retry=1)
        def name(session: hermetic.Session) -> str | None:
            return session.scalar(select(User.name))

        assert name() is None


def test_a_pool_at_the_address_of_one_that_is_gone_is_watched_too(sqlite_url: str) -> None:
    """What a read has made read-only would otherwise be handed to a transaction. Some of these pools have such an
    address; which is up to the allocator."""
    disposed = []
    for _ in range(200):
        engine = create_engine(sqlite_url)
        hooks.watch_returns(engine.pool)
        engine.dispose()  # its next pool goes on to hear what this one heard
        disposed.append(engine)
        other = create_engine(sqlite_url)
        hooks.watch_returns(other.pool)

        assert hooks.checkin in other.pool.dispatch.checkin
