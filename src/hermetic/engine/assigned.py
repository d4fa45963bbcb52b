"""Assignments to rows that have no other purpose than to be saved: `user.name = name`, and nobody looks at it again.

A field may be set for show: masked before the row is returned, or filled for a template. So the row's mentions decide,
those of whatever else holds it among them: behind the assignment there may only be further ones. Unless the client asks
for the change: a route of PATCH sets what it is sent, and returns the row as it is to be.

Heuristic with limits: rows in variables of the function; one that is held by a row or object, or that a closure
mentions, may be looked at from there.
"""

from __future__ import annotations

from collections.abc import Iterable

from hermetic.engine import ir, values as v, walk
from hermetic.engine.classes import OTHER
from hermetic.engine.ir import Expr, Node, Pos
from hermetic.engine.run import Run
from hermetic.engine.stale import row_class
from hermetic.engine.state import RETURNED, Fields, Mark, State
from hermetic.engine.values import Atom, Value

# What can give the rows again.
_ASKABLE = frozenset((v.QUERY, v.RESULT))


def is_asked_for(run: Run, state: State, sources: frozenset[Atom], at: Mark) -> bool:
    """Does a client ask for the change, and say what the row is to be? `sources`: of all that has been written."""
    if not run.solver.responses.is_told_to_write(run.fn) or at[2] is not None:
        return False
    assigned = next((found for node in run.fn.statements() if (found := _assigned(node, at[1])) is not None), None)
    if assigned is None or not _rows(run, state, *assigned):
        return False
    return assigned[1] is None or any(root[0] == v.PARAM and _is_said(run, root) for root in map(v.root, sources))


def _is_said(run: Run, parameter: Atom) -> bool:
    """Is it something that a client sends, and no row or session that a dependency gives?"""
    given = run.type_of(parameter)
    return row_class(run, parameter) is None and not any(kind[0] in (v.ANY_SESSION, v.REGISTRY) for kind in given)


def is_only_to_be_saved(run: Run, state: State, at: Mark) -> bool:
    """Is the row that is assigned to at this place left alone after that? `state`: at the function's end."""
    if at[2] is not None or at[0] != run.fn.module:
        return False
    statements = run.fn.statements()
    place = next((number for number, node in enumerate(statements) if _assigned(node, at[1]) is not None), None)
    assigned = _assigned(statements[place], at[1]) if place is not None else None
    if place is None or assigned is None:
        return False
    rows = _rows(run, state, *assigned)
    if not rows or _is_held(state, rows):
        return False
    names = {known for known, value in state.env.items() if _leads_to(value, rows)}
    if not names.isdisjoint((RETURNED, *_of_closures(run))):
        return False
    later = statements[place + 1 :]
    if any(_looks_at(node, names) for node in later):
        return False
    return not any(_is_seen_next_round(loop, statements[place], names) for loop in statements[:place])


def _assigned(node: Node, at: Pos) -> tuple[str, str | None] | None:
    """(variable, attribute) of an assignment at this place; None for an attribute known at run time only."""
    if node[0] == ir.EXPR:
        call = node[1]
        if _sets_attribute(call) and call[4] == at:
            return call[2][0], None
        return None
    for target in _targets(node):
        if type(target) is tuple and target[0] == ir.ATTR and target[3] == at and type(target[1]) is str:
            return target[1], target[2]
    return None


def _targets(node: Node) -> tuple[Expr, ...]:
    if node[0] == ir.ASSIGN:
        return tuple(node[1])
    return (node[1],) if node[0] == ir.AUG else ()


def _sets_attribute(call: Expr) -> bool:
    """`setattr(row, name, value)`"""
    if type(call) is not tuple or call[0] != ir.CALL or call[1] != "setattr" or len(call[2]) != 3:
        return False
    return type(call[2][0]) is str


def _rows(run: Run, state: State, name: str, attribute: str | None) -> frozenset[Atom]:
    """The rows in a variable, if the attribute is mapped to something in the database."""
    rows = frozenset(atom for atom in state.env.get(name, ()) if atom[0] == v.ENTITY)
    return rows if all(_is_mapped(run, row, attribute) for row in rows) else frozenset()


def _is_mapped(run: Run, row: Atom, attribute: str | None) -> bool:
    class_id = row_class(run, row)
    return class_id is not None and (
        attribute is None or run.types.classes.attribute_kind(class_id, attribute) != OTHER
    )


def _leads_to(value: Value, rows: frozenset[Atom]) -> bool:
    return not rows.isdisjoint(v.sources(value)) or any(atom[0] in _ASKABLE for atom in value)


def _is_held(state: State, rows: frozenset[Atom]) -> bool:
    """Is one of them in an attribute of something?"""
    values = [*state.stores.values()]
    for known in state.heap.values():
        if type(known) is Fields:
            values.extend(value for _, value in known.items)
    return any(not rows.isdisjoint(v.sources(value)) for value in values)


def _of_closures(run: Run) -> Iterable[str]:
    """The names that functions inside of this one mention."""
    for number in run.code.modules[run.fn.module].functions:
        inner = run.code.functions[number]
        if inner.parent == run.fn.id:
            yield from inner.identifiers


def _looks_at(node: Node, names: set[str]) -> bool:
    """Does a statement mention one of the names, other than to assign to an attribute of it?"""
    targets = [target for target in _targets(node) if type(target) is tuple and target[0] == ir.ATTR]
    for expression in walk.own_expressions(node):
        if expression in targets and expression[1] in names:
            continue
        if node[0] == ir.EXPR and _sets_attribute(expression):
            expression = (ir.SEQ, "tuple", expression[2][1:])
        if node[0] == ir.FOR and expression is node[1]:
            continue  # it is bound anew
        if expression in names:
            return True
        mentioned: set[str] = set()
        walk.subexpressions(expression, mentioned)
        if not names.isdisjoint(mentioned):
            return True
    return False


def _is_seen_next_round(loop: Node, assignment: Node, names: set[str]) -> bool:
    """Does a loop around the assignment come back to a mention of the same row? What a round binds is its own."""
    if loop[0] not in (ir.FOR, ir.WHILE):
        return False
    inside = [node for body in walk.blocks(loop) for node in walk.statements(body)]
    if not any(node is assignment for node in inside):
        return False
    bound = walk.bindings([loop, *inside], [])
    lasting = {name for name in names if name not in bound}
    again = [loop, *inside] if loop[0] == ir.WHILE else inside
    return any(_looks_at(node, lasting) for node in again if node is not assignment)
