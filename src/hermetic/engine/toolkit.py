"""Databases of hermetic's own toolkit: their blocks, which are sessions that commit at their end."""

from __future__ import annotations

from hermetic.engine import entities, ir, library, sessions, values as v
from hermetic.engine.project import Arguments, Keywords
from hermetic.engine.run import Run
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import DETACHED, EXPIRED, EXPUNGED, STALE, Instance, State
from hermetic.engine.values import Atom, Value, elements
from hermetic.models import toolkit as models


def call(
    run: Run, state: State, database: Atom, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value | None:
    """`db.name(...)`; None if it is no method of a database that the analysis has to know."""
    if name in (models.TRANSACTION, models.READ):
        return _block(run, state, database, name, kwargs, position)
    if name not in models.METHODS or not args:
        return None
    if name == models.SAVEPOINT:
        return frozenset((v.TRANSACTION, session, True) for session, _ in sessions_in(run, args[0]))
    if name == models.RELEASED:
        return frozenset((v.TRANSACTION, session, models.RELEASED) for session, _ in sessions_in(run, args[0]))
    _detach(run, state, args, position)
    return v.UNKNOWN


def _block(run: Run, state: State, database: Atom, name: str, kwargs: Keywords, position: ir.Pos) -> Value:
    joined = kwargs.get(models.JOIN)
    if joined is not None:
        return v.one((v.BORROWED, joined))
    session = library.factory_call(run, state, database, database[1], {}, position, False)
    return session if name == models.READ else frozenset((v.TRANSACTION, atom, "own") for atom in session)


def _detach(run: Run, state: State, args: Arguments, position: ir.Pos) -> None:
    """What is named is loaded; the instance leaves the session with everything that it has."""
    names = library.relationship_names(args[1:])
    mark = run.mark(position)
    for target in v.ordered(args[0] | elements(args[0])):
        entities.refreshed(run, state, target, names)
        known = state.instance(target)
        if known is not None:
            state.put(target, known.put(DETACHED, mark).put(EXPUNGED, mark))


def release(run: Run, state: State, session: Atom, position: ir.Pos) -> None:
    """The transaction ends, in which nothing was written, and no connection is held any more."""
    for target, type_ in sessions_in(run, v.one(session)):
        sessions.operate(run, state, target, type_, "commit", run.mark(position), False)


def resume(run: Run, state: State, session: Atom) -> None:
    """Whatever is still referenced has been read anew."""
    for target, _ in sessions_in(run, v.one(session)):
        for atom, known in list(state.heap.items()):
            if type(known) is Instance and known.owner == target:
                state.put(atom, known.clear(EXPIRED, STALE))
    run.rechecks = True
