"""The same findings in the same order: whatever order files were written in, and under any hash seed."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shell import HERMETIC, environment
from situations import SITUATIONS, project_at


def build(root: Path, seed: int) -> None:
    """Many small projects beside each other, their files written in an order of their own."""
    files = [
        (f"{situation.parent.name}_{situation.name}/{path}", text)
        for situation in SITUATIONS[:: max(1, len(SITUATIONS) // 90)]
        for path, text in project_at(situation).items()
    ]
    random.Random(seed).shuffle(files)
    for path, text in files:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (root / "pyproject.toml").touch()


def report(root: Path, hash_seed: str) -> dict[str, Any]:
    command = [HERMETIC, "check", "--all", "--no-cache", "--exit-zero", "--output-format", "json", "."]
    seeded = environment(PYTHONHASHSEED=hash_seed)
    done = subprocess.run(command, cwd=root, env=seeded, check=True, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(done.stdout)
    del document["summary"]["seconds"]
    return document


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_same_report_whatever_the_order_and_the_hash_seed(seed: int, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    build(first, 0)
    build(second, seed)
    expected = report(first, "0")

    assert len(expected["findings"]) > 30
    assert report(second, str(seed * 977)) == expected


ONE_OF_SEVERAL = """\
from fastapi import FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()


def engine_for(kind, url):
    if kind == "mysql":
        return create_engine(url, pool_size=1)
    if kind == "oracle":
        return create_engine(url, pool_size=2)
    if kind == "clickhouse":
        return create_engine(url, pool_size=3)
    return create_engine(url)


@app.get("/check")
def check(kind: str, url: str):
    with engine_for(kind, url).connect() as connection:
        connection.execute(text("select 1"))
"""


def test_of_several_engines_always_the_same_one_is_shown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "app.py").write_text(ONE_OF_SEVERAL, encoding="utf-8")

    shown = {json.dumps(report(tmp_path, seed)["findings"]) for seed in "012345"}

    assert len(shown) == 1
    assert "SES007" in shown.pop()


ROWS_OF_SEVERAL_CLASSES = """\
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Key(Base):
    __tablename__ = "key"
    id: Mapped[int] = mapped_column(primary_key=True)


class Group(Base):
    __tablename__ = "group"
    id: Mapped[int] = mapped_column(primary_key=True)
    grants: Mapped[list["Grant"]] = relationship()


class Grant(Base):
    __tablename__ = "grant"
    id: Mapped[int] = mapped_column(primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("group.id"))


def replace_grants(holder, grants):
    for grant in grants:
        holder.grants.append(grant)


def renew(session: Session, number: int) -> None:
    holder = session.get(Group, number)
    grant = Grant(group_id=number)
    session.add(grant)
    session.commit()
    replace_grants(holder, [grant])
    session.commit()


def hand_over(session: Session, number: int) -> None:
    replace_grants(session.get(Key, number), [])
    replace_grants(Grant(), [])
"""


def test_of_several_classes_always_the_same_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "app.py").write_text(ROWS_OF_SEVERAL_CLASSES, encoding="utf-8")

    shown = {json.dumps(report(tmp_path, seed)["findings"]) for seed in "01234567"}

    assert len(shown) == 1
