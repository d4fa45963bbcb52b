"""Threads and jobs in which nobody removes the session of a registry: no framework ends what they leave."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine import ir, typestate as ts, values as v
from hermetic.engine.app_contexts import is_of_flask
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.observations import Leak
from hermetic.engine.run import Run
from hermetic.engine.session_types import REGISTRY
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import Mark, State, Track
from hermetic.engine.types import Types
from hermetic.engine.values import Atom
from hermetic.engine.walk import last_name
from hermetic.engine.worker_state import functions_in, is_of
from hermetic.models.frameworks import APPLICATION_CONTEXTS
from hermetic.models.python import APPLYING_METHODS, MAPPING_METHODS, POOLS, SPAWNS, THREADS
from hermetic.models.workers import AROUND_TASKS, TASK_CLASSES, TASKS

THREAD_CALLS = {
    name.rpartition(".")[2]: (name, place) for name, place in SPAWNS.items() if name.startswith("threading.")
}
POOL_CALLS = MAPPING_METHODS | APPLYING_METHODS | {"submit"}


class Unattended:
    """The functions that a thread, the thread of a pool or a worker of a task queue runs, and that nothing is around
    which could end what they leave: no decorator, no application context."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._functions: frozenset[int] | None = None

    def includes(self, fn: Function) -> bool:
        if self._functions is None:
            self._functions = frozenset()  # what is asked meanwhile
            found = {*self._run_by_threads(), *self._run_by_pools()}
            alone = {number for number in found if not self._types.code.functions[number].decorators}
            self._functions = frozenset(
                number
                for number in (*alone, *self._tasks())
                if APPLICATION_CONTEXTS.isdisjoint(self._types.code.functions[number].identifiers)
            )
        return fn.id in self._functions

    def _run_by_threads(self) -> Iterator[int]:
        for word, (name, place) in THREAD_CALLS.items():
            for fn, node in self._calls(word):
                if (v.EXT, name) in self._types.infer(node[1], fn):
                    yield from self._functions_in(_given(node, place, "target" if place < 0 else "function"), fn)
        for class_ in self._types.code.classes:
            bases = self._types.classes.external_bases(class_.id) & THREADS if "run" in class_.methods else ()
            if any(base.startswith("threading.") for base in bases):
                yield class_.methods["run"]

    def _run_by_pools(self) -> Iterator[int]:
        for word in sorted(POOL_CALLS):
            for fn, node in self._calls(word):
                for atom in self._types.infer(node[1], fn):
                    if atom[0] == v.OPERATION and atom[1][0] == v.EXT_OBJECT and atom[1][1] in POOLS:
                        yield from self._functions_in(_given(node, 0, "func"), fn)

    def _calls(self, word: str) -> Iterator[tuple[Function, Node]]:
        for user in self._types.code.users_of(word):
            fn = self._types.code.functions[user]
            yield from ((fn, node) for node in fn.calls_of(word))

    def _functions_in(self, given: Expr, fn: Function) -> Iterator[int]:
        yield from functions_in(self._types.infer(given, fn)) if given is not None else ()

    def _tasks(self) -> Iterator[int]:
        """The tasks of a queue, in a project that hooks in nothing around them."""
        code = self._types.code
        if any(code.users_of(word) for word in AROUND_TASKS):
            return
        if any(not TASK_CLASSES.isdisjoint(self._types.classes.external_bases(class_.id)) for class_ in code.classes):
            return
        for fn in code.functions:
            if len(fn.decorators) == 1 and self._makes_a_task(fn.decorators[0], fn):
                yield fn.id

    def _makes_a_task(self, decorator: Expr, fn: Function) -> bool:
        callee = decorator[1] if type(decorator) is tuple and decorator[0] == ir.CALL else decorator
        library = TASKS.get(last_name(callee))
        if library is None:
            return False
        scope = self._types.code.top_of(fn.module)
        return any(is_of(atom, library) for atom in self._types.infer(callee, scope))


def _given(call: Node, place: int, keyword: str) -> Expr:
    return call[2][place] if 0 <= place < len(call[2]) else dict(call[3]).get(keyword)


def observe(run: Run, states: list[State]) -> None:
    """A registry's session is used, and no way out of the function has removed or closed it."""
    used: dict[Atom, Mark | None] = {}
    ended: set[Atom] = set()  # one registry may be known by several atoms
    for state in states:
        for atom, track in state.heap.items():
            if type(track) is Track and ts.may(track.word, ts.CLOSED):
                ended.add(atom)
            elif type(track) is Track and ts.may(track.word, ts.DATABASE):
                used[atom] = used.get(atom) or track.mark(ts.DATABASE) or track.mark(ts.FAILED)
    if any(_is_a_registrys(run, atom) for atom in ended):
        return
    for atom, first in used.items():
        if _is_a_registrys(run, atom):
            at = run.served.get(atom) or first
            if at is not None:
                run.observe(("leak", atom, "unattended"), Leak(at, "unattended", None, atom))


def _is_a_registrys(run: Run, atom: Atom) -> bool:
    """Not Flask-SQLAlchemy's, which has no session outside of an application context."""
    if atom[0] == v.SESSION or is_of_flask(run, atom):
        return False
    return any(type_.kind == REGISTRY and type_.options_at is not None for _, type_ in sessions_in(run, v.one(atom)))
