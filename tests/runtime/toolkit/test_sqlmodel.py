"""SQLModel's own sessions, models and `exec()` in the toolkit's blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import sqlmodel
from sqlalchemy import event
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio import session as sqlmodel_asyncio

from hermetic.toolkit import errors
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from runtime.toolkit.test_sharing import in_thread


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


@pytest.fixture
def heroes(sync_url: str) -> Iterator[Database[sqlmodel.Session]]:
    with Database(sync_url, session_class=sqlmodel.Session) as database:
        SQLModel.metadata.create_all(database.engine)
        with database.transaction() as session:
            session.add(Hero(name="Ada"))
        yield database


@pytest_asyncio.fixture
async def aheroes(async_url: str) -> AsyncIterator[AsyncDatabase[sqlmodel_asyncio.AsyncSession]]:
    async with AsyncDatabase(async_url, session_class=sqlmodel_asyncio.AsyncSession) as database:
        async with database.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
        async with database.transaction() as session:
            session.add(Hero(name="Ada"))
        yield database


def test_exec_reads_models_that_stay_readable(heroes: Database[sqlmodel.Session]) -> None:
    with heroes.read() as session:
        hero = session.exec(select(Hero)).one()

    assert hero.model_dump() == {"id": 1, "name": "Ada"}


def test_exec_after_the_end_of_its_block(heroes: Database[sqlmodel.Session]) -> None:
    with heroes.read() as session:
        pass
    with pytest.raises(errors.BlockEnded, match=r"`session.exec\(\)` after the end of its block"):
        session.exec(select(Hero))


def test_exec_from_two_threads_at_once(heroes: Database[sqlmodel.Session]) -> None:
    found: list[object] = []
    with heroes.read() as session:

        def listen(*_: object) -> None:
            found.append(in_thread(lambda: session.exec(select(Hero.name)).all()))

        event.listen(heroes.engine, "before_cursor_execute", listen)
        session.exec(select(Hero)).all()
        event.remove(heroes.engine, "before_cursor_execute", listen)

    assert isinstance(found[0], errors.Overlap)
    assert "while `session.exec()` still runs" in str(found[0])


def test_a_model_is_not_written_in_a_read(heroes: Database[sqlmodel.Session]) -> None:
    with pytest.raises(errors.ChangesDropped, match="Hero"):
        with heroes.read() as session:
            session.exec(select(Hero)).one().name = "Eve"


async def test_exec_awaited(aheroes: AsyncDatabase[sqlmodel_asyncio.AsyncSession]) -> None:
    async with aheroes.transaction() as session:
        (await session.exec(select(Hero))).one().name = "Eve"
    async with aheroes.read() as session:
        hero = (await session.exec(select(Hero))).one()

    assert hero.model_dump() == {"id": 1, "name": "Eve"}


async def test_exec_in_two_tasks_at_once(aheroes: AsyncDatabase[sqlmodel_asyncio.AsyncSession]) -> None:
    with pytest.raises(errors.Overlap, match=r"`session.exec\(\)` in task"):
        async with aheroes.read() as session:
            await asyncio.gather(session.exec(select(Hero)), session.exec(select(Hero)))
