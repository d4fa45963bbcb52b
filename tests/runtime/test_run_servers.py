"""`hermetic run -m uvicorn` and `-m celery`: servers that end by a signal, and workers that fork."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from runtime.programs import found, started

WEB = """\
import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

engine = create_async_engine("sqlite+aiosqlite:///app.db")
sync_engine = create_engine("sqlite:///app.db")
sessions = async_sessionmaker(engine)


@asynccontextmanager
async def lifespan(app):
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def get_session():
    async with sessions() as session:
        yield session


@app.get("/good")
async def good(db: Annotated[AsyncSession, Depends(get_session)]) -> int:
    await db.execute(text("SELECT 1"))
    await asyncio.sleep(0.05)
    return await db.scalar(text("SELECT 2"))


@app.get("/blocking")
async def blocking() -> int:
    with Session(sync_engine) as session:
        return session.scalar(text("SELECT 3"))
"""
BLOCKS = 39

WORKER = """\
from celery import Celery
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

folder = {"data_folder_in": "queue", "data_folder_out": "queue", "processed_folder": "queue"}
app = Celery("worker", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = folder
app.conf.broker_connection_retry_on_startup = True
engine = create_engine("sqlite:///app.db")


@app.task
def leak():
    session = Session(engine)
    return session.scalar(text("SELECT 1"))
"""
LEAKS = 14

SEND = """\
import sys
import worker

print([worker.leak.delay().get(timeout=40) for _ in range(3)])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_uvicorn_until_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    arguments = ("--report", "report.json", "--trace", "trace.json", "-m", "uvicorn", "app:app", "--port", "0")
    with started(tmp_path, {"app.py": WEB}, *arguments) as server:
        url = _address(server)
        assert [_get(f"{url}/{path}") for path in ("good", "good", "blocking", "blocking")] == ["2", "2", "3", "3"]
        server.send_signal(number)
        _, stderr = server.communicate(timeout=30)
    statements = [event for event in _events(tmp_path / "trace.json") if event.get("cat") == "statement"]

    assert server.returncode == (-signal.SIGTERM if number == signal.SIGTERM else 1)
    assert "hermetic: 1 error: 4 sessions, 6 statements watched" in stderr
    assert found(tmp_path / "report.json") == [("SES004", "app.py", BLOCKS)]
    assert len(statements) == 6


def test_a_celery_worker_that_forks(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "results").mkdir()
    arguments = ("--report", "report.json", "--trace", "trace.json", "-m", "celery", "-A", "worker", "worker")
    options = ("--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat")
    with started(tmp_path, {"worker.py": WORKER, "send.py": SEND}, *arguments, *options) as worker:
        sent = _python(tmp_path, "send.py")
        worker.terminate()
        _, stderr = worker.communicate(timeout=40)
    pids = {event["pid"] for event in _events(tmp_path / "trace.json") if event.get("cat") == "statement"}

    assert sent == "[1, 1, 1]\n"
    assert found(tmp_path / "report.json") == [("SES001", "worker.py", LEAKS)]
    assert "besides those of 1 forked process\n" in stderr
    assert len(pids) == 1
    assert worker.pid not in pids


def _events(trace: Path) -> list[dict[str, object]]:
    events: list[dict[str, object]] = json.loads(trace.read_text())["traceEvents"]
    return events


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if match := re.search(r"running on (http://\S+)", line):
            return match[1]
    raise AssertionError("the server has ended")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _python(directory: Path, script: str) -> str:
    import sys

    from shell import environment

    return subprocess.run(
        [sys.executable, script],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
