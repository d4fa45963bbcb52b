"""What a round of a loop finds of the rows that were loaded before the loop, once a round has ended a transaction.

All rows of one query are one atom. What a round does to its row, a refresh or a delete, it does to that row alone; the
next round has another one, which is as it was before the loop, but for the commit that has expired all of them.
"""

from __future__ import annotations

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.state import ALL_ROWS, DETACHED, Instance, State
from hermetic.engine.values import Atom, Value, elements

LISTS = frozenset((v.MANY, v.TUPLE, v.RESULT))
MOST_LEVELS = 3  # of objects around a row


def rows_of(state: State, iterated: Value, items: Value) -> frozenset[Atom]:
    """The rows that a loop goes through, also in objects around them; none where it may fetch them as it goes."""
    found: set[Atom] = set()
    level = items if all(atom[0] in LISTS for atom in iterated) else v.UNKNOWN
    for _ in range(MOST_LEVELS):
        inner = elements(level)
        for atom in level:
            if atom[0] == v.ENTITY:
                found.add(atom)
            elif atom[0] == v.OBJECT:
                inner = inner.union(*(value for _, value in state.fields(atom).items))
        level = inner
    return frozenset(found)


def without(state: State, rows: frozenset[Atom]) -> State:
    """The state if there are no such rows, so that what a loop does to each of them is done to all there are."""
    if not rows.isdisjoint(state.heap):
        state.heap = {atom: known for atom, known in state.heap.items() if atom not in rows}
    return state


def begin(state: State, before: list[dict[Atom, object]], rows: frozenset[Atom]) -> None:
    """A round begins: `before` is what was known before the loop, and `rows` are those that it goes through."""
    changed = None
    for heap in before:
        for atom, first in heap.items():
            known = state.heap.get(atom)
            if known is not first and type(first) is Instance and type(known) is Instance:
                now = _in_next_round(first, known, atom in rows)
                if now is not known:
                    changed = changed or dict(state.heap)
                    changed[atom] = now
    if changed is not None:
        state.heap = changed


def _in_next_round(first: Instance, known: Instance, is_another: bool) -> Instance:
    """A row before the loop and after some round of it, or `is_another` of the same query."""
    for flag, every in ALL_ROWS.items():
        place = known.mark(every)
        if place is not None and place != first.mark(every) and not ts.may(first.word, DETACHED):
            if is_another:
                return first.put(flag, place)
            return known.put(flag, place) if ts.may(known.word, flag) else known
    return known
