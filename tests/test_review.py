"""`hermetic review`: the six questions, answered from a census."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shell import hermetic, write

EXAMPLES = Path(__file__).parent.parent / "examples"
IDS = ["context-managers", "own-session", "begin", "async", "inside", "configured-once"]

DATABASE = """
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/zoo", pool_size=5)
factory = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def get_db():
    with factory() as session:
        yield session


@contextmanager
def transaction():
    session = factory()
    try:
        yield session
        session.commit()
    finally:
        session.close()
"""

API = """
from fastapi import Depends, FastAPI
from sqlalchemy.orm import Session

from zoo.database import Animal, factory, get_db, transaction

app = FastAPI()


@app.get("/animals/{key}")
def show(key: int, db: Session = Depends(get_db)) -> str:
    return db.get_one(Animal, key).name


@app.post("/animals/{name}")
def welcome(name: str) -> None:
    with factory.begin() as session:
        session.add(Animal(name=name))


@app.post("/animals/{name}/again")
def welcome_again(name: str) -> None:
    with transaction() as session:
        session.add(Animal(name=name))


@app.delete("/animals/{key}")
def release(key: int) -> None:
    session = factory()
    try:
        session.delete(session.get_one(Animal, key))
        session.commit()
    finally:
        session.close()
"""


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    files = {"zoo/__init__.py": "", "zoo/database.py": DATABASE, "zoo/api.py": API, "pyproject.toml": ""}
    return write(tmp_path, files)


def review(cwd: Path, *arguments: str) -> dict[str, Any]:
    run = hermetic("review", "--output-format", "json", *arguments, cwd=cwd)
    assert (run.returncode, run.stderr) == (0, "")
    document: dict[str, Any] = json.loads(run.stdout)
    assert document["version"] == 1
    assert [question["id"] for question in document["questions"]] == IDS
    return document


def answers(document: dict[str, Any]) -> list[tuple[str, int, int]]:
    found = document["questions"]
    return [(question["answer"], question["counts"]["good"], question["counts"]["total"]) for question in found]


def test_the_questions_are_answered_with_numbers(zoo: Path) -> None:
    assert answers(review(zoo)) == [
        ("partly", 3, 4),  # get_db, welcome and welcome_again; release closes by hand
        ("yes", 5, 5),  # the four endpoints, and the dependency
        ("partly", 2, 3),  # the begin block and the manager, but not release
        ("not applicable", 0, 0),
        ("yes", 1, 1),
        ("yes", 2, 2),
    ]


def test_the_places_that_break_it_are_named(zoo: Path) -> None:
    by_hand = review(zoo)["questions"][0]["evidence"]

    assert by_hand == [{"path": "zoo/api.py", "line": 29, "function": "release", "text": "closed by hand"}]


def test_the_census_has_every_place(zoo: Path) -> None:
    census = review(zoo)["census"]

    opened = [(place["path"], place["line"], place["how"]) for place in census["sessions"]]
    assert opened == [
        ("zoo/api.py", 17, "with"),
        ("zoo/api.py", 23, "with"),
        ("zoo/api.py", 29, "closed by hand"),
        ("zoo/database.py", 22, "with"),
        ("zoo/database.py", 28, "handed on"),
    ]
    assert {place["function"]: place["sessions"] for place in census["entry_points"]} == {
        "show": ["injected"],
        "welcome": ["own"],
        "welcome_again": ["own"],
        "release": ["own"],
        "get_db": ["own"],
    }
    configured = [(place["line"], place["what"], place["options"]) for place in census["engines_and_factories"]]
    assert configured == [(7, "engine", ["pool_size"]), (8, "factory", ["expire_on_commit"])]
    assert {place["committed_by"] for place in census["write_scopes"]} == {"begin block", "context manager", "commit()"}


def test_rows_of_a_callee_s_session_are_no_session_of_the_caller(zoo: Path) -> None:
    load = """
from zoo.database import Animal, factory


def load(key):
    with factory() as session:
        return session.get_one(Animal, key)


def shown(key):
    return load(key).name
"""
    write(zoo, {"zoo/load.py": load})

    opened = [place for place in review(zoo)["census"]["sessions"] if place["path"] == "zoo/load.py"]

    assert [place["function"] for place in opened] == ["load"]


def test_a_commit_of_what_others_may_have_written_is_a_write_scope(zoo: Path) -> None:
    finish = """
from contextlib import contextmanager

from sqlalchemy.orm import Session
from zoo.database import factory


def finish(session: Session) -> None:
    session.commit()


def nothing() -> None:
    with factory() as session:
        session.commit()


@contextmanager
def finishing(session: Session):
    yield session
    session.commit()
"""
    write(zoo, {"zoo/finish.py": finish})

    scopes = [place for place in review(zoo)["census"]["write_scopes"] if place["path"] == "zoo/finish.py"]

    assert [place["function"] for place in scopes] == ["finish"]


def test_a_dependency_that_commits_is_no_commit_by_hand(tmp_path: Path) -> None:
    committing = DATABASE.replace("    with factory() as session:\n", "    with factory.begin() as session:\n")
    api = API + '\n\n@app.put("/animals/{name}")\ndef adopt(name: str, db: Session = Depends(get_db)) -> None:\n'
    api += "    db.add(Animal(name=name))\n"
    root = write(tmp_path, {"zoo/__init__.py": "", "zoo/database.py": committing, "zoo/api.py": api})

    scopes = review(root)["census"]["write_scopes"]

    assert [place["committed_by"] for place in scopes if place["function"] == "adopt"] == ["after the request"]


def test_code_without_sessions_gets_no_six_times_yes(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": "import json\n\nprint(json.dumps({}))\n"})

    assert answers(review(root)) == [("not applicable", 0, 0)] * 6
    assert "no SQLAlchemy session" in hermetic("review", cwd=root).stdout


def test_packages_are_answered_each_and_all(zoo: Path) -> None:
    write(zoo, {"farm/__init__.py": "", "farm/jobs.py": "from zoo.database import factory\n\n\ndef work(x):\n"
                "    with factory() as session:\n        session.scalar(x)\n"})  # fmt: skip

    assert review(zoo)["questions"][0]["packages"] == {
        "farm": {"answer": "yes", "good": 1, "total": 1},
        "zoo": {"answer": "partly", "good": 3, "total": 4},
    }


def test_the_shop_and_its_airtight_twin() -> None:
    shop, airtight = review(EXAMPLES, "shop"), review(EXAMPLES, "shop_airtight")

    assert [answer for answer, _, _ in answers(shop)] == ["partly", "partly", "no", "partly", "partly", "partly"]
    assert [answer for answer, _, _ in answers(airtight)] == ["yes", "yes", "partly", "yes", "yes", "yes"]


def test_what_check_finds_is_evidence() -> None:
    found = review(EXAMPLES, "shop")["questions"]

    rules = [{item["text"].split()[0] for item in question["evidence"] if "SES" in item["text"]} for question in found]
    assert rules == [{"SES001"}, {"SES002"}, {"SES006"}, {"SES004"}, {"SES005"}, {"SES007"}]


def test_text_shows_answer_numbers_and_places(zoo: Path) -> None:
    run = hermetic("review", cwd=zoo)

    assert run.returncode == 0
    assert "~ 1  partly         Are all sessions used as context managers?" in run.stdout
    assert "3 of 4 sessions: 3 with, 1 closed by hand" in run.stdout
    assert "zoo/api.py:29  release: closed by hand" in run.stdout
    assert "\033[" not in run.stdout


def test_markdown_is_a_table_with_foldable_places(zoo: Path) -> None:
    lines = hermetic("review", "--output-format", "markdown", cwd=zoo).stdout.splitlines()

    assert lines[:4] == ["## Session review", "", "| | Question | Answer | Counted |", "|---|---|---|---|"]
    assert lines[4] == "| 1 | Are all sessions used as context managers? | 🟡 partly | 3 of 4 sessions |"
    assert "<details><summary>1. 1 place to look at</summary>" in lines
    assert "- `zoo/api.py:29` in `release`: closed by hand" in lines
    assert lines.count("</details>") == sum(line.startswith("<details>") for line in lines)


def test_what_cannot_be_read_is_told(zoo: Path) -> None:
    write(zoo, {"zoo/broken.py": "def (:\n"})
    run = hermetic("review", "--output-format", "json", cwd=zoo)

    assert run.returncode == 3
    assert [entry["path"] for entry in json.loads(run.stdout)["not_analysed"]] == ["zoo/broken.py"]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("nowhere",), "no such file or directory: nowhere"),
        (("--output-format", "markdwn"), "did you mean `markdown`?"),
        (("--frobnicate",), "unknown `--frobnicate`"),
    ],
)
def test_mistyped(zoo: Path, arguments: tuple[str, ...], answer: str) -> None:
    run = hermetic("review", *arguments, cwd=zoo)

    assert run.returncode == 2
    assert answer in run.stderr


def test_answers_are_the_same_every_time(zoo: Path) -> None:
    runs = {hermetic("review", "--output-format", "json", cwd=zoo, PYTHONHASHSEED=seed).stdout for seed in "017"}

    assert len(runs) == 1
