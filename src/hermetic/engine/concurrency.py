"""Tasks, threads and executors: which sessions are used beside their owner, or by several at once."""

from __future__ import annotations

from hermetic.engine import ir, repository_calls, typestate as ts, values as v
from hermetic.engine.apply import Substitution, trail
from hermetic.engine.fields import SESSION_OF, reachable_sessions, read_field
from hermetic.engine.observations import Concurrent
from hermetic.engine.project import Arguments, Keywords, bind, key_of
from hermetic.engine.run import ERROR, Run
from hermetic.engine.session_types import REGISTRY
from hermetic.engine.session_values import sessions_in
from hermetic.engine.sessions import hold
from hermetic.engine.state import CREATED, HANDED_OVER, Mark, State, Track
from hermetic.engine.values import Atom, Value
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
        statement = ts.SESSION_OPERATIONS.get(atom[2][2])
        return {session for session, _ in sessions_in(run, receiver)} if statement and statement.statement else set()
    if kind == "coroutine":
        # What is passed in as a coroutine is awaited by it.
        passed = {session for argument in atom[4] for session in used_sessions(run, state, argument)}
        return passed.union(sent_over_deferred(run, state, atom, atom[6]))
    return set()


def sent_over_deferred(run: Run, state: State, atom: Atom, position: ir.Pos) -> Uses:
    """The same of a call that has only been prepared: a coroutine or a generator."""
    _, _, function, receiver, args, named, _ = atom
    kwargs: Keywords = {None if name == "**" else name: value for name, value in named}
    return sent_over(run, state, function, receiver, list(args), kwargs, position)


def sent_over(
    run: Run, state: State, function: int, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Uses:
    """The sessions that a function sends statements over, of those that it is given, and where first. Of generators
    also what comes after the first yield counts."""
    fn = run.code.functions[function]
    binding = bind(fn, receiver, args, kwargs)
    summary = run.solver.summary(function, key_of(run, state, fn, binding))
    sub = Substitution(run, state, fn, binding, position, summary)
    found: Uses = {}
    for root, track in (*summary.effects.tracks, *summary.after.tracks):
        if type(track) is Track and ts.may(track.word, ts.DATABASE) and root[0] != v.SESSION:
            inner = track.mark(ts.DATABASE)
            where = trail(run, position, inner) if inner is not None else None
            found.update((session, where) for session, _ in sessions_in(run, sub.atom(root)))
    return found


def gather(run: Run, state: State, args: Arguments, position: ir.Pos) -> Value:
    """Several awaitables run beside each other; all are waited for."""
    mark = run.mark(position)
    counts: dict[Atom, int] = {}
    for argument in args:
        for session, count in used_sessions(run, state, argument).items():
            counts[session] = counts.get(session, 0) + count
    for session, count in sorted(counts.items(), key=v.text):
        if count > 1 and _is_known(session):
            _report(run, state, session, mark, "by several tasks")
    results = [run.solver.force(run, state, argument, position) for argument in args]
    for session in counts:
        _returned(state, session)
    joined = v.UNKNOWN
    for result in results:
        joined = v.union(joined, result)
    value = v.one((v.TUPLE, tuple(results))) if len(results) > 1 else joined
    return v.one((v.DEFERRED, "done", value, frozenset(counts)))


def _report(run: Run, state: State, session: Atom, mark: Mark, how: str) -> None:
    track = state.heap.get(session)
    created = track.mark(CREATED) if type(track) is Track else None
    run.observe(("concurrent", mark), Concurrent(mark, session, created, how))


def _returned(state: State, session: Atom) -> None:
    track = state.heap.get(session)
    if type(track) is Track and track.mark(HANDED_OVER) is not None:
        marks = tuple(mark for mark in track.marks if mark[0] != HANDED_OVER)
        state.put(session, track._replace(marks=marks))


def offload(run: Run, state: State, place: int, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Run a function in another thread; whoever awaits the result waits for it."""
    if len(args) <= place:
        return v.UNKNOWN
    run.raise_(state, ERROR, run.mark(position))
    used: set[Atom] = set()
    for argument in (*args[place:], *kwargs.values()):
        used.update(session for session, _ in sessions_in(run, argument))
        used |= reachable_sessions(state, argument)
    run.offloaded += 1
    value = run.solver.invoke(run, state, args[place], list(args[place + 1 :]), kwargs, position)
    run.offloaded -= 1
    return v.one((v.DEFERRED, "done", value, frozenset(used)))


def spawn(run: Run, state: State, place: int, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Start a task, thread or process that runs on while the caller continues."""
    mark = run.mark(position)
    used: set[Atom] = set()
    callee = kwargs.get("target", v.UNKNOWN) if place < 0 else args[place] if len(args) > place else v.UNKNOWN
    used.update(used_sessions(run, state, callee))
    rest = [value for value in args if value is not callee] + [
        value for name, value in kwargs.items() if name != "target"
    ]
    for value in rest:
        for session in _sessions_among(run, state, value):
            used.add(session)
    used |= run.solver.captured_sessions(run, state, callee)
    used |= _kept_by_receivers(run, state, callee, list(args[place + 1 :]) if place >= 0 else [], position)
    for session in sorted(used, key=v.text):
        if _is_known(session):
            _hand_over(run, state, session, mark)
    if run.by_itself is run.call_node and any(atom[0] == v.DEFERRED for atom in callee):
        run.forgotten.add(mark)
    run.raise_(state, ERROR, mark)
    task: Atom = (v.DEFERRED, "task", v.UNKNOWN, frozenset(used))
    slow = _slow_step(run, state, callee)
    if slow is not None:
        run.task_waits.setdefault(task, slow)
    return v.one(task)


def _kept_by_receivers(run: Run, state: State, callee: Value, args: Arguments, position: ir.Pos) -> set[Atom]:
    """`pool.submit(self.look_up, name)`: the sessions in attributes of the receiver that the method sends over."""
    found: set[Atom] = set()
    for atom in callee:
        if atom[0] == v.METHOD and atom[2][0] in v.PLACES and not run.code.functions[atom[1]].is_async:
            sent = sent_over(run, state, atom[1], atom[2], args, {}, position)
            found.update(session for session in sent if session[0] == v.FIELD and not _is_a_registry(run, session))
    return found


def _is_a_registry(run: Run, session: Atom) -> bool:
    return any(type_.kind == REGISTRY for _, type_ in sessions_in(run, v.one(session)))


def _slow_step(run: Run, state: State, started: Value) -> tuple[str, Mark] | None:
    """What a coroutine waits for: whoever awaits its task waits as long."""
    for atom in v.ordered(started):
        if atom[0] == v.DEFERRED and atom[1] == "coroutine":
            fn = run.code.functions[atom[2]]
            binding = bind(fn, atom[3], list(atom[4]), {None if name == "**" else name: x for name, x in atom[5]})
            for _, kind, inner in run.solver.summary(fn.id, key_of(run, state, fn, binding)).waits:
                return kind, inner
    return None


def _is_known(session: Atom) -> bool:
    """Is it one certain session, of this function or its callers? Not one known by type alone, or held by a global."""
    return v.root(session)[0] not in (v.GLOBAL, v.ANY_SESSION, v.INSTANCE, v.EXT_OBJECT)


def _sessions_among(run: Run, state: State, value: Value) -> set[Atom]:
    found = {session for session, _ in sessions_in(run, value)} | reachable_sessions(state, value)
    for atom in value:
        if atom[0] == v.TUPLE:
            for part in atom[1]:
                found.update(session for session, _ in sessions_in(run, part))
    return found


def _hand_over(run: Run, state: State, session: Atom, mark: Mark) -> None:
    track = state.track(session)
    if track.mark(HANDED_OVER) is not None or (run.loops and not _made_in_this_loop(run, session)):
        _report(run, state, session, mark, "by several tasks")
    state.put(session, track.with_mark(HANDED_OVER, mark))


def _made_in_this_loop(run: Run, session: Atom) -> bool:
    return run.made_in.get(session, ()) == tuple(run.loops)


def awaited(run: Run, state: State, atom: Atom, position: ir.Pos) -> None:
    """A task is waited for: it no longer runs beside its starter."""
    slow = run.task_waits.get(atom)
    if slow is not None:
        hold(run, state, slow[0], trail(run, position, slow[1]))
    for session in atom[3]:
        _returned(state, session)


def closed_under_tasks(run: Run, state: State, before: State) -> None:
    """A `with` block has ended: has it closed a session under a task that nobody has waited for?"""
    for atom, track in state.heap.items():
        if type(track) is Track and ts.must(track.word, ts.CLOSED):
            handed = track.mark(HANDED_OVER)
            if handed in run.forgotten and not ts.must(before.track(atom).word, ts.CLOSED):
                _report(run, state, atom, handed, "by a task after its `with` has closed it")


def tasks_joined(state: State) -> None:
    """The end of a task group or executor block: everything started in it is done."""
    for atom, track in list(state.heap.items()):
        if type(track) is Track and track.mark(HANDED_OVER) is not None:
            _returned(state, atom)
