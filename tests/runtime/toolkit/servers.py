"""What goes wrong between a service and PostgreSQL, on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

SLOW_COMMIT = (
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$",
    (
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION wait()"
    ),
)


def backend(connection: Connection) -> int:
    """The process of the server that works for this connection, without asking it."""
    driver: Any = connection.connection.driver_connection
    return int(driver.get_server_pid()) if hasattr(driver, "get_server_pid") else int(driver.info.backend_pid)


def outside(url: str) -> Engine:
    """An engine of SQLAlchemy's own for the same database, through psycopg."""
    return create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)


def kill(url: str, process: int) -> None:
    with outside(url).connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})


def make_commits_slow(url: str, seconds: float) -> None:
    """COMMIT of a new user takes this long on the server."""
    with outside(url).begin() as connection:
        for statement in SLOW_COMMIT:
            connection.execute(text(statement.format(seconds)))


@contextmanager
def killed_at_commit(engine: Engine, url: str) -> Iterator[list[int]]:
    """The connection is lost when COMMIT is sent. Gives the processes that were killed."""
    killed: list[int] = []

    def listen(connection: Connection) -> None:
        killed.append(backend(connection))
        kill(url, killed[-1])

    event.listen(engine, "commit", listen)
    yield killed
    event.remove(engine, "commit", listen)
