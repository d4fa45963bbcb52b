"""Transactions a second on PostgreSQL: bare SQLAlchemy done right by hand, hermetic's toolkit, and other toolkits.

All do the same two things, with a pool of the same size: read a row by its key; read a row, change it and commit. All
ping each connection before its use (`pool_pre_ping`) but for "hermetic", which as by default pings those that have
rested for half a second; "hermetic, pinging" does as the others. They take turns in short batches, and what counts is
the median of each batch's ratio to bare SQLAlchemy's, so that a busy machine slows them all. Each has an engine of its
own on one server, which this starts.

usage: python bench/toolkit_speed.py [--rounds N] [--batch N]

The other toolkits are installed into an environment below ~/.cache/hermetic-bench, once; hermetic is this checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import subprocess
import sys
import time
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cache import cached

if TYPE_CHECKING:
    from hermetic import AsyncDatabase, Database

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

OTHERS = ("advanced-alchemy", "flask-sqlalchemy", "sqlakit")
SIZES: dict[str, Any] = {"pool_recycle": 1800, "pool_size": 10, "max_overflow": 10}
POOL: dict[str, Any] = {"pool_pre_ping": True, **SIZES}

Work = Callable[[], object]
AsyncWork = Callable[[], Awaitable[object]]


def in_environment() -> Path:
    """The Python that has the other toolkits."""
    directory = cached("toolkits")
    python = directory / "bin" / "python"
    if not (directory / ".ready").exists():
        print(f"installing {', '.join(OTHERS)} ...", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        group = ["--group", f"{ROOT / 'pyproject.toml'}:runtime"]
        subprocess.run([python, "-m", "pip", "install", "-q", "-U", "pip"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *OTHERS, *group], check=True)
        (directory / ".ready").touch()
    return python


def sync_works(url: str) -> dict[str, tuple[Work, Work]]:
    """Name -> (read, write)."""
    from advanced_alchemy.config import EngineConfig, SQLAlchemySyncConfig, SyncSessionConfig
    from flask import Flask
    from flask_sqlalchemy import SQLAlchemy
    from runtime.models import Account
    from sqlakit import Database as SqlakitDatabase
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    from hermetic import Database

    factory = sessionmaker(create_engine(url, **POOL), expire_on_commit=False)

    def bare_read() -> object:
        with factory() as session:
            return session.get_one(Account, 1)

    def bare_write() -> None:
        with factory.begin() as session:
            session.get_one(Account, 1).balance += 1

    config = SQLAlchemySyncConfig(
        connection_string=url,
        engine_config=EngineConfig(**POOL),
        session_config=SyncSessionConfig(expire_on_commit=False),
    )

    def alchemy_read() -> object:
        with config.get_session() as session:
            return session.get_one(Account, 1)

    def alchemy_write() -> None:
        with config.get_session() as session, session.begin():
            session.get_one(Account, 1).balance += 1

    app = Flask("bench")
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=POOL)
    flask_db = SQLAlchemy(app, session_options={"expire_on_commit": False})

    def flask_read() -> object:
        with app.app_context():
            return flask_db.session.get_one(Account, 1)

    def flask_write() -> None:
        with app.app_context():
            flask_db.session.get_one(Account, 1).balance += 1
            flask_db.session.commit()

    kit = SqlakitDatabase(url, **POOL)

    def kit_read() -> object:
        with kit.connect():
            return kit.session.get_one(Account, 1)

    def kit_write() -> None:
        with kit.transaction():
            kit.session.get_one(Account, 1).balance += 1

    return {
        "SQLAlchemy by hand": (bare_read, bare_write),
        "hermetic": our_works(Database(url, **SIZES)),
        "hermetic, pinging": our_works(Database(url, name="pinging", **POOL)),
        "advanced-alchemy": (alchemy_read, alchemy_write),
        "Flask-SQLAlchemy": (flask_read, flask_write),
        "sqlakit": (kit_read, kit_write),
    }


def our_works(db: Database) -> tuple[Work, Work]:
    from runtime.models import Account

    def read() -> object:
        with db.read() as session:
            return session.get_one(Account, 1)

    def write() -> None:
        with db.transaction() as session:
            session.get_one(Account, 1).balance += 1

    return read, write


def our_async_works(db: AsyncDatabase) -> tuple[AsyncWork, AsyncWork]:
    from runtime.models import Account

    async def read() -> object:
        async with db.read() as session:
            return await session.get_one(Account, 1)

    async def write() -> None:
        async with db.transaction() as session:
            (await session.get_one(Account, 1)).balance += 1

    return read, write


def async_works(url: str) -> dict[str, tuple[AsyncWork, AsyncWork]]:
    from advanced_alchemy.config import AsyncSessionConfig, EngineConfig, SQLAlchemyAsyncConfig
    from runtime.models import Account
    from sqlakit.asyncio import Database as SqlakitDatabase
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    from hermetic import AsyncDatabase

    factory = async_sessionmaker(create_async_engine(url, **POOL), expire_on_commit=False)

    async def bare_read() -> object:
        async with factory() as session:
            return await session.get_one(Account, 1)

    async def bare_write() -> None:
        async with factory.begin() as session:
            (await session.get_one(Account, 1)).balance += 1

    config = SQLAlchemyAsyncConfig(
        connection_string=url,
        engine_config=EngineConfig(**POOL),
        session_config=AsyncSessionConfig(expire_on_commit=False),
    )

    async def alchemy_read() -> object:
        async with config.get_session() as session:
            return await session.get_one(Account, 1)

    async def alchemy_write() -> None:
        async with config.get_session() as session, session.begin():
            (await session.get_one(Account, 1)).balance += 1

    kit = SqlakitDatabase(url, **POOL)

    async def kit_read() -> object:
        async with kit.connect():
            return await kit.session.get_one(Account, 1)

    async def kit_write() -> None:
        async with kit.transaction():
            (await kit.session.get_one(Account, 1)).balance += 1

    return {
        "SQLAlchemy by hand": (bare_read, bare_write),
        "hermetic": our_async_works(AsyncDatabase(url, **SIZES)),
        "hermetic, pinging": our_async_works(AsyncDatabase(url, name="pinging", **POOL)),
        "advanced-alchemy": (alchemy_read, alchemy_write),
        "sqlakit": (kit_read, kit_write),
    }


def timed(work: Work, batch: int) -> float:
    began = time.perf_counter()
    for _ in range(batch):
        work()
    return (time.perf_counter() - began) / batch


async def timed_async(work: AsyncWork, batch: int) -> float:
    began = time.perf_counter()
    for _ in range(batch):
        await work()
    return (time.perf_counter() - began) / batch


def show(title: str, seconds: dict[str, list[float]]) -> None:
    print(title)
    bare = next(iter(seconds.values()))
    for name, found in seconds.items():
        share = median(reference / own for reference, own in zip(bare, found, strict=True))
        print(f"  {name:20} {1 / median(found):7.0f} a second   {share:6.1%} of SQLAlchemy by hand")


def rotated(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


def run_sync(url: str, rounds: int, batch: int) -> None:
    works = sync_works(url)
    for number, title in enumerate(("read", "write")):
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(-2, rounds):
            for name in rotated(list(works), turn):
                took = timed(works[name][number], batch)
                if turn >= 0:
                    seconds[name].append(took)
        show(f"{title}, psycopg", seconds)


async def run_async(url: str, driver: str, rounds: int, batch: int) -> None:
    works = async_works(url)
    for number, title in enumerate(("read", "write")):
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(-2, rounds):
            for name in rotated(list(works), turn):
                took = await timed_async(works[name][number], batch)
                if turn >= 0:
                    seconds[name].append(took)
        show(f"{title}, asyncio, {driver}", seconds)


def measure(rounds: int, batch: int) -> None:
    from runtime.models import Account
    from runtime.postgres import running
    from sqlalchemy import create_engine, insert, make_url

    for module in ("sqlalchemy", "advanced_alchemy", "flask_sqlalchemy", "sqlakit", "hermetic"):
        importlib.import_module(module)
    with running("toolkit-speed") as server, server.database() as name:
        url = server.url(name)
        with create_engine(url).begin() as connection:
            connection.execute(insert(Account).values(balance=0))
        run_sync(url, rounds, batch)
        asyncpg = make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
        asyncio.run(run_async(asyncpg, "asyncpg", rounds, batch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in the environment
    arguments = parser.parse_args()
    if arguments.here:
        measure(arguments.rounds, arguments.batch)
    else:
        command = [in_environment(), __file__, "--here", "--rounds", arguments.rounds, "--batch", arguments.batch]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([str(part) for part in command], check=True, env=environment)


if __name__ == "__main__":
    main()
