"""What a name means: local, closure, module-level, imported, re-exported, or of a library.

Answers are values without flow: every binding of a module-level name counts, in whatever branch it stands.
"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import BOUND_CLASS, BOUND_FUNCTION, BOUND_IMPORT, Codebase, Function, Module
from hermetic.engine.values import Value

# Re-exports are followed that far; longer chains are import cycles or generated code.
MOST_HOPS = 8


class Symbols:
    """Names of a linked program."""

    def __init__(self, code: Codebase) -> None:
        self.code = code
        self._memo: dict[tuple[int, str], Value | None] = {}
        self._imports: dict[tuple[int, str], Value] = {}

    def definition(self, module: int, name: str) -> Value | None:
        """The functions, classes, modules or library symbols that a module-level name stands for.

        A plain variable is `(GLOBAL, module, name)`, of the module that assigns it. None if there is no such name.
        """
        key = (module, name)
        if key not in self._memo:
            self._memo[key] = None  # an import cycle finds nothing here
            self._memo[key] = self._definition(self.code.modules[module], name, MOST_HOPS)
        return self._memo[key]

    def imported(self, item: Node, importer: int, hops: int = MOST_HOPS) -> Value:
        """What one Import fact binds its local name to."""
        _, module_name, name, level, _ = item
        index = self.code.index
        target = index.resolve_relative(module_name, level, importer) if level else index.resolve(module_name, importer)
        if target is None:
            # `from .` in a file that lies outside of any package, or a library.
            full = module_name if name is None else f"{module_name}.{name}"
            return v.one((v.EXT, full)) if not level else v.UNKNOWN
        if name is None:
            return v.one((v.MODULE, target))
        # `from . import part` in a package's own `__init__` binds the name that it asks for: it is the submodule.
        asks_itself = target == importer and name == item[0]
        found = self._definition(self.code.modules[target], name, hops - 1) if hops and not asks_itself else None
        if found is not None:
            return found
        submodule = index.submodule(target, name)
        return v.one((v.MODULE, submodule)) if submodule is not None else v.UNKNOWN

    def scope_of(self, name: str, function: Function) -> Function | None:
        """The function whose local variable the name is, walking outwards; None for module-level names."""
        scope: Function | None = function
        while scope is not None and not scope.is_module:
            if name in scope.locals:
                return scope
            if name in scope.globals:
                return None
            scope = None if scope.parent is None else self.code.functions[scope.parent]
        return None

    def local_import(self, name: str, function: Function) -> Value | None:
        """What an import statement inside the function, or one around it, binds the name to."""
        scope: Function | None = function
        while scope is not None and not scope.is_module:
            item = scope.imports.get(name)
            if item is not None:
                return self._imported_by(scope, item)
            scope = None if scope.parent is None else self.code.functions[scope.parent]
        return None

    def _imported_by(self, scope: Function, item: Node) -> Value:
        key = (scope.id, item[0])
        if key not in self._imports:
            self._imports[key] = self.imported(item, scope.module)
        return self._imports[key]

    def module_level(self, name: str, function: Function) -> Value:
        """What a name that is not local means: module-level, or a builtin."""
        found = self.definition(function.module, name)
        return found if found is not None else v.one((v.EXT, name))

    def named(self, expression: Expr, function: Function) -> Value:
        """What a name that is not local means, or a dotted one: a module's, a submodule, a library's symbol."""
        if type(expression) is str:
            return self.module_level(expression, function)
        out = v.UNKNOWN
        if type(expression) is tuple and expression[0] == ir.ATTR:
            for atom in self.named(expression[1], function):
                if atom[0] == v.EXT:
                    out = v.union(out, v.one((v.EXT, f"{atom[1]}.{expression[2]}")))
                elif atom[0] == v.MODULE:
                    submodule = self.code.index.submodule(atom[1], expression[2])
                    below = v.one((v.MODULE, submodule)) if submodule is not None else v.UNKNOWN
                    out = v.union(out, self.definition(atom[1], expression[2]) or below)
        return out

    def _definition(self, module: Module, name: str, hops: int) -> Value | None:
        bindings = module.names.get(name)
        if bindings is None:
            return self._star(module, name, hops)
        found = v.UNKNOWN
        variable = False
        for binding in bindings:
            kind = binding[0]
            if kind == BOUND_FUNCTION:
                found = v.union(found, v.one((v.FUNCTION, binding[1])))
            elif kind == BOUND_CLASS:
                found = v.union(found, v.one((v.CLASS, binding[1])))
            elif kind == BOUND_IMPORT:
                found = v.union(found, self.imported(binding[1], module.number, hops) if hops else v.UNKNOWN)
            else:
                variable = True
        if variable:
            # `try: import x` / `except ImportError: x = None`: the import is what matters.
            if not found or (all(atom[0] == v.EXT for atom in found) and len(bindings) == 1):
                return v.one((v.GLOBAL, module.number, name))
            found = v.union(found, v.one((v.GLOBAL, module.number, name)))
        return found

    def _star(self, module: Module, name: str, hops: int) -> Value | None:
        if not hops or name.startswith("__"):
            return None
        for item in module.stars:
            index = self.code.index
            source = item[1]
            target = (
                index.resolve_relative(source, item[3], module.number)
                if item[3]
                else index.resolve(source, module.number)
            )
            if target is not None:
                found = self._definition(self.code.modules[target], name, hops - 1)
                if found is not None:
                    return found
        return None
