"""Work that begins when the endpoint has returned: background tasks, and the bodies of streaming responses."""

from __future__ import annotations

from hermetic.engine import call_uses, ir, typestate as ts, values as v
from hermetic.engine.call_uses import Uses
from hermetic.engine.observations import Outlives
from hermetic.engine.project import Arguments, Keywords
from hermetic.engine.run import Run
from hermetic.engine.session_types import MANAGED
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import ENTERED, State, Track
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import BACKGROUND_METHODS, STREAMING_RESPONSES

FUNCTIONS = (v.FUNCTION, v.METHOD, v.CLOSURE)
# Keywords of the body, https://www.starlette.io/responses/
BODY = ("content",)


def begins(name: str) -> bool:
    """Does a call of this library function start such work?"""
    return name in BACKGROUND_METHODS or name in STREAMING_RESPONSES


def begin(run: Run, state: State, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos) -> None:
    """Look for the request's sessions in what runs afterwards."""
    if name in BACKGROUND_METHODS:
        callee = args[0] if args else kwargs.get("func", v.UNKNOWN)
        named = {key: value for key, value in kwargs.items() if key != "func"}
        uses = _of_call(run, state, callee, list(args[1:]), named, position)
        _report(run, state, uses, "task", position)
        return
    body = args[0] if args else next((kwargs[key] for key in BODY if key in kwargs), v.UNKNOWN)
    uses = {}
    for atom in body:
        if atom[0] == v.DEFERRED and atom[1] in ("generator", "coroutine") and type(atom[2]) is int:
            uses.update(call_uses.sent_over_deferred(run, state, atom, position))
            uses.update(_captured(run, state, v.one((v.FUNCTION, atom[2]))))
    _report(run, state, uses, "stream", position)
    _keeps_open(run, state, uses, position)


def _report(run: Run, state: State, uses: Uses, what: str, position: ir.Pos) -> None:
    for session in v.ordered(uses):
        if _is_of_the_request(run, state, session):
            run.observe(("outlives", session, what), Outlives(run.mark(position), what, session, uses[session]))


def _keeps_open(run: Run, state: State, uses: Uses, position: ir.Pos) -> None:
    """A transaction of an injected session that is open while the body is sent, whoever uses it."""
    for session, track in state.heap.items():
        if type(track) is Track and session not in uses and session[0] == v.PARAM:
            if ts.must(track.word, ts.TRANSACTION) and _is_injected(run, session):
                began = track.mark(ts.TRANSACTION)
                run.observe(("outlives", session, "idle"), Outlives(run.mark(position), "idle", session, began))


def _is_injected(run: Run, session: Atom) -> bool:
    return any(kind[0] == v.ANY_SESSION and kind[1].kind == MANAGED for kind in run.type_of(session))


def _is_of_the_request(run: Run, state: State, session: Atom) -> bool:
    """Does it end with the request: a session that somebody else opened for this call, or that a `with` here ends?"""
    if session[0] == v.SESSION:
        return state.track(session).mark(ENTERED) is not None
    return v.root(session)[0] in (v.PARAM, v.FREE)


def _of_call(run: Run, state: State, callee: Value, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Uses:
    found: Uses = {}
    followed = False
    for atom in v.ordered(callee):
        if atom[0] == v.PARTIAL:
            named = {None if key == "**" else key: value for key, value in atom[3]}
            found.update(_of_call(run, state, v.one(atom[1]), [*atom[2], *args], {**named, **kwargs}, position))
            followed = True
        elif atom[0] in FUNCTIONS:
            receiver = atom[2] if atom[0] == v.METHOD else None
            found.update(call_uses.sent_over(run, state, atom[1], receiver, args, kwargs, position))
            followed = True
    found.update(_captured(run, state, frozenset(atom for atom in callee if atom[0] == v.CLOSURE)))
    if not followed:
        for value in (*args, *kwargs.values()):
            found.update((session, None) for session, _ in sessions_in(run, value))
    return found


def _captured(run: Run, state: State, callee: Value) -> Uses:
    """Sessions of the function around a closure, that it sends statements over."""
    return dict.fromkeys(run.solver.captured_sessions(run, state, callee))


__all__ = ["begin", "begins"]
