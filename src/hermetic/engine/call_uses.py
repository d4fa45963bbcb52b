"""Which sessions a call sends statements over, or ends, that another task or thread will do, or that is done later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hermetic.engine import ir, repository_calls, typestate as ts, values as v
from hermetic.engine.fields import SESSION_OF, reachable_sessions, read_field
from hermetic.engine.project import Arguments, Keywords, bind, key_of
from hermetic.engine.run import ITEM, Run
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import Mark, State, Track
from hermetic.engine.substitution import Substitution, trail
from hermetic.engine.values import Atom, Value
from hermetic.models.python import LOCKS
from hermetic.models.sqlalchemy import ASYNC

Uses = dict[Atom, Mark | None]  # session -> where it is used, as far as that is known


def used_sessions(run: Run, state: State, value: Value) -> dict[Atom, int]:
    """Session -> how many of the deferred calls in a value use it (2 stands for many)."""
    found: dict[Atom, int] = {}
    for atom in v.ordered(value):
        many = atom[0] == v.MANY
        parts = atom[1] if many else frozenset((atom,))
        if atom[0] == v.TUPLE:
            for part in atom[1]:
                for session, count in used_sessions(run, state, part).items():
                    found[session] = found.get(session, 0) + count
            continue
        for part in v.ordered(parts):
            for session in _used_by(run, state, part):
                found[session] = found.get(session, 0) + (2 if many and not _made_in_loop(run, session) else 1)
    return found


def _made_in_loop(run: Run, session: Atom) -> bool:
    """Was the session made in a loop that is over: one for each item?"""
    return len(run.made_in.get(session, ())) > len(run.loops)


def _used_by(run: Run, state: State, atom: Atom) -> set[Atom]:
    """The sessions that one deferred call sends statements over."""
    if atom[0] != v.DEFERRED:
        return set()
    kind = atom[1]
    if kind in ("done", "task"):
        return set(atom[3])
    if kind == "attribute":
        owners = read_field(run, state, atom[2], SESSION_OF[ASYNC])
        return {session for session, _ in sessions_in(run, owners)} or {atom[2]}
    if kind == "operation" and repository_calls.is_method(run, atom[2]):
        return {session for session, _ in sessions_in(run, repository_calls.session_of(run, state, atom[2][1]))}
    if kind == "operation":
        receiver = frozenset((atom[2][1],))
        return {session for session, _ in sessions_in(run, receiver)} if _sends(atom[2][2]) else set()
    if kind == "coroutine" and not takes_turns(run, atom[2]):
        # What is passed in as a coroutine is awaited by it.
        passed = {session for argument in atom[4] for session in used_sessions(run, state, argument)}
        return passed.union(sent_over_deferred(run, state, atom, atom[6]))
    return set()


def _sends(method: str) -> bool:
    operation = ts.SESSION_OPERATIONS.get(method)
    return operation is not None and operation.statement


def takes_turns(run: Run, function: int) -> bool:
    """Does a function work in the block of a lock, so that only one of several calls does so at a time?"""
    fn = run.code.functions[function]
    contexts = [item[0] for statement in fn.statements() if statement[0] == ir.WITH for item in statement[1]]
    return any(
        atom[0] == v.EXT_OBJECT and atom[1] in LOCKS
        for context in contexts
        if type(context) is str or (type(context) is tuple and context[0] == ir.ATTR)
        for atom in run.types.infer(context, fn)
    )


def held_by(run: Run, state: State, callee: Value, args: Arguments, kwargs: Keywords, position: ir.Pos) -> set[Atom]:
    """The sessions that the calling of a value sends statements over, as far as it brings them along or is given them:
    a nested function, a method, a `partial`."""
    found: set[Atom] = set()
    for atom in v.ordered(callee):
        if atom[0] == v.PARTIAL:
            given = [*atom[2], *args]
            named: Keywords = {**named_arguments(atom[3]), **kwargs}
            found |= {session for value in (*atom[2], *named.values()) for session in sessions_among(run, state, value)}
            found |= held_by(run, state, v.one(atom[1]), given, named, position)
        elif atom[0] == v.OPERATION and _sends(atom[2]):
            found |= {session for session, _ in sessions_in(run, v.one(atom[1]))}
        elif atom[0] in (v.FUNCTION, v.METHOD, v.CLOSURE) and not takes_turns(run, atom[1]):
            receiver = atom[2] if atom[0] == v.METHOD else None
            found.update(sent_over(run, state, atom[1], receiver, args, kwargs, position))
            found |= run.solver.captured_sessions(run, state, v.one(atom)) if atom[0] == v.CLOSURE else set()
    return found


def sent_over_deferred(run: Run, state: State, atom: Atom, position: ir.Pos) -> Uses:
    """The same of a call that has only been prepared: a coroutine or a generator."""
    _, _, function, receiver, args, named, _ = atom
    return sent_over(run, state, function, receiver, list(args), named_arguments(named), position)


def sent_over(
    run: Run, state: State, function: int, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Uses:
    """The sessions that a function sends statements over, of those that it is given, and where first. Of generators
    also what comes after the first yield counts."""
    effects, sub = _effects(run, state, function, receiver, args, kwargs, position)
    found: Uses = {}
    for root, track in effects:
        if type(track) is Track and ts.may(track.word, ts.DATABASE) and root[0] != v.SESSION:
            inner = track.mark(ts.DATABASE)
            where = trail(run, position, inner) if inner is not None else None
            found.update((session, where) for session, _ in sessions_in(run, sub.atom(root)))
    return found


def _effects(
    run: Run, state: State, function: int, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> tuple[tuple[tuple[Atom, Any], ...], Substitution]:
    """What a call would do to sessions, in the callee's words, and how to say that in the caller's."""
    fn = run.code.functions[function]
    binding = bind(fn, receiver, args, kwargs)
    summary = run.solver.summary(function, key_of(run, state, fn, binding))
    return (*summary.effects.tracks, *summary.after.tracks), Substitution(run, state, fn, binding, position, summary)


def named_arguments(pairs: Iterable[tuple[str, Value]]) -> Keywords:
    """The keywords of a call that has been prepared."""
    return {None if name == "**" else name: value for name, value in pairs}


def ended_by(run: Run, state: State, callee: Value, args: Arguments, position: ir.Pos) -> set[Atom]:
    """The sessions that a call closes, whichever way it ends well: they are the callee's."""
    found: set[Atom] = set()
    for atom in v.ordered(callee):
        if atom[0] in (v.FUNCTION, v.METHOD, v.CLOSURE):
            effects, sub = _effects(run, state, atom[1], atom[2] if atom[0] == v.METHOD else None, args, {}, position)
        elif atom[0] == v.DEFERRED and atom[1] == "coroutine":
            effects, sub = _effects(run, state, atom[2], atom[3], list(atom[4]), named_arguments(atom[5]), position)
        else:
            continue
        for root, track in effects:
            if type(track) is Track and ts.must(track.word, ts.CLOSED) and root[0] != v.SESSION:
                found.update(session for session, _ in sessions_in(run, sub.atom(root)))
    return found


def sessions_among(run: Run, state: State, value: Value) -> set[Atom]:
    found = {session for session, _ in sessions_in(run, value)} | reachable_sessions(state, value)
    for atom in value:
        if atom[0] == v.TUPLE:
            for part in atom[1]:
                found.update(session for session, _ in sessions_in(run, part))
    return found


def is_one_of_many(run: Run, session: Atom) -> bool:
    """Does the atom stand for several sessions, one for each item of a loop that is over, or of a collection?"""
    made_in = run.made_in.get(session, ())
    if made_in != tuple(run.loops[: len(made_in)]):
        return True
    while session[0] in (v.FIELD, v.CTOR):
        if session[2] == ITEM:
            return True
        session = session[1]
    return session[0] in (v.OBJECT, v.ENTITY)  # known by the place where such an object is made
