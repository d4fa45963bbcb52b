"""SQLAlchemy's events and the patches, turned into the facts of the ledger and the moments of the detectors.

Everything here runs inside the application. Nothing of it may raise: each entry is `quietly`, and each detector is
asked on its own, so that a mistake of one neither reaches the application nor silences the others.
`do_orm_execute` is never listened to: between 2.0.20 and 2.0.49 a listener alone changes what `yield_per` accepts
(https://github.com/sqlalchemy/sqlalchemy/issues/13301).
"""

from __future__ import annotations

import functools
import sys
from _thread import get_ident
from collections.abc import Callable, Iterable
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import ref

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Mapper, Session, SessionTransaction
from sqlalchemy.pool import Pool

from hermetic.sanitizer import patches, redact
from hermetic.sanitizer.detector import Detector, Mode
from hermetic.sanitizer.frameworks import Installed
from hermetic.sanitizer.ledger import ATTRIBUTE, EngineRecord, Failure, Hold, SessionRecord
from hermetic.sanitizer.operations import Kind, Operation, enter, leave
from hermetic.sanitizer.stacks import actor, grab

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch

P = ParamSpec("P")
R = TypeVar("R")

# Databases on which one failed statement makes the server refuse everything until a rollback.
# https://www.postgresql.org/docs/current/tutorial-transactions.html
ABORTING = frozenset({"postgresql", "cockroachdb", "redshift"})
WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE")
HOLD = "hermetic"  # the key of a hold in a pool entry's `record_info`


def quietly(entry: Callable[Concatenate[Probes, P], R]) -> Callable[Concatenate[Probes, P], R | None]:
    """An entry from the application: whatever goes wrong in it is counted, and the application goes on."""

    @functools.wraps(entry)
    def run(self: Probes, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return entry(self, *args, **kwargs)
        except Exception as error:
            self.watch.swallowed(error)
            return None

    return run


class Probes:
    """All hooks of one watch; `install` sets them, `remove` takes them out."""

    def __init__(self, watch: Watch, detectors: Iterable[Detector]) -> None:
        self.watch = watch
        self.ledger = watch.ledger
        self.detailed = watch.mode is Mode.TESTS  # are stacks taken at every act?
        self.hooks = {name: _hooks(detectors, name) for name in Detector.__dataclass_fields__}
        self._undo: list[Callable[[], None]] = []
        self._frameworks = Installed(self)

    def install(self) -> None:
        """Listen to SQLAlchemy and patch what has no event."""
        for target, name, listener in self._listeners():
            event.listen(target, name, listener)
            self._undo.append(functools.partial(event.remove, target, name, listener))
        for group in self._patches():
            self._undo.append(patches.install(self, group()))
        self.look_for_frameworks()

    @quietly
    def look_for_frameworks(self) -> None:
        """Note where requests and tasks begin, in the frameworks that have been imported meanwhile."""
        if self.detailed:
            self._frameworks.look()

    def remove(self) -> None:
        """Leave SQLAlchemy and the frameworks as they were."""
        self._frameworks.remove()
        while self._undo:
            self._undo.pop()()

    def _listeners(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        found: list[tuple[Any, str, Callable[..., Any]]] = [
            (Session, "after_begin", self.after_begin),
            (Session, "after_commit", self.after_commit),
            (Session, "after_rollback", self.after_rollback),
            (Session, "after_transaction_end", self.after_transaction_end),
            (Engine, "before_cursor_execute", self.before_cursor_execute),
            (Engine, "after_cursor_execute", self.after_cursor_execute),
            (Engine, "handle_error", self.handle_error),
            (Pool, "checkout", self.checkout),
            (Pool, "checkin", self.checkin),
            (Pool, "detach", self.checkin),
        ]
        if self.hooks["committing"]:
            found.append((Session, "before_commit", self.before_commit))
        if self.hooks["flushing"]:
            found.append((Session, "before_flush", self.before_flush))
        if self.hooks["flushed"]:
            found.append((Session, "after_flush", self.after_flush))
        if self.hooks["loaded"]:
            found += [(Mapper, "load", self.loaded), (Mapper, "refresh", self.loaded)]
        return found

    def _patches(self) -> list[Callable[[], tuple[patches.Patch, ...]]]:
        found = [patches.engines, patches.pools]
        if self.detailed or self.hooks["made"]:
            found.append(patches.sessions)
        if self.detailed or self.hooks["closing"] or self.hooks["closed"]:
            found.append(patches.closing)
        if self.detailed:
            found += [patches.failures, patches.overlaps, patches.reads]
        return found

    def tell(self, moment: str, *details: Any) -> None:
        """Ask every detector that listens to a moment, each on its own."""
        for hook in self.hooks[moment]:
            try:
                hook(self.watch, *details)
            except Exception as error:
                self.watch.swallowed(error)

    # Operations

    @quietly
    def entered(self, kind: Kind, name: str = "") -> Operation:
        return enter(kind, name)

    @quietly
    def left(self, operation: Operation | None) -> None:
        if operation is not None:
            leave(operation)

    # A session's life

    @quietly
    def made(self, session: Session) -> None:
        self.look_for_frameworks()
        record = self.ledger.record(session)
        record.made, record.made_by, record.scope = grab(skip=3), actor(), self.watch.scope
        record.is_async, record.in_registry = _made_through(sys._getframe(3))
        self.tell("made", record)

    @quietly
    def after_begin(self, session: Session, transaction: SessionTransaction, connection: Any) -> None:
        record = self.ledger.record(session)
        connection.__dict__[ATTRIBUTE] = record
        if record.is_open:  # a savepoint, or another of its databases
            return
        hold: Hold | None = connection.connection.record_info.get(HOLD)
        record.borrowed = not transaction._connections[connection][3]
        record.begun_by = actor()
        if hold is not None and hold.session is not None:  # a connection that its pool gives to several at once
            hold = None
        record.begun = hold.frames if hold is not None and not record.borrowed else grab(skip=3)
        if hold is not None:
            hold.session = ref(record)
        if not record.scope:
            record.scope = self.watch.scope
        record.last_wall, record.last_cpu, record.last_thread = perf_counter(), thread_time(), get_ident()
        self.ledger.opened(record, session)
        self.tell("begun", record)
        if self.ledger.collected:
            self.watch.drain()

    @quietly
    def before_commit(self, session: Session) -> None:
        record = self.ledger.known(session)
        if record is not None and not session.in_nested_transaction():
            self.tell("committing", record)

    @quietly
    def after_commit(self, session: Session) -> None:
        record = self.ledger.known(session)
        if record is None or session.in_nested_transaction():
            return
        record.outcome = "commit"
        self.tell("committed", record)

    @quietly
    def after_rollback(self, session: Session) -> None:
        record = self.ledger.known(session)
        if record is None:
            return
        error = sys.exc_info()[1]
        if session._flushing and record.failure is None and error is not None:  # it failed before the database did
            self._failed(record, session, Failure(grab(skip=3), type(error).__name__, flush=True, aborts=False))
        if not session.in_nested_transaction():
            record.outcome = "rollback"
            self.tell("rolled_back", record)

    @quietly
    def after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        record = self.ledger.known(session)
        if record is None:
            return
        if transaction.parent is None:
            self.tell("ended", record)
            self.ledger.ended(record)
        elif record.failure is not None and record.failure.transaction is not None:
            if record.failure.transaction() is transaction:
                record.failure = None

    @quietly
    def leaving(self, session: Any) -> None:
        record = self.ledger.record(session.sync_session)
        record.leaving = grab(skip=3) or record.leaving  # a maker's block leaves its session's, in a task of its own

    @quietly
    def closing(self, session: Session) -> None:
        self.tell("closing", self.ledger.record(session))

    @quietly
    def closed(self, session: Session) -> None:
        record = self.ledger.record(session)
        record.closed, record.leaving = record.leaving or grab(skip=3), ()
        self.tell("closed", record)

    # Statements and their failures

    @quietly
    def before_cursor_execute(
        self, connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool
    ) -> None:
        self.ledger.statements += 1
        record = self.ledger.of_connection(connection)
        for hook in self.hooks["before_statement"]:
            hook(self.watch, connection, record, sql, context)
        if record is None:
            return
        record.in_statement = True
        record.statements += 1
        writes = not record.has_written and _writes(sql, context)
        record.has_written = record.has_written or writes
        if self.detailed:
            record.busy = actor(), grab(skip=3)
            if writes:
                record.wrote = record.busy[1]

    @quietly
    def after_cursor_execute(
        self, connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool
    ) -> None:
        record = self.ledger.of_connection(connection)
        if record is None:
            return
        self._statement_over(record)
        self.tell("after_statement", record)

    def _statement_over(self, record: SessionRecord) -> None:
        record.in_statement = False
        record.last_wall, record.last_cpu, record.last_thread = perf_counter(), thread_time(), get_ident()
        if record.busy is not None:
            record.last, record.busy = record.busy[1], None

    @quietly
    def handle_error(self, context: Any) -> None:
        connection = context.connection
        record = self.ledger.of_connection(connection) if connection is not None else None
        if record is None:
            return
        frames = record.busy[1] if record.busy is not None else ()
        self._statement_over(record)
        session = record.session()
        if session is None or not (self.detailed or self.hooks["failed"]):
            return
        name = type(context.sqlalchemy_exception or context.original_exception).__name__
        aborts = context.dialect.name in ABORTING
        self._failed(record, session, Failure(frames or grab(skip=3), name, bool(session._flushing), aborts))

    def _failed(self, record: SessionRecord, session: Session, failure: Failure) -> None:
        transaction = session.get_nested_transaction() or session.get_transaction()
        failure.transaction = None if transaction is None else ref(transaction)
        record.failure = failure
        self.tell("failed", record, failure)

    @quietly
    def refused(self, transaction: SessionTransaction, operation: str, state: Any) -> None:
        record = self.ledger.known(transaction.session)
        if record is not None:
            self.tell("refused", record, operation, state.name)

    @quietly
    def left_quietly(self, transaction: SessionTransaction) -> None:
        record = self.ledger.known(transaction.session)
        if record is not None:
            self.tell("left_quietly", record)

    @quietly
    def provisioning(self, transaction: SessionTransaction) -> bool:
        record = self.ledger.record(transaction.session)
        if record.busy is not None:
            return False
        record.busy = actor(), grab(skip=3)
        return True

    @quietly
    def provisioned(self, transaction: SessionTransaction) -> None:
        record = self.ledger.known(transaction.session)
        if record is not None and not record.in_statement:
            record.busy = None

    @quietly
    def overlap_refused(self, error: BaseException) -> None:
        transaction = _subject_of(sys._getframe(3))
        record = self.ledger.known(transaction.session) if transaction is not None else None
        if record is not None:
            self.tell("refused", record, "", "CHANGING")

    # Instances

    @quietly
    def before_flush(self, session: Session, context: Any, instances: Any) -> None:
        self.tell("flushing", self.ledger.record(session))

    @quietly
    def after_flush(self, session: Session, context: Any) -> None:
        self.tell("flushed", self.ledger.record(session))

    @quietly
    def loaded(self, instance: Any, context: Any, attributes: Any = None) -> None:
        state = instance._sa_instance_state
        if state.session is not None:
            self.tell("loaded", self.ledger.record(state.session), state)

    @quietly
    def unreadable(self, error: BaseException) -> None:
        state, names = _what_was_read(sys._getframe(3))
        self.tell("unreadable", error, state, names)

    # Engines and pools

    @quietly
    def engine_made(self, engine: Engine) -> None:
        self.look_for_frameworks()
        record = EngineRecord(ref(engine), redact.url(engine.url), grab(skip=3), self.watch.scope)
        engine.__dict__[ATTRIBUTE] = record
        self.ledger.engines[record.number] = record
        self.tell("engine_made", record)

    @quietly
    def engine_disposed(self, engine: Engine) -> None:
        record: EngineRecord | None = engine.__dict__.get(ATTRIBUTE)
        if record is not None:
            self.ledger.engines.pop(record.number, None)

    @quietly
    def checkout(self, connection: Any, entry: Any, proxy: Any) -> None:
        if HOLD in entry.record_info:  # another listener refused the connection, and the pool has made a new one
            self.checkin(connection, entry)
        hold = Hold(grab(self.watch.held_frames, skip=3), actor(), ref(proxy._pool))
        entry.record_info[HOLD] = hold
        self.ledger.holds[hold.number] = hold
        self.tell("taken", hold)

    @quietly
    def checkin(self, connection: Any, entry: Any) -> None:
        hold: Hold | None = entry.record_info.pop(HOLD, None)
        if hold is not None:
            self.ledger.holds.pop(hold.number, None)
            self.tell("returned", hold)

    @quietly
    def pool_failed(self, pool: Pool, error: Exception) -> None:
        self.watch.pool_failed(pool, error)


def _hooks(detectors: Iterable[Detector], moment: str) -> tuple[Callable[..., None], ...]:
    return tuple(hook for hook in (getattr(each, moment) for each in detectors) if callable(hook))


def _writes(sql: str, context: Any) -> bool:
    """Does a statement change rows? What is written as text is known by its first word alone."""
    if context is None:
        return False
    if context.isinsert or context.isupdate or context.isdelete:
        return True
    return bool(context.is_text) and sql.lstrip()[:7].upper().startswith(WRITES)


def _made_through(frame: Any) -> tuple[bool, bool]:
    """Is a session being made by an AsyncSession, by a registry? The frames that make it are few and SQLAlchemy's."""
    is_async = in_registry = False
    for _ in range(8):
        if frame is None:
            break
        name = frame.f_code.co_filename.replace("\\", "/")
        is_async = is_async or name.endswith("sqlalchemy/ext/asyncio/session.py")
        in_registry = in_registry or name.endswith("/scoping.py")
        frame = frame.f_back
    return is_async, in_registry


def _subject_of(frame: Any) -> SessionTransaction | None:
    for _ in range(8):
        if frame is None:
            return None
        subject = frame.f_locals.get("self")
        if isinstance(subject, SessionTransaction):
            return subject
        if isinstance(subject, Session):
            return subject.get_transaction()
        frame = frame.f_back
    return None


def _what_was_read(frame: Any) -> tuple[Any, tuple[str, ...]]:
    """The instance state and the attributes that SQLAlchemy's frames were loading; (None, ()) for anything else."""
    state: Any = None
    names: tuple[str, ...] = ()
    for _ in range(60):  # MissingGreenlet is raised deep below the attribute, in the driver's adapter
        if frame is None:
            break
        variables = frame.f_locals
        found = variables.get("state")
        if hasattr(found, "manager"):
            state = state or found
            names = names or _names_in(variables)
        if state is not None and names:
            break
        frame = frame.f_back
    return state, names


def _names_in(variables: dict[str, Any]) -> tuple[str, ...]:
    key = getattr(variables.get("self"), "key", None)
    if isinstance(key, str):
        return (key,)
    for name in ("attribute_names", "toload"):
        if variables.get(name):
            return tuple(sorted(str(each) for each in variables[name]))
    return ()
