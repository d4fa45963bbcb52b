"""Reads a trace file. Whatever is in it gets a clear answer; an event that makes no sense is counted and left out."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hermetic.report.trace_events import (
    Act,
    Count,
    Hold,
    Life,
    Mark,
    PoolLane,
    SessionLane,
    Statement,
    Trace,
    TraceError,
    Transaction,
    Wait,
)

# Lanes from here on belong to pools: this plus the number of the engine.
FIRST_POOL = 1_000_000

# An INSERT of ten thousand rows is one text; nobody reads more of it than this.
LONGEST_TEXT = 10_000

# Microseconds, some 285 years: a time since 1970 fits, and JavaScript's numbers stay exact.
LATEST = 9 * 10**15

Event = Mapping[str, Any]
Lane = tuple[int, int]  # process and thread id


class _UnreadableError(Exception):
    """An event, or a value in it, is not what the format says."""


class _HoldEnd(NamedTuple):
    """A checkout or the return of a connection; a hold is made of two."""

    at: int
    begins: bool
    connection: str
    session: int | None
    holder: str


class _Found(NamedTuple):
    """What the events of a file say: the records of each lane by their type, its name, and when the last one ends."""

    records: Mapping[Lane, Mapping[type, list[Any]]]
    names: Mapping[Lane, str]
    end: int
    unread: int


def read(data: bytes) -> Trace:
    """The trace in the bytes of a file. Raises TraceError for what is no trace of hermetic."""
    document = _document(data)
    about = document["otherData"]
    found = _collect(document["traceEvents"])
    lanes = [(lane, found.names.get(lane, ""), records) for lane, records in found.records.items()]
    sessions = [_session(lane, name, records) for lane, name, records in lanes if lane[1] < FIRST_POOL]
    pools = [_pool(lane, name, records, found.end) for lane, name, records in lanes if lane[1] >= FIRST_POOL]
    return Trace(
        command=_note(about, "command"),
        started=_note(about, "started"),
        version=_note(about, "version"),
        duration=found.end,
        sessions=tuple(sorted(sessions, key=lambda lane: (_beginning(lane), lane.process, lane.number))),
        pools=tuple(sorted(pools, key=lambda lane: (lane.process, lane.number))),
        left_out=_note(about, "left out"),
        unread=found.unread,
    )


def _collect(events: list[Any]) -> _Found:
    read: list[tuple[Lane, Any]] = []
    names: dict[Lane, str] = {}
    unread = 0
    for event in events:
        try:
            lane = _lane(event)
            if event.get("ph") != "M":
                read.append((lane, _record(event)))
            elif event.get("name") == "thread_name":
                names[lane] = _text(_arguments(event).get("name"))
        except _UnreadableError:
            unread += 1
    zero = min((record[0] for _, record in read), default=0)
    records: dict[Lane, dict[type, list[Any]]] = defaultdict(lambda: defaultdict(list))
    end = 0
    for lane, record in read:
        moved = record._make((record[0] - zero, *record[1:]))
        records[lane][type(record)].append(moved)
        end = max(end, moved[0] + getattr(moved, "duration", 0))
    return _Found(records, names, end, unread)


def _document(data: bytes) -> Event:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise TraceError("it is not UTF-8 text") from None
    except RecursionError:
        raise TraceError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise TraceError(f"it is no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("traceEvents"), list):
        raise TraceError("it has no `traceEvents`")
    about = document.get("otherData")
    if not isinstance(about, dict) or about.get("tool") != "hermetic":
        raise TraceError("another tool recorded it")
    return document


def _lane(event: Any) -> Lane:
    if not isinstance(event, dict):
        raise _UnreadableError
    return _number(event.get("pid", 0)), _number(event.get("tid", 0))


def _record(event: Event) -> Any:
    """The record of an event, with its time as in the file."""
    reader = READERS.get((str(event.get("cat")), str(event.get("ph"))))
    if reader is None:
        raise _UnreadableError
    return reader(event, _number(event.get("ts")), _arguments(event))


def _life(event: Event, at: int, about: Event) -> Life:
    rules = tuple(_text(code) for code in _list(about.get("findings")))
    return Life(
        at, _duration(event), _text(about.get("opened")), _text(about.get("closed")), _text(about.get("task")), rules
    )


def _transaction(event: Event, at: int, about: Event) -> Transaction:
    return Transaction(at, _duration(event), _text(about.get("outcome")), _text(about.get("ended")))


def _statement(event: Event, at: int, about: Event) -> Statement:
    name, sql = _text(event.get("name")), _text(about.get("sql"))
    return Statement(at, _duration(event), name, sql, _text(about.get("at")), _text(about.get("failed")))


def _wait(event: Event, at: int, about: Event) -> Wait:
    return Wait(at, _duration(event), _text(about.get("after")), _text(about.get("before")))


def _mark(event: Event, at: int, about: Event) -> Mark:
    acts = tuple(_act(step) for step in _list(about.get("trace")))
    line = _number(about.get("line", 0))
    path, severity = _text(about.get("path")), _text(about.get("severity"))
    return Mark(at, _text(event.get("name")), _text(about.get("message")), severity, path, line, acts)


def _act(step: Any) -> Act:
    if not isinstance(step, list) or len(step) != 3:
        raise _UnreadableError
    return Act(_text(step[0]), _number(step[1]), _text(step[2]))


def _count(event: Event, at: int, about: Event) -> Count:
    size = about.get("size")
    return Count(at, _number(about.get("in use")), None if size is None else _number(size))


def _hold_end(event: Event, at: int, about: Event) -> _HoldEnd:
    session = about.get("session")
    connection = event.get("id")
    if not isinstance(connection, int | str):
        raise _UnreadableError
    return _HoldEnd(
        at,
        event.get("ph") == "b",
        _text(str(connection)),
        None if session is None else _number(session),
        _text(about.get("holder")),
    )


READERS: dict[tuple[str, str], Callable[[Event, int, Event], Any]] = {
    ("session", "X"): _life,
    ("transaction", "X"): _transaction,
    ("statement", "X"): _statement,
    ("wait", "X"): _wait,
    ("finding", "i"): _mark,
    ("pool", "C"): _count,
    ("connection", "b"): _hold_end,
    ("connection", "e"): _hold_end,
}


def _session(lane: Lane, name: str, found: Mapping[type, list[Any]]) -> SessionLane:
    kinds = (Life, Transaction, Statement, Wait, Mark)
    return SessionLane(*lane, name, *(tuple(sorted(found.get(kind, ()))) for kind in kinds))


def _beginning(lane: SessionLane) -> int:
    kinds = (lane.lives, lane.transactions, lane.statements, lane.waits, lane.marks)
    return min(kind[0][0] for kind in kinds if kind)


def _pool(lane: Lane, name: str, found: Mapping[type, list[Any]], end: int) -> PoolLane:
    holds = tuple(sorted(_holds(found.get(_HoldEnd, ()), end), key=lambda hold: (hold.start, hold.connection)))
    # Without its counter, what is held tells as much, but for the size.
    counts = sorted(found.get(Count, ()), key=lambda count: count.at) or _counts(holds)
    return PoolLane(*lane, name, tuple(counts), holds, tuple(sorted(found.get(Mark, ()))))


def _holds(ends: Iterable[_HoldEnd], last: int) -> Iterator[Hold]:
    """Each checkout with its return. What was out before the recording began, or is out when it ends, is held from
    the first moment, or to the last."""
    out: dict[str, _HoldEnd] = {}
    for end in sorted(ends, key=lambda end: end.at):  # stable: at one moment, the order of the file
        begun = out.pop(end.connection, None)
        if begun is not None or not end.begins:
            first = begun or end._replace(at=0)
            yield Hold(first.at, end.at - first.at, first.connection, first.session, first.holder, True)
        if end.begins:
            out[end.connection] = end
    for begun in out.values():
        yield Hold(begun.at, last - begun.at, begun.connection, begun.session, begun.holder, False)


def _counts(holds: Iterable[Hold]) -> list[Count]:
    changes = [(hold.start, 1) for hold in holds] + [(hold.start + hold.duration, -1) for hold in holds if hold.ended]
    counts: list[Count] = []
    in_use = 0
    for at, change in sorted(changes):
        in_use += change
        counts.append(Count(at, in_use, None))
    return counts


def _arguments(event: Event) -> Event:
    about = event.get("args", {})
    if not isinstance(about, dict):
        raise _UnreadableError
    return about


def _note(about: Event, name: str) -> str:
    value = about.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LATEST <= value <= LATEST:
        raise _UnreadableError
    return math.floor(value)


def _duration(event: Event) -> int:
    duration = _number(event.get("dur"))
    if duration < 0:
        raise _UnreadableError
    return duration


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _UnreadableError
    return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]} …"


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _UnreadableError
    return value
