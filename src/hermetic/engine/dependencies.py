"""Context managers that a dependency marker names: `Depends(get_db)` where calling `get_db` gives a manager.

A framework that runs generator functions itself enters no manager, so what the function opens reaches nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Codebase, Function
from hermetic.engine.solve import Solver
from hermetic.engine.state import Fields, Mark
from hermetic.engine.summary import Summary
from hermetic.engine.types import Types
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import ENTER_NO_MANAGER
from hermetic.models.python import MANAGER_DECORATORS

# What may stand above the decorator that makes the manager without changing what a call gives.
KINDS_OF_METHOD = frozenset(("staticmethod", "classmethod"))
# Objects inside of objects are looked through that far for the session that a manager hands out.
DEEPEST_OBJECT = 4


class InjectedManager(NamedTuple):
    """`at`: the marker that names the function `manager`; `entered`: somebody else calls it, for a `with`."""

    at: Mark
    manager: Function
    entered: bool


def injected_managers(solver: Solver) -> Iterator[tuple[int, InjectedManager]]:
    """(function, what it injects) for every manager of a session that is named by such a marker, once a function."""
    code, types = solver.code, solver.types
    verdicts: dict[int, bool] = {}
    seen: set[tuple[object, int]] = set()
    for owner, expression, scope in _places(code):
        for node in walk.subexpressions(expression):
            if node[0] != ir.CALL or not _is_marker(node, scope, types):
                continue
            for manager in _managers(_provider(node), scope, types):
                # Aliases stand side by side in a module's body: each of them is a mistake of its own.
                key = (node[4] if owner.is_module else owner.id, manager.id)
                if key not in seen and _hands_out_a_session(manager, solver, verdicts):
                    seen.add(key)
                    at = (owner.module, node[4], None)
                    yield owner.id, InjectedManager(at, manager, bool(types.call_sites(manager)))


def _places(code: Codebase) -> Iterator[tuple[Function, Expr, Function]]:
    """(owner, expression, scope of its names) of whatever may hold a marker."""
    users = {user for name in _marker_names(code) for user in code.users_of(name)}
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
                yield from ((fn, node, fn) for node in fn.nodes() if node[0] == ir.CALL)


def _marker_names(code: Codebase) -> frozenset[str]:
    """The markers' names, with those that files give them on import."""
    known = frozenset(name.rpartition(".")[2] for name in ENTER_NO_MANAGER)
    return known.union(item[0] for module in code.modules for item in module.imports if item[0] and item[2] in known)


def _is_marker(node: Node, scope: Function, types: Types) -> bool:
    return any(atom[0] == v.EXT and atom[1] in ENTER_NO_MANAGER for atom in types.infer(node[1], scope))


def _provider(node: Node) -> Expr:
    return node[2][0] if node[2] else dict(node[3]).get("dependency")


def _managers(provider: Expr, scope: Function, types: Types) -> list[Function]:
    """The functions that a provider can be, if calling any of them gives a manager."""
    found = []
    for atom in v.ordered(types.infer(provider, scope)):
        managers = _managers_of(atom, types)
        if not managers:
            return []
        found += managers
    return found


def _managers_of(atom: Atom, types: Types) -> list[Function]:
    if atom[0] in (v.FUNCTION, v.METHOD):
        fn = types.code.functions[atom[1]]
        return [fn] if _is_manager(fn, types) else []
    if atom[0] == v.EXT_OBJECT and atom[1] in MANAGER_DECORATORS and len(atom) > 2:
        return [types.code.functions[inner[1]] for inner in v.ordered(atom[2]) if inner[0] in (v.FUNCTION, v.METHOD)]
    return []


def _is_manager(fn: Function, types: Types) -> bool:
    """Is the outermost decorator the one of contextlib? What another one makes of a manager is not known."""
    top = types.code.functions[types.code.modules[fn.module].functions[0]]
    outermost = next((decorator for decorator in fn.decorators if decorator not in KINDS_OF_METHOD), None)
    made_by = types.infer(outermost, top)
    return bool(made_by) and all(atom[0] == v.EXT and atom[1] in MANAGER_DECORATORS for atom in made_by)


def _hands_out_a_session(fn: Function, solver: Solver, verdicts: dict[int, bool]) -> bool:
    known = verdicts.get(fn.id)
    if known is None:
        summary = solver.summary(fn.id)
        known = verdicts[fn.id] = _holds_a_session(solver.types.yielded(fn.id) | summary.yields, summary)
    return known


def _holds_a_session(value: Value, summary: Summary, depth: int = DEEPEST_OBJECT) -> bool:
    """Is it a session, or an object or a tuple around one?"""
    return depth > 0 and any(_is_or_holds_a_session(atom, summary, depth - 1) for atom in value)


def _is_or_holds_a_session(atom: Atom, summary: Summary, depth: int) -> bool:
    if atom[0] in (v.SESSION, v.ANY_SESSION):
        return True
    if atom[0] == v.MANY:
        return _holds_a_session(atom[1], summary, depth)
    if atom[0] == v.TUPLE:
        return any(_holds_a_session(part, summary, depth) for part in atom[1])
    if atom[0] == v.OBJECT:
        held = (fields for made, fields in summary.effects.tracks if made == atom and type(fields) is Fields)
        return any(_holds_a_session(value, summary, depth) for fields in held for _, value in fields.items)
    return False
