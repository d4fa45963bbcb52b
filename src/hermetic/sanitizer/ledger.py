"""Who holds what: sessions with their acts, engines, and connections out of their pools.

Nothing here keeps a session, an engine or an instance alive. A record lives as long as its session, or while the
session has a transaction open; `Ledger.open` is therefore bounded by what the program itself holds open.
"""

from __future__ import annotations

import itertools
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.operations import Operation
from hermetic.sanitizer.stacks import Actor, Frames

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import Session, SessionTransaction

    from hermetic.sanitizer.waits import Clocks

MOST_ENGINES = 256  # remembered, unless more are alive
# Where a Session and its Connection keep their record. Not by way of `__dict__`: asking for that makes one, which costs
# as much as the rest of what is done for a session.
ATTRIBUTE = "_hermetic"

EXPECTED: ContextVar[bool] = ContextVar("hermetic_expected", default=False)  # inside of `long_running()`

_numbers = itertools.count(1)


class Busy(NamedTuple):
    """Who is in the middle of something, from which frames; `doing` names it: "a statement", "a commit"."""

    by: Actor
    frames: Frames
    doing: str


@dataclass(slots=True)
class Failure:
    """A database error which the session has not been rolled back after; `doing` names what failed: "a statement".

    `aborts` tells whether the database, or a lost connection, refuses everything on this `connection` until then.
    `transaction` is the one whose end clears it.
    """

    frames: Frames
    error: str  # the class of the exception; its text quotes values
    doing: str = "a statement"
    flush: bool = False
    aborts: bool = False
    connection: ref[Connection] | None = None
    transaction: ref[SessionTransaction] | None = None


class SessionRecord:
    """What is known of one session. Times are of `time.perf_counter`, in seconds.

    No dataclass: each session has one, and what it does not need, most of this in production, must cost nothing.
    """

    def __init__(self, session: ref[Session], ledger: Ledger) -> None:
        self.session = session
        self.ledger = ledger
        self.number = next(_numbers)
        self.extra: dict[str, Any] = {}  # a detector's own memory, by its rule's code

    is_async: bool = False
    in_registry: bool = False  # a scoped_session made it: the registry owns it

    made: Frames = ()  # where Session() was called
    made_at: float = 0.0
    made_by: Actor | None = None
    scope: str = ""  # the test, fixture or other span in which it was made

    begun: Frames = ()  # where the open transaction took its connection; () when none is open
    begun_by: Actor | None = None
    begun_at: float = 0.0
    is_open: bool = False
    transactions: int = 0  # begun so far, this one included
    isolation: str = ""  # the level that the program has asked for, as far as options tell; kept in tests only
    engine: ref[Engine] | None = None  # of the connection
    borrowed: bool = False  # it works on a Connection that somebody else closes

    in_statement: bool = False
    busy: Busy | None = None  # who is in the middle of a statement, or makes the connection; kept in tests only
    connects_since: float = 0.0  # when it began to make its connection; kept in tests only
    working: Busy | None = None  # who is in the middle of a flush, its commit or rollback; kept in tests only
    last: Frames = ()  # the last statement of this transaction that ended; kept in tests only
    last_wall: float = 0.0  # when it ended
    last_clocks: Clocks | None = None  # what its thread had used of a CPU by then; kept in tests only
    last_thread: int = 0
    last_sleeps: int = 0  # how often its thread had slept by then; kept in tests only
    is_asking: bool = False  # is a statement on its way to the driver? kept in tests only
    streams: frozenset[int] = frozenset()  # open cursors, by id, that rows still come from; tests only
    waits: int = 0  # how often this session has waited for `Watch.idle` or longer, also between transactions
    statements: int = 0  # of this transaction
    expected: bool = False  # begun in `long_running()`: it may take its time
    warned: int = -1  # the number of statements after which its waiting was reported; -1 if it never was
    failure: Failure | None = None
    has_written: bool = False  # kept in tests only
    wrote: Frames = ()  # the first write of this transaction; kept in tests only
    outcome: str = ""  # of the root transaction: "commit", "rollback", or "" as long as neither has come
    changed: Frames = ()  # the first change since the last transaction: an add or an assignment; tests only
    leaving: Frames = ()  # where an `async with` is closing it: the stack of a closing task names nobody
    leaving_by: Actor | None = None
    in_flight: bool = False  # is it being closed because of an exception?
    closed: Frames = ()  # where it was closed last

    def forget(self) -> None:
        """The transaction is over: what is known of it, beyond what production needs, is no more."""
        self.has_written = self.is_asking = False
        self.wrote = self.last = self.changed = ()
        self.busy = self.failure = None
        self.outcome = self.isolation = ""
        self.streams = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """What could not be loaded: attributes of an instance, or (without a state) what a call on the session asked for.

    `by` is the library that asked, "" for the application itself.
    """

    state: Any  # the InstanceState
    names: tuple[str, ...]
    session: Session | None
    by: str


class Hold:
    """A connection out of its pool. `since` is of `time.perf_counter`. No dataclass, as SessionRecord is none."""

    def __init__(self, frames: Frames, by: Actor, pool: ref[Any], since: float, expected: bool = False) -> None:
        self.frames = frames
        self.by = by
        self.pool = pool
        self.expected = expected  # taken in `long_running()`
        self.number = next(_numbers)
        self.since = since

    session: ref[SessionRecord] | None = None
    reported: bool = False


@dataclass(slots=True, weakref_slot=True)
class EngineRecord:
    """An engine that nobody has disposed. `url` has no password."""

    engine: ref[Engine]
    url: str
    made: Frames
    scope: str
    database: int = 0  # a hash of the whole URL, to tell databases apart
    keeps: bool = True  # does it keep connections, and not in memory alone?
    loop: ref[Any] | None = None  # the running loop, which an asynchronous engine is bound to
    operation: Operation | None = None  # the request, task or block that has made it
    number: int = field(default_factory=_numbers.__next__)
    made_at: float = field(default_factory=perf_counter)


@dataclass(slots=True)
class Ledger:
    """Everything that is open now. Written by whoever acts, read by the watchdog: single operations on dicts only."""

    open: dict[int, SessionRecord] = field(default_factory=dict)  # sessions with a transaction, by number
    holds: dict[int, Hold] = field(default_factory=dict)  # connections out of a pool, by number
    engines: dict[int, EngineRecord] = field(default_factory=dict)  # by number
    collected: deque[SessionRecord] = field(default_factory=deque)  # garbage-collected with a transaction open
    sessions_made: int = 0
    statements: int = 0

    def after_fork(self) -> Ledger:
        """The ledger of a child process: its parent's sessions and connections are not its own."""
        return Ledger(engines=dict(self.engines))

    def made(self, engine: EngineRecord) -> None:
        """There is one more engine. Of those that are garbage a few are remembered: nobody has disposed them."""
        if len(self.engines) >= MOST_ENGINES:
            for each in list(self.engines.values()):
                if each.engine() is None:
                    self.engines.pop(each.number, None)
        self.engines[engine.number] = engine

    def record(self, session: Session) -> SessionRecord:
        """The record of a session; made now if the session is older than the watch."""
        known: SessionRecord | None = getattr(session, ATTRIBUTE, None)
        if known is None or known.ledger is not self:
            known = SessionRecord(ref(session), self)
            setattr(session, ATTRIBUTE, known)
            self.sessions_made += 1
        return known

    def known(self, session: Session) -> SessionRecord | None:
        """The record of a session if it has one here."""
        record: SessionRecord | None = getattr(session, ATTRIBUTE, None)
        return record if record is not None and record.ledger is self else None

    def of_connection(self, connection: Connection) -> SessionRecord | None:
        """The record of the session which works on a connection."""
        record: SessionRecord | None = getattr(connection, ATTRIBUTE, None)
        return record if record is not None and record.ledger is self and record.is_open else None

    def opened(self, record: SessionRecord, session: Session) -> None:
        """A transaction has its connection, just now. The collector's callback may run anywhere, so it only notes the
        fact."""
        record.is_open = True
        record.transactions += 1
        record.begun_at = record.last_wall
        record.session = noted = _NotedRef(session, _note)
        noted.record = record
        self.open[record.number] = record

    def ended(self, record: SessionRecord) -> None:
        """The transaction is over: committed, rolled back or closed."""
        self.open.pop(record.number, None)
        session = record.session()
        if session is not None:
            record.session = ref(session)  # the other one makes a cycle, which would be left to the collector
        record.is_open = record.in_statement = False
        record.begun, record.begun_by = (), None
        record.statements, record.warned = 0, -1


class _NotedRef(ref["Session"]):
    """A reference that knows whose session it is, for when the collector has taken the session."""

    __slots__ = ("record",)

    record: SessionRecord


def _note(reference: ref[Session]) -> None:
    if isinstance(reference, _NotedRef) and reference.record.is_open:
        reference.record.ledger.collected.append(reference.record)
