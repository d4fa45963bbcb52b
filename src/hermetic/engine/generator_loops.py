"""Loops over a generator function that yields once: `for session in get_session(): ...`."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.engine import blocks, ir, typestate as ts, values as v
from hermetic.engine.evaluate import assign
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.observations import Leak
from hermetic.engine.project import enter_context
from hermetic.engine.run import Exits, Run
from hermetic.engine.state import CREATED, State
from hermetic.engine.values import Atom, Value

RunBlock = Callable[[Run, Block, list[State]], list[State]]


def single_round(run: Run, iterable: Expr, value: Value) -> Atom | None:
    """The generator that a loop alone goes over, if it yields once only: `for session in get_session()`."""
    if len(value) != 1 or type(iterable) is not tuple or iterable[0] != ir.CALL:
        return None
    (atom,) = value
    is_generator = atom[0] == v.DEFERRED and atom[1] == "generator" and atom[2] is not None
    return atom if is_generator and run.solver.yields_once(run.code.functions[atom[2]]) else None


def run_loop(run: Run, node: Node, state: State, generator: Atom, run_block: RunBlock) -> list[State]:
    """Such a loop is entered and left as a `with` is. Whoever leaves it early drops the generator, which ends it at
    once; an asynchronous one is ended by the event loop, when it comes to it."""
    _, target, _, body, orelse, line, _ = node
    handed, left = enter_context(run, state, generator, (line, -1, line, -1))
    if state.dead:
        return []
    assign(run, state, target, handed, line)
    outer = run.exits
    inner = run.exits = Exits()
    inner.last = outer.last
    after = run_block(run, body, [state])
    run.exits = outer
    early = [*inner.returns, *inner.breaks]
    if run.code.functions[generator[2]].is_async:
        _left_to_the_event_loop(run, early, handed)
    leaving: list[tuple[str, object]] = [("context", left)]
    for exit_ in inner.raises:
        run.unwinding += 1
        blocks.leave(run, exit_.state, leaving, line, raised=True)
        run.unwinding -= 1
        outer.raises.append(exit_)
    for dropped in early:
        blocks.leave(run, dropped, leaving, line, raised=True)
    after += inner.continues
    for finished in after:
        blocks.leave(run, finished, leaving, line, raised=False)
    outer.returns.extend(returned for returned in inner.returns if not returned.dead)
    after = [finished for finished in after if not finished.dead]
    return (run_block(run, orelse, after) if orelse else after) + inner.breaks


def _left_to_the_event_loop(run: Run, states: list[State], handed: Value) -> None:
    for state in states:
        for session in v.ordered(reachable_sessions(state, handed)):
            track = state.track(session)
            created = track.mark(CREATED)
            if created is not None and ts.may(track.word, ts.TRANSACTION):
                run.observe(("leak", session, "left"), Leak(created, "left", None, session))
