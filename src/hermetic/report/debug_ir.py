"""A function's IR, readable: one statement a line, with line numbers, spelled nearly as Python.

`…` stands for what the analysis does not keep, `mix(a, b)` for a value computed from these.
"""

from __future__ import annotations

from hermetic.engine import ir
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.link import Function

LOST = "…"
BRACKETS = {"list": "[]", "set": "{}", "tuple": "()", "generator": "()", "dict": "{}"}


def render(fn: Function) -> str:
    """Head and body of a function."""
    lines = [_numbered(fn.line, 0, f"@{expression(decorator)}") for decorator in fn.decorators]
    lines += [_numbered(fn.line, 0, head(fn)), *_block(fn.body, 1)]
    return "\n".join(lines)


def head(fn: Function) -> str:
    """The `def` line."""
    if fn.is_module:
        return "module:"
    params = ", ".join(_parameter(param) for param in fn.params)
    returns = "" if fn.returns is None else f" -> {expression(fn.returns)}"
    kind = " generator" if fn.is_generator else ""
    return f"{'async ' if fn.is_async else ''}def {fn.qualname}({params}){returns}:{f'  #{kind}' if kind else ''}"


def _parameter(param: Node) -> str:
    name, annotation, default, kind = param
    text = {ir.VARARGS: "*", ir.KWARGS: "**"}.get(kind, "") + str(name)
    text += "" if annotation is None else f": {expression(annotation)}"
    return text if default is None else f"{text} = {expression(default)}"


def _numbered(line: int, depth: int, text: str) -> str:
    return f"{line:>5}  {'    ' * depth}{text}"


def _block(body: Block, depth: int) -> list[str]:
    lines: list[str] = []
    for node in body:
        lines.append(_numbered(line_of(node), depth, statement(node)))
        for title, line, inner in _inner(node):
            if title:
                lines.append(_numbered(line, depth, title))
            lines += _block(inner, depth + 1)
    return lines


def _inner(node: Node) -> list[tuple[str, int, Block]]:
    """(its own head line, line number, body) of each block in a statement; the first goes below the statement."""
    kind, line = node[0], line_of(node)
    if kind == ir.IF:
        return [("", line, node[2]), *_if_any("else:", node[3], line)]
    if kind == ir.WITH:
        return [("", line, node[2])]
    if kind == ir.FOR:
        return [("", line, node[3]), *_if_any("else:", node[4], line)]
    if kind == ir.WHILE:
        return [("", line, node[2]), *_if_any("else:", node[3], line)]
    if kind == ir.TRY:
        handlers = [(handler(item), item[2], item[3]) for item in node[2]]
        rest = [*_if_any("else:", node[3], line), *_if_any("finally:", node[4], line)]
        return [("", line, node[1]), *handlers, *rest]
    return []


def _if_any(title: str, body: Block, line: int) -> list[tuple[str, int, Block]]:
    return [(title, line_of(body[0]) if body else line, body)] if body else []


def handler(item: Node) -> str:
    """`except X as e:`"""
    types, name = item[0], item[1]
    caught = "" if types is None else f" {expression(types)}"
    return f"except{caught}{f' as {name}' if name else ''}:"


# Where each statement keeps its line.
LINES = {
    ir.EXPR: 2,
    ir.ASSIGN: 3,
    ir.AUG: 3,
    ir.DEL: 2,
    ir.RETURN: 2,
    ir.RAISE: 2,
    ir.IF: 4,
    ir.FOR: 5,
    ir.WHILE: 4,
    ir.TRY: 5,
    ir.WITH: 3,
    ir.BREAK: 1,
    ir.CONTINUE: 1,
    ir.DEF: 3,
    ir.CLASS: 3,
    ir.ASSERT: 2,
}


def line_of(node: Node) -> int:
    return int(node[LINES[node[0]]])


def statement(node: Node) -> str:
    """A statement's own line, without the blocks in it."""
    kind = node[0]
    if kind == ir.EXPR:
        return expression(node[1])
    if kind == ir.ASSIGN:
        names = [expression(item) for item in node[1]]
        if node[4] is not None:
            names[-1] += f": {expression(node[4])}"
        return " = ".join([*names, expression(node[2])])
    if kind == ir.AUG:
        return f"{expression(node[1])} <op>= {expression(node[2])}"
    if kind == ir.DEL:
        return f"del {_listed(node[1])}"
    if kind == ir.WITH:
        items = [expression(a) + (f" as {expression(b)}" if b is not None else "") for a, b in node[1]]
        return f"{'async ' if node[4] else ''}with {', '.join(items)}:"
    if kind == ir.FOR:
        return f"{'async ' if node[6] else ''}for {expression(node[1])} in {expression(node[2])}:"
    if kind in (ir.DEF, ir.CLASS):
        return f"{'def' if kind == ir.DEF else 'class'} {node[2]}"
    if kind in WORDS:
        return WORDS[kind]
    word, end = WITH_VALUE[kind]
    return f"{word} {'' if node[1] is None and not end else expression(node[1])}".rstrip() + end


WORDS = {ir.TRY: "try:", ir.BREAK: "break", ir.CONTINUE: "continue"}
WITH_VALUE = {
    ir.RETURN: ("return", ""),
    ir.RAISE: ("raise", ""),
    ir.ASSERT: ("assert", ""),
    ir.IF: ("if", ":"),
    ir.WHILE: ("while", ":"),
}


def expression(node: Expr) -> str:
    """An expression, nearly as Python."""
    if node is None:
        return LOST
    if type(node) is str:
        return node
    kind = node[0]
    if kind == ir.CONST:
        return repr(node[1])
    if kind == ir.ATTR:
        return f"{expression(node[1])}.{node[2]}"
    if kind == ir.CALL:
        named = [f"**{expression(value)}" if name is None else f"{name}={expression(value)}" for name, value in node[3]]
        return f"{expression(node[1])}({', '.join([*map(expression, node[2]), *named])})"
    if kind == ir.SEQ:
        return f"{BRACKETS[node[1]][0]}{_listed(node[2])}{BRACKETS[node[1]][1]}"
    if kind == ir.DICT:
        return (
            "{" + ", ".join(f"{expression(k)}: {expression(x)}" for k, x in zip(node[1], node[2], strict=False)) + "}"
        )
    if kind == ir.SUB:
        is_tuple = type(node[2]) is tuple and node[2][:2] == (ir.SEQ, "tuple")
        return f"{expression(node[1])}[{_listed(node[2][2]) if is_tuple else expression(node[2])}]"
    if kind == ir.BOOL:
        return f"({(' and ' if node[1] else ' or ').join(map(expression, node[2]))})"
    return _rarer(node)


def _rarer(node: Node) -> str:
    kind = node[0]
    if kind == ir.CMP:
        return f"{expression(node[2])} {node[1]} {expression(node[3])}"
    if kind == ir.MIX:
        return f"mix({_listed(node[1])})"
    if kind == ir.IFEXP:
        return f"({expression(node[2])} if {expression(node[1])} else {expression(node[3])})"
    if kind == ir.LAMBDA:
        return f"<lambda {node[1]}>"
    if kind == ir.NAMED:
        return f"({expression(node[1])} := {expression(node[2])})"
    if kind == ir.COMP:
        parts = [_comprehended(part) for part in node[3]]
        brackets = BRACKETS[node[1]]
        return f"{brackets[0]}{expression(node[2])} {' '.join(parts)}{brackets[1]}"
    return PREFIXES[kind] + expression(node[1])


PREFIXES = {ir.AWAIT: "await ", ir.NOT: "not ", ir.YIELD: "yield ", ir.YIELD_FROM: "yield from ", ir.STAR: "*"}


def _comprehended(part: Node) -> str:
    target, iterable, conditions, is_async = part
    tests = "".join(f" if {expression(condition)}" for condition in conditions)
    return f"{'async ' if is_async else ''}for {expression(target)} in {expression(iterable)}{tests}"


def _listed(values: tuple[Expr, ...]) -> str:
    return ", ".join(map(expression, values))
