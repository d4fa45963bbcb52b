"""Columns that the database sets by itself when a row is updated, `onupdate=func.now()` say.

The UPDATE leaves them expired, whatever `expire_on_commit` says, unless the mapper fetches them at once. A synchronous
session loads them on reading; an asynchronous one cannot. What a constructor or a Python function gives is known.
https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html#fetching-server-generated-defaults

Tried with 2.1.9: `flush()`, `commit()` and the autoflush of a query all do that; a column that was assigned to as well,
or whose mapper has `eager_defaults`, is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.classes import COLUMN, ClassTable
from hermetic.engine.run import Run
from hermetic.engine.session_types import SessionType
from hermetic.engine.stale import ANY_ATTRIBUTE, row_class
from hermetic.engine.state import OUTDATED, UNSENT, Instance, Mark, State, Track
from hermetic.engine.values import Atom, Value
from hermetic.models.sqlalchemy import ASYNC

if TYPE_CHECKING:
    from hermetic.engine.substitution import Substitution

# In `loaded` of an instance: such a column was assigned to, and is what it was set to.
BY_HAND = "*by hand"

# Operations that send what was assigned: themselves, or by the autoflush before a statement.
SENDING = frozenset(("flush", "commit"))
ASKING = frozenset(("execute", "exec", "scalars", "scalar", "stream", "stream_scalars"))


def assigned(run: Run, atom: Atom, known: Instance, class_id: int, name: str, mark: Mark) -> Instance:
    """An attribute of a row is assigned to: the next flush updates it, if it is in the database."""
    columns = run.types.classes.set_by_updates(class_id)
    if not columns or known.has_everything or (known.owner is None and atom[0] != v.PARAM):
        return known
    if name in columns:
        return known._replace(loaded=known.loaded | {BY_HAND})
    is_column = name == ANY_ATTRIBUTE or run.types.classes.attribute_kind(class_id, name) == COLUMN
    return known.put(UNSENT, mark) if is_column else known


def operated(run: Run, state: State, owner: Atom, type_: SessionType, name: str, mark: Mark) -> None:
    """An operation on a session."""
    if type_.flavour == ASYNC and (name in SENDING or (name in ASKING and run.solver.expiry.autoflushes())):
        sent(state, owner, mark)


def done(run: Run, state: State, owner: Atom, type_: SessionType, track: Track, sub: Substitution) -> None:
    """A callee has worked with a session. Of a row that it was given, too, its own summary says what is there, if it
    knows it for one; of others that it got nothing is known from here on."""
    asked = ts.must(track.word, ts.DATABASE) and run.solver.expiry.autoflushes()
    if type_.flavour != ASYNC or not (asked or ts.must(track.word, ts.COMMITTED)):
        return
    rows = _unsent(state, owner)
    if rows:
        for atom in _given_as_something_else(run, track, sub).intersection(rows):
            state.put(atom, rows[atom].clear(UNSENT))
        sent(state, owner, run.mark(sub.position))


def _unsent(state: State, owner: Atom) -> dict[Atom, Instance]:
    return {
        atom: row
        for atom, row in state.heap.items()
        if type(row) is Instance and ts.may(row.word, UNSENT) and row.owner in (owner, None)
    }


def _given_as_something_else(run: Run, track: Track, sub: Substitution) -> frozenset[Atom]:
    """What the callee gets for parameters that it does not know to be rows, the object of its own method among them.
    Rows in a list it may refresh as well, if that is what it is for."""
    refreshes = ts.may(track.word, ts.COMMITTED) or "refresh" in sub.callee.identifiers
    found: Value = v.UNKNOWN
    for number, value in sub.binding.items():
        is_object = number == 0 and sub.callee.class_id is not None
        untold = is_object or sub.callee.params[number][1] is None
        if untold or row_class(run, (v.PARAM, sub.callee.id, number)) is None:
            found |= value | v.elements(value) if refreshes else value
    return found


def sent(state: State, owner: Atom, mark: Mark) -> None:
    """What was assigned to the rows of a session is in the database from here on. Where only a branch assigns, of a
    patch say, some call takes that branch."""
    for atom, row in _unsent(state, owner).items():
        if BY_HAND not in row.loaded:
            row = row.put(OUTDATED, mark)
        state.put(atom, row._replace(word=ts.clear(row.word, UNSENT), loaded=row.loaded - {BY_HAND}))


def loaded(run: Run, row: Instance, class_id: int | None, names: frozenset[str]) -> Instance:
    """A row, or some attributes of it, are loaded again."""
    if names and class_id is not None and names.isdisjoint(run.types.classes.set_by_updates(class_id)):
        return row
    return row.clear(UNSENT, OUTDATED)


def is_outdated(classes: ClassTable, row: Instance, class_id: int, name: str) -> bool:
    """Is it a column that the database has set since the row was loaded?"""
    return ts.may(row.word, OUTDATED) and name in classes.set_by_updates(class_id)


__all__ = ["assigned", "done", "is_outdated", "loaded", "operated"]
