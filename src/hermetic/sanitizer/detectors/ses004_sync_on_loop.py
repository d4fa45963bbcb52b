"""SES004: synchronous database work on a thread that runs an event loop.

A running loop alone proves nothing: a synchronous Playwright leaves one visible. There has to be a current task too,
which is what everything else on this loop waits for. While an application starts or stops, nothing does.
"""

from __future__ import annotations

from asyncio import current_task
from asyncio.events import _get_running_loop
from textwrap import shorten
from typing import Any

from hermetic.finding import Severity
from hermetic.sanitizer import redact
from hermetic.sanitizer.detector import EVERYWHERE, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.operations import in_lifespan
from hermetic.sanitizer.stacks import grab
from hermetic.sanitizer.watch import Watch

HELP = "use an AsyncSession, or move the work off the loop: `await asyncio.to_thread(...)`"


def before_statement(watch: Watch, connection: Any, record: SessionRecord | None, sql: str, context: Any) -> None:
    if _get_running_loop() is None or connection.dialect.is_async or current_task() is None or in_lifespan():
        return
    task = current_task()
    name = task.get_name() if task is not None else ""
    acts = [Act(f"`{shorten(redact.sql(sql), 60, placeholder=' …')}` runs on the event loop, in task {name},", grab())]
    if record is not None:
        acts.append(Act("the session was made", record.made))
    message = "synchronous database work on the event loop: every other task of this loop waits for it"
    watch.report("SES004", Severity.ERROR, message, acts, at=0, help_text=HELP, session=record)


DETECTOR = Detector(code="SES004", modes=EVERYWHERE, before_statement=before_statement)
