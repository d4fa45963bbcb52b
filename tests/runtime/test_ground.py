"""The ground that the tests of the run-time half stand on: databases, drivers, a browser."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from runtime.browser import Browser
from runtime.models import Account, Post, User
from runtime.postgres import Postgres

PNG = b"\x89PNG\r\n\x1a\n"

PAGE = """\
<!doctype html>
<html><head><title>Before</title></head><body><p id="said">nothing</p>
<script>
setTimeout(() => { document.getElementById("said").textContent = "in " + location.hash + ": " + 6 * 7; }, 200);
</script></body></html>
"""


def written_and_read(engine: Engine) -> list[str]:
    with Session(engine) as session:
        session.add(User(name="Ada", posts=[Post(title="Notes")]))
        session.add(Account(balance=3))
        session.commit()
    with Session(engine) as session:
        return list(session.scalars(select(Post.title).join(User).where(User.name == "Ada")))


async def written_and_read_async(engine: AsyncEngine) -> list[str]:
    async with AsyncSession(engine) as session:
        session.add(User(name="Ada", posts=[Post(title="Notes")]))
        session.add(Account(balance=3))
        await session.commit()
    async with AsyncSession(engine) as session:
        ada = (await session.scalars(select(User).where(User.name == "Ada"))).one()
        return [post.title for post in await ada.awaitable_attrs.posts]


def test_rows_through_each_engine(sync_engine: Engine) -> None:
    assert written_and_read(sync_engine) == ["Notes"]


async def test_rows_through_each_async_engine(async_engine: AsyncEngine) -> None:
    assert await written_and_read_async(async_engine) == ["Notes"]


def test_rows_in_memory(memory_engine: Engine) -> None:
    assert written_and_read(memory_engine) == ["Notes"]


async def test_rows_in_memory_through_aiosqlite(async_memory_engine: AsyncEngine) -> None:
    assert await written_and_read_async(async_memory_engine) == ["Notes"]


async def test_rows_through_each_async_driver_of_postgres(postgres_async_url: str) -> None:
    engine = create_async_engine(postgres_async_url)
    assert await written_and_read_async(engine) == ["Notes"]
    await engine.dispose()


def test_both_drivers_of_one_database_see_the_same_rows(postgres_url: str, asyncpg_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
    engine.dispose()

    assert asyncpg_url.startswith("postgresql+asyncpg://")
    assert f"/{name}?" in asyncpg_url


def test_two_databases_share_nothing(postgres: Postgres) -> None:
    with postgres.database() as first, postgres.database() as second:
        engines = [create_engine(postgres.url(name)) for name in (first, second)]
        assert [written_and_read(engine) for engine in engines] == [["Notes"], ["Notes"]]
        for engine in engines:
            engine.dispose()


def test_a_database_is_dropped_under_its_connections(postgres: Postgres) -> None:
    with postgres.database() as name:
        engine = create_engine(postgres.url(name))
        written_and_read(engine)
    other = create_engine(postgres.url("postgres"))
    with other.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": name}) == 0
    other.dispose()
    engine.dispose()


def test_there_is_room_for_many_connections(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW max_connections")) == "400"
    engine.dispose()


def test_a_page_runs_its_scripts(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE, encoding="utf-8")

    assert '<p id="said">in #here: 42</p>' in browser.dom(page, fragment="here")


def test_a_page_is_photographed(browser: Browser, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(PAGE, encoding="utf-8")

    browser.screenshot(page, picture, width=640, height=480)

    data = picture.read_bytes()
    assert data.startswith(PNG)
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (640, 480)
