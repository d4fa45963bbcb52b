"""Plain walks over IR for the questions that need no flow: what is assigned, called, returned, yielded."""

from __future__ import annotations

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


def subexpressions(expression: Expr) -> list[Node]:
    """Every node of an expression, outer before inner; names and dropped values are not nodes."""
    out: list[Node] = []
    stack = [expression]
    while stack:
        node = stack.pop()
        if type(node) is not tuple:
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


def expressions(body: Block) -> list[Node]:
    """Every expression node of a body."""
    out: list[Node] = []
    for statement in statements(body):
        for expression in own_expressions(statement):
            if type(expression) is tuple:
                out.extend(subexpressions(expression))
    return out


# How a name came by its value in a `Binding`.
VALUE, ELEMENT, ENTERED = "value", "element", "entered"
Binding = tuple[str, Expr, Expr]  # how, expression, annotation


def bindings(body: Block) -> dict[str, list[Binding]]:
    """For each plain name that a body assigns: what it is assigned from."""
    found: dict[str, list[Binding]] = {}

    def bind(target: Expr, how: str, value: Expr, annotation: Expr = None) -> None:
        if type(target) is str:
            found.setdefault(target, []).append((how, value, annotation))
        elif type(target) is tuple and target[0] == ir.SEQ:
            elements = (
                value[2] if type(value) is tuple and value[0] == ir.SEQ and len(value[2]) == len(target[2]) else None
            )
            for number, element in enumerate(target[2]):
                if elements is not None and how == VALUE:
                    bind(element, VALUE, elements[number])
                elif how == VALUE:
                    bind(element, VALUE, (ir.SUB, value, (ir.CONST, number), 0))
                else:
                    bind(element, how, None)

    for statement in statements(body):
        kind = statement[0]
        if kind == ir.ASSIGN:
            for target in statement[1]:
                bind(target, VALUE, statement[2], statement[4])
        elif kind == ir.FOR:
            bind(statement[1], ELEMENT, statement[2])
        elif kind == ir.WITH:
            for context, target in statement[1]:
                bind(target, ENTERED, context)
        for expression in own_expressions(statement):
            if type(expression) is tuple:
                for node in subexpressions(expression):
                    if node[0] == ir.NAMED:
                        bind(node[1], VALUE, node[2])
                    elif node[0] == ir.COMP:
                        for target, iterable, _, _ in node[3]:
                            bind(target, ELEMENT, iterable)
    return found
