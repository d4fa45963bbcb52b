"""Registries that modules make: their sessions are nobody's to make, but belong into the count of what was seen."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine import ir, values as v
from hermetic.engine.construct import FLASK_DATABASE
from hermetic.engine.link import BOUND_VALUE
from hermetic.engine.types import Types
from hermetic.engine.values import Atom, Value


def registries(types: Types) -> Iterator[int]:
    """The modules that make a registry and keep it, by their outermost function, once for each."""
    for module in types.code.modules:
        for name in module.names:
            if any(_is_a_registry(atom) for atom in _assigned(types, module.number, name)):
                yield module.functions[0]


def _assigned(types: Types, module: int, name: str) -> Value:
    """What a module makes and keeps under a name."""
    found = types.code.modules[module]
    top = types.code.functions[found.functions[0]]
    made = [bound[1][1] for bound in found.names[name] if bound[0] == BOUND_VALUE]
    calls = [expression for expression in made if type(expression) is tuple and expression[0] == ir.CALL]
    return frozenset(atom for call in calls for atom in types.infer(call, top))


def _is_a_registry(atom: Atom) -> bool:
    return bool(atom[0] == v.REGISTRY or (atom[0] == v.EXT_OBJECT and atom[1] == FLASK_DATABASE))
