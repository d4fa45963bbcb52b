"""What all tests share: a mini-project on disk, and hermetic run on it."""

from __future__ import annotations

import marshal
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hermetic import driver
from hermetic.engine import forked
from hermetic.engine.ir import Node
from hermetic.engine.source import facts_of
from hermetic.finding import Finding

pytest_plugins = ["pytester"]
collect_ignore = ["fixtures"]  # projects to analyse; some have tests of their own

MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes; a whole run leaves a twentieth of it


def keeps_programs(directory: Path) -> bool:
    """Is there room for the files of a run, those that are executed included?"""
    try:
        executes = not os.statvfs(directory).f_flag & os.ST_NOEXEC
        return executes and os.access(directory, os.W_OK) and shutil.disk_usage(directory).free > ENOUGH
    except (OSError, AttributeError):  # there is none, or no flags: other systems
        return False


# Nothing of what tests write has to outlive the machine, so they need not wait for a disk at every COMMIT of SQLite.
if keeps_programs(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

CheckProject = Callable[[Mapping[str, str]], list[Finding]]


def facts_after_round_trip(data: bytes) -> Node:
    """Facts as a cache would hand them out: nothing may get lost between processes or runs."""
    facts: Node = marshal.loads(marshal.dumps(facts_of(data)))
    return facts


@pytest.fixture
def check_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckProject:
    """Writes files, given as path and text, as a project of their own, and returns what hermetic finds there."""

    def check(sources: Mapping[str, str]) -> list[Finding]:
        monkeypatch.setattr(forked, "facts_of", facts_after_round_trip)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pyproject.toml").touch()
        for path, text in sources.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        results = driver.check(driver.Request((".",), flags=(("tests", True),), isolated=True))
        assert not results.not_analysed
        return list(results.findings)

    return check
