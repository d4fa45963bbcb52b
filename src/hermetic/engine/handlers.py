"""`except`: which handler gets what a body raises."""

from __future__ import annotations

from hermetic.engine import ir, typestate as ts
from hermetic.engine.ir import Expr, Node
from hermetic.engine.operations import ABSENT
from hermetic.engine.run import DATABASE_ERROR, ERROR, EXPLICIT, THROWN, Raised, Run
from hermetic.engine.state import IN_PART, State, Track
from hermetic.engine.values import Atom
from hermetic.engine.walk import last_name
from hermetic.models.exceptions import CATCH_ALL, DATABASE_ERRORS, EVERY_DATABASE_ERROR, NO_ROW, RESULT_ERRORS


def dispatch(run: Run, raised: list[Raised], handlers: tuple[Node, ...]) -> tuple[list[Raised], list[list[Raised]]]:
    """Which handler gets what; a specific handler gets its share of an unspecific error, which also goes on."""
    caught: list[list[Raised]] = [[] for _ in handlers]
    unhandled = []
    kinds = [_handler_kind(handler[0]) for handler in handlers]
    for exit_ in raised:
        remains = exit_
        for number, kind in enumerate(kinds):
            share = _share(exit_, kind)
            if share:
                caught[number].append(exit_)
            if share == 2:
                break
            if share and exit_.kind == DATABASE_ERROR:
                remains = exit_._replace(state=_handled_in_part(exit_))
        else:
            unhandled.append(remains)
    return unhandled, caught


def note_missing(types: Expr, entries: list[Raised], writes: bool) -> bool:
    """`except NoResultFound`: a row was looked for and not found. Is that all that the handler is for? `writes`: of a
    row that is there something is committed as well, which is more than to get or create it."""
    kind = _handler_kind(types)
    if NO_ROW in kind and not writes:
        for entry in entries:
            if entry.names == RESULT_ERRORS:
                entry.state.decisions |= {ABSENT}
    return kind <= RESULT_ERRORS


def decided_no_more(states: list[State], before: list[frozenset[Atom]]) -> None:
    """The handler and the body come together again: what follows does not depend on which of them it was."""
    common = frozenset.intersection(*before)
    for state in states:
        state.decisions = common


def _handled_in_part(exit_: Raised) -> State:
    """The state in which an error goes on that is of no type that is handled."""
    state = exit_.state.copy()
    for atom, track in list(state.heap.items()):
        if type(track) is Track and ts.may(track.word, ts.FAILED):
            state.put(atom, track.with_mark(IN_PART, exit_.mark))
    return state


def _handler_kind(types: Expr) -> frozenset[str]:
    """The last names of the exception classes of an `except`; of a bare one, BaseException."""
    if types is None:
        return frozenset(("BaseException",))
    if type(types) is tuple and types[0] == ir.SEQ:
        return frozenset(last_name(part) for part in types[2])
    if type(types) is tuple and types[0] == ir.MIX:
        return frozenset(last_name(part) for part in types[1])
    if type(types) is tuple and types[0] == ir.BOOL:
        return _handler_kind(types[2][-1 if types[1] else 0])  # `except A or B` catches A: classes are true
    return frozenset((last_name(types),))


def _share(exit_: Raised, handler: frozenset[str]) -> int:
    """0: not caught here; 1: some of it may be; 2: all of it is."""
    if handler & CATCH_ALL:
        return 2
    if exit_.kind == DATABASE_ERROR:
        if handler & EVERY_DATABASE_ERROR:
            return 2
        return 1 if handler & DATABASE_ERRORS else 0
    if exit_.kind == EXPLICIT and exit_.names:
        return 2 if handler & exit_.names else 0
    if exit_.kind in (ERROR, THROWN, EXPLICIT):
        return 0 if handler <= RESULT_ERRORS else 1
    return 0
