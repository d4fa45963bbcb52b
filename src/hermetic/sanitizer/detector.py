"""The contract of a detector. Read this first when you add one, then copy a neighbour in `detectors/`.

A detector is a value: the rule it reports under, the modes it runs in, and the moments at which it wants to be asked.
Each moment's function gets the running `Watch`, which it reports to, and what the moment is about. It runs inside the
application, in whatever thread or greenlet acts, so it is quick, keeps nothing alive, and asks the database nothing;
an exception of its own is swallowed and counted by `probes`. The file's presence in `detectors/` is its registration.

An observer is the same value without a rule (`code` is ""): it listens and reports nothing, as the recorder of traces
does. It is given to a `Watch`, and goes with whichever watch takes over from that one. It is asked before detectors,
which may take their time when they report something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hermetic.finding import Finding
from hermetic.sanitizer.ledger import EngineRecord, Failure, Hold, Read, SessionRecord
from hermetic.sanitizer.operations import Operation

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch


class Mode(StrEnum):
    """How much is watched: everything in tests, what costs next to nothing in production."""

    TESTS = "tests"
    PRODUCTION = "production"


EVERYWHERE = frozenset(Mode)
IN_TESTS = frozenset({Mode.TESTS})

OnSession = Callable[["Watch", SessionRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """`code` is the rule's. Every other field but `modes` is a moment; probes that no detector asks for are not set.

    The order of the moments on one session: made, begun, (overlapping, writing, before_statement, after_statement |
    failed)*, ending, committing, flushing, flushed, committed | rolled_back, closing, ended, closed.
    """

    code: str
    modes: frozenset[Mode]

    made: OnSession | None = None  # Session() returned
    begun: OnSession | None = None  # its transaction has a connection
    # A statement is about to run on a connection, of a session or (None) of none; the SQL has its literals still.
    before_statement: Callable[[Watch, Any, SessionRecord | None, str, Any], None] | None = None
    # The same, of a session that somebody is in the middle of an act of, or of one that is about to change rows.
    overlapping: OnSession | None = None
    writing: Callable[[Watch, SessionRecord, str, Any], None] | None = None
    after_statement: OnSession | None = None
    # A statement or a flush raised; the error is what SQLAlchemy makes of a driver's.
    failed: Callable[[Watch, SessionRecord, Failure, BaseException], None] | None = None
    # SQLAlchemy refuses an operation because of the session's state, with an exception that is on its way. The state:
    # DEACTIVE (rolled back by a failure), PREPARED (its commit failed), INVALID (its connection is lost), CLOSED, or an
    # operation in progress: PROVISIONING_CONNECTION, FLUSHING, CHANGING (any other).
    refused: Callable[[Watch, SessionRecord, str, str, BaseException], None] | None = None
    # `with session.begin()` ends without an exception, before it commits; or `begin_nested()`, and has lost something.
    left_quietly: OnSession | None = None
    ending: Callable[[Watch, SessionRecord, str], None] | None = None  # the root transaction's "commit" or "rollback"
    flushing: OnSession | None = None
    flushed: OnSession | None = None
    # A row became or refreshed an InstanceState; with names, only these attributes.
    loaded: Callable[[Watch, SessionRecord, Any, Iterable[str] | None], None] | None = None
    changed: Callable[[Watch, SessionRecord, Any], None] | None = None  # an attribute of an InstanceState was assigned
    # The open transaction waited `Watch.idle` seconds or more, of which it is told before the act that ends the wait.
    idled: Callable[[Watch, SessionRecord, float], None] | None = None
    committing: OnSession | None = None  # the root transaction, which may not be begun yet, before its flush
    committed: OnSession | None = None  # the root transaction; its facts (`wrote`) still stand
    rolled_back: OnSession | None = None  # the root transaction, also by a failed flush
    closing: OnSession | None = None  # Session.close() or reset() is called; what the session holds is still there
    ended: OnSession | None = None  # the root transaction, whatever the outcome; its facts still stand
    closed: OnSession | None = None  # Session.close() or reset() returned
    collected: OnSession | None = None  # garbage with its transaction open
    engine_made: Callable[[Watch, EngineRecord], None] | None = None
    taken: Callable[[Watch, Hold], None] | None = None  # a connection left its pool
    returned: Callable[[Watch, Hold], None] | None = None  # and is back, or was detached from it
    pool_timed_out: Callable[[Watch, Any], None] | None = None  # a pool had no connection to give
    reported: Callable[[Watch, Finding, SessionRecord | None], None] | None = None  # a finding, and whose session it is
    expunged: Callable[[Watch, SessionRecord, Any], None] | None = None  # an InstanceState was taken out by expunge()
    # A DetachedInstanceError or MissingGreenlet is being raised.
    unreadable: Callable[[Watch, BaseException, Read], None] | None = None
    # Only in production: a transaction has waited for something else than the database, so many seconds.
    waiting: Callable[[Watch, SessionRecord, float], None] | None = None
    held: Callable[[Watch, Hold, float], None] | None = None  # only in production: out of its pool so many seconds
    left: Callable[[Watch, Operation], None] | None = None  # a request or a task is over
    scope_ended: Callable[[Watch, str], None] | None = None  # a test or another span is over
