"""SES102: a transaction that is open, with its connection, while something else than the database is waited for.

Only the wait counts: what this thread computes meanwhile, and what a debugger takes, is no finding. Nor are statements
whose rows stream in slowly; a wait between two of their rows is not seen.
"""

from __future__ import annotations

from hermetic.finding import Severity
from hermetic.sanitizer import waits
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.operations import is_test_file
from hermetic.sanitizer.stacks import origin
from hermetic.sanitizer.watch import Watch

HELP = "end the transaction before the slow step, and write its result in another one"


def idled(watch: Watch, record: SessionRecord, seconds: float) -> None:
    before = Act("the transaction began", record.begun)
    if record.last:
        before = Act("the last statement ran", record.last)
    after = Act(f"{seconds * 1000:.0f} ms later the session was used again", record.leaving or origin())
    if _is_of_tests(before) and _is_of_tests(after) and waits.is_for_other_threads(record, seconds, watch.idle):
        return  # for the program under test, as with a client that runs it in another thread
    message = "the transaction stays open, with its connection and its locks, while something else is waited for"
    at = 0 if before.frames else 1
    watch.report("SES102", Severity.WARNING, message, [before, after], at=at, help_text=HELP, session=record)


def _is_of_tests(act: Act) -> bool:
    return bool(act.frames) and is_test_file(act.frames[0][0].co_filename)


DETECTOR = Detector(code="SES102", modes=IN_TESTS, idled=idled)
