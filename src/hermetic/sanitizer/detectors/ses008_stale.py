"""SES008: a row that was read before a wait, and is written after it as if nobody had touched it meanwhile.

The wait may be in the transaction or between two; `Watch.idle` seconds without an act of the session make one. Whether
what was read decides what is written nobody can see here, so it is a warning. Silent for rows that were refreshed, or
locked when they were read, that this transaction has written already, for classes with a version counter, where the
database itself refuses (SERIALIZABLE; REPEATABLE READ but on MySQL), for values that were never read, and for
expressions that the database evaluates. A lock is known by table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.orm import Session
from sqlalchemy.orm.base import NO_VALUE, PASSIVE_NO_INITIALIZE
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.util import find_tables

from hermetic.finding import Severity
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import SessionRecord
from hermetic.sanitizer.stacks import Frames, grab, origin
from hermetic.sanitizer.watch import Watch

CODE = "SES008"
HELP = "after the wait, `refresh()` the instance or load it with `with_for_update`, then decide"

READ = "_hermetic_read"  # where an InstanceState keeps its Reading
WRITTEN = "_hermetic_written"  # and where it was assigned to after a wait
OWNED = "_hermetic_owned"  # and the session and transaction that have written its row
EVERYTHING = ""  # instead of a table: what text locks


class Reading(NamedTuple):
    """When and where an instance was read."""

    session: int  # the number of its record
    waits: int  # of the session until then
    transaction: int
    frames: Frames
    again: Collection[str] = ()  # attributes that have been read again since
    waits_then: int = 0


def loaded(watch: Watch, record: SessionRecord, state: Any, names: Iterable[str] | None) -> None:
    kept = state.__dict__
    if names is not None:
        again = frozenset(names)
        if any(key not in again for key in state.mapper.column_attrs.keys() if key in state.dict):  # noqa: SIM118
            if READ in kept:
                kept[READ] = kept[READ]._replace(again=again, waits_then=record.waits)
            return
    kept[READ] = Reading(record.number, record.waits, record.transactions, record.last)


def changed(watch: Watch, record: SessionRecord, state: Any) -> None:
    reading: Reading | None = state.__dict__.get(READ)
    if reading is None or WRITTEN in state.__dict__:
        return
    if reading.waits < record.waits or perf_counter() - record.last_wall >= watch.idle:
        state.__dict__[WRITTEN] = grab()


def before_statement(watch: Watch, connection: Any, record: SessionRecord | None, sql: str, context: Any) -> None:
    if record is None or context is None:
        return
    compiled = context.compiled
    if compiled is not None and getattr(compiled.statement, "_for_update_arg", None) is not None:
        for table in find_tables(compiled.statement, include_joins=True, include_aliases=True):
            _locked(record, getattr(table, "fullname", EVERYTHING))
    elif context.is_text and ("FOR UPDATE" in sql.upper() or "LOCK" in sql.upper()):
        _locked(record, EVERYTHING)


def _locked(record: SessionRecord, table: str) -> None:
    tables: dict[str, int] = record.extra.setdefault(CODE, {})
    tables.setdefault(table, record.waits)


def flushing(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    if not record.waits or session is None:
        return
    for state in _modified(session):
        if not _is_stale(record, session, state):
            continue
        reading: Reading = state.__dict__[READ]
        name = state.class_.__name__
        written = state.__dict__.get(WRITTEN) or record.leaving or origin()
        acts = [Act(f"`{name}` was read", reading.frames), Act("it was written after a wait", written)]
        message = f"a row of `{name}` is written as it was read before a wait; what others have done to it is lost"
        watch.report(CODE, Severity.WARNING, message, acts, at=1, help_text=HELP, session=record)


def flushed(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    for state in _modified(session) if session is not None else ():
        state.__dict__.pop(WRITTEN, None)
        if session is not None and session.is_modified(state.obj(), include_collections=False):
            state.__dict__[OWNED] = record.number, record.transactions


def ended(watch: Watch, record: SessionRecord) -> None:
    record.extra.pop(CODE, None)


def _modified(session: Session) -> Iterator[Any]:
    return (inspect(instance) for instance in session.dirty)


def _is_stale(record: SessionRecord, session: Session, state: Any) -> bool:
    reading: Reading | None = state.__dict__.get(READ)
    if reading is None or reading.session != record.number or reading.waits >= record.waits:
        return False
    if state.mapper.version_id_col is not None or _is_protected(record, session, state, reading):
        return False
    again = reading.again if reading.waits_then == record.waits else ()
    return any(_is_changed(state, each.key) for each in state.mapper.column_attrs if each.key not in again)


def _is_protected(record: SessionRecord, session: Session, state: Any, reading: Reading) -> bool:
    """Has nobody else been able to change the row since it was read, or does the database refuse to?"""
    if not record.is_open:
        return False
    if state.__dict__.get(OWNED) == (record.number, record.transactions):
        return True
    if reading.transaction == record.transactions and _refuses(record, session, state):
        return True
    locked: dict[str, int] = record.extra.get(CODE, {})
    tables = (EVERYTHING, *(table.fullname for table in state.mapper.tables))
    return any(locked.get(table, record.waits) <= reading.waits for table in tables)


def _refuses(record: SessionRecord, session: Session, state: Any) -> bool:
    if record.isolation != "REPEATABLE READ":
        return record.isolation in ("SERIALIZABLE", "SNAPSHOT")
    return session.get_bind(state.mapper).dialect.name not in ("mysql", "mariadb")


def _is_changed(state: Any, key: str) -> bool:
    """Was a value that had been read replaced by another one that the program knows?"""
    if state.committed_state.get(key, NO_VALUE) is NO_VALUE or isinstance(state.dict.get(key), ClauseElement):
        return False
    return bool(state.get_history(key, PASSIVE_NO_INITIALIZE).has_changes())


DETECTOR = Detector(
    code=CODE,
    modes=IN_TESTS,
    loaded=loaded,
    changed=changed,
    before_statement=before_statement,
    flushing=flushing,
    flushed=flushed,
    ended=ended,
)
