"""Contexts of Flask applications: each has a Flask-SQLAlchemy session of its own, which ends with it.

https://flask-sqlalchemy.readthedocs.io/en/stable/contexts/
"""

from __future__ import annotations

from typing import NamedTuple

from hermetic.engine import ir, sessions, typestate as ts, values as v
from hermetic.engine.construct import FLASK_DATABASE
from hermetic.engine.ir import Expr
from hermetic.engine.run import Run
from hermetic.engine.state import DETACHED, Instance, State, Track
from hermetic.engine.values import Atom
from hermetic.models.frameworks import APPLICATION_CONTEXTS


class Outside(NamedTuple):
    """What was there before the context began, and is there again when it has ended."""

    sessions: dict[Atom, Track]
    rows: frozenset[Atom]


def opens(context: Expr) -> bool:
    """`app.app_context()`: the application itself is seldom known where that is said, but its sessions are."""
    callee = context[1] if type(context) is tuple and context[0] == ir.CALL else None
    return type(callee) is tuple and callee[0] == ir.ATTR and callee[2] in APPLICATION_CONTEXTS


def enter(run: Run, state: State) -> Outside:
    """A new session for every one that was in use."""
    rows = frozenset(atom for atom, track in state.heap.items() if type(track) is Instance)
    outside = Outside({atom: state.track(atom) for atom in _sessions(run, state)}, rows)
    for atom in outside.sessions:
        state.put(atom, Track(ts.FRESH))
    return outside


def leave(run: Run, state: State, outside: Outside, line: int) -> None:
    """The sessions of the context are removed, their rows detached; nobody will meet what became of them."""
    inside = _sessions(run, state)
    before = state.heap
    for atom in inside:
        sessions.each_instance(state, atom, DETACHED, run.mark((line, -1, line, -1)))
    heap = {atom: track for atom, track in state.heap.items() if atom not in inside}
    heap.update({atom: before[atom] for atom in outside.rows if atom in before})
    heap.update({atom: track for atom, track in outside.sessions.items() if atom in inside})
    state.heap = heap
    state.version += 1


def _sessions(run: Run, state: State) -> list[Atom]:
    return [atom for atom, track in state.heap.items() if type(track) is Track and is_of_flask(run, atom)]


def is_of_flask(run: Run, atom: Atom) -> bool:
    if atom[0] != v.FIELD or atom[2] != "session":
        return False
    return any(kind[0] == v.EXT_OBJECT and kind[1] == FLASK_DATABASE for kind in run.type_of(atom[1]))
