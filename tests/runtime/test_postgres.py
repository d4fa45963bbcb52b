"""One PostgreSQL for a test run: shared by its processes, and stopped by the last of them or by the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from runtime.conftest import RUN
from runtime.postgres import HOME, Postgres, running

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
