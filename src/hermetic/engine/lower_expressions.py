"""Expressions of `ast` to IR.

What cannot matter becomes `None` at once, so that the interpreter never sees it: numbers, long strings,
f-strings of constants, arithmetic on such values.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from hermetic.engine import ir
from hermetic.engine.builder import FunctionBuilder, position
from hermetic.engine.ir import Expr, Node

# Strings are kept for flags, modes, option names and quoted annotations, not for texts.
LONGEST_STRING = 120
LONGEST_BEGINNING = 24

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def lower(node: ast.expr, fn: FunctionBuilder) -> Expr:
    """One expression, in the scope of `fn`."""
    kind = type(node)
    if kind is ast.Name:
        name: str = node.id  # type: ignore[attr-defined]
        fn.identifiers.add(name)
        return name
    if kind is ast.Constant:
        return _constant(node)  # type: ignore[arg-type]
    return LOWERING[kind](node, fn)


def lower_all(nodes: Iterable[ast.expr], fn: FunctionBuilder) -> tuple[Expr, ...]:
    return tuple([lower(node, fn) for node in nodes])


def mix(parts: Iterable[Expr]) -> Expr:
    """A computed value: what it is made from, or None when nothing of interest goes in."""
    kept = tuple([part for part in parts if part is not None and not (type(part) is tuple and part[0] == ir.CONST)])
    return (ir.MIX, kept) if kept else None


def _constant(node: ast.Constant) -> Expr:
    value = node.value
    if value is None or value is True or value is False:
        return (ir.CONST, value)
    if type(value) is str and len(value) <= LONGEST_STRING:
        return (ir.CONST, value)
    if type(value) is int and -1000 < value < 1000:
        return (ir.CONST, value)
    return None


def _attribute(node: ast.Attribute, fn: FunctionBuilder) -> Expr:
    fn.identifiers.add(node.attr)
    return (ir.ATTR, lower(node.value, fn), node.attr, position(node))


def _call(node: ast.Call, fn: FunctionBuilder) -> Expr:
    callee = lower(node.func, fn)
    arguments = lower_all(node.args, fn)
    keywords = tuple([(keyword.arg, lower(keyword.value, fn)) for keyword in node.keywords])
    if fn.keywords is not None and type(callee) is tuple and callee[0] == ir.ATTR and callee[1] == fn.keywords:
        option = _option(callee[2], arguments, fn)
        if option is not None and not keywords:
            return option
    return (ir.CALL, callee, arguments, keywords, position(node))


def _option(method: str, arguments: tuple[Expr, ...], fn: FunctionBuilder) -> Expr:
    """`kwargs.pop("commit", True)` is a parameter of the function like any other; its name has the mark that calls put
    behind it, so that no variable is meant. None if it is something else."""
    if method not in ("pop", "get") or not 1 <= len(arguments) <= 2:
        return None
    if not all(type(argument) is tuple and argument[0] == ir.CONST for argument in arguments):
        return None
    key = arguments[0][1]
    if type(key) is not str or not key.isidentifier():
        return None
    name = key + ir.OPTION_MARK
    default = arguments[1] if len(arguments) == 2 else ir.NONE if method == "get" else None
    fn.options.setdefault(name, default)
    fn.local_names.add(name)
    return name


def _await(node: ast.Await, fn: FunctionBuilder) -> Expr:
    return (ir.AWAIT, lower(node.value, fn), node.lineno)


def _binary(node: ast.BinOp, fn: FunctionBuilder) -> Expr:
    # Long sums and concatenations nest to the left; walking down keeps them flat.
    parts = []
    left: ast.expr = node
    while type(left) is ast.BinOp:
        parts.append(lower(left.right, fn))
        left = left.left
    parts.append(lower(left, fn))
    return mix(reversed(parts))


def _boolean(node: ast.BoolOp, fn: FunctionBuilder) -> Expr:
    return (ir.BOOL, type(node.op) is ast.And, lower_all(node.values, fn))


def _unary(node: ast.UnaryOp, fn: FunctionBuilder) -> Expr:
    operand = lower(node.operand, fn)
    return (ir.NOT, operand) if type(node.op) is ast.Not else mix((operand,))


def _compare(node: ast.Compare, fn: FunctionBuilder) -> Expr:
    if len(node.ops) == 1:
        return (ir.CMP, COMPARISONS[type(node.ops[0])], lower(node.left, fn), lower(node.comparators[0], fn))
    return mix((lower(node.left, fn), *lower_all(node.comparators, fn)))


def _conditional(node: ast.IfExp, fn: FunctionBuilder) -> Expr:
    return (ir.IFEXP, lower(node.test, fn), lower(node.body, fn), lower(node.orelse, fn))


def _sequence(node: ast.Tuple | ast.List | ast.Set, fn: FunctionBuilder) -> Expr:
    return (ir.SEQ, SEQUENCES[type(node)], lower_all(node.elts, fn))


def _dict(node: ast.Dict, fn: FunctionBuilder) -> Expr:
    keys = tuple([None if key is None else lower(key, fn) for key in node.keys])
    return (ir.DICT, keys, lower_all(node.values, fn))


def _subscript(node: ast.Subscript, fn: FunctionBuilder) -> Expr:
    return (ir.SUB, lower(node.value, fn), lower(node.slice, fn), node.lineno)


def _slice(node: ast.Slice, fn: FunctionBuilder) -> Expr:
    return mix([lower(part, fn) for part in (node.lower, node.upper, node.step) if part is not None])


def _joined(node: ast.JoinedStr, fn: FunctionBuilder) -> Expr:
    parts = [lower(part, fn) for part in node.values]
    mixed = mix(parts)
    first = node.values[0] if node.values else None
    if mixed is not None and isinstance(first, ast.Constant) and type(first.value) is str and first.value.strip():
        return (
            ir.MIX,
            mixed[1],
            first.value.strip()[:LONGEST_BEGINNING],
        )  # what a statement's text begins with says what it does
    return mixed


def _formatted(node: ast.FormattedValue, fn: FunctionBuilder) -> Expr:
    value = lower(node.value, fn)
    return value if node.format_spec is None else mix((value, lower(node.format_spec, fn)))


def _starred(node: ast.Starred, fn: FunctionBuilder) -> Expr:
    return (ir.STAR, lower(node.value, fn))


def _named(node: ast.NamedExpr, fn: FunctionBuilder) -> Expr:
    fn.local_names.add(node.target.id)
    fn.flags |= ir.BINDS_INSIDE
    return (ir.NAMED, node.target.id, lower(node.value, fn))


def _yield(node: ast.Yield, fn: FunctionBuilder) -> Expr:
    fn.flags |= ir.GENERATOR
    return (ir.YIELD, None if node.value is None else lower(node.value, fn), position(node))


def _yield_from(node: ast.YieldFrom, fn: FunctionBuilder) -> Expr:
    fn.flags |= ir.GENERATOR
    return (ir.YIELD_FROM, lower(node.value, fn), position(node))


def _comprehension(
    kind: str, elements: tuple[ast.expr, ...], generators: list[ast.comprehension], line: int, fn: FunctionBuilder
) -> Node:
    parts = []
    for generator in generators:
        iterable = lower(generator.iter, fn)
        parts.append((target(generator.target, fn), iterable, lower_all(generator.ifs, fn), bool(generator.is_async)))
    lowered = lower_all(elements, fn)
    fn.flags |= ir.BINDS_INSIDE
    return (ir.COMP, kind, lowered[0] if len(lowered) == 1 else mix(lowered), tuple(parts), line)


def _list_comp(node: ast.ListComp | ast.SetComp | ast.GeneratorExp, fn: FunctionBuilder) -> Expr:
    return _comprehension(COMPREHENSIONS[type(node)], (node.elt,), node.generators, node.lineno, fn)


def _dict_comp(node: ast.DictComp, fn: FunctionBuilder) -> Expr:
    return _comprehension("dict", (node.key, node.value), node.generators, node.lineno, fn)


def _lambda(node: ast.Lambda, fn: FunctionBuilder) -> Expr:
    inner = FunctionBuilder(fn.module, fn, fn.inner_qualname("<lambda>"))
    inner.flags |= ir.IS_LAMBDA
    inner.class_index = None
    params = parameters(node.args, inner, fn)
    body = ((ir.RETURN, lower(node.body, inner), node.lineno),)
    fn.identifiers |= inner.identifiers
    inner.finish(node, "<lambda>", params, (), None, body)
    return (ir.LAMBDA, inner.index)


def target(node: ast.expr, fn: FunctionBuilder) -> Expr:
    """An assignment target: names become local, everything else is an expression to store into."""
    kind = type(node)
    if kind is ast.Name:
        name: str = node.id  # type: ignore[attr-defined]
        fn.local_names.add(name)
        return name
    if kind is ast.Tuple or kind is ast.List:
        return (ir.SEQ, "tuple", tuple([target(element, fn) for element in node.elts]))  # type: ignore[attr-defined]
    if kind is ast.Starred:
        return (ir.STAR, target(node.value, fn))  # type: ignore[attr-defined]
    return lower(node, fn)


def parameters(arguments: ast.arguments, inner: FunctionBuilder, outer: FunctionBuilder) -> tuple[Node, ...]:
    """The parameters of a function; annotations and defaults belong to the enclosing scope."""
    lowered: list[Node] = []

    def add(argument: ast.arg, default: ast.expr | None, kind: int) -> None:
        annotation = None if argument.annotation is None else lower(argument.annotation, outer)
        value = None if default is None else lower(default, outer)
        if default is not None and value is None:
            value = (ir.MIX, ())  # there is a default, and it cannot matter
        inner.local_names.add(argument.arg)
        lowered.append((argument.arg, annotation, value, kind))

    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for number, argument in enumerate(positional):
        add(argument, arguments.defaults[number - missing] if number >= missing else None, ir.POSITIONAL)
    if arguments.vararg is not None:
        add(arguments.vararg, None, ir.VARARGS)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        add(argument, default, ir.KEYWORD_ONLY)
    if arguments.kwarg is not None:
        add(arguments.kwarg, None, ir.KWARGS)
    return tuple(lowered)


SEQUENCES: dict[type, str] = {ast.Tuple: "tuple", ast.List: "list", ast.Set: "set"}
COMPREHENSIONS: dict[type, str] = {ast.ListComp: "list", ast.SetComp: "set", ast.GeneratorExp: "generator"}

# Later Pythons add expression nodes; a node that is not here stops the file with a KeyError naming it,
# which the caller reports as "not analysed" and the tests turn into a failure: new syntax is never skipped silently.
LOWERING: dict[type, Callable[..., Expr]] = {
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Await: _await,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.Tuple: _sequence,
    ast.List: _sequence,
    ast.Set: _sequence,
    ast.Dict: _dict,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
    ast.Starred: _starred,
    ast.NamedExpr: _named,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
    ast.ListComp: _list_comp,
    ast.SetComp: _list_comp,
    ast.GeneratorExp: _list_comp,
    ast.DictComp: _dict_comp,
    ast.Lambda: _lambda,
}
if hasattr(ast, "TemplateStr"):  # Python 3.14
    LOWERING[ast.TemplateStr] = _joined
    LOWERING[getattr(ast, "Interpolation")] = _formatted  # noqa: B009 - unknown to the typing of older Pythons
