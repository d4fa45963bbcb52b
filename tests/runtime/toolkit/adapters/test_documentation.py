"""The examples of docs/frameworks.md, run as they stand."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient as StarletteClient

from runtime.rows import count

PAGE = Path(__file__).parents[4] / "docs" / "frameworks.md"
URL = "sqlite:///shop.db"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of all examples, in an empty directory."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text("\n".join(blocks))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    found = vars(importlib.import_module("shop"))
    found["Base"].metadata.create_all(found["db"].engine)
    yield found
    del sys.modules["shop"]
    found["db"].dispose()
    found["adb"]._core.loop = None  # the clients' loops are gone
    asyncio.run(found["adb"].dispose())


def test_fastapi(shop: dict[str, Any]) -> None:
    with TestClient(shop["app"]) as client:
        with shop["db"].transaction() as session:
            session.add(shop["Order"]())
        assert client.get("/orders").json() == [1]
        assert client.post("/orders/1/pay").status_code == 200
        assert client.post("/orders/2/pay").status_code == 404
        assert client.get("/orders").json() == []


def test_starlette(shop: dict[str, Any]) -> None:
    with StarletteClient(shop["starlette_app"]) as client:
        assert client.post("/orders").json() == 1
    assert count(URL, "orders") == 1


def test_flask(shop: dict[str, Any]) -> None:
    client = shop["flask_app"].test_client()
    assert shop["flask_app"].test_cli_runner().invoke(args=["fill"]).exit_code == 0
    assert client.post("/orders/2/pay").text == "paid"
    assert client.post("/orders/3/pay").status_code == 404


def test_litestar(shop: dict[str, Any]) -> None:
    with LitestarClient(shop["litestar_app"]) as client:
        assert client.post("/orders").json() == 1
    assert count(URL, "orders") == 1


def test_celery(shop: dict[str, Any]) -> None:
    shop["queue"].conf.task_always_eager = True
    shop["order_and_ship"]()
    with shop["db"].read() as session:
        assert session.get_one(shop["Order"], 1).paid


def test_rq(shop: dict[str, Any]) -> None:
    enqueued = []

    class Jobs:
        def enqueue(self, function: Any, number: int, **options: Any) -> None:
            function(number)
            enqueued.append(number)

    shop["order_and_pack"](Jobs())
    assert enqueued == [1]


def test_commands(shop: dict[str, Any]) -> None:
    shop["main"]()
    assert CliRunner().invoke(shop["refund"], ["1"]).exit_code == 0


def test_rolling_back_through_a_test_client(shop: dict[str, Any]) -> None:
    shop["test_the_shop"]()
