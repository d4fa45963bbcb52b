"""Copies of rows, a pydantic model say, that are changed after a wait and written back whole.

A copy is known by what it was made from: a row that a callee loaded, and nothing else. It is believed to be written
back whole if it is given, under its own name, to a callee that loads a row of that class itself, and commits.
"""

from __future__ import annotations

from hermetic.engine import values as v
from hermetic.engine.ir import Node
from hermetic.engine.observations import StaleWrite
from hermetic.engine.run import Run
from hermetic.engine.state import EDITED, ENTITY_FRESH, STALE, Instance, Mark, State
from hermetic.engine.values import Atom, Value


def grow_stale(state: State, mark: Mark) -> None:
    """A wait: the rows that variables hold copies of may have changed meanwhile."""
    changed = None
    for value in state.env.values():
        for row in _copied(value):
            if state.heap.get(row) is None:
                changed = dict(state.heap) if changed is None else changed
                changed[row] = Instance(None, ENTITY_FRESH).put(STALE, mark)
    if changed is not None:
        state.heap = changed


def forget(state: State, row: Atom) -> None:
    """The row is loaded anew, in another round of a loop."""
    known = state.instance(row)
    if known is not None and known.owner is None and known.mark(STALE) is not None:
        state.heap = {atom: track for atom, track in state.heap.items() if atom != row}


def _copied(value: Value) -> tuple[Atom, ...]:
    """The rows that a value is a copy of."""
    found: list[Atom] = []
    for atom in value:
        if atom[0] == v.DERIVED and all(source[0] == v.ENTITY for source in atom[1]):
            found.extend(v.ordered(atom[1]))
    return tuple(found)


def edited(run: Run, state: State, copy: Atom, mark: Mark) -> None:
    """An attribute of what may be a copy is set."""
    for row in _copied(frozenset((copy,))):
        known = state.instance(row)
        if known is not None and known.owner is None and known.mark(STALE) is not None:
            run.edits = True
            state.put(row, known.noted(EDITED, mark))


def written_back(run: Run, state: State, made: list[Atom], mark: Mark) -> None:
    """A callee that commits, or leaves something to be committed, is called at `mark`, and has loaded these."""
    classes = {run.class_of(atom[2]) for atom in made if atom[0] == v.ENTITY} - {None}
    for name in _given_names(run.call_node) if classes else ():
        for row in _copied(state.env.get(name, v.UNKNOWN)):
            known = state.instance(row)
            wait = known.mark(STALE) if known is not None else None
            if known is not None and wait is not None and known.mark(EDITED) is not None:
                if run.class_of(row[2]) in classes:
                    run.observe(("stale", row, "copy"), StaleWrite(mark, wait, None, mark, "", "warning", row))


def _given_names(call: Node | None) -> list[str]:
    if call is None:
        return []
    return [argument for argument in (*call[2], *(value for _, value in call[3])) if type(argument) is str]
