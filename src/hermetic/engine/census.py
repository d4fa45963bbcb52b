"""The census: what `hermetic review` counts. The interpreter notes it only where it is asked to.

Of each function: the sessions that it opens and how they end, the pieces of writing that it commits and how, which
kind of session it works with, whether it loads rows and lets them out of their session, and what it configures.
"""

from __future__ import annotations

from typing import NamedTuple

from hermetic.engine import ir, typestate as ts, values as v
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.run import Run
from hermetic.engine.session_types import BORROWED
from hermetic.engine.state import DETACHED, ENTERED, LOADED, RETURNED, Instance, Mark, State, Track
from hermetic.engine.values import Atom, Value

# How a session ends. One that a function opens by a context manager ends with its block, whoever wrote the manager.
BY_WITH, BY_HAND, HANDED_ON = "with", "closed by hand", "handed on"
OVER_A_CONNECTION, LEFT_OPEN = "borrowed", "left open"
# How a piece of writing is committed
BY_BLOCK, BY_COMMIT, BY_MANAGER = "begin block", "commit()", "context manager"


FLASK = "Flask-SQLAlchemy"  # what is configured, beside engines, factories and registries


class Opened(NamedTuple):
    """A session is opened at `at`; `how` it ends is one of the above."""

    at: Mark
    how: str
    flavour: str


class Committed(NamedTuple):
    """A piece of writing is committed; `how` is one of the above."""

    at: Mark
    how: str


class Worked(NamedTuple):
    """The function sends statements over sessions of these flavours, injected or registered ones (`given`) or not."""

    flavours: tuple[str, ...]
    given: bool


class Rows(NamedTuple):
    """The function loads rows from a session that it opens itself; `leave`: some are returned when it has ended."""

    at: Mark
    leave: bool


class Configured(NamedTuple):
    """An engine, factory or registry is made."""

    at: Mark
    what: str
    flavour: str
    options: tuple[str, ...]


def observe(run: Run, normal: list[State]) -> None:
    """Note what the exits show."""
    states = [*normal, *(exit_.state for exit_ in run.exits.raises), *(handed.state for handed in run.yields)]
    _sessions(run, normal, states)
    _work(run, states)
    _rows(run, normal)


def _sessions(run: Run, normal: list[State], states: list[State]) -> None:
    tracks: dict[Atom, list[Track]] = {}
    for state in states:
        for atom, track in state.heap.items():
            if type(track) is Track and atom[0] == v.SESSION:
                tracks.setdefault(atom, []).append(track)
    handed = {session for state in normal for session in _handed_on(state)}
    handed.update(session for given in run.yields for session in reachable_sessions(given.state, given.value))
    for atom, found in tracks.items():
        entered = run.entered.get(atom) or next((mark for track in found if (mark := _entered_here(track))), None)
        at = run.opened.get(atom) or entered
        if at is not None:
            how = _how_it_ends(atom, found, atom in handed, entered is not None)
            run.observe(("census", "opened", atom), Opened(at, how, atom[2].flavour))


def _entered_here(track: Track) -> Mark | None:
    """The `with` of this function around a session, not one in a callee whose rows have come here."""
    mark = track.mark(ENTERED)
    return mark if mark is not None and mark[2] is None else None


def _how_it_ends(atom: Atom, tracks: list[Track], handed: bool, entered: bool) -> str:
    if entered:
        return BY_WITH
    if atom[2].kind == BORROWED:
        return OVER_A_CONNECTION
    if all(not ts.may(track.word, ts.OPEN) for track in tracks):
        return BY_HAND
    return HANDED_ON if handed else LEFT_OPEN


def _handed_on(state: State) -> set[Atom]:
    found = {atom for atom in state.escaped if atom[0] == v.SESSION}
    found |= reachable_sessions(state, state.env.get(RETURNED, v.UNKNOWN))
    for value in state.stores.values():
        found |= reachable_sessions(state, value)
    return found


def _work(run: Run, states: list[State]) -> None:
    flavours: set[str] = set()
    given = False
    for state in states:
        for atom, track in state.heap.items():
            if type(track) is Track and ts.may(track.word, ts.DATABASE):
                for kind in v.ordered(run.type_of(atom)):
                    if kind[0] in (v.ANY_SESSION, v.REGISTRY):
                        flavours.add(kind[1].flavour)
                        given = given or atom[0] != v.SESSION
    if flavours:
        run.observe(("census", "worked"), Worked(tuple(sorted(flavours)), given))


def _rows(run: Run, normal: list[State]) -> None:
    at, leave = None, False
    for state in normal:
        returned = _instances(state, state.env.get(RETURNED, v.UNKNOWN))
        for atom, track in state.heap.items():
            if type(track) is Instance and track.owner is not None and track.owner[0] == v.SESSION:
                at = at or track.mark(LOADED)
                leave = leave or (atom in returned and ts.may(track.word, DETACHED))
    if at is not None:
        run.observe(("census", "rows"), Rows(at, leave))


def _instances(state: State, value: Value, depth: int = 3) -> set[Atom]:
    found: set[Atom] = set()
    for atom in value if depth else ():
        if atom[0] == v.ENTITY:
            found.add(atom)
        elif atom[0] == v.MANY:
            found |= _instances(state, atom[1], depth - 1)
        elif atom[0] == v.TUPLE:
            for part in atom[1]:
                found |= _instances(state, part, depth - 1)
    return found


def commits(run: Run, state: State, session: Atom, how: str, mark: Mark) -> None:
    """A commit is about to happen: note it if it may have something to write."""
    if run.solver.takes_census and (_may_write(state, session) or (how == BY_COMMIT and _is_given(run, session))):
        run.observe(("census", "committed", mark), Committed(mark, how))


def _may_write(state: State, session: Atom) -> bool:
    return ts.may(state.track(session).word, ts.DIRTY) or state.floating is not None


def _is_given(run: Run, session: Atom) -> bool:
    """Does the session come from elsewhere, so that others may have written on it? What a manager commits after its
    `yield` is noted where it is entered."""
    return session[0] != v.SESSION and not run.fn.is_generator


def configures(run: Run, what: str, flavour: str, names: list[str], position: ir.Pos) -> None:
    """An engine or factory is made."""
    if run.solver.takes_census:
        mark = run.mark(position)
        run.observe(("census", "configured", mark), Configured(mark, what, flavour, tuple(sorted(names))))


KINDS = (Opened, Committed, Worked, Rows, Configured)

__all__ = [
    "KINDS",
    "Committed",
    "Configured",
    "Opened",
    "Rows",
    "Worked",
    "commits",
    "configures",
    "observe",
]
