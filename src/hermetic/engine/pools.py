"""Pools of threads and processes, threads that are objects of the project's own classes, and the waiting for either."""

from __future__ import annotations

from hermetic.engine import call_uses, concurrency, ir, values as v
from hermetic.engine.project import Arguments, Keywords
from hermetic.engine.run import Run
from hermetic.engine.state import State
from hermetic.engine.values import Atom, Value, elements
from hermetic.models.python import (
    APPLYING_METHODS,
    ENDING_METHODS,
    MAPPING_METHODS,
    POOLS,
    PROCESSES,
    THREADS,
    UNPACKING_METHODS,
    WAITING_METHODS,
)

START, JOIN = "start", "join"
METHODS = MAPPING_METHODS | APPLYING_METHODS | ENDING_METHODS | WAITING_METHODS | {START}


def call(
    run: Run, state: State, receiver: Atom, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    """A method of that name is called: what it starts or waits for. The value is what was started, if that is known."""
    if receiver[0] == v.DEFERRED:
        if receiver[1] == "task" and name in WAITING_METHODS:
            concurrency.awaited(run, state, receiver, position)
        return v.UNKNOWN
    classes = _library_classes(run, receiver)
    if not POOLS.isdisjoint(classes):
        return _on_pool(run, state, receiver, name, args, kwargs, position)
    if name in (START, JOIN) and not THREADS.isdisjoint(classes):
        _on_thread(run, state, receiver, name, position)
    return v.UNKNOWN


def _on_thread(run: Run, state: State, thread: Atom, name: str, position: ir.Pos) -> None:
    sessions = _run_by_thread(run, state, thread, position)
    if name == JOIN:
        concurrency.returned(state, sessions)
        return
    if is_of_processes(run, thread):
        concurrency.share_connections(run, state, sessions, run.mark(position))
    concurrency.hand_over(run, state, sessions, run.mark(position))


def _on_pool(
    run: Run, state: State, pool: Atom, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    if name in ENDING_METHODS and v.NO not in (kwargs.get("wait"), *args[:1]):
        concurrency.tasks_joined(state)
    elif args and name in APPLYING_METHODS:
        given = {"args": args[1], **kwargs} if len(args) > 1 else kwargs
        return concurrency.spawn(run, state, 0, args[:1], given, position, is_of_processes(run, pool))
    elif args and name in MAPPING_METHODS:
        _fan_out(run, state, name, args[0], args[1:], position)
    return v.UNKNOWN


def _fan_out(run: Run, state: State, name: str, callee: Value, iterables: Arguments, position: ir.Pos) -> None:
    """One function is called for each item of these, several at once."""
    items = [elements(iterable) for iterable in iterables]
    if name in UNPACKING_METHODS:
        items = [part for item in items for atom in item if atom[0] == v.TUPLE for part in atom[1]]
    concurrency.several_at_once(run, state, callee, items, position)


def run_each(run: Run, state: State, calls: Value, position: ir.Pos) -> None:
    """Calls that have been prepared are done, several at once."""
    for atom in v.ordered(calls):
        if atom[0] == v.MANY:
            concurrency.several_at_once(run, state, atom[1], [], position)


def nothing_made(run: Run, state: State, items: Value, line: int) -> State:
    """The state where a loop over threads, futures or sessions has nothing to go through: none were made, it turns
    out."""
    for atom in v.ordered(items):
        if atom[0] == v.SESSION and call_uses.is_one_of_many(run, atom):
            state.heap = {known: track for known, track in state.heap.items() if known != atom}
        if atom[0] == v.DEFERRED and atom[1] == "task":
            concurrency.returned(state, atom[3])
        elif atom[0] == v.OBJECT:
            concurrency.returned(state, _run_by_thread(run, state, atom, (line, -1, line, -1)))
    return state


def _run_by_thread(run: Run, state: State, thread: Atom, position: ir.Pos) -> set[Atom]:
    """The sessions over which the `run()` of a thread sends statements."""
    for kind in v.ordered(run.type_of(thread)):
        if kind[0] == v.INSTANCE and not THREADS.isdisjoint(run.types.classes.external_bases(kind[1])):
            found = run.types.classes.member(kind[1], "run")
            if found is not None and type(found.item) is int:
                return call_uses.held_by(run, state, v.one((v.METHOD, found.item, thread)), [], {}, position)
    return set()


def is_of_processes(run: Run, receiver: Atom) -> bool:
    """Is it a process, or a pool of them?"""
    return not PROCESSES.isdisjoint(_library_classes(run, receiver))


def _library_classes(run: Run, receiver: Atom) -> set[str]:
    found: set[str] = set()
    for kind in run.type_of(receiver):
        if kind[0] == v.EXT_OBJECT:
            found.add(kind[1])
        elif kind[0] == v.INSTANCE:
            found |= run.types.classes.external_bases(kind[1])
    return found
