"""Calls of what nothing is known of."""

from __future__ import annotations

from hermetic.engine import ir, stale, unsaved, values as v
from hermetic.engine.entities import put_into
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.project import Arguments, Keywords
from hermetic.engine.run import ERROR, Run
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import State
from hermetic.engine.values import Value
from hermetic.engine.waits import wait_by_name


def call_unknown(run: Run, state: State, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Something is called of which nothing is known."""
    run.raise_(state, ERROR, run.mark(position))
    for argument in (*args, *kwargs.values()):
        lend(run, state, argument)
    answer = v.derived(*args, *kwargs.values())
    if run.call_node is not None and run.call_node[4] == position:
        answer = v.union(answer, _looked_up(run, state, run.call_node))
        waits_for = wait_by_name(run, run.call_node)
        if waits_for is not None:
            stale.lapse(run, state, waits_for, run.mark(position), lambda: v.sources(answer))
            return v.answered(answer)
    return answer


def _looked_up(run: Run, state: State, call: ir.Node) -> Value:
    """`answer.get("row")` of what was computed from rows gives something that was, too."""
    callee = call[1]
    if type(callee) is tuple and callee[0] == ir.ATTR and callee[2] in LOOK_UPS and type(callee[1]) is str:
        return frozenset(atom for atom in state.env.get(callee[1], ()) if atom[0] == v.DERIVED)
    return v.UNKNOWN


LOOK_UPS = frozenset(("get", "pop"))


# Of the atoms that `sessions_in` finds sessions in: their kinds.
HOLDING_SESSIONS = v.PLACES | {v.SESSION, v.ANY_SESSION}


def lend(run: Run, state: State, argument: Value) -> None:
    """An argument of a call that nobody can follow: a session stays ours, its bound `close` does not."""
    for atom in argument:
        if atom[0] == v.OPERATION and atom[2] in ("close", "aclose", "remove"):
            for session in reachable_sessions(state, frozenset((atom,))):
                state.escaped |= {session}
        if atom[0] == v.ENTITY:
            put_into(state, frozenset((atom,)))
        if atom[0] in HOLDING_SESSIONS:
            for target, _ in sessions_in(run, frozenset((atom,))):
                run.solver.unresolved.add((run.fn.id, target))
    unsaved.lend_among(state, argument)
