"""SES006: one logical operation whose writes, which belong together, are committed in two transactions.

An operation is a request, a task, a `with hermetic.operation(...)` block, or what a test calls; what tests and fixtures
commit themselves does not count. Two transactions are reported if one function does both, at different places, and if
their rows belong together (`writes.related`). Not reported: one commit for each item of a loop, steps that are called
with nothing to go on, as by the `main` of a script, a row that is moved on from state to state, records of what was
done (an audit, a log), what listeners of a commit write, parts with a wait between them, which SES102 asks for.
Statements of a connection without a session are not seen, nor transactions that different tasks of an operation commit.
"""

from __future__ import annotations

import dis
import functools
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from hermetic.finding import Severity
from hermetic.sanitizer import writes
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act, function
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.operations import DEEPEST, Kind, Operation
from hermetic.sanitizer.stacks import Frames, grab
from hermetic.sanitizer.watch import Watch
from hermetic.sanitizer.writes import MOST_ROWS, Relation, Row

HELP = "write all parts, `flush()` where an id is needed, and commit once at the end"
CODE = "SES006"
# What stands beside a call and its callee in the bytecode of Python 3.11 to 3.14, awaiting its result included.
BESIDE_CALLS = frozenset(
    "CACHE PRECALL PUSH_NULL GET_AWAITABLE LOAD_CONST SEND YIELD_VALUE RESUME JUMP_BACKWARD_NO_INTERRUPT".split()
)
MOST_PARTS = 16  # of one operation that a later one is compared with


@dataclass(slots=True)
class Part:
    """One transaction of an operation. Times are of `time.perf_counter`."""

    changed: Frames = ()  # its first change
    rows: list[Row] = field(default_factory=list)
    committed: Frames = ()
    ended_at: float = 0.0


def writing(watch: Watch, record: SessionRecord, sql: str, context: Any) -> None:
    session = record.session()
    if session is None or session._flushing:  # what is flushed is known by its instances
        return
    part = _part(record)
    part.changed = part.changed or record.changed or grab(DEEPEST)
    row = writes.of_statement(sql, context)
    if row is not None and len(part.rows) < MOST_ROWS:
        part.rows.append(row)


def flushed(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    part = _part(record)
    part.changed = part.changed or record.changed
    if session is not None and len(part.rows) < MOST_ROWS:
        part.rows += writes.of_flush(session)
        del part.rows[MOST_ROWS:]


def committed(watch: Watch, record: SessionRecord) -> None:
    part: Part | None = record.extra.get(CODE)
    if part is None or not record.has_written:
        return
    part.committed, part.ended_at = record.leaving or grab(DEEPEST), record.last_wall
    operation = watch.operation(part.committed)
    if operation is None:
        return
    parts: list[Part] = operation.extra.setdefault(CODE, [])
    for earlier in parts:
        where = _split(operation, earlier, part) if record.begun_at - earlier.ended_at < watch.idle else None
        if where is not None:
            _report(watch, record, operation, (earlier, part), where)
            break
    parts.append(part)
    del parts[:-MOST_PARTS]


def ended(watch: Watch, record: SessionRecord) -> None:
    record.extra.pop(CODE, None)


def _part(record: SessionRecord) -> Part:
    part: Part = record.extra.setdefault(CODE, Part())
    return part


def _split(operation: Operation, earlier: Part, later: Part) -> tuple[Frames, Frames] | None:
    """The frames of each part from the function on that has done both; None if they do not belong together."""
    if _is_inside(earlier.committed, later.committed) or _is_inside(later.committed, earlier.committed):
        return None
    relation = writes.related(earlier.rows, later.rows)
    if relation is Relation.NONE:
        return None
    for a in (earlier.committed, earlier.changed):
        for b in (later.committed, later.changed):
            both = _function_of_both(operation.inside(a), operation.inside(b))
            if both is None:
                continue
            (code, first), (_, second) = both[0][0], both[1][0]
            if relation is Relation.CERTAIN or not _in_one_loop(code, first, second):
                return both
    return None


def _is_inside(inner: Frames, outer: Frames) -> bool:
    """Does one commit at the place of the other, or in a listener that the other has called?"""
    return inner == outer or (bool(outer) and inner[-len(outer) :] == outer)


def _function_of_both(a: Frames, b: Frames) -> tuple[Frames, Frames] | None:
    """The frames from the innermost function on that has done both, at different places of it. A step that it calls
    without anything to work on, as the `main` of a script does, goes on from nothing that came before."""
    steps = zip(reversed(a), reversed(b), strict=False)
    for depth, ((code, first), (other, second)) in enumerate(steps, 1):
        if code is not other:
            return None  # a framework has called one after the other
        if first != second:
            return None if depth < len(b) and _calls_with_nothing(code, second) else (a[-depth:], b[-depth:])
    return None


@functools.lru_cache(256)
def _calls_with_nothing(code: CodeType, offset: int) -> bool:
    """Does a function call, or await, a function of a module there without any argument?"""
    before = [each for each in dis.get_instructions(code) if each.offset <= offset and each.opname not in BESIDE_CALLS]
    if not before or before[-1].opname != "CALL" or before[-1].arg != 0:
        return False
    called = [each.opname for each in before[:-1]]
    while called and called[-1] in ("LOAD_ATTR", "LOAD_METHOD"):
        called.pop()
    return bool(called) and called[-1] in ("LOAD_GLOBAL", "LOAD_NAME")


def _in_one_loop(code: CodeType, first: int, second: int) -> bool:
    """Do two instructions of a function lie in one loop? Going back is done in loops only."""
    return second < first or any(start <= first and second <= end for start, end in _loops(code))


@functools.lru_cache(256)
def _loops(code: CodeType) -> tuple[tuple[int, int], ...]:
    jumps = (each for each in dis.get_instructions(code) if each.opcode in dis.hasjrel)
    return tuple((jump.argval, jump.offset) for jump in jumps if jump.argval < jump.offset)


def _report(
    watch: Watch, record: SessionRecord, operation: Operation, parts: tuple[Part, Part], where: tuple[Frames, Frames]
) -> None:
    acts = [*_acts("first", parts[0], where[0]), *_acts("second", parts[1], where[1])]
    message = f"{_words(operation)} is committed in two parts; if the second fails, the first stays"
    at = max(index for index, act in enumerate(acts) if act.frames[:1] == where[1][:1])
    watch.report(CODE, Severity.WARNING, message, acts, at=at, help_text=HELP, session=record)


def _acts(which: str, part: Part, where: Frames) -> list[Act]:
    committed = _act(f"the {which} part was committed", part.committed, where)
    written = _act(f"the {which} part was written", part.changed, where) if part.changed else committed
    return [committed] if written.frames[:1] == committed.frames[:1] else [written, committed]


def _act(text: str, frames: Frames, where: Frames) -> Act:
    """The act seen from the function that has done both parts, if it was done by way of that."""
    shown = next((frames[index:] for index, frame in enumerate(frames) if frame == where[0]), frames)
    return Act(text if len(shown) == len(frames) else f"{text} by `{function(frames[0])}`", shown)


def _words(operation: Operation) -> str:
    match operation.kind:
        case Kind.CALL:
            return f"one call of `{operation.name}`"
        case Kind.BLOCK:
            return f"the operation `{operation.name}`" if operation.name else "one operation"
        case Kind.TASK | Kind.REQUEST:
            return f"one {operation.kind}"


DETECTOR = Detector(code=CODE, modes=IN_TESTS, writing=writing, flushed=flushed, committed=committed, ended=ended)
