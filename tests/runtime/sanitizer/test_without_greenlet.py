"""SQLAlchemy without its asyncio half, as `pip install sqlalchemy` leaves it since 2.1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, sys

sys.modules["greenlet"] = None  # an import of it fails, and nobody finds it

import hermetic
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")


def leak():
    session = Session(engine)
    session.execute(text("SELECT 1"))


with hermetic.watch({mode!r}, lambda finding: print(finding.rule)) as watch:
    leak()
    gc.collect()
print(watch.errors, watch.last_error)
"""


@pytest.mark.parametrize("mode", ["tests", "production"])
def test_synchronous_sessions_are_watched(mode: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{mode!r}", repr(mode)))

    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n") == ["SES001", "0 ", ""]
    assert done.stderr == ""
