"""What a call did to instances: those of the caller, and those that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import outdated, stale, typestate as ts, values as v
from hermetic.engine.observations import EndedUse
from hermetic.engine.run import Run
from hermetic.engine.session_types import SessionType
from hermetic.engine.session_values import sessions_in
from hermetic.engine.sessions import dirty, each_instance, expires, inserted, is_in_doubt, let_go, note_on_all_rows
from hermetic.engine.state import (
    ALL_ROWS,
    CHANGED,
    DELETED,
    DETACHED,
    ENTITY_FOREIGN,
    EXPIRED,
    IN_DOUBT,
    LOCKED,
    SCOPED,
    Instance,
    Mark,
    State,
    Track,
)
from hermetic.engine.values import Atom

if TYPE_CHECKING:
    from hermetic.engine.substitution import Substitution

OF_ALL_ROWS = frozenset(ALL_ROWS.values())


def doubt(run: Run, owner: Atom, use: EndedUse, sub: Substitution) -> None:
    """The callee reads what its commit has expired, if commits of this session do that: do they?"""
    found = sub.sessions(owner)
    if len(found) != 1:
        return
    target, type_ = found[0]
    here = use._replace(at=sub.trail(use.at), ended=_trail(sub, use.ended), loaded=_trail(sub, use.loaded))
    if type_.expire:
        run.observe(("ended", use.instance, use.attribute, "expired"), here._replace(options_at=type_.options_at))
    elif is_in_doubt(run, target, type_):
        run.doubtful.setdefault(target, here)


def _trail(sub: Substitution, mark: Mark | None) -> Mark | None:
    return sub.trail(mark) if mark is not None else None


def end_instances(run: Run, state: State, target: Atom, type_: SessionType, track: Track, sub: Substitution) -> None:
    """What the callee did to its caller's instances by committing or closing their session. What it did to single
    ones, a refresh after the commit say, comes after this."""
    committed, closed = track.mark(ts.COMMITTED), track.mark(ts.CLOSED)
    outdated.done(run, state, target, type_, track, sub)
    if committed is not None and ts.must(track.word, ts.COMMITTED):
        inserted(state, target)
        if expires(run, type_):
            each_instance(state, target, EXPIRED, sub.trail(committed))
            let_go(state, target, sub.trail(committed))
        elif is_in_doubt(run, target, type_):
            each_instance(state, target, IN_DOUBT, sub.trail(committed))
    elif committed is not None and ts.may(track.word, ts.COMMITTED) and expires(run, type_):
        note_on_all_rows(state, target, ALL_ROWS[EXPIRED], sub.trail(committed))  # the next round of a loop has others
    if closed is not None and ts.must(track.word, ts.CLOSED):
        each_instance(state, target, DETACHED, sub.trail(closed))


def settle(run: Run, state: State, atom: Atom, track: Instance, sub: Substitution) -> None:
    owners = v.ordered(sub.atom(track.owner)) if track.owner is not None else []
    owner = owners[0] if len(owners) == 1 else None
    if owner is not None and state.track(owner).mark(SCOPED) is not None:
        track = track.clear(EXPIRED, DETACHED)
    if owner is not None and _is_of_another_kind(run, track.owner, owner):
        track = track.clear(EXPIRED, DETACHED)
    track = _no_longer_in_doubt(run, owner, track)
    marks = tuple([(flag, sub.trail(inner)) for flag, inner in track.marks if flag not in OF_ALL_ROWS])
    changed = track.mark(CHANGED)
    if changed is not None:
        for target in v.ordered(sub.atom(atom)):
            known = state.instance(target)
            if known is not None and known.owner is not None:
                dirty(state, known.owner, sub.trail(changed), assigned=True)
    for target in v.ordered(sub.atom(atom)):
        if target[0] != v.ENTITY and state.instance(target) is None and target[0] not in v.PLACES:
            continue
        known = state.instance(target)
        if known is None or atom[0] == v.ENTITY:
            fresh = Instance(owner, track.word, track.loaded, marks)
            again = run.slow is not None and not ts.may(track.word, LOCKED)
            came_from = run.made_from.get(target, frozenset()) if again else frozenset()
            state.put(target, stale.reasked(run, state, target, fresh, came_from) if came_from else fresh)
        else:
            merged = dict(known.marks) | dict(marks)
            word = ts_then_entity(known.word, track.word)
            if ts.must(track.word, DELETED) and ts.must(track.word, DETACHED):
                word = ts.clear(word, EXPIRED)  # its last row was read when it was deleted, or before
            state.put(target, Instance(known.owner or owner, word, known.loaded | track.loaded, tuple(merged.items())))


def _is_of_another_kind(run: Run, theirs: Atom | None, ours: Atom) -> bool:
    """Does the callee take the session for a synchronous one, and it is none, or the other way round?"""
    known = [
        {kind[1].flavour for kind in run.type_of(session) if kind[0] in (v.ANY_SESSION, v.REGISTRY)}
        for session in (theirs, ours)
        if session is not None
    ]
    return all(known) and frozenset.intersection(*map(frozenset, known)) == frozenset()


def ts_then_entity(first: int, second: int) -> int:
    """As `typestate.then`, for the flags of an instance."""
    keep = second & ENTITY_FOREIGN
    through = keep | keep >> 1 | keep >> 2
    return (second & ~ENTITY_FOREIGN) | (first & through)


def _no_longer_in_doubt(run: Run, owner: Atom | None, track: Instance) -> Instance:
    """An instance as the callee left it: its caller may know the session, and whether its commits expire anything."""
    if not ts.may(track.word, IN_DOUBT):
        return track
    types = [type_ for _, type_ in sessions_in(run, v.one(owner))] if owner is not None else []
    if owner is not None and any(is_in_doubt(run, owner, type_) for type_ in types):
        return track
    place = track.mark(IN_DOUBT)
    if place is not None and ts.must(track.word, IN_DOUBT) and types and all(type_.expire for type_ in types):
        track = track.put(EXPIRED, place)
    return track._replace(word=ts.keep(track.word, IN_DOUBT))
