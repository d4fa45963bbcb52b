"""What task queues and schedulers run: functions that are handed to them by call, or named in a class of settings.

arq gives all its functions one dictionary. What start-up puts there is shared by every job of the worker; what
`on_job_start` puts there belongs to one job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Class, Function, Module
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models import workers
from hermetic.models.frameworks import STARTUP, WORKER

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Queues:
    """The functions that queues run, by context."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._of_arq: dict[int, str] | None = None

    # -- whom they run ------------------------------------------------------------------------------------------

    def functions(self) -> Iterator[tuple[int, str]]:
        """(function, context)"""
        yield from self.of_arq().items()
        for name, hand_over in workers.HAND_OVERS.items():
            for user in self._types.code.users_of(name):
                fn = self._types.code.functions[user]
                for node in fn.nodes():
                    if node[0] == ir.CALL and last_name(node[1]) == name:
                        for function in self._handed_over(node, hand_over, fn):
                            yield function, WORKER
        for class_ in self._types.code.classes:
            for base in self._types.classes.external_bases(class_.id) & workers.JOB_CLASSES.keys():
                if workers.JOB_CLASSES[base] in class_.methods:
                    yield class_.methods[workers.JOB_CLASSES[base]], WORKER

    def _handed_over(self, node: Node, hand_over: workers.HandOver, fn: Function) -> Iterator[int]:
        callee = self._types.infer(node[1], fn)
        if callee and not any(_is_of(atom, hand_over.library) for atom in callee):
            return
        place = hand_over.place
        given = node[2][place] if len(node[2]) > place else dict(node[3]).get(hand_over.keyword)
        yield from _functions_in(self._types.infer(given, fn))

    def of_arq(self) -> dict[int, str]:
        """The functions of arq workers: jobs, and what runs around them."""
        if self._of_arq is None:
            self._of_arq = {}  # what is asked meanwhile is not given the state
            self._of_arq = dict(self._arq_functions())
        return self._of_arq

    def _arq_functions(self) -> Iterator[tuple[int, str]]:
        code = self._types.code
        for module in (module for module in code.modules if _imports(module, workers.ARQ)):
            top = code.functions[module.functions[0]]
            for class_ in (code.classes[number] for number in module.classes):
                if not class_.attributes.keys().isdisjoint(("functions", "cron_jobs")):
                    for name, context in workers.ARQ_SETTINGS.items():
                        yield from ((function, context) for function in self._named_in(class_, name, top))
        for fn in (code.functions[user] for user in code.users_of("Worker")):
            for node in fn.nodes():
                if node[0] == ir.CALL and last_name(node[1]) == "Worker" and self._is_of_arq(node[1], fn):
                    for keyword, value in node[3]:
                        if keyword in workers.ARQ_SETTINGS:
                            context = workers.ARQ_SETTINGS[keyword]
                            yield from ((function, context) for function in self._named_by(value, fn))

    def _is_of_arq(self, callee: Expr, fn: Function) -> bool:
        return any(_is_of(atom, workers.ARQ) for atom in self._types.infer(callee, fn))

    def _named_in(self, class_: Class, name: str, top: Function) -> Iterator[int]:
        attribute = class_.attributes.get(name)
        if attribute is not None:
            yield from self._named_by(attribute[2], top)
        elif name in class_.methods:
            yield class_.methods[name]  # `on_startup` written as a static method

    def _named_by(self, value: Expr, fn: Function) -> Iterator[int]:
        """The functions in a list such as `[send, cron(purge, hour=3)]`."""
        yield from _functions_in(self._types.infer(value, fn))
        for node in walk.subexpressions(value):
            for part in walk.children(node):
                yield from _functions_in(self._types.infer(part, fn))

    # -- what celery gives them ---------------------------------------------------------------------------------

    def bound_task(self, fn: Function) -> int | None:
        """The class of the task that `@app.task(base=DatabaseTask, bind=True)` passes to its function as `self`."""
        top = self._types.code.functions[self._types.code.modules[fn.module].functions[0]]
        for decorator in fn.decorators:
            options = dict(decorator[3]) if type(decorator) is tuple and decorator[0] == ir.CALL else {}
            if options.get("bind") == ir.TRUE and last_name(decorator[1]) in workers.BINDING_DECORATORS:
                for atom in self._types.infer(options.get("base"), top):
                    if atom[0] == v.CLASS:
                        return int(atom[1])
        return None

    # -- what arq gives them ------------------------------------------------------------------------------------

    def gets_state(self, fn: Function, number: int) -> bool:
        """Is the parameter the dictionary that arq gives its functions?"""
        return number == (fn.class_id is not None and len(fn.params) > 1) and fn.id in self.of_arq()

    def state(self, key: str) -> Value:
        """What the functions of arq workers put into the dictionary under a key."""
        out = v.UNKNOWN
        for function, context in self.of_arq().items():
            fn = self._types.code.functions[function]
            for statement in fn.statements():
                if statement[0] == ir.ASSIGN and any(_is_item(target, fn, key) for target in statement[1]):
                    value = self._types.infer(statement[2], fn)
                    out = v.union(out, _shared(value) if context == STARTUP else value)
        return out


def is_state(value: Value) -> bool:
    return (v.EXT_OBJECT, workers.ARQ_STATE) in value


def _is_item(target: Expr, fn: Function, key: str) -> bool:
    """`ctx["key"]`, of the function's parameter"""
    return (
        type(target) is tuple
        and target[0] == ir.SUB
        and target[2] == (ir.CONST, key)
        and type(target[1]) is str
        and fn.parameter(target[1]) is not None
    )


def _shared(value: Value) -> Value:
    """A session that is made at start-up serves everybody."""
    return frozenset(
        (v.ANY_SESSION, atom[1]._replace(made=("start-up", *atom[1].made[1:])))
        if atom[0] == v.ANY_SESSION and atom[1].made is not None
        else atom
        for atom in value
    )


def _functions_in(value: Value) -> Iterator[int]:
    for atom in v.ordered(value):
        if atom[0] in (v.FUNCTION, v.METHOD):
            yield atom[1]
        elif atom[0] == v.MANY:
            yield from _functions_in(atom[1])
        elif atom[0] == v.TUPLE:
            for part in atom[1]:
                yield from _functions_in(part)


def _is_of(atom: Atom, library: str) -> bool:
    while atom[0] == v.OPERATION:
        atom = atom[1]
    return atom[0] in (v.EXT, v.EXT_OBJECT) and str(atom[1]).partition(".")[0] == library


def _imports(module: Module, library: str) -> bool:
    return any(item[1] is not None and item[1].partition(".")[0] == library for item in module.imports)
