"""Relationships of rows that are reached through a relationship of a row: `order.lines` of each of `user.orders`.

Nothing is kept of such a row but the names of what is loaded with the row that it is reached from, wherever on the way
to it they stand. Silent where the row at the end may be in the session anyhow.
"""

from __future__ import annotations

from hermetic.engine import entities, typestate as ts
from hermetic.engine.classes import RELATIONSHIP
from hermetic.engine.observations import EndedUse
from hermetic.engine.run import Run
from hermetic.engine.stale import row_class
from hermetic.engine.state import DETACHED, EXPIRED, LOADED, UNSEEN, Instance, Mark, State
from hermetic.engine.values import Atom
from hermetic.models.sqlalchemy import ASYNC


def read(run: Run, state: State, atom: Atom, name: str, mark: Mark) -> None:
    """An attribute of `atom` is read, which may be such a row: is it loaded, and if not, can it be?"""
    way = entities.way_to(atom)
    known = state.instance(way[1]) if way is not None else None
    if way is None or known is None or not _is_left_out(run, state, way, known, name):
        return
    where = known.mark(LOADED)
    if ts.must(known.word, DETACHED):
        found = EndedUse(mark, "unloaded", name, known.mark(DETACHED), where, True, way[1])
    elif ts.may(known.word, DETACHED) or ts.may(known.word, EXPIRED):
        return
    elif entities.flavour_of(run, known.owner) == ASYNC and not run.offloaded:
        found = EndedUse(mark, "unloaded_async", name, None, where, True, way[1])
    else:
        entities.note_loaded(state, atom, name)  # an open sync session loads it
        return
    run.observe(("ended", way[1], name, "unloaded"), found)


def _is_left_out(run: Run, state: State, way: Atom, known: Instance, name: str) -> bool:
    """Is the attribute a relationship that nothing has loaded, of a row that was loaded with the one on the way?"""
    classes, class_id = run.types.classes, row_class(run, way[1])
    related = classes.target(class_id, way[2]) if class_id is not None else None
    if class_id is None or related is None or classes.attribute_kind(related, name) != RELATIONSHIP:
        return False
    if entities.is_made_here(known) or UNSEEN in known.loaded or _is_loaded(known, name):
        return False
    if not _is_loaded(known, way[2]) and entities.loads_lazily(classes, class_id, way[2]):
        return False  # that is what has to be told
    if entities.is_read_through_loaded(run, related, name, known):
        return False
    noted = state.instance(way)
    if (noted is not None and name in noted.loaded) or not entities.loads_lazily(classes, related, name):
        return False
    wanted = classes.target(related, name)
    if wanted is None or _are_alike(run, wanted, related):
        return False  # what is related to its own class may be loaded to any depth
    return classes.is_collection(related, name) or not _may_be_found(run, state, known, class_id, wanted)


def _is_loaded(known: Instance, name: str) -> bool:
    return any(name in loaded.split(".") for loaded in known.loaded)


def _are_alike(run: Run, one: int, other: int) -> bool:
    return one in run.types.classes.mro(other) or other in run.types.classes.mro(one)


def _may_be_found(run: Run, state: State, known: Instance, passed: int, wanted: int) -> bool:
    """Can the one row be in the session already: of the class that is come from, or loaded by another query?"""
    there = {passed}
    for atom, other in state.heap.items():
        if type(other) is Instance and other.owner == known.owner:
            class_id = row_class(run, atom)
            there |= {class_id} if class_id is not None else set()
    return any(_are_alike(run, one, wanted) for one in there)
