"""The installed `hermetic` command, run as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERMETIC = str(Path(sys.executable).with_name("hermetic"))

PATIENCE = 60  # seconds; whatever takes longer hangs

LEAK = """\
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")


def load(statement):
    session = Session(engine)
    return session.scalar(statement)
"""
LEAK_LINE = 8

CLEAN = """\
from sqlalchemy.orm import Session


def load(engine, statement):
    with Session(engine) as session:
        return session.scalar(statement)
"""

# A warning and nothing else: a column that was loaded is read after the end of its session.
FRAGILE = """\
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcel"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(20))


def label_of(engine, key):
    with Session(engine) as session:
        parcel = session.get_one(Parcel, key)
    return parcel.label
"""

SLOW = ("faker", "hypothesispytest", "valkey")  # plugins of pytest that happen to be installed, and load much

Run = subprocess.CompletedProcess[str]

# Runs of the tests neither use nor fill the cache of whoever runs them.
CACHE = tempfile.TemporaryDirectory(prefix="hermetic-cache-")


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without what steers colours, and with changes; None removes a variable."""
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    plain["XDG_CACHE_HOME"] = CACHE.name
    for name, value in changes.items():
        plain.pop(name, None)
        if value is not None:
            plain[name] = value
    return plain


def without(*plugins: str) -> tuple[str, ...]:
    """Options of pytest that leave plugins out."""
    return tuple(word for name in plugins for word in ("-p", f"no:{name}"))


def completed(command: Sequence[str], cwd: Path, **changes: str | None) -> Run:
    """Run a command to its end, without a terminal, in this environment with changes."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def hermetic(*arguments: str, cwd: Path, **changes: str | None) -> Run:
    return completed([HERMETIC, *arguments], cwd, **changes)


def check_json(cwd: Path, *arguments: str, **changes: str | None) -> dict[str, Any]:
    """The document of `hermetic check --output-format json`, which must not have complained."""
    run = hermetic("check", "--output-format", "json", *arguments, cwd=cwd, **changes)
    assert run.stderr == ""
    document: dict[str, Any] = json.loads(run.stdout)
    return document


def places(document: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Path, line and code of each finding."""
    return [(found["path"], found["line"], found["rule"]) for found in document["findings"]]


def paths(document: Mapping[str, Any]) -> list[str]:
    """The files with findings."""
    return sorted({found["path"] for found in document["findings"]})


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a project; it gets an empty pyproject.toml, so that nothing around it belongs to it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").touch()
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
