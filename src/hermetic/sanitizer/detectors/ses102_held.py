"""SES102 in production: transactions that wait, and connections that stay out of their pool.

The watchdog tells of them while it happens, so the second act is where the holder stands now. Once the thread or task
that took a connection is over and the connection was not used for as long, nobody is left to give it back: SES001. It
is a warning there, because another one may have taken the session over.
"""

from __future__ import annotations

from hermetic.finding import Severity
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import Detector, Mode
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import Hold, SessionRecord
from hermetic.sanitizer.stacks import actor_name, frames_now, has_ended
from hermetic.sanitizer.watch import Watch

WAITING_HELP = "commit or close the session before the slow step, and write its result in a transaction of its own"
HELD_HELP = "give it back as soon as the work is done; what has to hold one for long says `hermetic.long_running()`"
GONE_HELP = "open the session in a `with` block (`async with` for an AsyncSession), or close it in `finally`"


def waiting(watch: Watch, record: SessionRecord, seconds: float) -> None:
    who = record.begun_by
    if who is None:
        return
    now = frames_now(who)
    acts = [
        Act("its transaction took a connection", record.begun),
        Act(f"{actor_name(who)} is now", now),
    ]
    message = f"a transaction has waited for {seconds:.1f} s, with its connection, for something else than the database"
    watch.report("SES102", Severity.WARNING, message, acts, at=1 if now else 0, help_text=WAITING_HELP, session=record)


def held(watch: Watch, hold: Hold, seconds: float) -> None:
    record = hold.session() if hold.session is not None else None
    name = actor_name(hold.by)
    acts = [Act(f"{name} took the connection", hold.frames), Act(f"{name} is now", frames_now(hold.by))]
    at = 0 if hold.frames else 1
    if has_ended(hold.by) and not (record and _was_used(record, watch.held / 2)):
        message = f"a connection has been out of its pool for {seconds:.1f} s, and who took it is over: who closes it?"
        watch.report("SES001", Severity.WARNING, message, acts, at=at, help_text=GONE_HELP, session=record)
    else:
        message = f"a connection has been out of its pool for {seconds:.1f} s"
        watch.report("SES102", Severity.WARNING, message, acts, at=at, help_text=HELD_HELP, session=record)


def _was_used(record: SessionRecord, seconds: float) -> bool:
    return record.in_statement or perf_counter() - record.last_wall < seconds


DETECTOR = Detector(code="SES102", modes=frozenset({Mode.PRODUCTION}), waiting=waiting, held=held)
