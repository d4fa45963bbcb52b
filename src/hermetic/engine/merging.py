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
    """The last two states that have the same sessions open, which joined would be open on some paths, and of these
    rather two that are told apart by nothing that is written; else the last."""
    opened = [open_sessions(state) for state in states]
    alike = [
        (one, other)
        for other in range(len(states) - 1, 0, -1)
        for one in range(other - 1, -1, -1)
        if opened[one] == opened[other]
    ]
    told_apart = (pair for pair in alike if not _would_be_two_parts(states[pair[0]], states[pair[1]]))
    return next(told_apart, alike[0] if alike else (len(states) - 2, len(states) - 1))


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
    if _would_be_two_parts(left, right) or _found_nothing(left, right):
        return False
    return all(_constant(left, name) == _constant(right, name) for name in flags)


def has_failed(state: State) -> bool:
    """Has a session failed, and nobody rolled it back?"""
    return any(type(track) is Track and ts.may(track.word, ts.FAILED) for track in state.heap.values())


def _found_nothing(left: State, right: State) -> bool:
    """Has a session failed on the one path, and left a list empty that the other has filled? What is done with each of
    its items is not done there."""
    if not left.handled and not right.handled:
        return False
    failed = has_failed(left)
    if failed == has_failed(right):
        return False
    one, other = (left, right) if failed else (right, left)
    return any(value == v.EMPTY and other.env.get(name) != v.EMPTY for name, value in one.env.items())


def _would_be_two_parts(left: State, right: State) -> bool:
    """Was it committed on the one path, and is it still to be on the other?"""
    return left.log != right.log and _unwritten(left) != _unwritten(right)


def _unwritten(state: State) -> bool:
    """Is something pending that no commit has written yet?"""
    return state.floating is not None or any(
        type(track) is Track and ts.may(track.word, ts.DIRTY) for track in state.heap.values()
    )


def _constant(state: State, name: str) -> Value | None:
    value = state.env.get(name)
    return value if value in (v.NOTHING, v.YES, v.NO) else None
