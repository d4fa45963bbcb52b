"""Statements of `ast` to IR.

Two rewrites spare the interpreter special cases: `x = a if t else b` and `x = a or b` become `if` statements,
because the commonest correct ownership pattern (`session = session or Session()`) is decided per branch; and
`match` becomes a chain of tests.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from hermetic.engine import ir
from hermetic.engine.builder import FunctionBuilder
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.lower_definitions import lower_class, lower_function
from hermetic.engine.lower_expressions import lower, target


def lower_block(statements: Iterable[ast.stmt], fn: FunctionBuilder) -> Block:
    """A list of statements, in the scope of `fn`."""
    out: list[Node] = []
    for statement in statements:
        LOWERING[type(statement)](statement, fn, out)
    return tuple(out)


def _expression(node: ast.Expr, fn: FunctionBuilder, out: list[Node]) -> None:
    value = lower(node.value, fn)
    if type(value) is tuple and value[0] != ir.CONST:
        out.append((ir.EXPR, value, node.lineno))


def _assign(node: ast.Assign, fn: FunctionBuilder, out: list[Node]) -> None:
    value = lower(node.value, fn)
    targets = tuple([target(item, fn) for item in node.targets])
    _emit_assign(targets, value, node.lineno, None, fn, out)


def _type_alias(node: ast.AST, fn: FunctionBuilder, out: list[Node]) -> None:
    """`type X = Y` is `X = Y`, as `newer_syntax` has it where the interpreter is older than the statement."""
    name, value = vars(node)["name"], vars(node)["value"]
    _emit_assign((target(name, fn),), lower(value, fn), name.lineno, None, fn, out)


def _annotated(node: ast.AnnAssign, fn: FunctionBuilder, out: list[Node]) -> None:
    annotation = lower(node.annotation, fn)
    item = target(node.target, fn)
    value = None if node.value is None else lower(node.value, fn)
    if node.value is None:
        _remember_store(item, None, annotation, node.lineno, fn)
    else:
        _emit_assign((item,), value, node.lineno, annotation, fn, out)


def _emit_assign(
    targets: tuple[Expr, ...], value: Expr, line: int, annotation: Expr, fn: FunctionBuilder, out: list[Node]
) -> None:
    for item in targets:
        _remember_store(item, value, annotation, line, fn)
    branches = _split_choice(value) if len(targets) == 1 else None
    if branches is None:
        out.append((ir.ASSIGN, targets, value, line, annotation))
        return
    test, then, orelse = branches
    yes: list[Node] = []
    no: list[Node] = []
    _emit_branch(targets, then, line, annotation, yes)
    _emit_branch(targets, orelse, line, annotation, no)
    out.append((ir.IF, test, tuple(yes), tuple(no), line))


def _emit_branch(targets: tuple[Expr, ...], value: Expr, line: int, annotation: Expr, out: list[Node]) -> None:
    branches = _split_choice(value)
    if branches is None:
        out.append((ir.ASSIGN, targets, value, line, annotation))
        return
    yes: list[Node] = []
    no: list[Node] = []
    _emit_branch(targets, branches[1], line, annotation, yes)
    _emit_branch(targets, branches[2], line, annotation, no)
    out.append((ir.IF, branches[0], tuple(yes), tuple(no), line))


def _split_choice(value: Expr) -> tuple[Expr, Expr, Expr] | None:
    """(test, then, orelse) of a conditional expression or of an `or` whose left side is a plain name or attribute."""
    if type(value) is not tuple:
        return None
    if value[0] == ir.IFEXP:
        return value[1], value[2], value[3]
    if value[0] == ir.BOOL and not value[1] and len(value[2]) == 2:
        left, right = value[2]
        if type(left) is str or (type(left) is tuple and left[0] == ir.ATTR):
            return left, left, right
    return None


def _remember_store(item: Expr, value: Expr, annotation: Expr, line: int, fn: FunctionBuilder) -> None:
    """Note `self.attribute = value`: the class table is made from these."""
    if type(item) is not tuple:
        return
    if item[0] == ir.SEQ:
        for element in item[2]:
            _remember_store(element, None, None, line, fn)
    elif item[0] == ir.ATTR:
        if fn.first_parameter is not None and item[1] == fn.first_parameter:
            fn.self_stores.append((item[2], value, annotation, line))
        elif type(value) is not tuple or value[0] != ir.CONST:
            fn.foreign_stores.append((item[2], value, annotation, line))


def _augmented(node: ast.AugAssign, fn: FunctionBuilder, out: list[Node]) -> None:
    value = lower(node.value, fn)
    out.append((ir.AUG, target(node.target, fn), value, node.lineno))


def _delete(node: ast.Delete, fn: FunctionBuilder, out: list[Node]) -> None:
    out.append((ir.DEL, tuple([target(item, fn) for item in node.targets]), node.lineno))


def _return(node: ast.Return, fn: FunctionBuilder, out: list[Node]) -> None:
    value = None if node.value is None else lower(node.value, fn)
    if type(value) is tuple and value[0] == ir.IFEXP:
        yes = ((ir.RETURN, value[2], node.lineno),)
        no = ((ir.RETURN, value[3], node.lineno),)
        out.append((ir.IF, value[1], yes, no, node.lineno))
        return
    out.append((ir.RETURN, ir.NONE if node.value is None else value, node.lineno))


def _raise(node: ast.Raise, fn: FunctionBuilder, out: list[Node]) -> None:
    if node.cause is not None:
        cause = lower(node.cause, fn)
        if type(cause) is tuple:
            out.append((ir.EXPR, cause, node.lineno))
    out.append((ir.RAISE, None if node.exc is None else lower(node.exc, fn), node.lineno))


def _if(node: ast.If, fn: FunctionBuilder, out: list[Node]) -> None:
    test = lower(node.test, fn)
    out.append((ir.IF, test, lower_block(node.body, fn), lower_block(node.orelse, fn), node.lineno))


def _for(node: ast.For | ast.AsyncFor, fn: FunctionBuilder, out: list[Node]) -> None:
    iterable = lower(node.iter, fn)
    item = target(node.target, fn)
    body = lower_block(node.body, fn)
    orelse = lower_block(node.orelse, fn)
    out.append((ir.FOR, item, iterable, body, orelse, node.lineno, type(node) is ast.AsyncFor))


def _while(node: ast.While, fn: FunctionBuilder, out: list[Node]) -> None:
    test = lower(node.test, fn)
    out.append((ir.WHILE, test, lower_block(node.body, fn), lower_block(node.orelse, fn), node.lineno))


def _try(node: ast.Try, fn: FunctionBuilder, out: list[Node]) -> None:
    body = lower_block(node.body, fn)
    handlers = []
    for handler in node.handlers:
        types = None if handler.type is None else lower(handler.type, fn)
        if handler.name is not None:
            fn.local_names.add(handler.name)
        handlers.append((types, handler.name, handler.lineno, lower_block(handler.body, fn)))
    orelse = lower_block(node.orelse, fn)
    final = lower_block(node.finalbody, fn)
    out.append((ir.TRY, body, tuple(handlers), orelse, final, node.lineno))


def _with(node: ast.With | ast.AsyncWith, fn: FunctionBuilder, out: list[Node]) -> None:
    items = []
    for item in node.items:
        context = lower(item.context_expr, fn)
        items.append((context, None if item.optional_vars is None else target(item.optional_vars, fn)))
    body = lower_block(node.body, fn)
    out.append((ir.WITH, tuple(items), body, node.lineno, type(node) is ast.AsyncWith))


def _break(node: ast.Break, fn: FunctionBuilder, out: list[Node]) -> None:
    out.append((ir.BREAK, node.lineno))


def _continue(node: ast.Continue, fn: FunctionBuilder, out: list[Node]) -> None:
    out.append((ir.CONTINUE, node.lineno))


def _nothing(node: ast.stmt, fn: FunctionBuilder, out: list[Node]) -> None:
    """`pass`, `nonlocal`: no effect on sessions."""


def _assert(node: ast.Assert, fn: FunctionBuilder, out: list[Node]) -> None:
    out.append((ir.ASSERT, lower(node.test, fn), node.lineno))


def _global(node: ast.Global, fn: FunctionBuilder, out: list[Node]) -> None:
    fn.global_names.update(node.names)


def _import(node: ast.Import, fn: FunctionBuilder, out: list[Node]) -> None:
    imports = fn.module.imports if fn.is_module else fn.imports
    for alias in node.names:
        if alias.asname is not None:
            imports.append((alias.asname, alias.name, None, 0, node.lineno))
        else:
            top = alias.name.partition(".")[0]
            imports.append((top, top, None, 0, node.lineno))
            if top != alias.name:
                imports.append(("", alias.name, None, 0, node.lineno))


def _import_from(node: ast.ImportFrom, fn: FunctionBuilder, out: list[Node]) -> None:
    imports = fn.module.imports if fn.is_module else fn.imports
    for alias in node.names:
        imports.append((alias.asname or alias.name, node.module or "", alias.name, node.level, node.lineno))


def _def(node: ast.FunctionDef | ast.AsyncFunctionDef, fn: FunctionBuilder, out: list[Node]) -> None:
    fn.local_names.add(node.name)
    index = lower_function(node, fn, None, lower_block)
    out.append((ir.DEF, index, node.name, node.lineno))


def _class(node: ast.ClassDef, fn: FunctionBuilder, out: list[Node]) -> None:
    fn.local_names.add(node.name)
    index = lower_class(node, fn, None, lower_block)
    out.append((ir.CLASS, index, node.name, node.lineno))


def _match(node: ast.Match, fn: FunctionBuilder, out: list[Node]) -> None:
    subject = fn.module.temporary()
    fn.local_names.add(subject)
    out.append((ir.ASSIGN, (subject,), lower(node.subject, fn), node.lineno, None))
    chain: Block = ()
    for case in reversed(node.cases):
        captured: list[str] = []
        values = [subject, *_pattern(case.pattern, fn, captured)]
        fn.local_names.update(captured)
        bindings = [(ir.ASSIGN, (name,), (ir.MIX, (subject,)), node.lineno, None) for name in captured]
        if case.guard is not None:
            values.append(lower(case.guard, fn))
        body = (*bindings, *lower_block(case.body, fn))
        if _irrefutable(case):
            chain = body
        else:
            chain = ((ir.IF, (ir.MIX, tuple(values)), body, chain, case.pattern.lineno),)
    out.extend(chain)


def _irrefutable(case: ast.match_case) -> bool:
    pattern = case.pattern
    return case.guard is None and isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _pattern(pattern: ast.pattern, fn: FunctionBuilder, captured: list[str]) -> list[Expr]:
    """The values a pattern compares with; the names it captures go into `captured`."""
    values: list[Expr] = []
    for part in ast.walk(pattern):
        if isinstance(part, ast.MatchValue):
            values.append(lower(part.value, fn))
        elif isinstance(part, ast.MatchClass):
            values.append(lower(part.cls, fn))
        elif isinstance(part, ast.MatchAs | ast.MatchStar) and part.name is not None:
            captured.append(part.name)
        elif isinstance(part, ast.MatchMapping) and part.rest is not None:
            captured.append(part.rest)
    return [value for value in values if value is not None and value != ir.NONE]


LOWERING: dict[type, Callable[..., None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Pass: _nothing,
    ast.Assert: _assert,
    ast.Global: _global,
    ast.Nonlocal: _nothing,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _def,
    ast.AsyncFunctionDef: _def,
    ast.ClassDef: _class,
    ast.Match: _match,
}
if hasattr(ast, "TypeAlias"):  # Python 3.12
    LOWERING[ast.TypeAlias] = _type_alias
