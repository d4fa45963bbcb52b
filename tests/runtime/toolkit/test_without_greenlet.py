"""greenlet is what SQLAlchemy needs for asyncio, and for nothing else: not every platform has it."""

from __future__ import annotations

import subprocess
import sys

BLOCKS = """
import sys
sys.modules["greenlet"] = None
import hermetic
from sqlalchemy import text
from hermetic.toolkit.adapters import celery, commands, fastapi, flask, pytest, rq, starlette
from hermetic.toolkit.testing import rolled_back

with hermetic.Database("sqlite://") as db:
    with rolled_back(db):
        with db.transaction() as session:
            session.execute(text("CREATE TABLE notes (id INTEGER)"))
            session.execute(text("INSERT INTO notes VALUES (1)"))
        with db.read() as session:
            assert session.scalar(text("SELECT id FROM notes")) == 1
"""

# SQLAlchemy 2.0 says so when it is used, 2.1 when it is imported.
ASYNC = """
import asyncio, sys
sys.modules["greenlet"] = None
import hermetic

async def main():
    async with hermetic.AsyncDatabase("sqlite+aiosqlite://") as db, db.read() as session:
        await session.connection()

asyncio.run(main())
"""


def test_synchronous_blocks_and_their_adapters_work() -> None:
    ran = subprocess.run([sys.executable, "-W", "error", "-c", BLOCKS], capture_output=True, text=True, timeout=60)

    assert ran.returncode == 0, ran.stderr


def test_an_async_database_says_what_is_missing() -> None:
    ran = subprocess.run([sys.executable, "-c", ASYNC], capture_output=True, text=True, timeout=60)

    assert ran.returncode == 1
    assert "greenlet" in ran.stderr.splitlines()[-1]
