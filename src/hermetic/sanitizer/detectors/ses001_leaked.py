"""SES001: a session that still has its connection when it is garbage, or when the test, fixture or program
that made it is over.

Only sessions with a transaction open count: one that was never used, or was committed and forgotten, holds nothing.
A registry's session has its registry as owner, and one over a borrowed connection takes nothing from a pool. Who is
still at work in another thread or task when a test is over may yet close what it has made; so may a server that
answers its last request.
"""

from __future__ import annotations

from hermetic.finding import Severity
from hermetic.sanitizer.detector import EVERYWHERE, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.stacks import actor, frames_now
from hermetic.sanitizer.watch import Watch

HELP = "open it in a `with` block (`async with` for an AsyncSession), or close it in `finally`"


def collected(watch: Watch, record: SessionRecord) -> None:
    if not record.borrowed:
        _report(watch, record, "session was never closed; the garbage collector found it with its connection")


def scope_ended(watch: Watch, scope: str) -> None:
    what = "fixture that made it" if scope.startswith("fixture:") else "test" if scope else "program"
    for record in list(watch.ledger.open.values()):
        if record.scope == scope and not record.borrowed and not record.in_registry and not _is_at_work(record):
            _report(watch, record, f"session is still open, with its connection, when the {what} is over")


def _is_at_work(record: SessionRecord) -> bool:
    """Does whoever made the session run application code just now, beside us? An idle thread of a pool does not."""
    who = record.made_by or record.begun_by
    return who is not None and who != actor() and bool(frames_now(who, 1))


def _report(watch: Watch, record: SessionRecord, message: str) -> None:
    acts = [Act("the session was made", record.made), Act("its connection was taken from the pool", record.begun)]
    at = 0 if record.made else 1
    watch.report("SES001", Severity.ERROR, message, acts, at=at, help_text=HELP, scope=record.scope, session=record)


DETECTOR = Detector(code="SES001", modes=EVERYWHERE, collected=collected, scope_ended=scope_ended)
