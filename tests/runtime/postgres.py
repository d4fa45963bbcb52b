"""The PostgreSQL of a test run, and databases with the tables of `models` that serve one test after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import NullPool, create_engine

from hermetic.toolkit.adapters import postgres
from hermetic.toolkit.adapters.postgres import HOME, Postgres
from runtime.models import Base

__all__ = ["HOME", "Databases", "Postgres", "running"]

DISCONNECT = """\
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# Tests add to the metadata of `models`, so only the database knows its tables. No foreign key says which comes first.
EMPTY = """\
SET session_replication_role = replica;
DO $$
DECLARE name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND oid >= 16384 LOOP
        EXECUTE format('DELETE FROM %s', name);
    END LOOP;
END $$
"""
RESTART = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"

# Whatever is not PostgreSQL's own has such a number, and a definition that was changed comes from another transaction.
CATALOGS = ("pg_attrdef", "pg_class", "pg_constraint", "pg_namespace", "pg_proc", "pg_trigger", "pg_type")
NUMBERS = [*((catalog, "oid") for catalog in CATALOGS), ("pg_attribute", "attrelid")]
DEFINITIONS = "SELECT md5(string_agg(row, ',' ORDER BY row)) FROM ({}) each".format(
    " UNION ALL ".join(
        f"SELECT concat({number}, ' ', xmin) AS row FROM {catalog} WHERE {number} >= 16384"
        for catalog, number in NUMBERS
    )
)


def running(run: str) -> AbstractContextManager[Postgres]:
    return postgres.running(run, create_tables)


def create_tables(url: str) -> None:
    Base.metadata.create_all(create_engine(url, poolclass=NullPool))


@dataclass(frozen=True, slots=True)
class Database:
    name: str
    definitions: str
    dropped_by: ExitStack


@dataclass(frozen=True, slots=True)
class Databases:
    """To make and to drop a database takes longer than most tests do; to empty one does not.

    A database in which a test has changed a definition is dropped. What belongs neither to a table nor to a definition
    (the settings of a database, what the planner knows) would be handed on to the next test.
    """

    server: Postgres
    free: list[Database] = field(default_factory=list)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The name of a database with empty tables. In the end nobody stays connected to it."""
        database = self.free.pop() if self.free else self._created()
        try:
            yield database.name
        finally:
            if self._emptied(database):
                self.free.append(database)
            else:
                database.dropped_by.close()

    def drop(self) -> None:
        while self.free:
            self.free.pop().dropped_by.close()

    def _created(self) -> Database:
        dropped_by = ExitStack()
        name = dropped_by.enter_context(self.server.database())
        with self._connected(name) as connection:
            return Database(name, definitions(connection), dropped_by)

    def _emptied(self, database: Database) -> bool:
        with self._connected(database.name) as connection:
            connection.execute(DISCONNECT)
            if definitions(connection) != database.definitions:
                return False
            connection.execute(EMPTY)
            connection.execute(RESTART)
        return True

    def _connected(self, name: str) -> AbstractContextManager[psycopg.Connection]:
        return psycopg.connect(host=str(self.server.socket), user="postgres", dbname=name, autocommit=True)


def definitions(connection: psycopg.Connection) -> str:
    """Equal as long as nobody adds, removes or changes one."""
    row = connection.execute(DEFINITIONS).fetchone()
    assert row is not None
    return str(row[0])
