"""How the watch learns of engines."""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import create_async_engine

from runtime.sanitizer.found import Found


def test_every_option_of_an_engine_is_taken(found: Found) -> None:
    engine = create_engine("sqlite://", echo=False, logging_name="shop", query_cache_size=10, hide_parameters=True)

    assert engine.logging_name == "shop"
    assert [record.engine() for record in found.watch.ledger.engines.values()] == [engine]
    engine.dispose()
    assert found.watch.ledger.engines == {}


async def test_an_async_engine_is_known_once(found: Found) -> None:
    engine = create_async_engine("sqlite+aiosqlite://", echo=False)

    assert [record.engine() for record in found.watch.ledger.engines.values()] == [engine.sync_engine]
    await engine.dispose()
    assert found.watch.ledger.engines == {}


def test_the_password_of_the_url_is_not_kept(found: Found) -> None:
    engine = create_engine("postgresql+psycopg://ada:hunter2@localhost/shop?password=hunter3")

    (record,) = found.watch.ledger.engines.values()
    assert record.url == "postgresql+psycopg://ada:***@localhost/shop?password=hidden"
    engine.dispose()


def test_what_was_patched_is_put_back(found: Found) -> None:
    patched = vars(Dialect)["engine_created"]

    found.watch.stop()

    assert vars(Dialect)["engine_created"] is not patched
    assert isinstance(vars(Dialect)["engine_created"], classmethod)
