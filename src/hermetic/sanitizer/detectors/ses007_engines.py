"""SES007: three or more engines for one database, made at one place, that nobody has disposed.

Engines of one test or other span count, garbage or not; those that requests, tasks and operations make count together
while they are alive. Not counted: what fixtures make, engines of modules, which tests may import again, engines of
different event loops, which cannot be shared, engines in memory, engines whose pool keeps nothing (`NullPool`), and
copies by `execution_options()`, which share their pool.
"""

from __future__ import annotations

import os

from hermetic.finding import Severity
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import EngineRecord
from hermetic.sanitizer.operations import Kind
from hermetic.sanitizer.stacks import Frame
from hermetic.sanitizer.watch import Watch

HELP = "make the engine once, at module level or in a cached function, or dispose it when it has done its work"
TOO_MANY = 3


def engine_made(watch: Watch, record: EngineRecord) -> None:
    if not _counts(record):
        return
    same = [each for each in list(watch.ledger.engines.values()) if _counts(each) and _is_repeated(each, record)]
    if len(same) < TOO_MANY:
        return
    acts = [Act("the first of them was made", same[0].made), Act("and the last one so far", record.made)]
    message = f"{len(same)} engines for one database, each with a connection pool of its own; none has been disposed"
    serves = record.operation is not None and record.operation.kind in (Kind.REQUEST, Kind.TASK)
    severity = Severity.ERROR if serves else Severity.WARNING
    watch.report("SES007", severity, message, acts, at=1, help_text=HELP)


def _counts(record: EngineRecord) -> bool:
    if record.operation is None and (record.scope.startswith("fixture:") or any(map(_is_of_fixtures, record.made))):
        return False
    return record.keeps and bool(record.made) and record.made[0][0].co_name != "<module>"


def _is_of_fixtures(frame: Frame) -> bool:
    return os.path.basename(frame[0].co_filename) == "conftest.py"


def _is_repeated(earlier: EngineRecord, record: EngineRecord) -> bool:
    if earlier.database != record.database or earlier.loop != record.loop:
        return False
    (code, at), (other, other_at) = earlier.made[0], record.made[0]
    if code is not other or at != other_at:  # codes of different files may be equal
        return False
    served = earlier.operation is not None and record.operation is not None and earlier.engine() is not None
    return served or earlier.scope == record.scope


DETECTOR = Detector(code="SES007", modes=IN_TESTS, engine_made=engine_made)
