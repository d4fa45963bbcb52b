"""Decorators of the project: what they wrap around a function, and whether they end what it has begun.

A function is interpreted without its decorators. Where it is called, the function that a decorator puts in its place is
interpreted instead, if that has to do with sessions; what no call in the project shows is known by the words in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of
from hermetic.engine.ir import Expr
from hermetic.engine.link import Function
from hermetic.engine.values import Value
from hermetic.engine.walk import ENTERED, last_name

if TYPE_CHECKING:
    from hermetic.engine.types import Types


# What a wrapper does that is about sessions, and not about logging or retrying.
ENDING = frozenset("commit rollback begin close aclose remove".split())


class Wrapper(NamedTuple):
    """The function that a decorator puts in the place of another one, which it knows by the name `wrapped`; `given` are
    the options of the decorator that are constants."""

    inner: Function
    wrapped: str
    given: tuple[tuple[str, Value], ...]


class Decorators:
    """Questions about them, each answered once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._committing: dict[int, bool] = {}
        self._wrappers: dict[int, Wrapper | None] = {}
        self._names: frozenset[str] | None = None

    def wrapper(self, fn: Function) -> Wrapper | None:
        """What the decorators of a function put in its place, if it is one function of the project and of its kind."""
        if not fn.decorators:
            return None
        if fn.id not in self._wrappers:
            self._wrappers[fn.id] = None  # meanwhile
            found = [wrapper for decorator in fn.decorators for wrapper in self._wrappers_of(decorator, fn)]
            found = [wrapper for wrapper in found if self._ends_sessions(wrapper.inner)]
            self._wrappers[fn.id] = found[0] if len(found) == 1 else None
        return self._wrappers[fn.id]

    def _ends_sessions(self, inner: Function) -> bool:
        """Does it end transactions, or have a block of a session?"""
        if not ENDING.isdisjoint(inner.identifiers):
            return True
        blocks = (bound for binding in inner.bindings().values() for bound in binding if bound[0] == ENTERED)
        entered = (self._types.entered(self._types.infer(expression, inner)) for _, expression, _ in blocks)
        return any(atom[0] in (v.ANY_SESSION, v.TRANSACTION) for value in entered for atom in value)

    def passed(self, fn: Function, number: int) -> Value:
        """What the wrapper of a function passes to a parameter of it."""
        wrapper = self.wrapper(fn)
        if wrapper is None:
            return v.UNKNOWN
        out = v.UNKNOWN
        for call in wrapper.inner.calls_of(wrapper.wrapped):
            if call[1] == wrapper.wrapped:
                argument = argument_of(call, fn, number, bound=False)
                out = v.union(out, self._types.infer(argument, wrapper.inner) if argument is not None else v.UNKNOWN)
        return frozenset(atom for atom in out if atom[0] == v.ANY_SESSION)

    def _wrappers_of(self, decorator: Expr, fn: Function) -> Iterator[Wrapper]:
        call = decorator if type(decorator) is tuple and decorator[0] == ir.CALL else None
        maker = decorator if call is None else call[1]
        if last_name(maker) not in self._makers():
            return
        for atom in v.ordered(self._types.infer(maker, self._scope(fn))):
            made_by = self._types.code.functions[atom[1]] if atom[0] in (v.FUNCTION, v.METHOD) else None
            given: tuple[tuple[str, Value], ...] = ()
            if call is not None:
                given = _options(made_by, call) if made_by is not None else ()
                made_by = self._called(atom) if made_by is None else self._returned_by(made_by)
            inner = self._returned_by(made_by) if made_by is not None else None
            if made_by is None or inner is None or inner.is_generator or inner.is_async != fn.is_async:
                continue
            number = 1 if made_by.class_id is not None else 0
            if len(made_by.params) > number:
                yield Wrapper(inner, made_by.params[number][0], given)

    def _makers(self) -> frozenset[str]:
        """The names of what may be a decorator: functions around others, and classes of which objects are called."""
        if self._names is None:
            code = self._types.code
            outer = {code.functions[fn.parent].name for fn in code.functions if fn.parent is not None}
            self._names = frozenset(outer | {class_.name for class_ in code.classes if "__call__" in class_.methods})
        return self._names

    def _called(self, atom: v.Atom) -> Function | None:
        """`@Transactional()`: what its object does when it is called."""
        found = self._types.classes.member(atom[1], "__call__") if atom[0] == v.CLASS else None
        return self._types.code.functions[found.item] if found is not None and type(found.item) is int else None

    def _returned_by(self, fn: Function) -> Function | None:
        """The nested function that a function returns."""
        code = self._types.code
        returned = {statement[1] for statement in fn.statements() if statement[0] == ir.RETURN}
        first = code.modules[fn.module].functions[0]
        inner = [
            code.functions[first + statement[1]]
            for statement in fn.statements()
            if statement[0] == ir.DEF and statement[2] in returned
        ]
        return inner[0] if len(inner) == 1 and len(returned) == 1 and inner[0].parent == fn.id else None

    def _scope(self, fn: Function) -> Function:
        code = self._types.code
        return code.functions[fn.parent if fn.parent is not None else code.modules[fn.module].functions[0]]

    def commit(self, fn: Function) -> bool:
        """Does something that is wrapped around the function commit what it leaves?"""
        if not fn.decorators:
            return False
        known = self._committing.get(fn.id)
        if known is None:
            known = self._committing[fn.id] = any(self._commits(decorator, fn) for decorator in fn.decorators)
        return known

    def _commits(self, decorator: Expr, fn: Function) -> bool:
        code = self._types.code
        maker = decorator[1] if type(decorator) is tuple and decorator[0] == ir.CALL else decorator
        return any(
            "commit" in code.functions[atom[1]].identifiers  # those of the functions within it are among them
            for atom in self._types.infer(maker, self._scope(fn))
            if atom[0] in (v.FUNCTION, v.METHOD)
        )


def _options(maker: Function, call: ir.Node) -> tuple[tuple[str, Value], ...]:
    """The parameters of a maker of decorators that are constants at one call of it."""
    found = []
    for number, (name, _, default, _) in enumerate(maker.params):
        argument = argument_of(call, maker, number, bound=False)
        argument = default if argument is None else argument
        if type(argument) is tuple and argument[0] == ir.CONST:
            found.append((name, v.one((v.CONSTANT, argument[1]))))
    return tuple(found)
