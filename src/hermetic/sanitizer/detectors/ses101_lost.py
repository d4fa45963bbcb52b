"""SES101: changes that a session drops when it is closed or reset, because nobody has committed them.

Silent where dropping them is meant: after a rollback, after a failure, while an exception is in flight, in a request
that is answered with an error, on a borrowed connection, whose owner commits, in autocommit mode. Tests arrange and
throw away, so what they or their fixtures change or close does not count, unless it is in a request, a task or an
operation; an override in a `conftest.py` never counts.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from hermetic.finding import Severity
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.operations import DEEPEST, Kind, Operation, declared, is_test_file
from hermetic.sanitizer.stacks import Frames, grab
from hermetic.sanitizer.watch import Watch

HELP = "commit at the end of the operation, or open the session with `Session.begin()`; to drop changes, roll back"
CODE = "SES101"
FAILED = 400  # the first status of a response that tells of an error
MOST_CLASSES = 3  # named in a message


def closing(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    if session is None or record.failure is not None or record.in_flight:
        return
    unsaved = [*session.new, *session.deleted]
    modified = [each for each in session.dirty if session.is_modified(each)]
    wrote = record.is_open and record.has_written and not record.borrowed and record.isolation != "AUTOCOMMIT"
    if not (unsaved or modified or wrote):
        return
    changed, closed = record.changed or record.wrote, record.leaving or grab(DEEPEST)
    if _is_of_tests(changed) or _is_of_tests(closed):
        return
    acts = [Act("the first change was made", changed), Act("the session was closed, and nothing committed it,", closed)]
    # Whoever hides a field of a loaded row before it is sent changes the row, and means well.
    severity = Severity.ERROR if unsaved or wrote else Severity.WARNING
    message, at = _message(unsaved, modified), 0 if changed else 1
    report = partial(watch.report, CODE, severity, message, acts, at=at, help_text=HELP, session=record)
    operation = declared()
    if operation is not None and operation.kind is Kind.REQUEST:
        operation.extra.setdefault(CODE, []).append(report)
    else:
        report()


def left(watch: Watch, operation: Operation) -> None:
    if 0 < operation.status < FAILED:
        for report in operation.extra.get(CODE, ()):
            report()


def _message(unsaved: list[Any], modified: list[Any]) -> str:
    names = sorted({type(each).__name__ for each in unsaved or modified})
    if not names:
        return "what was written is lost: the session is closed without a commit"
    listed = ", ".join(f"`{name}`" for name in names[:MOST_CLASSES]) + (", ..." if names[MOST_CLASSES:] else "")
    return f"changes are lost: the session is closed without a commit, and with unsaved changes of {listed}"


def _is_of_tests(frames: Frames) -> bool:
    operation = declared()
    if operation is not None:
        inside = operation.inside(frames)
        return bool(inside) and os.path.basename(inside[0][0].co_filename) == "conftest.py"
    return bool(frames) and is_test_file(frames[0][0].co_filename)


DETECTOR = Detector(code=CODE, modes=IN_TESTS, closing=closing, left=left)
