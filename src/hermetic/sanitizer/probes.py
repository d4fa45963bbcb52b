"""SQLAlchemy's events and the patches, turned into the facts of the ledger and the moments of the detectors.

Everything here runs inside the application. Nothing of it may raise: each entry is `quietly`, and each detector is
asked on its own, so that a mistake of one neither reaches the application nor silences the others.
`do_orm_execute` is never listened to: between 2.0.20 and 2.0.49 a listener alone changes what `yield_per` accepts
(https://github.com/sqlalchemy/sqlalchemy/issues/13301).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import ref

from sqlalchemy import event
from sqlalchemy.orm import Mapper, Session, SessionTransaction

from hermetic.sanitizer import hooks, internals, patches, waits
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import Detector, Mode
from hermetic.sanitizer.frameworks import Installed
from hermetic.sanitizer.ledger import ATTRIBUTE, EXPECTED, Busy, Failure, Hold, SessionRecord
from hermetic.sanitizer.operations import DEEPEST, Kind, Operation, are_apart, enter, leave
from hermetic.sanitizer.pools import HOLD, Pools
from hermetic.sanitizer.quietly import quietly
from hermetic.sanitizer.stacks import actor, grab, spawned
from hermetic.sanitizer.statements import DetailedStatements, Statements

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch


class Probes:
    """All hooks of one watch; `install` sets them, `remove` takes them out."""

    def __init__(self, watch: Watch, detectors: Iterable[Detector]) -> None:
        self.watch = watch
        self.ledger = watch.ledger
        self.watchdog = watch.watchdog
        self.detailed = watch.mode is Mode.TESTS  # are stacks taken at every act?
        self.hooks = {name: _hooks(detectors, name) for name in Detector.__dataclass_fields__}
        # Has somebody noted more of a transaction than that there is one?
        self.keeps_more = self.detailed or bool(self.hooks["ended"] or self.hooks["failed"])
        self.pools = Pools(self)
        self.statements = DetailedStatements(self) if self.detailed else Statements(self)
        self._undo: list[Callable[[], None]] = []
        self._frameworks = Installed(self)

    def install(self) -> None:
        """Listen to SQLAlchemy and patch what has no event."""
        for target, name, listener in hooks.listeners(self):
            event.listen(target, name, listener, **({"raw": True} if target is Mapper else {}))
            self._undo.append(functools.partial(_forget, target, name, listener))
        for group in hooks.patch_groups(self):
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
            self.tell("left", operation)

    # A session's life

    @quietly
    def made(self, session: Session) -> None:
        self.look_for_frameworks()
        record = self.ledger.record(session)
        record.made, record.made_by, record.made_at = grab(skip=3), actor(), perf_counter()
        record.scope = self.watch.scope
        record.is_async, record.in_registry = internals.made_through(sys._getframe(3))
        self.tell("made", record)

    def after_begin(self, session: Session, transaction: SessionTransaction, connection: Any) -> None:
        try:
            record = self.ledger.record(session)
            setattr(connection, ATTRIBUTE, record)
            if not record.is_open:  # else it is a savepoint, or another of its databases
                self._begins(record, session, transaction, connection)
        except Exception as error:
            self.watch.swallowed(error)

    def _begins(self, record: SessionRecord, session: Session, transaction: Any, connection: Any) -> None:
        if self.detailed:
            record.isolation = internals.isolation(connection)
            record.scope = record.scope or self.watch.scope
        hold: Hold | None = connection.connection.record_info.get(HOLD)
        if hold is not None and hold.session is not None:  # a connection that its pool gives to several at once
            hold = None
        elif hold is not None:
            hold.session = ref(record)
        record.engine, record.is_async = ref(connection.engine), connection.dialect.is_async
        record.borrowed = not transaction._connections[connection][3]
        if hold is None or record.borrowed:
            record.begun, record.begun_by, record.expected = grab(skip=3), actor(), EXPECTED.get()
        else:
            record.begun, record.begun_by, record.expected = hold.frames, hold.by, hold.expected
        self.statements.stamp(record)
        self.ledger.opened(record, session)
        if self.hooks["begun"]:
            self.tell("begun", record)
        if self.ledger.collected:
            self.watch.drain()

    @quietly
    def before_commit(self, session: Session) -> None:
        record = self.ledger.known(session)
        if record is not None and not session.in_nested_transaction():
            self.acts(record)
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
        known = record.failure is not None and record.failure.flush
        if session._flushing and not known and error is not None:  # it failed before the database did
            self._failed(record, session, Failure(grab(skip=3), type(error).__name__), error)
        if not session.in_nested_transaction():
            record.outcome = "rollback"
            self.tell("rolled_back", record)

    def after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        try:
            record = self.ledger.known(session)
            if record is None:
                return
            if transaction._parent is None:
                if self.hooks["ended"]:
                    self.tell("ended", record)
                self.ledger.ended(record)
                if self.keeps_more:
                    record.forget()
                if self.detailed:
                    self.statements.stamp(record)  # the database may have taken its time
            elif record.failure is not None and record.failure.transaction is not None:
                if record.failure.transaction() is transaction:
                    record.failure = None
        except Exception as error:
            self.watch.swallowed(error)

    @quietly
    def leaving(self, session: Any, in_flight: bool) -> None:
        record = self.ledger.record(session.sync_session)
        # A maker's block leaves its session's, in a task of its own, and that closes it in another one.
        if frames := grab(DEEPEST, skip=3):
            record.leaving, record.leaving_by = frames, actor()
        record.in_flight = record.in_flight or in_flight

    @quietly
    def closing(self, session: Session) -> None:
        record = self.ledger.record(session)
        record.in_flight = record.in_flight or sys.exc_info()[0] is not None
        self.acts(record)
        self.tell("closing", record)

    @quietly
    def closed(self, session: Session) -> None:
        record = self.ledger.record(session)
        record.closed, record.leaving, record.leaving_by = record.leaving or grab(skip=3), (), None
        record.in_flight = False
        self.tell("closed", record)

    # Waits and failures

    def acts(self, record: SessionRecord) -> None:
        """A session is about to do something: was it idle until now?"""
        seconds = waits.waited(record, self.watch.idle) if self.detailed else 0.0
        if seconds and not self._is_wait_of_test(record):
            record.waits += 1
            if record.is_open:
                self.tell("idled", record, seconds)
            waits.stamp(record)

    def _is_wait_of_test(self, record: SessionRecord) -> bool:
        """Has nothing that is tested waited, but a test between two calls, or other tests meanwhile?"""
        is_older = record.last_wall < self.watch.test_began
        return is_older or are_apart(record.last or record.begun, record.leaving or grab())

    @quietly
    def database_failed(self, connection: Any, cause: BaseException, error: BaseException) -> None:
        """A failure, and what has been done about it, is on its way to the application, as this error."""
        record = self.ledger.of_connection(connection)
        if record is None:
            return
        frames = record.busy.frames if record.busy is not None else ()
        self.statements.over(record)
        session = record.session()
        if session is not None:
            failure = Failure(frames or grab(skip=3), type(error).__name__, aborts=internals.aborts(connection, cause))
            failure.connection = ref(connection)
            self._failed(record, session, failure, error)

    def _failed(self, record: SessionRecord, session: Session, failure: Failure, error: BaseException) -> None:
        """A database error, with `Failure.frames`, is on its way to the application."""
        failure.doing = record.working.doing if record.working is not None else "a statement"
        failure.flush = bool(session._flushing)
        transaction = session.get_nested_transaction() or session.get_transaction()
        failure.transaction = None if transaction is None else ref(transaction)
        if record.failure is None or not record.failure.aborts:  # what fails next is a consequence
            record.failure = failure
        self.tell("failed", record, failure, error)

    @quietly
    def refused(self, session: Session, operation: str, state: str, error: BaseException) -> None:
        record = self.ledger.known(session)
        if record is not None:
            self.tell("refused", record, operation, state, error)

    @quietly
    def invalid(self, connection: Any, error: BaseException) -> None:
        record = self.ledger.of_connection(connection)
        if record is not None:
            self.tell("refused", record, "", "INVALID", error)

    @quietly
    def left_quietly(self, transaction: SessionTransaction) -> None:
        record = self.ledger.known(transaction.session)
        if record is not None and (not transaction.nested or internals.lost_quietly(transaction)):
            self.tell("left_quietly", record)

    @quietly
    def ending(self, session: Session, doing: str) -> bool:
        record = self.ledger.record(session)
        self.tell("ending", record, doing)
        return self._works(record, doing)

    @quietly
    def flushes(self, session: Session) -> bool:
        return self._works(self.ledger.record(session), "flush")

    def _works(self, record: SessionRecord, doing: str) -> bool:
        if record.working is not None:  # a commit flushes, and a failed flush rolls back
            return False
        record.working = Busy(actor(), grab(skip=4), f"a {doing}")
        return True

    @quietly
    def worked(self, session: Session) -> None:
        self.ledger.record(session).working = None

    @quietly
    def spawning(self, coroutine: Any) -> None:
        spawned(coroutine)

    @quietly
    def provisioning(self, transaction: SessionTransaction) -> bool:
        record = self.ledger.record(transaction.session)
        self.acts(record)  # before a pool or a server makes it wait for its connection
        if record.busy is not None:
            return False
        record.busy = Busy(actor(), grab(skip=3), "making the session's connection")
        record.connects_since = perf_counter()
        return True

    @quietly
    def provisioned(self, transaction: SessionTransaction) -> None:
        record = self.ledger.known(transaction.session)
        if record is None:
            return
        waits.asked(record.connects_since)
        if not record.in_statement:
            record.busy = None

    @quietly
    def overlap_refused(self, error: BaseException) -> None:
        transaction = internals.subject_of(sys._getframe(3))
        record = self.ledger.known(transaction.session) if transaction is not None else None
        if record is not None:
            self.tell("refused", record, "", "CHANGING", error)

    # Instances

    @quietly
    def before_flush(self, session: Session, context: Any, instances: Any) -> None:
        record = self.ledger.record(session)
        self.acts(record)
        self.tell("flushing", record)

    @quietly
    def after_flush(self, session: Session, context: Any) -> None:
        internals.has_flushed(session)
        self.tell("flushed", self.ledger.record(session))

    @quietly
    def loaded(self, state: Any, context: Any = None, attributes: Any = None) -> None:
        if state.session is not None:
            self.tell("loaded", self.ledger.record(state.session), state, attributes)

    @quietly
    def added(self, session: Session, instance: Any) -> None:
        record = self.ledger.record(session)
        record.changed = record.changed or grab(DEEPEST, skip=3)

    @quietly
    def modified(self, state: Any) -> None:
        session = state.session
        if session is None or session._flushing:
            return
        record = self.ledger.record(session)
        record.changed = record.changed or grab(DEEPEST, skip=3)
        self.tell("changed", record, state)

    @quietly
    def expunged(self, session: Session, instance: Any) -> None:
        self.tell("expunged", self.ledger.record(session), instance._sa_instance_state)

    @quietly
    def unreadable(self, error: BaseException) -> None:
        frame = sys._getframe(3)
        if not internals.is_shown(frame):
            self.tell("unreadable", error, internals.what_was_read(frame))


def _forget(target: Any, name: str, listener: Callable[..., Any]) -> None:
    """Take a listener out, unless somebody has cleared all, as SQLAlchemy's own tests do."""
    if event.contains(target, name, listener):
        event.remove(target, name, listener)


def _hooks(detectors: Iterable[Detector], moment: str) -> tuple[Callable[..., None], ...]:
    return tuple(hook for hook in (getattr(each, moment) for each in detectors) if callable(hook))
