"""Tasks, threads and executors: which sessions are used beside their owner, or by several at once."""

from __future__ import annotations

from collections.abc import Iterable

from hermetic.engine import call_uses, ir, typestate as ts, values as v
from hermetic.engine.observations import Concurrent, EngineInProcess
from hermetic.engine.project import Arguments, Keywords, bind, key_of
from hermetic.engine.run import ERROR, Run
from hermetic.engine.session_types import REGISTRY
from hermetic.engine.session_values import sessions_in
from hermetic.engine.sessions import hold
from hermetic.engine.state import CREATED, HANDED_OVER, Mark, State, Track
from hermetic.engine.substitution import trail
from hermetic.engine.values import Atom, Value, elements


def gather(run: Run, state: State, args: Arguments, position: ir.Pos) -> Value:
    """Several awaitables run beside each other; all are waited for."""
    mark = run.mark(position)
    counts: dict[Atom, int] = {}
    for argument in args:
        for session, count in call_uses.used_sessions(run, state, argument).items():
            counts[session] = counts.get(session, 0) + count
    for session, count in sorted(counts.items(), key=v.text):
        if count > 1 and _is_known(run, session):
            _report(run, state, session, mark, "by several tasks")
    results = [run.solver.force(run, state, argument, position) for argument in args]
    returned(state, counts)
    joined = v.UNKNOWN
    for result in results:
        joined = v.union(joined, result)
    value = v.one((v.TUPLE, tuple(results))) if len(results) > 1 else joined
    return v.one((v.DEFERRED, "done", value, frozenset(counts)))


def _report(run: Run, state: State, session: Atom, mark: Mark, how: str) -> None:
    track = state.heap.get(session)
    created = track.mark(CREATED) if type(track) is Track else None
    run.observe(("concurrent", mark), Concurrent(mark, session, created, how))


def returned(state: State, sessions: Iterable[Atom]) -> None:
    """What used these beside the caller is done."""
    for session in sessions:
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
        used |= call_uses.sessions_among(run, state, argument)
    used |= call_uses.held_by(run, state, args[place], args[place + 1 :], kwargs, position)
    run.offloaded += 1
    value = run.solver.invoke(run, state, args[place], list(args[place + 1 :]), kwargs, position)
    run.offloaded -= 1
    return v.one((v.DEFERRED, "done", value, frozenset(used)))


def spawn(
    run: Run, state: State, place: int, args: Arguments, kwargs: Keywords, position: ir.Pos, is_process: bool = False
) -> Value:
    """Start a task, thread or process that runs on while the caller continues."""
    mark = run.mark(position)
    used: set[Atom] = set()
    callee = kwargs.get("target", v.UNKNOWN) if place < 0 else args[place] if len(args) > place else v.UNKNOWN
    used.update(call_uses.used_sessions(run, state, callee))
    rest = [value for value in args if value is not callee] + [
        value for name, value in kwargs.items() if name != "target"
    ]
    for value in rest:
        for session in call_uses.sessions_among(run, state, value):
            used.add(session)
    used |= run.solver.captured_sessions(run, state, callee)
    used |= call_uses.held_by(run, state, callee, [], {}, position)
    if is_process:
        _into_a_process(run, state, callee, rest, used, mark)
    hand_over(run, state, used, mark)
    state.escaped |= call_uses.ended_by(run, state, callee, _given(place, args, kwargs), position)
    if run.by_itself is run.call_node and any(atom[0] == v.DEFERRED for atom in callee):
        run.forgotten.add(mark)
    run.raise_(state, ERROR, mark)
    task: Atom = (v.DEFERRED, "task", v.UNKNOWN, frozenset(used))
    slow = _slow_step(run, state, callee)
    if slow is not None:
        run.task_waits.setdefault(task, slow)
    return v.one(task)


def _into_a_process(run: Run, state: State, callee: Value, given: Arguments, sessions: set[Atom], mark: Mark) -> None:
    """A new process gets what holds connections, or may: it would talk over the sockets of this one."""
    share_connections(run, state, sessions, mark)
    functions = [run.code.functions[atom[1]] for atom in callee if atom[0] in (v.FUNCTION, v.METHOD, v.CLOSURE)]
    if any("dispose" in fn.identifiers for fn in functions):
        return
    for atom in v.ordered({part for value in given for part in (*value, *elements(value))}):
        for kind in v.ordered(run.type_of(atom)):
            if kind[0] == v.ENGINE and (len(kind) < 4 or kind[3] != UNPOOLED):
                run.observe(("forked", mark), EngineInProcess(mark, run.engines.get(kind)))


UNPOOLED = "NullPool"


def share_connections(run: Run, state: State, sessions: set[Atom], mark: Mark) -> None:
    """Another process gets these sessions: those that are in use, as far as is known."""
    for session in sorted(sessions, key=v.text):
        if _is_known(run, session) and (session[0] != v.SESSION or ts.may(state.track(session).word, ts.DATABASE)):
            _report(run, state, session, mark, "by another process")


def _given(place: int, args: Arguments, kwargs: Keywords) -> Arguments:
    """What the function that is started is called with, as far as it stands there in order."""
    packed = kwargs.get("args")
    if packed is None:
        return list(args[place + 1 :]) if place >= 0 else []
    return [part for atom in packed if atom[0] == v.TUPLE for part in atom[1]]


def _slow_step(run: Run, state: State, started: Value) -> tuple[str, Mark] | None:
    """What a coroutine waits for: whoever awaits its task waits as long."""
    for atom in v.ordered(started):
        if atom[0] == v.DEFERRED and atom[1] == "coroutine":
            fn = run.code.functions[atom[2]]
            binding = bind(fn, atom[3], list(atom[4]), call_uses.named_arguments(atom[5]))
            for _, kind, inner in run.solver.summary(fn.id, key_of(run, state, fn, binding)).waits:
                return kind, inner
    return None


def several_at_once(run: Run, state: State, callee: Value, items: Arguments, position: ir.Pos) -> None:
    """A function is called many times beside itself, with some of these each time."""
    used = call_uses.held_by(run, state, callee, items, {}, position)
    for item in items:
        used |= {
            session
            for session in call_uses.sessions_among(run, state, item)
            if not call_uses.is_one_of_many(run, session)
        }
    for session in sorted(used, key=v.text):
        if _is_known(run, session):
            _report(run, state, session, run.mark(position), "by several tasks")


def in_each_round(run: Run, state: State, before: State) -> None:
    """A comprehension does for each of its items what it has done for one: what was handed over and not waited for
    since `before` is handed over several times."""
    if before.heap is state.heap:
        return
    for session, track in list(state.heap.items()):
        handed = track.mark(HANDED_OVER) if type(track) is Track else None
        if handed is not None and handed != before.track(session).mark(HANDED_OVER):
            if len(run.made_in.get(session, ())) < len(run.loops) and not call_uses.is_one_of_many(run, session):
                _report(run, state, session, handed, "by several tasks")


def _is_known(run: Run, session: Atom) -> bool:
    """Is it one certain session, of this function or its callers? Not one known by type alone, or held by a global, nor
    a registry, which has one for each thread."""
    if v.root(session)[0] in (v.GLOBAL, v.ANY_SESSION, v.INSTANCE, v.EXT_OBJECT):
        return False
    return all(type_.kind != REGISTRY for _, type_ in sessions_in(run, v.one(session)))


def hand_over(run: Run, state: State, sessions: set[Atom], mark: Mark) -> None:
    """Something that runs beside the caller gets these."""
    for session in sorted(sessions, key=v.text):
        if _is_known(run, session):
            track = state.track(session)
            handed = track.mark(HANDED_OVER)
            if handed is not None and (handed != mark or not call_uses.is_one_of_many(run, session)):
                _report(run, state, session, mark, "by several tasks")
            state.put(session, track.with_mark(HANDED_OVER, mark))


def awaited(run: Run, state: State, atom: Atom, position: ir.Pos) -> None:
    """A task is waited for: it no longer runs beside its starter."""
    slow = run.task_waits.get(atom)
    if slow is not None:
        hold(run, state, slow[0], trail(run, position, slow[1]))
    returned(state, atom[3])


def closed_under_tasks(run: Run, state: State, before: State) -> None:
    """A `with` block has ended: has it closed a session under a task that nobody has waited for?"""
    for atom, track in state.heap.items():
        if type(track) is Track and ts.must(track.word, ts.CLOSED):
            handed = track.mark(HANDED_OVER)
            if handed in run.forgotten and not ts.must(before.track(atom).word, ts.CLOSED):
                _report(run, state, atom, handed, "by a task after its `with` has closed it")


def tasks_joined(state: State) -> None:
    """The end of a task group or executor block: everything started in it is done."""
    returned(state, list(state.heap))
