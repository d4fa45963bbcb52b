"""A helper that swallows a failure and tells of it: `return None`, `return False`, `return []`. In its caller the path
on which it does so is followed apart from the others, with the session as it is then."""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.run import Run, Told
from hermetic.engine.state import FALSE, State

TELLING = v.NOTHING | v.NO | v.EMPTY


def settle(run: Run, returns: v.Value) -> None:
    """A call has ended: which of the values that it returns tells of the failure, if it is a single one?"""
    if run.told is not None:
        told = returns & TELLING
        run.told = run.told._replace(value=told) if len(told) == 1 else None


def after(run: Run, expression: Expr) -> Told | None:
    """What the call that an expression consists of, and that was just made, may have told."""
    call = expression
    while type(call) is tuple and call[0] in (ir.AWAIT, ir.NOT):
        call = call[1]
    is_call = type(call) is tuple and call[0] == ir.CALL
    return run.told if run.told is not None and is_call and call[4] == run.told.position else None


def assigned(state: State, told: Told, name: str) -> State:
    """Where the result of the call goes into a variable: the path with the failure; `state` remains without it."""
    failed = state.copy()
    failed.put(told.session, told.failed)
    failed.set(name, told.value)
    if told.value == v.EMPTY:  # which a helper may give without a failure, too
        failed.learn(name, FALSE)
    else:
        state.set(name, state.env.get(name, v.UNKNOWN) - told.value)
    return failed


def tested(branch: State, told: Told, test: Expr, outcome: bool) -> None:
    """Where the call is a test: this branch is the path with the failure, or one of the others; all that tells is
    false."""
    negated = type(test) is tuple and test[0] == ir.NOT
    if outcome == negated:
        branch.put(told.session, told.failed)
