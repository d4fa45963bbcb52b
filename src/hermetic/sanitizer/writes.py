"""What a transaction has written, row by row, and whether two transactions have written what belongs together.

Rows are told apart by hashes of table and key, so that no value is kept. Flushed rows are known one by one; of what is
executed as a statement only the table is known, and of `bulk_*` methods nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from numbers import Number
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ForeignKey, TableClause, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE

MOST_ROWS = 50  # of one transaction that are compared with those of another

TEXT = re.compile(r"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+[\"`\[]?([\w.]+)", re.IGNORECASE)

# Words in the names of tables whose rows are only ever added and say what has been done or tried. They are kept apart
# from what they tell of on purpose, so that they survive its failure. An outbox is none: it is safe only beside it.
RECORDS = frozenset(
    "audit audits log logs changelog history activity activities metric metrics usage telemetry".split()
)


class Verb(StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Relation(IntEnum):
    """How sure it is that two transactions belong together. LIKELY wants to be seen in one function, outside a loop."""

    NONE = 0
    LIKELY = 1  # other rows of one table, or rows beside rows that were there before
    CERTAIN = 2  # the second completes a row that the first has inserted, or refers to it


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was written; of a statement that was executed, whichever rows it wrote."""

    verb: Verb
    tables: frozenset[str]
    identities: frozenset[int] = frozenset()  # by each of its tables; empty if unknown
    given: frozenset[str] = frozenset()  # attributes that got a value; not those of a number's default
    refers: frozenset[int] = frozenset()  # identities that its foreign keys name, of an update those that changed
    refers_to: frozenset[str] = frozenset()  # the tables of all its foreign keys


def of_flush(session: Session) -> Iterator[Row]:
    """The rows of a flush that has just run: what was new, dirty and deleted is still known as such."""
    for instance in session.new:
        state = inspect(instance)
        given = frozenset(each.key for each in state.mapper.column_attrs if _is_given(state, each.key))
        yield _row(Verb.INSERT, state, given)
    for instance in session.dirty:
        state = inspect(instance)
        changed = frozenset(key for key in _stored(state.mapper) if _has_changed(state, key))
        if changed:
            yield _row(Verb.UPDATE, state, changed)
    for instance in session.deleted:
        yield _row(Verb.DELETE, inspect(instance), frozenset())


def _is_given(state: Any, key: str) -> bool:
    """Has a new row a value that says something of it? Not the 0 of a total that is still to be filled in."""
    value = state.dict.get(key)
    is_number = isinstance(value, Number) and not isinstance(value, bool | Enum)
    return value is not None and (key in state.committed_state or not is_number)  # else a default


def _stored(mapper: Mapper[Any]) -> Iterator[str]:
    """The attributes that an update of the row, or of the association tables beside it, stores."""
    for attribute in mapper.column_attrs:
        yield attribute.key
    for relation in mapper.relationships:
        if relation.secondary is not None and not relation.viewonly:
            yield relation.key


def _has_changed(state: Any, key: str) -> bool:
    return key in state.committed_state and bool(state.get_history(key, PASSIVE_NO_INITIALIZE).has_changes())


def _row(verb: Verb, state: Any, given: frozenset[str]) -> Row:
    links = _links(state.mapper)
    tables = frozenset(table.fullname for table in state.mapper.tables)
    key = tuple(state.dict.get(state.mapper.get_property_by_column(each).key) for each in state.mapper.primary_key)
    refers = (
        _identity(table, tuple(state.dict.get(key) for key in keys))
        for table, keys in links
        if verb is Verb.INSERT or not given.isdisjoint(keys)
    )
    return Row(
        verb,
        tables,
        frozenset(_identity(table, key) for table in tables) - {0},
        given,
        frozenset(refers) - {0},
        frozenset(table for table, _ in links),
    )


def _identity(table: str, key: tuple[Any, ...]) -> int:
    """0 if the key is not known."""
    return 0 if None in key else hash((table, key))


_known_links: WeakKeyDictionary[Mapper[Any], tuple[tuple[str, tuple[str, ...]], ...]] = WeakKeyDictionary()


def _links(mapper: Mapper[Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The tables that foreign keys lead to, and the attributes that hold the keys; not those of inheritance."""
    known = _known_links.get(mapper)
    if known is None:
        own = {table.fullname for table in mapper.tables}
        known = _known_links[mapper] = tuple(
            (target, tuple(mapper.get_property_by_column(column).key for column in key.columns))
            for table in mapper.tables
            for key in getattr(table, "foreign_key_constraints", ())
            if (target := _target(key.elements[0])) not in own and all(map(mapper.columns.contains_column, key.columns))
        )
    return known


def _target(key: ForeignKey) -> str:
    """The table that a foreign key leads to; it may not be known to the program."""
    return key.target_fullname.rpartition(".")[0]


def of_statement(sql: str, context: Any) -> Row | None:
    """What a statement outside of a flush writes."""
    table = getattr(context.compiled.statement, "table", None) if context.compiled is not None else None
    table = getattr(table, "element", table)  # of an alias
    if not isinstance(table, TableClause):
        text = TEXT.match(sql)
        return Row(Verb(text[1].split()[0].lower()), frozenset({text[2].lower()})) if text is not None else None
    verb = Verb.INSERT if context.isinsert else Verb.UPDATE if context.isupdate else Verb.DELETE
    return Row(verb, frozenset({table.fullname}), refers_to=frozenset(map(_target, table.foreign_keys)))


def related(first: Sequence[Row], second: Sequence[Row]) -> Relation:
    """Do the rows of a later transaction belong to those of an earlier one?

    A row whose values the later one replaces is moved on, as a job from "running" to "done": the earlier state was
    meant to be seen, and so was whatever is written about it later.
    """
    before, after = _without_records(first), _without_records(second)
    moved = {
        identity
        for a in before
        for b in after
        for identity in a.identities & b.identities
        if b.verb is Verb.UPDATE and a.given & b.given
    }
    pairs = (_relation(a, b) for a in before if a.identities.isdisjoint(moved) for b in after)
    return max(pairs, default=Relation.NONE)


def _without_records(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not (row.verb is Verb.INSERT and all(map(_keeps_records, row.tables)))]


def _keeps_records(table: str) -> bool:
    return not RECORDS.isdisjoint(re.split(r"[._]|(?<=[a-z])(?=[A-Z])", table.lower() if "_" in table else table))


def _relation(a: Row, b: Row) -> Relation:
    if a.identities & b.identities:
        if b.verb is not Verb.UPDATE or a.verb is Verb.DELETE:
            return Relation.NONE
        return Relation.CERTAIN if a.verb is Verb.INSERT else Relation.LIKELY
    if a.identities & b.refers:
        return Relation.CERTAIN if a.verb is Verb.INSERT else Relation.LIKELY
    if a.refers & b.identities and b.verb is Verb.UPDATE:
        return Relation.LIKELY
    if a.verb is b.verb is Verb.INSERT:
        unknown = not a.identities or not b.identities
        return Relation.LIKELY if unknown and not a.tables.isdisjoint(b.refers_to) else Relation.NONE
    return Relation.NONE if a.tables.isdisjoint(b.tables) else Relation.LIKELY
