"""Functions and classes of `ast` to facts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from hermetic.engine import ir
from hermetic.engine.builder import FunctionBuilder
from hermetic.engine.ir import ASYNC, Block, Expr, Node
from hermetic.engine.lower_expressions import lower, lower_all, parameters

LowerBlock = Callable[[Iterable[ast.stmt], FunctionBuilder], Block]


def lower_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    outer: FunctionBuilder,
    class_: tuple[int, str] | None,
    lower_block: LowerBlock,
) -> int:
    """Lower a function; returns its index. `class_` is the (index, qualname) of the class it is a method of."""
    decorators = lower_all(node.decorator_list, outer)
    inner = FunctionBuilder(outer.module, outer, outer.inner_qualname(node.name, class_[1] if class_ else None))
    if type(node) is ast.AsyncFunctionDef:
        inner.flags |= ASYNC
    params = parameters(node.args, inner, outer)
    inner.keywords = None if node.args.kwarg is None else node.args.kwarg.arg
    if class_ is not None:
        inner.class_index = class_[0]
        inner.first_parameter = params[0][0] if params else None
    returns = None if node.returns is None else lower(node.returns, outer)
    for param in params:
        _note_names(param[1], inner)
    body = lower_block(node.body, inner)
    inner.local_names -= inner.global_names
    if class_ is None and not outer.is_module:
        outer.identifiers |= inner.identifiers  # a closure's work is done by whoever calls it
    params += tuple([(name, None, default, ir.OPTION) for name, default in inner.options.items()])
    inner.finish(node, node.name, params, decorators, returns, body)
    return inner.index


def _note_names(annotation: Expr, inner: FunctionBuilder) -> None:
    """The names in a parameter's annotation say as much of what a function deals with as those in its body."""
    if type(annotation) is str:
        inner.identifiers.add(annotation)
    elif type(annotation) is tuple:
        for part in annotation:
            if type(part) is str or type(part) is tuple:
                _note_names(part, inner)


def lower_class(
    node: ast.ClassDef, outer: FunctionBuilder, class_: tuple[int, str] | None, lower_block: LowerBlock
) -> int:
    """Lower a class; returns its index. `class_` is the class around it, if any."""
    module = outer.module
    index = len(module.classes)
    module.classes.append(None)
    qualname = outer.inner_qualname(node.name, class_[1] if class_ else None)
    bases = lower_all(node.bases, outer)
    keywords = tuple([(keyword.arg, lower(keyword.value, outer)) for keyword in node.keywords])
    decorators = lower_all(node.decorator_list, outer)
    attributes: list[Node] = []
    methods: list[tuple[str, int]] = []
    _class_body(node.body, outer, (index, qualname), lower_block, attributes, methods)
    parent = None if class_ is None else class_[0]
    module.classes[index] = (
        node.name,
        qualname,
        node.lineno,
        bases,
        keywords,
        decorators,
        tuple(attributes),
        tuple(methods),
        parent,
    )
    return index


def _class_body(
    statements: Iterable[ast.stmt],
    outer: FunctionBuilder,
    class_: tuple[int, str],
    lower_block: LowerBlock,
    attributes: list[Node],
    methods: list[tuple[str, int]],
) -> None:
    """Methods and attributes; of conditional bodies (`if TYPE_CHECKING:`) every branch counts."""
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            methods.append((statement.name, lower_function(statement, outer, class_, lower_block)))
        elif isinstance(statement, ast.Assign):
            value = lower(statement.value, outer)
            for item in statement.targets:
                if isinstance(item, ast.Name):
                    attributes.append((item.id, None, value, statement.lineno))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotated = None if statement.value is None else lower(statement.value, outer)
            attributes.append((statement.target.id, lower(statement.annotation, outer), annotated, statement.lineno))
        elif isinstance(statement, ast.ClassDef):
            lower_class(statement, outer, class_, lower_block)
        elif isinstance(statement, ast.If | ast.Try):
            for branch in (statement.body, statement.orelse):
                _class_body(branch, outer, class_, lower_block, attributes, methods)
