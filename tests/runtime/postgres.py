"""The PostgreSQL of a test run, each of whose databases has the tables of `models`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sqlalchemy import NullPool, create_engine

from hermetic.toolkit.adapters import postgres
from hermetic.toolkit.adapters.postgres import HOME, Postgres
from runtime.models import Base

__all__ = ["HOME", "Postgres", "running"]


def running(run: str) -> AbstractContextManager[Postgres]:
    return postgres.running(run, create_tables)


def create_tables(url: str) -> None:
    Base.metadata.create_all(create_engine(url, poolclass=NullPool))
