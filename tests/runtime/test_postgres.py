"""One PostgreSQL for a test run: shared by its processes, and stopped by the last of them or by the next run.

Its databases serve one test after the other: none finds anything that an earlier one has left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from runtime.conftest import RUN
from runtime.models import Payment, User
from runtime.postgres import HOME, Databases, Postgres, running

WAITS = """\
import sys, time
from runtime.postgres import running

with running(sys.argv[1]):
    print("runs", flush=True)
    time.sleep(60)
"""


def started_at(server: Postgres) -> object:
    with psycopg.connect(host=str(server.socket), user="postgres") as connection:
        row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    assert row is not None
    return row[0]


def killed(run: str) -> Postgres:
    """A run that was killed while its server ran."""
    path = os.pathsep.join((str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", WAITS, run]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.kill()
    return Postgres(HOME / run / "data")


def test_whoever_comes_second_finds_the_same_server(postgres: Postgres) -> None:
    first = started_at(postgres)

    with running(RUN) as again:
        assert started_at(again) == first

    assert started_at(postgres) == first


def test_the_last_one_stops_the_server() -> None:
    run = f"short-{uuid4().hex[:8]}"
    with running(run) as server:
        started_at(server)

    assert not (HOME / run).exists()
    with pytest.raises(psycopg.OperationalError):
        started_at(server)


def test_the_next_run_stops_what_a_killed_one_left(postgres: Postgres) -> None:
    left = killed(f"killed-{uuid4().hex[:8]}")

    with running(RUN):
        assert not left.socket.exists()

    with pytest.raises(psycopg.OperationalError):
        started_at(left)
    started_at(postgres)


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Databases]:
    databases = Databases(postgres)
    yield databases
    databases.drop()


def rows_through(url: str) -> list[int]:
    """The keys of new rows."""
    engine = create_engine(url)
    with Session(engine) as session:
        ada, payment = User(name="Ada"), Payment(id=1, earlier=1)
        session.add_all([ada, payment])
        session.commit()
        keys = [ada.id, payment.id]
    engine.dispose()
    return keys


def test_a_database_that_comes_back_is_lent_again_as_if_it_were_new(postgres: Postgres, databases: Databases) -> None:
    with databases.lent() as first:
        assert rows_through(postgres.url(first)) == [1, 1]
    with databases.lent() as second:
        assert rows_through(postgres.url(second)) == [1, 1]

    assert first == second


def test_nobody_stays_connected_to_a_database_that_comes_back(postgres: Postgres, databases: Databases) -> None:
    with databases.lent() as name:
        engine = create_engine(postgres.url(name))
        connection = engine.connect()
        connection.exec_driver_sql("LOCK TABLE users")
    with databases.lent() as again:
        assert rows_through(postgres.url(again)) == [1, 1]

    assert name == again
    with pytest.raises(OperationalError):
        connection.exec_driver_sql("SELECT 1")
    connection.invalidate()
    engine.dispose()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE other (id int)",
        "CREATE SCHEMA other",
        "CREATE TYPE other AS ENUM ('one')",
        "CREATE INDEX ON users (name)",
        "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "ALTER TABLE posts ALTER CONSTRAINT posts_author_id_fkey DEFERRABLE",
        "ALTER TABLE users ADD other int",
        "ALTER TABLE users ALTER name TYPE text",
        "ALTER TABLE users ALTER name DROP NOT NULL",
        "ALTER TABLE users ALTER name SET DEFAULT 'Ada'",
        "DROP TABLE accounts",
    ],
)
def test_a_database_with_another_definition_is_dropped(postgres: Postgres, databases: Databases, change: str) -> None:
    with (
        databases.lent() as name,
        psycopg.connect(host=str(postgres.socket), user="postgres", dbname=name) as connection,
    ):
        connection.execute(change)

    with databases.lent() as another:
        assert another != name
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(host=str(postgres.socket), user="postgres", dbname=name)
