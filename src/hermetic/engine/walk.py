"""Plain walks over IR for the questions that need no flow: what is assigned, called, returned, yielded."""

from __future__ import annotations

from collections.abc import Iterable

from hermetic.engine import ir
from hermetic.engine.ir import Block, Expr, Node


def statements(body: Block) -> list[Node]:
    """Every statement of a body, outer before inner; nested functions and classes are not entered."""
    out: list[Node] = []
    stack = list(reversed(body))
    while stack:
        node = stack.pop()
        out.append(node)
        if node[0] in COMPOUND:
            for block in blocks(node):
                stack.extend(reversed(block))
    return out


COMPOUND = frozenset((ir.IF, ir.FOR, ir.WHILE, ir.WITH, ir.TRY))


def blocks(node: Node) -> list[Block]:
    """The statement lists inside one statement, in source order."""
    kind = node[0]
    if kind == ir.IF:
        return [node[2], node[3]]
    if kind == ir.FOR:
        return [node[3], node[4]]
    if kind == ir.WHILE:
        return [node[2], node[3]]
    if kind == ir.WITH:
        return [node[2]]
    if kind == ir.TRY:
        return [node[1], *(handler[3] for handler in node[2]), node[3], node[4]]
    return []


def own_expressions(node: Node) -> list[Expr]:
    """The expressions of one statement itself, without those of the statements inside it."""
    kind = node[0]
    if kind in (ir.EXPR, ir.RETURN, ir.RAISE, ir.IF, ir.WHILE, ir.ASSERT):
        return [node[1]]
    if kind == ir.ASSIGN:
        return [node[2], *(target for target in node[1] if type(target) is tuple)]
    if kind == ir.AUG or kind == ir.FOR:
        return [node[1], node[2]]
    if kind == ir.WITH:
        return [expression for item in node[1] for expression in item]
    if kind == ir.TRY:
        return [handler[0] for handler in node[2]]
    if kind == ir.DEL:
        return list(node[1])
    return []


def subexpressions(expression: Expr, names: set[str] | None = None) -> list[Node]:
    """Every node of an expression, outer before inner; dropped values are not nodes, nor are names: they go to `names`
    where they are part of a node."""
    out: list[Node] = []
    stack = [expression]
    while stack:
        node = stack.pop()
        if type(node) is not tuple:
            if names is not None and type(node) is str:
                names.add(node)
            continue
        out.append(node)
        kind = node[0]
        if kind == ir.ATTR:
            stack.append(node[1])
        elif kind == ir.CALL:
            for _, value in node[3]:
                stack.append(value)
            stack.extend(node[2])
            stack.append(node[1])
        elif kind != ir.CONST:
            stack.extend(children(node))
    return out


def children(node: Node) -> list[Expr]:
    """The direct parts of an expression node that are expressions."""
    kind = node[0]
    if kind == ir.CALL:
        return [node[1], *node[2], *(value for _, value in node[3])]
    if kind in (ir.ATTR, ir.AWAIT, ir.NOT, ir.STAR, ir.YIELD, ir.YIELD_FROM):
        return [node[1]]
    if kind == ir.MIX:
        return list(node[1])
    if kind in (ir.SEQ, ir.BOOL):
        return list(node[2])
    if kind == ir.DICT:
        return [*node[1], *node[2]]
    if kind == ir.SUB:
        return [node[1], node[2]]
    if kind == ir.CMP:
        return [node[2], node[3]]
    if kind == ir.IFEXP:
        return [node[1], node[2], node[3]]
    if kind == ir.NAMED:
        return [node[2]]
    if kind == ir.COMP:
        parts = [part for target, iterable, conditions, _ in node[3] for part in (target, iterable, *conditions)]
        return [*parts, node[2]]
    return []


def expressions(found: list[Node]) -> tuple[list[Node], set[str]]:
    """Every expression node of these statements, and the names in them."""
    out: list[Node] = []
    names: set[str] = set()
    for statement in found:
        for expression in own_expressions(statement):
            if type(expression) is tuple:
                out.extend(subexpressions(expression, names))
    return out, names


def in_loops(found: Iterable[Node]) -> list[Node]:
    """Every expression node in the loops among these statements."""
    bodies = [body for loop in found if loop[0] in (ir.FOR, ir.WHILE) for body in blocks(loop)]
    return [node for body in bodies for node in expressions(statements(body))[0]]


def last_name(expression: Expr) -> str:
    """`x` of `x`, `a.x` and `a.x(...)`: enough to know a decorator or a base by."""
    while type(expression) is tuple:
        if expression[0] == ir.ATTR:
            return str(expression[2])
        if expression[0] in (ir.CALL, ir.SUB):
            expression = expression[1]
        else:
            return ""
    return expression if type(expression) is str else ""


# How a name came by its value in a `Binding`.
VALUE, ELEMENT, ENTERED = "value", "element", "entered"
Binding = tuple[str, Expr, Expr]  # how, expression, annotation


def bindings(found: list[Node], nodes: list[Node]) -> dict[str, list[Binding]]:
    """For each plain name that these statements, with these expressions in them, assign: what it is assigned from."""
    bound: dict[str, list[Binding]] = {}
    for statement in found:
        kind = statement[0]
        if kind == ir.ASSIGN:
            for target in statement[1]:
                _bind(bound, target, VALUE, statement[2], statement[4])
        elif kind == ir.FOR:
            _bind(bound, statement[1], ELEMENT, statement[2])
        elif kind == ir.WITH:
            for context, target in statement[1]:
                _bind(bound, target, ENTERED, context)
    for node in nodes:
        if node[0] == ir.NAMED:
            _bind(bound, node[1], VALUE, node[2])
        elif node[0] == ir.COMP:
            for target, iterable, _, _ in node[3]:
                _bind(bound, target, ELEMENT, iterable)
    return bound


def _bind(bound: dict[str, list[Binding]], target: Expr, how: str, value: Expr, annotation: Expr = None) -> None:
    if type(target) is str:
        bound.setdefault(target, []).append((how, value, annotation))
    elif type(target) is tuple and target[0] == ir.SEQ:
        elements = value[2] if type(value) is tuple and value[0] == ir.SEQ and len(value[2]) == len(target[2]) else None
        for number, element in enumerate(target[2]):
            if elements is not None and how == VALUE:
                _bind(bound, element, VALUE, elements[number])
            elif how == VALUE:
                _bind(bound, element, VALUE, (ir.SUB, value, (ir.CONST, number), 0))
            else:
                _bind(bound, element, how, None)
