"""`with`: what entering a value gives, and what has to be done when its block is left."""

from __future__ import annotations

from typing import Any

from hermetic.engine import (
    app_contexts,
    census,
    concurrency,
    ir,
    operations,
    sessions,
    toolkit,
    typestate as ts,
    unsaved,
    values as v,
)
from hermetic.engine.project import (
    call_function,
    enter_context,
    leave_context,
    named,
)
from hermetic.engine.run import ERROR, EXPLICIT, Run
from hermetic.engine.scopes import MODES
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import CREATED, ENTERED, SCOPED, State, Track
from hermetic.engine.values import Atom, Value
from hermetic.models.python import POOLS
from hermetic.models.scopes import READER
from hermetic.models.toolkit import RELEASED


def enter(run: Run, state: State, context: Value, position: ir.Pos) -> tuple[Value, list[tuple[str, Any]]]:
    """`with context as x`: the value of x, and what has to be done when the block is left."""
    out = v.UNKNOWN
    leaving: list[tuple[str, Any]] = []
    for atom in v.ordered(context):
        value = _enter_atom(run, state, atom, position, leaving)
        out = v.union(out, value)
    return out, leaving


def _enter_atom(run: Run, state: State, atom: Atom, position: ir.Pos, leaving: list[tuple[str, Any]]) -> Value:
    kind = atom[0]
    if kind == v.DEFERRED and atom[1] == "context":
        value, left = enter_context(run, state, atom, position)
        leaving.append(("context", left))
        return value
    if kind == v.DEFERRED and atom[1] == "done":
        return Value(atom[2])
    if kind == v.DEFERRED and atom[1] == "coroutine":
        value, more = enter(run, state, run.solver.force(run, state, v.one(atom), position), position)
        leaving.extend(more)
        return value
    if kind == v.DEFERRED and atom[1] == "generator":
        # contextlib.closing(generator())
        return v.one(atom)
    if kind == v.BORROWED:
        if len(atom) > 2:
            leaving.append(("given", atom[1]))
        return Value(atom[1])
    if kind == v.TRANSACTION:
        if atom[2] in MODES:
            return _enter_scope(run, state, atom, position, leaving)
        if atom[2] == RELEASED:
            toolkit.release(run, state, atom[1], position)
            leaving.append(("released", atom[1]))
            return v.NOTHING
        leaving.append(("transaction", atom))
        if atom[2] == "own":
            _entered(run, state, atom[1], position)
            return frozenset((atom[1],))
        return v.one(atom)
    atom = named(run, state, atom, position)
    found = sessions_in(run, frozenset((atom,)))
    if found:
        for target, type_ in found:
            _entered(run, state, target, position)
            leaving.append(("session", (target, type_)))
        return frozenset((atom,))
    return _enter_object(run, state, atom, position, leaving)


def _enter_scope(run: Run, state: State, scope: Atom, position: ir.Pos, leaving: list[tuple[str, Any]]) -> Value:
    """A scope inside of another one joins it: nothing ends with it."""
    session = scope[1]
    track = state.track(session)
    if track.mark(SCOPED) is None:
        mark = run.mark(position)
        fresh = Track(ts.keep(ts.clear(track.word, ts.CLOSED), ts.OPEN), track.marks)
        state.put(session, fresh.with_mark(ENTERED, mark).with_mark(SCOPED, mark))
        leaving.append(("scope", scope))
    return v.one(session)


def _leave_scope(run: Run, state: State, scope: Atom, position: ir.Pos, raised: bool) -> None:
    before = len(run.exits.raises)
    if scope[2] == READER:
        for target, type_ in sessions_in(run, v.one(scope[1])):
            sessions.operate(run, state, target, type_, "close", run.mark(position), False)
    else:
        _leave_transaction(run, state, (v.TRANSACTION, scope[1], "own"), position, raised)
    for ended in (state, *(exit_.state for exit_ in run.exits.raises[before:])):
        ended.put(
            scope[1], ended.track(scope[1]).without(SCOPED).without(ENTERED)
        )  # the next scope has another session


def _entered(run: Run, state: State, session: Atom, position: ir.Pos) -> None:
    track = state.track(session)
    state.put(session, track.with_mark(ENTERED, run.mark(position)))


# What `with` enters gives itself, as far as nothing else is known of it.
ENTERED_THEMSELVES = frozenset((v.EXT_OBJECT, v.OBJECT, v.INSTANCE, v.CONNECTION))


def _enter_object(run: Run, state: State, atom: Atom, position: ir.Pos, leaving: list[tuple[str, Any]]) -> Value:
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] != v.INSTANCE:
            if kind[0] == v.EXT_OBJECT:
                leaving.append(("library", kind[1]))
            continue
        for enter_name, exit_name in (("__enter__", "__exit__"), ("__aenter__", "__aexit__")):
            found = run.types.classes.member(kind[1], enter_name)
            if found is not None and type(found.item) is int:
                leaving.append(("object", (atom, exit_name)))
                value = run.solver.force(
                    run, state, call_function(run, state, found.item, atom, [], {}, position), position
                )
                for session, _ in sessions_in(run, value):
                    run.entered.setdefault(session, run.mark(position))
                return value
        for base in run.types.classes.external_bases(kind[1]):
            leaving.append(("library", base))
        found = run.types.classes.member(kind[1], "close")
        if found is not None and type(found.item) is int:
            leaving.append(("closing", (atom, found.item)))
            return frozenset((atom,))
    return frozenset((atom,)) if atom[0] in ENTERED_THEMSELVES or atom[0] in v.PLACES else v.UNKNOWN


def leave(run: Run, state: State, leaving: list[tuple[str, Any]], line: int, raised: bool) -> None:
    """The block of a `with` is left, normally or by an exception: innermost item first."""
    position = (line, -1, line, -1)
    before = state.copy() if run.forgotten and not raised else None
    for how, what in leaving[::-1]:
        if how == "session":
            target, type_ = what
            sessions.operate(run, state, target, type_, "close", run.mark(position), False)
        elif how == "context":
            leave_context(run, state, what, raised)
        elif how == "transaction":
            _leave_transaction(run, state, what, position, raised)
        elif how == "released":
            toolkit.resume(run, state, what)
        elif how == "given":
            _give_back(state, what)
        elif how == "application":
            app_contexts.leave(run, state, what, line)
        elif how == "scope":
            _leave_scope(run, state, what, position, raised)
        elif how == "object":
            _leave_object(run, state, what, position, raised)
        elif how == "closing":
            atom, function = what
            run.solver.force(run, state, call_function(run, state, function, atom, [], {}, position), position)
        elif how == "library":
            if what in POOLS or what.endswith(("TaskGroup", "create_task_group", "open_nursery")):
                concurrency.tasks_joined(state)
    if before is not None:
        concurrency.closed_under_tasks(run, state, before)


def _give_back(state: State, objects: Value) -> None:
    """A context manager that nobody here sees into has ended what it gave: nothing is known of its sessions now."""
    kept = {
        atom: known for atom, known in state.heap.items() if type(known) is not Track or v.root(atom) not in objects
    }
    if len(kept) < len(state.heap):
        state.heap = kept


def _leave_transaction(run: Run, state: State, transaction: Atom, position: ir.Pos, raised: bool) -> None:
    _, session, nested = transaction
    if session is None:
        return
    for target, type_ in sessions_in(run, frozenset((session,))):
        mark = run.mark(position)
        if nested is True:
            if raised:
                sessions.to_savepoint(state, target)
            continue
        if not raised:
            census.commits(run, state, target, census.BY_BLOCK, mark)
        before = len(run.exits.raises)
        sessions.operate(run, state, target, type_, "rollback" if raised else "commit", mark, False)
        # A commit that fails here is rolled back by the block itself, and what the block opened is closed.
        ends = [exit_.state for exit_ in run.exits.raises[before:]]
        for failed in ends:
            sessions.operate(run, failed, target, type_, "rollback", mark, False)
        if not raised and nested is False and not run.fn.is_generator:  # from a yield on, the block is the caller's
            state.log = operations.begun_by_a_block(state.log, mark)
        for ended in (state, *ends) if nested == "own" else ():
            sessions.operate(run, ended, target, type_, "close", mark, False)


def _leave_object(run: Run, state: State, what: tuple[Atom, str], position: ir.Pos, raised: bool) -> None:
    atom, exit_name = what
    before, raised_before = state.heap, len(run.exits.raises)
    protects = False
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] == v.INSTANCE:
            found = run.types.classes.member(kind[1], exit_name)
            if found is not None and type(found.item) is int:
                protects = protects or any(
                    node[0] == ir.TRY and node[4] for node in run.code.functions[found.item].body
                )
                given = v.YES if raised else v.NOTHING
                value = call_function(run, state, found.item, atom, [given, given, given], {}, position)
                run.solver.force(run, state, value, position)
                if not raised and run.types.classes.member(kind[1], "commit") is not None:
                    unsaved.discard(run, state, before, run.mark(position))
    itself = (EXPLICIT, ERROR) if protects else (EXPLICIT,)
    raises = [exit_.state for exit_ in run.exits.raises[raised_before:] if exit_.kind in itself]
    _close_what_it_opened(state, before, raises)
    for session, mark in run.entered.items():
        track = state.track(session)
        if ts.must(track.word, ts.CLOSED) and track.mark(ENTERED) is None:  # the block has ended it, as `with` does
            state.put(session, track.with_mark(ENTERED, mark))


def _close_what_it_opened(state: State, before: dict[Atom, Any], raised: list[State]) -> None:
    """A manager that closes a session on some of its ways out knows whose it is: `if self._owned: ...`. What it raises
    instead, before all, tells of another misuse."""
    if state.heap is before:
        return
    for atom, track in state.heap.items():
        known = before.get(atom)
        if atom[0] != v.SESSION or known is None or not ts.may(track.word, ts.CLOSED) or ts.may(known.word, ts.CLOSED):
            continue
        for end in (state, *raised):
            left = end.track(atom)
            if ts.may(left.word, ts.OPEN):
                end.put(atom, left._replace(word=ts.SESSION_OPERATIONS["close"].apply(left.word)))


def suppresses(leaving: list[tuple[str, Any]]) -> bool:
    """Can leaving the block swallow an exception?"""
    for how, what in leaving:
        if how == "library" and what == "contextlib.suppress":
            return True
        if how == "context" and what[0].suppresses:
            return True
    return False


def after_yield(run: Run, state: State) -> None:
    """From a yield on, effects are counted anew: the part before it is what `with` does on entry."""
    state.log = ()
    heap = {}
    for atom, track in state.heap.items():
        if type(track) is Track:
            kept = track.word & (7 << (3 * ts.OPEN)) if track.mark(CREATED) is not None else 4 << (3 * ts.OPEN)
            word = (ts.FOREIGN & ~(7 << (3 * ts.OPEN))) | kept
            heap[atom] = track._replace(word=word, pending=frozenset())
        else:
            heap[atom] = track
    state.heap = heap
