"""From a real run to its page: what was recorded is what a browser shows. tests/trace_page/ has the page's own."""

from __future__ import annotations

import re
import time
from pathlib import Path

from sqlalchemy import AsyncAdaptedQueuePool, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from hermetic.report.html.trace import render
from hermetic.report.trace_reader import read
from runtime.browser import Browser
from runtime.models import User
from runtime.sanitizer.traces import PAUSE, recorded

SIZE, OVERFLOW = 2, 1

IDLE = r", 1 statement, \d+ times? idle in a transaction$"  # a busy machine makes more gaps than the one of the test


def shown(browser: Browser, recording: Path, page: Path) -> str:
    """The document of the page, with its cursor in the middle of the longest wait of a recording in which nothing is
    unknown to the page."""
    trace = read(recording.read_bytes())
    assert trace.unread == 0
    wait = max((wait for lane in trace.sessions for wait in lane.waits), key=lambda wait: wait.duration)
    page.write_text(render(trace, "run.json"), encoding="utf-8")
    return browser.dom(page, fragment=f"at={(wait.start + wait.duration / 2) / 1000}")


def test_a_session_that_waited(sync_url: str, browser: Browser, tmp_path: Path) -> None:
    with recorded(tmp_path / "run.json"):
        engine = create_engine(sync_url, pool_size=SIZE, max_overflow=OVERFLOW)
        with Session(engine) as session:
            session.scalars(select(User)).all()
            time.sleep(PAUSE)
            session.commit()
        engine.dispose()
    document = shown(browser, tmp_path / "run.json", tmp_path / "run.html")

    (label,) = re.findall(r'<button[^>]* class="label"[^>]* aria-label="([^"]*)"', document)
    assert "opened at tests/runtime/test_trace_page.py:" in label
    assert re.search(IDLE, label)
    assert f">1 of {SIZE + OVERFLOW} in use</output>" in document


async def test_an_async_session_that_waited(async_url: str, browser: Browser, tmp_path: Path) -> None:
    with recorded(tmp_path / "run.json"):
        engine = create_async_engine(async_url, poolclass=AsyncAdaptedQueuePool, pool_size=SIZE, max_overflow=OVERFLOW)
        async with AsyncSession(engine) as session, AsyncSession(engine):
            await session.scalars(select(User))
            time.sleep(PAUSE)  # on purpose: the loop does nothing else
            await session.commit()
        await engine.dispose()
    document = shown(browser, tmp_path / "run.json", tmp_path / "run.html")

    labels = re.findall(r'<button[^>]* class="label"[^>]* aria-label="([^"]*)"', document)
    assert [bool(re.search(IDLE, label)) for label in labels] == [True, False]
    assert f">1 of {SIZE + OVERFLOW} in use</output>" in document
