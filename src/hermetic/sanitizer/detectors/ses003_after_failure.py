"""SES003: a failed commit, flush or statement that nobody rolled back, and the session goes on.

After a failed flush, a failed commit or a lost connection the session itself refuses. After a failed statement
PostgreSQL does: the next one fails with the wrong error, and a commit "succeeds" and writes nothing. A failure that is
swallowed inside `with session.begin()`, or inside `begin_nested()` after something else was written there, is the
worst: the block ends as if all were well. SQLite goes on after a failed statement, and programs count on it.
"""

from __future__ import annotations

from hermetic.finding import Severity
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.handlers import catches
from hermetic.sanitizer.ledger import Failure, SessionRecord
from hermetic.sanitizer.stacks import actor, origin
from hermetic.sanitizer.watch import Watch

CODE = "SES003"
HELP = "call `rollback()` where the failure is caught, or run the part that may fail in `with session.begin_nested():`"
EXPECTED = frozenset({"PendingRollbackError"})
GONE_ON = "the session is used after a failure that was not rolled back"


def failed(watch: Watch, record: SessionRecord, failure: Failure, error: BaseException) -> None:
    earlier = record.failure
    if earlier is None or earlier is failure or not earlier.aborts or earlier.connection is None:
        return
    if failure.connection is not None and failure.connection() is earlier.connection():  # no other database's
        _report(watch, record, f"{GONE_ON}: the database refuses every statement", "the next statement runs", error)


def refused(watch: Watch, record: SessionRecord, operation: str, state: str, error: BaseException) -> None:
    is_ending = record.failure is None and record.working is not None and record.working.by == actor()
    if is_ending or catches(origin(), EXPECTED):  # as in a listener of `after_rollback`
        return
    if state in ("DEACTIVE", "INVALID") or (state == "PREPARED" and _commit_failed(record)):
        message = f"{GONE_ON}: it refuses everything"
        _report(watch, record, message, "the session is used again", error)


def committed(watch: Watch, record: SessionRecord) -> None:
    if record.failure is not None and record.failure.aborts and record.has_written:
        message = "a commit after a failure that was not rolled back: it succeeds, and nothing is written"
        _report(watch, record, message, "the session commits")


def left_quietly(watch: Watch, record: SessionRecord) -> None:
    failure, session = record.failure, record.session()
    if failure is None or session is None or (session.is_active and not failure.aborts):
        return
    block, lost = "begin()", "nothing is written"
    if session.in_nested_transaction():
        block, lost = "begin_nested()", "what else it has written is lost"
    message = f"a failure is swallowed inside `{block}`: the block ends as if all were well, and {lost}"
    _report(watch, record, message, "the block is left without an exception")


def _commit_failed(record: SessionRecord) -> bool:
    """Or is it only in progress, in another task?"""
    return record.failure is not None and (record.working is None or record.working.by == actor())


def _report(watch: Watch, record: SessionRecord, message: str, used: str, error: BaseException | None = None) -> None:
    failure = record.failure
    acts = [Act(used, origin() or record.leaving)]
    if failure is not None:
        acts.insert(0, Act(f"{failure.doing} failed ({failure.error})", failure.frames))
    if error is not None:
        watch.explain(error, CODE, message, acts)
    if failure is not None and record.extra.get(CODE) is failure:  # every further use is a consequence
        return
    record.extra[CODE] = failure
    at = 0 if acts[0].frames else len(acts) - 1
    watch.report(CODE, Severity.ERROR, message, acts, at=at, help_text=HELP, session=record, error=error)


DETECTOR = Detector(
    code=CODE,
    modes=IN_TESTS,
    failed=failed,
    refused=refused,
    committed=committed,
    left_quietly=left_quietly,
)
