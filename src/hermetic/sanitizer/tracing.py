"""The recorder of traces: an observer that writes what sessions and pools do as Chrome trace events.

Each session has a lane (a "thread" of the viewer) with its life, transactions, statements, and waits in between; each
pool has one with the connections that are out of it and their number. A complete event is written when it ends, so what
is kept in memory is what is open just now. Times are whole microseconds of `time.perf_counter`, which is one clock for
all processes of a machine.
"""

from __future__ import annotations

import functools
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, ref

from hermetic.finding import Finding
from hermetic.sanitizer import redact
from hermetic.sanitizer.children import Children
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import EVERYWHERE, Detector
from hermetic.sanitizer.evidence import function, place, where
from hermetic.sanitizer.ledger import EngineRecord, Failure, Hold, SessionRecord
from hermetic.sanitizer.stacks import Frames, actor_name, grab
from hermetic.sanitizer.trace_file import TraceFile

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch

SHORTEST_WAIT = 10_000  # microseconds in a transaction without a statement that are worth an event
FIRST_POOL = 1_000_000  # lanes from here on belong to pools: this plus the number of the engine
NO_SESSION = 0  # the lane of findings that are about none

# What a statement does to which table, in SQL without literals.
TITLE = re.compile(
    r"(?P<verb>SELECT)\b.*?\bFROM (?P<table>[^\s(,;]+)|(?P<verb2>INSERT INTO|DELETE FROM|UPDATE) (?P<table2>[^\s(,;]+)",
    re.IGNORECASE,
)

_recorders: WeakSet[Recorder] = WeakSet()


@dataclass(slots=True)
class _Statement:
    start: int
    sql: str
    at: str


@dataclass(slots=True)
class _Lane:
    """A session that is open. `idle_since` is when its last statement ended; while it is `ending`, nothing waits."""

    number: int
    start: int
    opened: str
    actor: str
    codes: dict[str, None] = field(default_factory=dict)
    gone: ref[Any] | None = None  # holds the callback for a session that nobody closes
    gone_at: int = 0
    begun: int | None = None  # its transaction
    idle_since: int = 0
    last: str = ""  # the place of the act before that
    ending: bool = False
    statement: _Statement | None = None


@dataclass(slots=True)
class _Pool:
    lane: int
    capacity: int | None
    in_use: int = 0


class Recorder:
    """Records a run into a file. Give its `observer` to a `Watch`, and `close` it in the end."""

    def __init__(self, path: Path, command: str, root: str = "", children: Children | None = None) -> None:
        """Begin the file. `root` is the directory that places are shown relative to; `children` is given in a process
        that is a child of the one which writes the file. Raises OSError."""
        self._file = TraceFile(path, command, children)
        self._root = root or os.getcwd()
        self._missing: str | None = None  # known once the file is closed
        self._lanes: dict[int, _Lane] = {}  # by the session's number
        self._gone: deque[int] = deque()  # sessions found by the collector, which runs anywhere
        self._engines: dict[int, EngineRecord] = {}
        self._pools: WeakKeyDictionary[Any, _Pool] = WeakKeyDictionary()
        self._held: dict[int, tuple[Hold, _Pool]] = {}
        self._named = False  # the lane of no session
        self.observer = Detector(
            code="",
            modes=EVERYWHERE,
            made=self._made,
            begun=self._begun,
            before_statement=self._before_statement,
            after_statement=self._after_statement,
            failed=self._failed,
            committing=self._ending,
            closing=self._ending,
            ended=self._ended,
            closed=self._closed,
            collected=self._collected,
            engine_made=self._engine_made,
            taken=self._taken,
            returned=self._returned,
            reported=self._reported,
        )
        _recorders.add(self)

    def close(self) -> str:
        """End the file; what is open ends with it. Returns why something is missing, or "". Twice does no harm.

        Raises OSError.
        """
        if self._missing is not None:
            return self._missing
        _recorders.discard(self)
        self._drain()
        for lane in list(self._lanes.values()):
            if lane.begun is not None:
                self._transaction_over(lane, self._now(), "open", "")
            self._session_over(lane, self._now(), "")
        for hold, pool in list(self._held.values()):
            self._write_hold("b", hold, pool, self._at(hold.since))
        self._missing = self._file.close()
        return self._missing

    def expect(self, workers: Children) -> None:
        """Processes that are started anew record as well, and leave what they have."""
        self._file.expect(workers)

    def forked(self) -> None:
        """This is a forked child: what is open is the parent's to tell."""
        self._lanes.clear()
        self._gone.clear()
        self._held.clear()
        for pool in self._pools.values():
            pool.in_use = 0
        self._named = False
        self._file.forked()

    # Sessions

    def _made(self, watch: Watch, record: SessionRecord) -> None:
        self._drain()
        self._open(record, self._at(record.made_at), record.made)

    def _open(self, record: SessionRecord, start: int, frames: Frames) -> _Lane:
        who = record.made_by or record.begun_by
        lane = _Lane(record.number, start, self._where(frames), actor_name(who) if who is not None else "")
        session = record.session()
        if session is not None:
            lane.gone = ref(session, self._noting(lane))
        self._lanes[record.number] = lane
        kind = "AsyncSession" if record.is_async else "Session"
        title = f"Session {record.number} ({kind})"
        if frames:
            at = place(frames[0], self._root)
            title += f" {at.path}:{at.line} {function(frames[0])}"
        self._name(record.number, title)
        return lane

    def _noting(self, lane: _Lane) -> Callable[[object], None]:
        def note(_: object) -> None:
            lane.gone_at = self._now()
            self._gone.append(lane.number)

        return note

    def _drain(self) -> None:
        """End the lanes of sessions that are garbage. One with a transaction open is judged first: `_collected`."""
        for _ in range(len(self._gone)):
            number = self._gone.popleft()
            lane = self._lanes.get(number)
            if lane is not None and lane.begun is None:
                self._session_over(lane, lane.gone_at, "")

    def _begun(self, watch: Watch, record: SessionRecord) -> None:
        now = self._now()
        lane = self._lanes.get(record.number) or self._open(record, now, record.begun)
        lane.begun = lane.idle_since = now
        lane.last = self._where(record.begun)

    def _before_statement(
        self, watch: Watch, connection: Any, record: SessionRecord | None, sql: str, context: Any
    ) -> None:
        lane = self._lanes.get(record.number) if record is not None else None
        if lane is None or lane.begun is None:
            return
        now, at = self._now(), self._where(grab(1))
        if lane.statement is not None:  # two at once: the first is shown up to where the second begins
            self._statement_over(lane, now, None)
        self._waited(lane, now, at)
        lane.statement = _Statement(now, sql, at)

    def _after_statement(self, watch: Watch, record: SessionRecord) -> None:
        lane = self._lanes.get(record.number)
        if lane is not None:
            self._statement_over(lane, self._now(), None)

    def _failed(self, watch: Watch, record: SessionRecord, failure: Failure, error: BaseException) -> None:
        lane = self._lanes.get(record.number)
        if lane is not None:
            self._statement_over(lane, self._now(), failure.error)

    def _ending(self, watch: Watch, record: SessionRecord) -> None:
        lane = self._lanes.get(record.number)
        if lane is not None:
            if lane.begun is not None:
                self._waited(lane, self._now(), self._where(record.leaving or grab(1)))
            lane.ending = True

    def _ended(self, watch: Watch, record: SessionRecord) -> None:
        lane = self._lanes.get(record.number)
        if lane is None:
            return
        if lane.begun is not None:
            at, now = self._where(record.leaving or grab(1)), self._now()
            self._waited(lane, now, at)
            self._transaction_over(lane, now, record.outcome or "close", at)
        lane.ending = False

    def _closed(self, watch: Watch, record: SessionRecord) -> None:
        self._drain()
        lane = self._lanes.get(record.number)
        if lane is not None and lane.begun is None:
            self._session_over(lane, self._now(), self._where(record.closed))

    def _collected(self, watch: Watch, record: SessionRecord) -> None:
        lane = self._lanes.get(record.number)
        if lane is not None:  # whoever judges the leak is told after us, so the lane ends a moment later
            lane.gone_at = lane.gone_at or self._now()
            self._transaction_over(lane, lane.gone_at, "close", "")
            self._gone.append(lane.number)

    def _waited(self, lane: _Lane, now: int, before: str) -> None:
        duration = now - lane.idle_since
        if lane.statement is None and not lane.ending and duration >= SHORTEST_WAIT:
            about = {"after": lane.last, "before": before, "ms": duration // 1000}
            self._complete("wait", "idle in transaction", lane.number, lane.idle_since, now, about)

    def _statement_over(self, lane: _Lane, now: int, failed: str | None) -> None:
        statement, lane.statement = lane.statement, None
        if statement is None:
            return
        title, sql = _shown(statement.sql)
        about = {"sql": sql, "at": statement.at, "failed": failed}
        self._complete("statement", title, lane.number, statement.start, now, about)
        lane.idle_since, lane.last = now, statement.at

    def _transaction_over(self, lane: _Lane, now: int, outcome: str, at: str) -> None:
        self._statement_over(lane, now, "unfinished")
        if lane.begun is not None:
            about = {"outcome": outcome, "ended": at}
            self._complete("transaction", "transaction", lane.number, lane.begun, now, about)
            lane.begun = None

    def _session_over(self, lane: _Lane, now: int, at: str) -> None:
        about = {
            "session": lane.number,
            "opened": lane.opened,
            "closed": at or None,
            "task": lane.actor,
            "findings": list(lane.codes),
        }
        self._complete("session", "Session", lane.number, lane.start, now, about)
        self._lanes.pop(lane.number, None)

    # Pools

    def _engine_made(self, watch: Watch, record: EngineRecord) -> None:
        for number in [number for number, known in self._engines.items() if known.engine() is None]:
            del self._engines[number]
        self._engines[record.number] = record

    def _pool(self, hold: Hold) -> _Pool | None:
        pool = hold.pool()
        if pool is None:
            return None
        known = self._pools.get(pool)
        if known is None:
            number, name = hold.number, "pool of an engine older than the recording"
            for record in self._engines.values():
                engine = record.engine()
                if engine is not None and engine.pool is pool:
                    number, name = record.number, f"pool of {record.url}"
            known = self._pools[pool] = _Pool(FIRST_POOL + number, _capacity(pool))
            self._name(known.lane, name)
        return known

    def _taken(self, watch: Watch, hold: Hold) -> None:
        pool = self._pool(hold)
        if pool is not None:
            self._held[hold.number] = hold, pool
            pool.in_use += 1
            self._count(pool, self._at(hold.since))

    def _returned(self, watch: Watch, hold: Hold) -> None:
        _, pool = self._held.pop(hold.number, (None, None))
        if pool is None:
            return
        now = self._now()
        self._write_hold("b", hold, pool, self._at(hold.since))
        self._write_hold("e", hold, pool, now)
        pool.in_use -= 1
        self._count(pool, now)

    def _write_hold(self, phase: str, hold: Hold, pool: _Pool, at: int) -> None:
        record = hold.session() if hold.session is not None else None
        about = {"session": record.number if record is not None else None, "holder": self._where(hold.frames)}
        self._file.write(
            ph=phase,
            cat="connection",
            name=f"connection {hold.number}",
            id=self._file.unique(hold.number),
            tid=pool.lane,
            ts=at,
            args=about,
        )

    def _count(self, pool: _Pool, at: int) -> None:
        about = {"in use": pool.in_use}
        if pool.capacity is not None:
            about["size"] = pool.capacity
        # Counters of one name are one, whatever their lane, unless they have an id.
        self._file.write(ph="C", cat="pool", name="pool in use", id=pool.lane, tid=pool.lane, ts=at, args=about)

    # Findings

    def _reported(self, watch: Watch, finding: Finding, record: SessionRecord | None) -> None:
        lane = self._lanes.get(record.number) if record is not None else None
        if lane is not None:
            lane.codes[finding.rule] = None
        elif record is None and not self._named:
            self._named = True
            self._name(NO_SESSION, "no session")
        about = {
            "message": finding.message,
            "severity": finding.severity.label,
            "path": finding.at.path,
            "line": finding.at.line,
            "trace": [[step.at.path, step.at.line, step.text] for step in finding.trace],
        }
        name, number = f"{finding.rule} {finding.name}", record.number if record is not None else NO_SESSION
        self._file.write(ph="i", s="t", cat="finding", name=name, tid=number, ts=self._now(), args=about)

    # Events

    def _complete(self, kind: str, name: str, lane: int, start: int, end: int, about: dict[str, Any]) -> None:
        self._file.write(ph="X", cat=kind, name=name, tid=lane, ts=start, dur=max(end - start, 0), args=about)

    def _name(self, lane: int, name: str) -> None:
        self._file.write(ph="M", name="thread_name", tid=lane, args={"name": name})

    def _now(self) -> int:
        return self._at(perf_counter())

    def _at(self, moment: float) -> int:
        return int(moment * 1e6)

    def _where(self, frames: Frames) -> str:
        return _where(frames[0], self._root) if frames else ""


_where = functools.lru_cache(4096)(where)


@functools.lru_cache(1024)
def _shown(sql: str) -> tuple[str, str]:
    """A statement's title, such as "SELECT users", and its text without literals."""
    shown = redact.sql(sql)
    found = TITLE.search(shown)
    if found is None:
        return " ".join(shown.split()[:3])[:60], shown
    verb, table = found["verb"] or found["verb2"], found["table"] or found["table2"]
    return f"{verb.split()[0].upper()} {table.strip(chr(34))}"[:60], shown


def _capacity(pool: Any) -> int | None:
    """How many connections a pool gives before somebody has to wait; None where it says nothing or has no limit."""
    size, overflow = getattr(pool, "size", None), getattr(pool, "_max_overflow", 0)
    return int(size()) + int(overflow) if callable(size) and overflow >= 0 else None


def _forked() -> None:
    for recorder in list(_recorders):
        recorder.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
