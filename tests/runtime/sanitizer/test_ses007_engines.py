"""SES007 at run time: an engine for every call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import AsyncAdaptedQueuePool, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import SingletonThreadPool

from hermetic.finding import Severity
from runtime.sanitizer.found import Found


def read(url: str) -> Engine:
    engine = create_engine(url)  # mark: made
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return engine


async def async_read(url: str) -> AsyncEngine:
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool)  # mark: made
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    return engine


def dispose(engines: list[Engine]) -> None:
    for engine in engines:
        engine.dispose()


def test_an_engine_for_every_call(sync_url: str, found: Found) -> None:
    engines = [read(sync_url)]
    engines.append(read(sync_url))
    few = found.codes
    engines.append(read(sync_url))

    assert few == []
    assert found.places("SES007", read) == ("made", {"made"})
    assert found.findings[0].severity is Severity.WARNING
    dispose(engines)


async def test_an_async_engine_for_every_call(async_url: str, found: Found) -> None:
    engines = [await async_read(async_url) for _ in range(3)]

    assert found.places("SES007", async_read) == ("made", {"made"})
    for engine in engines:
        await engine.dispose()


def test_an_engine_for_every_request(sqlite_url: str, found: Found) -> None:
    engines = []
    app = FastAPI()

    @app.get("/")
    def index() -> None:
        engines.append(read(sqlite_url))

    for found.watch.scope in ("first test", "second test", "third test"):
        TestClient(app).get("/").raise_for_status()

    assert found.places("SES007", read) == ("made", {"made"})
    assert found.findings[0].severity is Severity.ERROR
    dispose(engines)


def test_garbage_counts_too(sqlite_url: str, found: Found) -> None:
    for _ in range(3):
        create_engine(sqlite_url)

    assert found.codes == ["SES007"]


def test_disposed(sync_url: str, found: Found) -> None:
    for _ in range(4):
        read(sync_url).dispose()

    assert found.codes == []


def test_one_for_each_test(sqlite_url: str, found: Found) -> None:
    engines = []
    for found.watch.scope in ("first test", "second test", "third test"):
        engines.append(read(sqlite_url))

    assert found.codes == []
    dispose(engines)


def test_made_by_a_fixture(sqlite_url: str, found: Found) -> None:
    found.watch.scope = "fixture:function:engine"
    engines = [read(sqlite_url) for _ in range(3)]

    assert found.codes == []
    dispose(engines)


def test_made_by_a_fixture_of_a_conftest(sqlite_url: str, found: Found, tmp_path: Path) -> None:
    source = "def make(create, url):\n    return create(url)\n"
    names: dict[str, Any] = {}
    exec(compile(source, str(tmp_path / "conftest.py"), "exec"), names)
    engines = [names["make"](create_engine, sqlite_url) for _ in range(3)]

    assert found.codes == []
    dispose(engines)


def test_a_module_that_is_imported_again(sqlite_url: str, found: Found, tmp_path: Path) -> None:
    code = compile("engine = make(url)", str(tmp_path / "database.py"), "exec")
    engines = []
    for _ in range(3):
        names: dict[str, Any] = {"make": create_engine, "url": sqlite_url}
        exec(code, names)
        engines.append(names["engine"])

    assert found.codes == []
    dispose(engines)


def test_equal_functions_of_several_files(sqlite_url: str, found: Found, tmp_path: Path) -> None:
    engines = []
    for number in range(3):
        names: dict[str, Any] = {"create": create_engine}
        exec(compile("def make(url):\n    return create(url)", str(tmp_path / f"shop{number}.py"), "exec"), names)
        engines.append(names["make"](sqlite_url))

    assert found.codes == []
    dispose(engines)


def test_several_databases(sqlite_url: str, found: Found) -> None:
    urls = [make_url(sqlite_url).set(database=f"{make_url(sqlite_url).database}{number}") for number in range(3)]
    engines = [read(url.render_as_string()) for url in urls]

    assert found.codes == []
    dispose(engines)


def test_several_schemas_of_a_database(postgres_url: str, found: Found) -> None:
    urls = [make_url(postgres_url).update_query_dict({"options": f"-c search_path=t{n}"}) for n in range(3)]
    engines = [read(url.render_as_string(hide_password=False)) for url in urls]

    assert found.codes == []
    dispose(engines)


def test_several_places(sqlite_url: str, found: Found) -> None:
    engines = [create_engine(sqlite_url), create_engine(sqlite_url), create_engine(sqlite_url)]

    assert found.codes == []
    dispose(engines)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:shop?mode=memory&uri=true"])
def test_in_memory(url: str, found: Found) -> None:
    engines = [create_engine(url, poolclass=SingletonThreadPool) for _ in range(3)]

    assert found.codes == []
    dispose(engines)


def test_a_pool_that_keeps_nothing(sync_url: str, found: Found) -> None:
    for _ in range(3):
        create_engine(sync_url, poolclass=NullPool)

    assert found.codes == []


def test_copies_with_other_options(sync_engine: Engine, found: Found) -> None:
    copies = [sync_engine.execution_options(isolation_level="SERIALIZABLE") for _ in range(3)]

    assert (len(copies), found.codes) == (3, [])


def test_one_for_each_event_loop(aiosqlite_url: str, found: Found) -> None:
    async def work() -> None:
        kept.append(create_async_engine(aiosqlite_url, poolclass=AsyncAdaptedQueuePool))

    kept: list[AsyncEngine] = []
    for _ in range(3):
        asyncio.run(work())

    assert (len(kept), found.codes) == (3, [])


def test_the_ledger_does_not_grow(sqlite_url: str, found: Found) -> None:
    for _ in range(300):
        create_engine(sqlite_url)

    assert len(found.watch.ledger.engines) <= 256
