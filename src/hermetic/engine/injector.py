"""Containers of dependency-injector: `orders = providers.Factory(Orders, session=session)` in the body of a class.

A provider is taken for what it gives, and calling it for reading it: `container.orders()` is the same place each time,
and the session in it is the container's own, as is that of every other object that is made with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of
from hermetic.engine.ir import Node
from hermetic.engine.link import Function
from hermetic.engine.values import Value
from hermetic.models import injector as models

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Injector:
    """The containers of a program."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._used: bool | None = None

    @property
    def used(self) -> bool:
        if self._used is None:
            modules = self._types.code.modules
            imports = (item[1] for module in modules for item in module.imports if item[1] is not None)
            self._used = any(name.partition(".")[0] == models.LIBRARY for name in imports)
        return self._used

    def is_container(self, class_id: int) -> bool:
        return self.used and not models.CONTAINERS.isdisjoint(self._types.classes.external_bases(class_id))

    def in_container(self, kinds: Value) -> bool:
        """Is one of these a container, or the class of one?"""
        return self.used and any(kind[0] in (v.INSTANCE, v.CLASS) and self.is_container(kind[1]) for kind in kinds)

    def given(self, name: str, node: Node, fn: Function) -> Value | None:
        """What the provider gives that such a call makes; None for other calls."""
        kind = models.PROVIDERS.get(name)
        if kind is None:
            return None
        first = node[2][0] if node[2] else None
        if kind == models.OBJECT:
            return self._types.infer(first, fn)
        if kind == models.DECLARED:
            declared = dict(node[3]).get("instance_of", first)
            return self._types.annotation(declared, fn) if declared is not None else self._by_users(node, fn)
        out = v.UNKNOWN
        for atom in v.ordered(self._types.infer(first, fn)):
            if atom[0] == v.FUNCTION and self._types.code.functions[atom[1]].is_generator:
                out = v.union(out, self._types.yielded(atom[1]))
            else:
                out = v.union(out, self._types.call_atom(atom, node, fn))
        return out

    def argument(self, container: int, provider: str, parameter: str) -> str | None:
        """The provider, of the same container, that another one passes to a constructor's parameter."""
        node = self._call(container, provider)
        if node is None or not node[2]:
            return None
        top = self._top(container)
        for atom in v.ordered(self._types.infer(node[2][0], top)):
            init = self._types.classes.constructor(atom[1]) if atom[0] == v.CLASS else None
            if init is not None:
                number = init.parameter(parameter)
                call = (*node[:2], node[2][1:], *node[3:])
                given = argument_of(call, init, number, bound=True) if number is not None else None
                if type(given) is str and self._types.classes.declared(container, given) is not None:
                    return given
        return None

    def _by_users(self, node: Node, fn: Function) -> Value:
        """A dependency that is not declared any further is what those need who get it."""
        for class_ in self._types.code.classes:
            names = [name for name, attribute in class_.attributes.items() if attribute[2] is node]
            for name in names:
                return self._needed(class_.id, name)
        return v.UNKNOWN

    def _needed(self, container: int, name: str) -> Value:
        top = self._top(container)
        for _, _, value, _ in self._types.code.classes[container].attributes.values():
            if type(value) is not tuple or value[0] != ir.CALL or not value[2]:
                continue
            parameters = [keyword for keyword, given in value[3] if given == name and keyword is not None]
            for atom in v.ordered(self._types.infer(value[2][0], top)) if parameters else ():
                init = self._types.classes.constructor(atom[1]) if atom[0] == v.CLASS else None
                if init is not None:
                    number = init.parameter(parameters[0])
                    needed = self._types.param(init, number) if number is not None else v.UNKNOWN
                    if any(kind[0] == v.ANY_SESSION for kind in needed):
                        return frozenset(kind for kind in needed if kind[0] == v.ANY_SESSION)
        return v.UNKNOWN

    def _call(self, container: int, provider: str) -> Node | None:
        declared = self._types.classes.declared(container, provider)
        value = declared[1][2] if declared is not None else None
        return value if type(value) is tuple and value[0] == ir.CALL else None

    def _top(self, class_id: int) -> Function:
        code = self._types.code
        return code.top_of(code.classes[class_id].module)
