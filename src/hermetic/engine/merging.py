"""Which of the states of several paths are joined, so that their number stays small."""

from __future__ import annotations

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.state import THROWN_CAUGHT, State, Track, join
from hermetic.engine.values import Atom, Value

# More states than this are joined, whatever their facts.
MOST_STATES = 4


def merge(states: list[State], flags: frozenset[str] = frozenset()) -> list[State]:
    """Join states that need not be told apart: same sessions, or same facts; at most MOST_STATES remain.

    `flags`: the variables that the function uses to remember what it did.
    """
    if len(states) < 2:
        return states
    out: list[State] = []
    for state in states:
        for number, known in enumerate(out):
            if (THROWN_CAUGHT in known.env) != (THROWN_CAUGHT in state.env):
                continue
            if _same_heap(known, state) or _same_facts(known, state, flags):
                out[number] = join(known, state)
                break
        else:
            out.append(state)
    while len(out) > MOST_STATES:
        one, other = _most_alike(out)
        out[one] = join(out[one], out.pop(other))
    return out


def _most_alike(states: list[State]) -> tuple[int, int]:
    """The last two states that have the same sessions open, which joined would be open on some paths; else the last."""
    opened = [open_sessions(state) for state in states]
    for other in range(len(states) - 1, 0, -1):
        for one in range(other - 1, -1, -1):
            if opened[one] == opened[other]:
                return one, other
    return len(states) - 2, len(states) - 1


def open_sessions(state: State) -> frozenset[Atom]:
    """The sessions that are open, and to be closed here, on some path to here."""
    return frozenset(
        [atom for atom, track in state.heap.items() if type(track) is Track and ts.may(track.word, ts.OPEN)]
    )


def _same_heap(left: State, right: State) -> bool:
    if left.escaped != right.escaped:
        return False
    return left.heap is right.heap or left.heap == right.heap


def _same_facts(left: State, right: State, flags: frozenset[str]) -> bool:
    if left.facts is not right.facts and left.facts != right.facts:
        return False
    if left.log != right.log and _unwritten(left) != _unwritten(right):
        return False  # either it was committed, or it is still to be: together they would be two parts
    return all(_constant(left, name) == _constant(right, name) for name in flags)


def _unwritten(state: State) -> bool:
    """Is something pending that no commit has written yet?"""
    return state.floating is not None or any(
        type(track) is Track and ts.may(track.word, ts.DIRTY) and track.mark(ts.DIRTY) is not None
        for track in state.heap.values()
    )


def _constant(state: State, name: str) -> Value | None:
    value = state.env.get(name)
    return value if value in (v.NOTHING, v.YES, v.NO) else None
