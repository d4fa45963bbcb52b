"""Programs, and `hermetic run` on them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shell import HERMETIC, SLOW, Run, environment, hermetic, without, write

APP = """\
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite:///app.db")


def one(session):
    return session.scalar(text("SELECT 1"))


def load():
    session = Session(engine)
    return one(session)

"""
LEAK = APP + "\nprint(load())\n"
MADE = 12  # the line that makes the session

PYTEST = ("-m", "pytest", "-q", *without("cacheprovider", "asyncio", *SLOW))


def run(directory: Path, files: Mapping[str, str], *arguments: str, **variables: str) -> Run:
    """Run `hermetic run ARGUMENTS` in a directory with these files; `variables` of the environment."""
    write(directory, files)
    return hermetic("run", *arguments, cwd=directory, **variables)


@contextmanager
def started(directory: Path, files: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The same while it runs; it is killed at the end if it still does."""
    write(directory, files)
    process = subprocess.Popen(
        [HERMETIC, "run", *arguments],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def found(report: Path) -> list[tuple[str, str, int]]:
    """Rule, path and line of each finding in a report."""
    return [(each["rule"], each["path"], each["line"]) for each in json.loads(report.read_text())["findings"]]
