"""Statements: which session runs one, from where, and what came of it.

Patches of `Connection` call this, twice a statement, so it is written for speed. SQLAlchemy's events would tell the
same, but a single listener on engines costs each session and statement more than all that production does.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from hermetic.sanitizer import internals, waits
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.ledger import Busy, SessionRecord
from hermetic.sanitizer.quietly import quietly
from hermetic.sanitizer.stacks import actor
from hermetic.sanitizer.ways import Ways

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes


class Statements:
    """In production."""

    def __init__(self, probes: Probes) -> None:
        self.probes = probes
        self.watch = probes.watch

    def begins(self, connection: Any, context: Any) -> SessionRecord | None:
        """Returns the session that works on a connection."""
        try:
            probes = self.probes
            probes.ledger.statements += 1
            record = probes.ledger.of_connection(connection)
            if probes.hooks["before_statement"]:
                probes.tell("before_statement", connection, record, context.statement, context)
            if record is not None:
                record.in_statement = True
                record.statements += 1
            return record
        except Exception as error:
            self.watch.swallowed(error)
            return None

    def ends(self, record: SessionRecord | None, since: float, context: Any, answer: Any) -> None:
        """What began at `since` is over. Without an answer, it has failed."""
        if record is None:
            return
        try:
            self.over(record)
            if answer is not None and self.probes.hooks["after_statement"]:
                self.probes.tell("after_statement", record)
        except Exception as error:
            self.watch.swallowed(error)

    def over(self, record: SessionRecord) -> None:
        """Its session does nothing any more."""
        record.in_statement = False
        self.stamp(record)

    def stamp(self, record: SessionRecord) -> None:
        """A session has acted just now."""
        record.last_wall, record.last_thread = perf_counter(), get_ident()


class DetailedStatements:
    """In tests."""

    def __init__(self, probes: Probes) -> None:
        self.probes = probes
        self.watch = probes.watch
        self.ways = Ways(8)
        self.has_streamed = False

    def asked(self, connection: Any) -> None:
        """A session wants a cursor. There may be a while until the statement begins."""
        try:
            record = self.probes.ledger.of_connection(connection)
            if record is not None:
                record.is_asking = False  # the statement before may have come to nothing
                self._acts(record)
                record.is_asking = True
        except Exception as error:
            self.watch.swallowed(error)

    def _acts(self, record: SessionRecord) -> None:
        if perf_counter() - record.last_wall >= self.watch.idle:
            self.probes.acts(record)

    def begins(self, connection: Any, context: Any) -> SessionRecord | None:
        """As of `Statements`."""
        try:
            probes = self.probes
            probes.ledger.statements += 1
            record = probes.ledger.of_connection(connection)
            if record is None:
                probes.tell("before_statement", connection, None, context.statement, context)
                return None
            if not record.is_asking:  # a dialect makes its cursors in its own way
                self._acts(record)
            if record.busy is not None or record.working is not None:
                probes.tell("overlapping", record)
            is_writing = internals.writes(context.statement, context)
            if is_writing:
                probes.tell("writing", record, context.statement, context)
            probes.tell("before_statement", connection, record, context.statement, context)
            record.in_statement = True
            record.statements += 1
            record.busy = Busy(actor(), self.ways.grab(8, 1000), "a statement")
            if is_writing and not record.has_written:
                record.has_written, record.wrote = True, record.busy.frames
            return record
        except Exception as error:
            self.watch.swallowed(error)
            return None

    def ends(self, record: SessionRecord | None, since: float, context: Any, answer: Any) -> None:
        """As of `Statements`."""
        try:
            if perf_counter() - since >= waits.SLOW and not internals.computes_here(context.dialect):
                waits.asked(since)
            if record is None:
                return
            self.over(record)
            if answer is None:
                return
            if internals.is_streaming(context) and not answer._soft_closed:
                record.streams |= {id(context.cursor)}
                self.has_streamed = True
            failure = record.failure
            if failure is not None and not failure.flush and context.statement[:8].upper() == "ROLLBACK":  # savepoint
                record.failure = None
            if self.probes.hooks["after_statement"]:
                self.probes.tell("after_statement", record)
        except Exception as error:
            self.watch.swallowed(error)

    def over(self, record: SessionRecord) -> None:
        """As of `Statements`."""
        record.in_statement = record.is_asking = False
        self.stamp(record)
        if record.busy is not None:
            record.last, record.busy = record.busy.frames, None

    def cursor_closed(self, connection: Any, cursor: Any) -> None:
        """The last row of a statement has come."""
        if not self.has_streamed:  # mostly
            return
        try:
            record = self.probes.ledger.of_connection(connection)
            if record is not None and id(cursor) in record.streams:
                record.streams -= {id(cursor)}
                self.stamp(record)
        except Exception as error:
            self.watch.swallowed(error)

    stamp = staticmethod(waits.stamp)

    @quietly
    def rolls_back(self, connection: Any) -> None:
        """A connection goes to its database to roll back."""
        record = self.probes.ledger.of_connection(connection)
        if record is not None:
            self.probes.acts(record)
