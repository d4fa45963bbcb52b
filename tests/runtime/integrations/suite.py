"""Small test suites, run by pytest in a process of their own with the plugin that the installation brings along."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from shell import SLOW, without

# What the suites test: SQLite in memory, a leak that is alive until somebody forgets it, and a session used well.
APP = """\
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")
kept = []


def leak():
    session = Session(engine)
    kept.append(session)
    return session.scalar(text("SELECT 1"))


def careful():
    with Session(engine) as session:
        return session.scalar(text("SELECT 1"))


def hold(rule="SES102"):
    from hermetic.finding import Severity
    from hermetic.sanitizer.evidence import Act
    from hermetic.sanitizer.stacks import grab
    from hermetic.sanitizer.watch import current

    acts = [Act("the transaction waits", grab())]
    current().report(rule, Severity.WARNING, "a transaction is kept", acts, at=0, help_text="end it")
"""
LEAK_LINE = 9

RUNNERS = ("asyncio", "anyio", "xdist")
PATIENCE = 180  # seconds; whatever takes longer hangs


@dataclass(frozen=True)
class Done:
    """A run that is over."""

    result: pytest.RunResult
    out: str
    err: str

    @property
    def code(self) -> int:
        return int(self.result.ret)

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(self.result.parseoutcomes())

    @property
    def summary(self) -> str:
        """The section of hermetic at the end; "" if there is none."""
        found = re.search(r"^=+ hermetic =+\n(.*?)^=+", self.out, flags=re.MULTILINE | re.DOTALL)
        return found[1] if found else ""


class Suite:
    """A directory with `app.py` and tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.write(app=APP)

    def write(self, **modules: str) -> None:
        """Modules by their paths; `tests__test_app` is short for `tests/test_app`."""
        for name, source in modules.items():
            path = self.pytester.path / f"{name if '/' in name else name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), encoding="utf-8")

    def settings(self, *lines: str) -> None:
        self.pytester.makeini("\n".join(("[pytest]", *lines)))

    def run(self, *arguments: str, **modules: str) -> Done:
        """Write modules, then run pytest, with no plugin but hermetic and those of `RUNNERS` that are named."""
        self.write(**modules)
        left_out = without("cacheprovider", *SLOW, *(name for name in RUNNERS if name not in arguments))
        given = [each for each in arguments if each not in RUNNERS]
        result = self.pytester.runpytest_subprocess(*left_out, *given, timeout=PATIENCE)
        return Done(result, str(result.stdout), str(result.stderr))

    def report(self, path: str = "report.json") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.pytester.path / path).read_text(encoding="utf-8"))
        return document

    def places(self, path: str = "report.json") -> list[tuple[str, str, int, list[str]]]:
        """Of each finding in a report: rule, path, line and the tests that caused it."""
        return [(each["rule"], each["path"], each["line"], each["tests"]) for each in self.report(path)["findings"]]
