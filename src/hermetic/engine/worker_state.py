"""Functions that a worker gives one dictionary: `ctx["sessions"]` in the jobs of arq and SAQ.

What start-up puts there is shared by every job of the worker; what a hook before a job puts there belongs to that job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_VALUE, Class, Function, Module
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import STARTUP
from hermetic.models.workers import STATE, STATE_SETTINGS, Settings

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class WorkerState:
    """The functions of such workers, and what they find in the dictionary."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._functions: dict[int, str] | None = None

    def functions(self) -> dict[int, str]:
        """Jobs, and what runs around them, by context."""
        if self._functions is None:
            self._functions = {}  # what is asked meanwhile is not given the state
            self._functions = dict(self._named())
        return self._functions

    def gets(self, fn: Function, number: int) -> bool:
        """Is the parameter the dictionary?"""
        return number == (fn.class_id is not None and len(fn.params) > 1) and fn.id in self.functions()

    def item(self, key: str) -> Value:
        """What the functions of workers put into the dictionary under a key."""
        out = v.UNKNOWN
        for function, context in self.functions().items():
            fn = self._types.code.functions[function]
            for statement in fn.statements():
                if statement[0] == ir.ASSIGN and any(_is_item(target, fn, key) for target in statement[1]):
                    value = self._types.infer(statement[2], fn)
                    out = v.union(out, _shared(value) if context == STARTUP else value)
        return out

    # -- where they are named -----------------------------------------------------------------------------------

    def _named(self) -> Iterator[tuple[int, str]]:
        for library, settings in STATE_SETTINGS.items():
            if settings.told_by:
                for module in (module for module in self._types.code.modules if _imports(module, library)):
                    yield from self._in_module(module, settings)
            for name in settings.calls:
                yield from self._in_calls(name, library, settings)

    def _in_module(self, module: Module, settings: Settings) -> Iterator[tuple[int, str]]:
        """In a class that is written as settings, or a dictionary at the top of a module."""
        top = self._types.code.functions[module.functions[0]]
        for class_ in (self._types.code.classes[number] for number in module.classes):
            if not class_.attributes.keys().isdisjoint(settings.told_by):
                for name, context in settings.names.items():
                    yield from ((function, context) for function in self._named_in(class_, name, top))
        for statement in top.statements():
            value = statement[2] if statement[0] == ir.ASSIGN else None
            if type(value) is tuple and value[0] == ir.DICT:
                items = {key[1]: item for key, item in zip(value[1], value[2], strict=True) if _is_constant(key)}
                if not items.keys().isdisjoint(settings.told_by):
                    yield from self._of_items(items, settings, top)

    def _in_calls(self, name: str, library: str, settings: Settings) -> Iterator[tuple[int, str]]:
        for fn in (self._types.code.functions[user] for user in self._types.code.users_of(name)):
            for node in fn.calls_of(name):
                if any(is_of(atom, library) for atom in self._types.infer(node[1], fn)):
                    yield from self._of_items(dict(node[3]), settings, fn)

    def _of_items(self, items: dict[str | None, Expr], settings: Settings, fn: Function) -> Iterator[tuple[int, str]]:
        for name, value in items.items():
            if name in settings.names:
                yield from ((function, settings.names[name]) for function in self._named_by(value, fn))

    def _named_in(self, class_: Class, name: str, top: Function) -> Iterator[int]:
        attribute = class_.attributes.get(name)
        if attribute is not None:
            yield from self._named_by(attribute[2], top)
        elif name in class_.methods:
            yield class_.methods[name]  # `on_startup` written as a static method

    def _named_by(self, value: Expr, fn: Function, depth: int = 2) -> Iterator[int]:
        """The functions in a list such as `[send, cron(purge, hour=3)]`, or in the list that a name or a call gives."""
        yield from functions_in(self._types.infer(value, fn))
        for node in walk.subexpressions(value):
            for part in walk.children(node):
                yield from functions_in(self._types.infer(part, fn))
        for list_, inside in self._lists(value, fn) if depth else ():
            yield from self._named_by(list_, inside, depth - 1)

    def _lists(self, value: Expr, fn: Function) -> Iterator[tuple[Expr, Function]]:
        """What stands behind a name or a call of a function."""
        code = self._types.code
        if type(value) is str:
            for atom in v.ordered(self._types.symbol(value, fn)):
                if atom[0] == v.GLOBAL:
                    module = code.modules[atom[1]]
                    for binding in module.names.get(atom[2], ()):
                        if binding[0] == BOUND_VALUE:
                            yield binding[1][1], code.functions[module.functions[0]]
        elif type(value) is tuple and value[0] == ir.CALL:
            for atom in v.ordered(self._types.infer(value[1], fn)):
                if atom[0] == v.FUNCTION:
                    for statement in code.functions[atom[1]].statements():
                        if statement[0] == ir.RETURN:
                            yield statement[1], code.functions[atom[1]]


def is_state(value: Value) -> bool:
    return (v.EXT_OBJECT, STATE) in value


def functions_in(value: Value) -> Iterator[int]:
    for atom in v.ordered(value):
        if atom[0] in (v.FUNCTION, v.METHOD):
            yield atom[1]
        elif atom[0] == v.MANY:
            yield from functions_in(atom[1])
        elif atom[0] == v.TUPLE:
            for part in atom[1]:
                yield from functions_in(part)


def is_of(atom: Atom, library: str) -> bool:
    while atom[0] == v.OPERATION:
        atom = atom[1]
    return atom[0] in (v.EXT, v.EXT_OBJECT) and str(atom[1]).partition(".")[0] == library


def _is_item(target: Expr, fn: Function, key: str) -> bool:
    """`ctx["key"]`, of the function's parameter"""
    return (
        type(target) is tuple
        and target[0] == ir.SUB
        and target[2] == (ir.CONST, key)
        and type(target[1]) is str
        and fn.parameter(target[1]) is not None
    )


def _is_constant(key: Expr) -> bool:
    return type(key) is tuple and key[0] == ir.CONST


def _shared(value: Value) -> Value:
    """A session that is made at start-up serves everybody."""
    return frozenset(v.made_where(atom, "start-up") for atom in value)


def _imports(module: Module, library: str) -> bool:
    return any(item[1] is not None and item[1].partition(".")[0] == library for item in module.imports)
