"""What tests do with the code that they test changes nothing of what is said about that code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from shell import HERMETIC, environment

APP = """\
import requests
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/stock")
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[int]


def reprice(session, key):
    item = session.get(Item, key)
    if item.price < requests.get("https://prices.example/item").json()["price"]:
        item.price += 1


def store(session, item):
    try:
        session.add(item)
        session.commit()
    except Exception as error:
        print(error)


class Shelf:
    def items(self):
        raise NotImplementedError

    def fill(self, session):
        for item in self.items():
            session.add(item)
        session.commit()


def left_open(key):
    session = Session()
    return session.get(Item, key).price
"""

TESTS = """\
from fastapi import FastAPI

from app import Item, Session, Shelf, left_open, reprice, store

application = FastAPI(on_startup=[left_open])


class TwoItems(Shelf):
    def items(self):
        with Session() as session:
            session.add(Item(price=0))
            session.commit()
        return [Item(price=1), Item(price=2)]


def test_reprice():
    with Session() as session:
        reprice(session, 1)
        session.commit()


def test_store():
    with Session() as session:
        store(session, Item(price=1))
        session.add(Item(price=2))
        session.commit()


def test_fill():
    with Session() as session:
        TwoItems().fill(session)


def test_left_open():
    session = Session()
    assert session.get(Item, 1).price == left_open(1)
"""


def findings(root: Path, *options: str) -> list[dict[str, Any]]:
    command = [HERMETIC, "check", "--all", "--no-cache", "--exit-zero", "--output-format", "json", *options, "."]
    done = subprocess.run(command, cwd=root, env=environment(), check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_findings_outside_of_tests_are_the_same_with_tests(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_app.py").write_text(TESTS, encoding="utf-8")

    without, everything = findings(tmp_path), findings(tmp_path, "--tests")

    assert {finding["rule"] for finding in without} == {"SES001"}
    assert [finding for finding in everything if finding["path"] == "app.py"] == without
    assert any(finding["path"] == "tests/test_app.py" for finding in everything)
