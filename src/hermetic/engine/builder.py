"""Where lowering collects the facts of one module and of each function in it."""

from __future__ import annotations

import ast

from hermetic.engine import ir
from hermetic.engine.ir import Expr, Node


class ModuleBuilder:
    """The facts of one file, in the order in which its definitions appear."""

    __slots__ = ("classes", "functions", "imports", "temporaries")

    def __init__(self) -> None:
        self.imports: list[Node] = []
        self.functions: list[Node | None] = []
        self.classes: list[Node | None] = []
        self.temporaries = 0

    def temporary(self) -> str:
        """A local name that no source can contain."""
        self.temporaries += 1
        return f"${self.temporaries}"


class FunctionBuilder:
    """One function while its body is lowered; `module` is shared by all functions of the file."""

    __slots__ = (
        "class_index",
        "first_parameter",
        "flags",
        "foreign_stores",
        "global_names",
        "identifiers",
        "imports",
        "index",
        "is_module",
        "keywords",
        "local_names",
        "module",
        "options",
        "parent",
        "qualname",
        "self_stores",
    )

    def __init__(self, module: ModuleBuilder, parent: FunctionBuilder | None, qualname: str) -> None:
        self.module = module
        self.parent = parent
        self.qualname = qualname
        self.index = len(module.functions)
        self.is_module = parent is None
        self.class_index: int | None = None
        self.first_parameter: str | None = None
        self.keywords: str | None = None  # the name of its `**kwargs`
        self.options: dict[str, Expr] = {}  # what it takes out of them -> default
        self.flags = 0
        self.local_names: set[str] = set()
        self.global_names: set[str] = set()
        self.identifiers: set[str] = set()
        self.imports: list[Node] = []
        self.self_stores: list[Node] = []
        self.foreign_stores: list[Node] = []
        module.functions.append(None)

    def inner_qualname(self, name: str, class_qualname: str | None = None) -> str:
        """The dotted name of a definition made in this function's body."""
        outer = class_qualname or ("" if self.is_module else self.qualname)
        return f"{outer}.{name}" if outer else name

    def finish(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None,
        name: str,
        parameters: tuple[Node, ...],
        decorators: tuple[Expr, ...],
        returns: Expr,
        body: tuple[Node, ...],
    ) -> None:
        """Store the finished function at the index that was reserved for it."""
        line, column, end = (node.lineno, node.col_offset, node.end_lineno) if node is not None else (1, 0, 0)
        self.module.functions[self.index] = (
            name,
            self.qualname,
            line,
            column,
            end,
            self.flags,
            parameters,
            decorators,
            returns,
            body,
            tuple(sorted(self.local_names)),
            tuple(sorted(self.global_names)),
            tuple(self.imports),
            self.class_index,
            None if self.parent is None else self.parent.index,
            tuple(self.self_stores),
            tuple(self.foreign_stores),
            tuple(sorted(self.identifiers)),
        )


def position(node: ast.expr) -> ir.Pos:
    """Where an expression stands; `ast` fills in the ends of everything it parses."""
    return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[return-value]
