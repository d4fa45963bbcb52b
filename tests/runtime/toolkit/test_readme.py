"""The toolkit's example in the README, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import hermetic
from hermetic.toolkit.database import Database
from runtime.rows import count

README = Path(__file__).parents[3] / "README.md"


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


def test_the_example_writes_an_order(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, section = README.read_text().partition("## In new code\n")
    example = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert example is not None
    opened: list[Database] = []

    def database(url: str) -> Database:
        assert url == "postgresql+psycopg://localhost/shop"  # which only the reader has
        opened.append(Database(postgres_url))
        Base.metadata.create_all(opened[0].engine)
        return opened[0]

    names: dict[str, Any] = {"Order": Order}
    with monkeypatch.context() as patched:
        patched.setitem(vars(hermetic), "Database", database)
        exec(compile(example[1], str(README), "exec"), names)

    assert count(postgres_url, "orders") == 1
    opened[0].dispose()
