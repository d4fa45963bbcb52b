"""A look into a database from outside."""

from __future__ import annotations

from sqlalchemy import NullPool, create_engine, make_url, text

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def count(url: str, table: str = "accounts") -> int:
    """How many rows others see now. The URL may be for a synchronous or an asynchronous driver."""
    found = make_url(url)
    plain = found.set(drivername=DRIVERS[found.get_backend_name()])
    with create_engine(plain, poolclass=NullPool).connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
