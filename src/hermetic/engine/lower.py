"""One syntax tree to the facts of its module: a pure function, no file or setting is consulted."""

from __future__ import annotations

import ast

from hermetic.engine.builder import FunctionBuilder, ModuleBuilder
from hermetic.engine.ir import Node
from hermetic.engine.lower_statements import lower_block


def lower_module(tree: ast.Module) -> Node:
    """ModuleFacts of a parsed file (see `facts`)."""
    module = ModuleBuilder()
    top = FunctionBuilder(module, None, "<module>")
    body = lower_block(tree.body, top)
    top.finish(None, "<module>", (), (), None, body)
    return (tuple(module.imports), tuple(module.functions), tuple(module.classes))
