"""Calls that name a function for a framework to call, `Depends(get_db)`, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Codebase, Function

if TYPE_CHECKING:
    from hermetic.engine.types import Types


def markers(types: Types, known: frozenset[str]) -> Iterator[tuple[Function, Node, Function]]:
    """(owner, marker, scope of its names) of every call of one of the known markers."""
    for owner, expression, scope in _places(types.code, known):
        for node in walk.subexpressions(expression):
            if node[0] == ir.CALL and is_marker(node, scope, types, known):
                yield owner, node, scope


def _places(code: Codebase, known: frozenset[str]) -> Iterator[tuple[Function, Expr, Function]]:
    """(owner, expression, scope of its names) of whatever may hold a marker."""
    users = {user for name in _marker_names(code, known) for user in code.users_of(name)}
    for number in sorted({code.functions[user].module for user in users}):
        module = code.modules[number]
        top = code.functions[module.functions[0]]
        for class_ in module.classes:
            for attribute in code.classes[class_].attributes.values():
                yield top, attribute[1], top
                yield top, attribute[2], top
        for function in module.functions:
            fn = code.functions[function]
            scope = code.functions[fn.parent] if fn.parent is not None else fn
            for param in fn.params:
                yield fn, param[1], scope
                yield fn, param[2], scope
            for decorator in fn.decorators:
                yield fn, decorator, scope
            if function in users:
                yield from ((fn, node, fn) for node in fn.calls())


def _marker_names(code: Codebase, known: frozenset[str]) -> frozenset[str]:
    """The markers' names, with those that files give them on import."""
    last = frozenset(name.rpartition(".")[2] for name in known)
    return last.union(item[0] for module in code.modules for item in module.imports if item[0] and item[2] in last)


def is_marker(node: Node, scope: Function, types: Types, known: frozenset[str]) -> bool:
    return any(atom[0] == v.EXT and atom[1] in known for atom in types.infer(node[1], scope))


def provider_of(node: Node) -> Expr:
    """What a marker names."""
    return node[2][0] if node[2] else dict(node[3]).get("dependency")
