"""Writes that nothing commits: what a session still had to write when it was closed, or when its function ended.

Only paths without a failure count, for after one nothing is to be saved. And where some path of a function does
commit what it wrote, the others are believed to know why they don't.
"""

from __future__ import annotations

from typing import Any

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.assigned import is_asked_for, is_only_to_be_saved
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.observations import Unsaved
from hermetic.engine.run import Run
from hermetic.engine.session_types import BORROWED, SessionType
from hermetic.engine.state import (
    ASSIGNED,
    LENT,
    LENT_ASSIGNED,
    LOADED,
    LOST,
    OF_A_WRITE,
    RETURNED,
    WRITTEN,
    Instance,
    Mark,
    State,
    Track,
)
from hermetic.engine.values import Atom, Value
from hermetic.models.sqlalchemy import ASYNC


def lose(run: Run, state: State, track: Track, mark: Mark) -> Track:
    """The session is closed: what it has not committed is gone."""
    if run.unwinding or run.caught or state.handled or not (_is_to_be_saved(run, track) or _is_assigned(run, track)):
        return track
    return track.with_mark(LOST, mark)


def discard(run: Run, state: State, before: dict[Atom, Any], mark: Mark) -> None:
    """The block of an object that can commit has ended: what it rolls back, untold to commit, is gone."""
    if run.unwinding or run.caught or state.handled:
        return
    for atom, known in before.items():
        track = state.heap.get(atom)
        if (
            type(known) is not Track
            or type(track) is not Track
            or not (_is_to_be_saved(run, known) or _is_assigned(run, known))
        ):
            continue
        if ts.must(track.word, ts.ROLLED_BACK) and not ts.may(known.word, ts.ROLLED_BACK):
            left = tuple(done for done in known.marks if done[0] in OF_A_WRITE)
            state.put(atom, track._replace(marks=(*track.marks, *left)).with_mark(LOST, mark))


def _lend(state: State, atom: Atom) -> None:
    """A call that nobody can follow gets the session: it may commit what was written."""
    instance = state.instance(atom)
    if instance is not None:
        state.put(atom, instance.settled())
    elif type(state.heap.get(atom)) is Track:
        track = state.track(atom)
        for done, lent in ((WRITTEN, LENT), (ASSIGNED, LENT_ASSIGNED)):
            written = track.mark(done)
            if written is not None:
                track = track.with_mark(lent, written)
        state.put(atom, track)


def lend_among(state: State, value: Value) -> None:
    """Lend what a value is or leads to."""
    for atom in (*value, *reachable_sessions(state, value)):
        _lend(state, atom)


def lend_changed(state: State, before: dict[Atom, Any]) -> None:
    """Something that nobody can follow has worked on whatever is not as it was before."""
    for atom, track in state.heap.items():
        if type(track) is Track and before.get(atom) is not track:
            _lend(state, atom)


def lend_behind(state: State, receiver: Atom) -> None:
    """A method that nobody can follow is called: it gets what its receiver has, or the session of an instance."""
    known = state.instance(receiver)
    owners = {receiver, known.owner} if known is not None else set()
    owners.update(reachable_sessions(state, frozenset((receiver,))))
    owners.update(atom for atom in state.heap if _is_part_of(atom, receiver))
    for atom in owners:
        if atom is not None:
            _lend(state, atom)


def _is_part_of(atom: Atom, whole: Atom) -> bool:
    while atom[0] in (v.FIELD, v.CTOR):
        atom = atom[1]
        if atom == whole:
            return True
    return False


def observe(run: Run, normal: list[State]) -> None:
    """At the end of a function: which of its writes are lost, or left for its caller to commit?"""
    if run.types.decorators.commit(run.fn):
        for state in normal:
            lend_changed(state, {})
    lost: dict[Atom, Unsaved] = {}
    saved: set[Atom] = set()
    for state in normal:
        for atom, track in state.heap.items():
            if type(track) is not Track or not ts.may(track.word, ts.WROTE):
                continue
            track = _judged(run, state, atom, track)
            ended, written = track.mark(LOST), _lost(run, state, atom, track)
            if written is None:
                saved.add(atom)
            elif ended is not None or not (_is_handed_on(state, atom) or _is_somebody_elses(atom, track)):
                lost.setdefault(atom, Unsaved(written, ended, atom, ts.may(track.word, ts.COMMITTED)))
    for atom, found in lost.items():
        if atom in saved or _is_borrowed(run, atom) or _may_be_another(run, atom):
            continue
        if not run.solver.session_classes.commit_themselves():
            run.observe(("unsaved", atom), found)


def _judged(run: Run, state: State, atom: Atom, track: Track) -> Track:
    """Callers cannot see what an assignment was for: where it can only have been to be saved, it is a write to them."""
    assigned = track.mark(ASSIGNED)
    if assigned is None or assigned[2] is not None or track.mark(WRITTEN) is not None or not _is_assigned(run, track):
        return track
    if atom[0] != v.SESSION and is_only_to_be_saved(run, state, assigned):
        track = track.with_mark(WRITTEN, assigned)
        state.put(atom, track)
    return track


def _is_handed_on(state: State, atom: Atom) -> bool:
    """Can others still commit what was written in a session that was made here: whoever calls, whoever has the object
    in which it is kept?"""
    if atom in state.escaped or atom[0] != v.SESSION:
        return atom in state.escaped
    held = (state.env.get(RETURNED, v.UNKNOWN), *state.stores.values())
    return any(atom in reachable_sessions(state, value) for value in held)


def _is_somebody_elses(atom: Atom, track: Track) -> bool:
    """Was a session not made here, but given by a call of which only that is known, a property say?"""
    return atom[0] == v.SESSION and not ts.may(track.word, ts.OPEN)


def _lost(run: Run, state: State, atom: Atom, track: Track) -> Mark | None:
    """Where something was written that is lost if nobody commits it after this function; None if nothing was."""
    assigned = track.mark(ASSIGNED)
    if track.mark(LOST) is None and (state.handled or not (_is_to_be_saved(run, track) or _is_assigned(run, track))):
        return None
    written = track.mark(WRITTEN)
    if written is None and assigned is not None:
        is_new = _has_new_rows(state, atom) or is_asked_for(run, state, track.pending, assigned)
        return assigned if is_new or is_only_to_be_saved(run, state, assigned) else None
    return written


def _has_new_rows(state: State, session: Atom) -> bool:
    """Has a callee added rows that were made here? It did not know that they are new."""
    return any(
        type(known) is Instance and known.owner == session and known.has_everything and known.mark(LOADED) is None
        for known in state.heap.values()
    )


def _may_be_another(run: Run, atom: Atom) -> bool:
    """An asynchronous session in a plain function: what it is annotated with is not what is there."""
    return any(
        kind[0] in (v.ANY_SESSION, v.REGISTRY) and kind[1].flavour == ASYNC and not run.fn.is_async
        for kind in run.type_of(atom)
    )


def _is_to_be_saved(run: Run, track: Track) -> bool:
    return _is_dirty(run, track) and track.mark(WRITTEN) is not None and track.mark(LENT) is None


def _is_assigned(run: Run, track: Track) -> bool:
    """Were rows assigned to, and nothing else written? What for is asked when the function has ended."""
    return _is_dirty(run, track) and track.mark(ASSIGNED) is not None and track.mark(LENT_ASSIGNED) is None


def _is_dirty(run: Run, track: Track) -> bool:
    """Is something left that was written? In a route by which a client asks for a change, also what only a branch of it
    writes, if nothing follows that may have saved it."""
    if ts.must(track.word, ts.DIRTY) or not run.solver.responses.is_told_to_write(run.fn):
        return ts.must(track.word, ts.DIRTY)
    places = [mark for mark in (track.mark(WRITTEN), track.mark(ASSIGNED)) if mark is not None]
    if not places or any(mark[2] is not None for mark in places):
        return False
    may_be_saved = ts.may(track.word, ts.COMMITTED) or ts.may(track.word, ts.ROLLED_BACK)
    return ts.may(track.word, ts.DIRTY) and not may_be_saved


def _is_borrowed(run: Run, atom: Atom) -> bool:
    """Is it over a connection whose transaction somebody else ends?"""
    types: list[SessionType] = [kind[1] for kind in run.type_of(atom) if kind[0] in (v.ANY_SESSION, v.REGISTRY)]
    return any(type_.kind == BORROWED for type_ in types)


__all__ = ["lend_among", "lend_behind", "lend_changed", "lose", "observe"]
