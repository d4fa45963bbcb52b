"""Decorators of the project that end what a function has begun.

A decorated function is interpreted without them: what they wrap around it is known by the words in them.
"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.link import Function
from hermetic.engine.types import Types


class Decorators:
    """Questions about them, each answered once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._committing: dict[int, bool] = {}

    def commit(self, fn: Function) -> bool:
        """Does something that is wrapped around the function commit what it leaves?"""
        if not fn.decorators:
            return False
        known = self._committing.get(fn.id)
        if known is None:
            known = self._committing[fn.id] = any(self._commits(decorator, fn) for decorator in fn.decorators)
        return known

    def _commits(self, decorator: Expr, fn: Function) -> bool:
        code = self._types.code
        scope = code.functions[fn.parent if fn.parent is not None else code.modules[fn.module].functions[0]]
        maker = decorator[1] if type(decorator) is tuple and decorator[0] == ir.CALL else decorator
        return any(
            "commit" in code.functions[atom[1]].identifiers  # those of the functions within it are among them
            for atom in self._types.infer(maker, scope)
            if atom[0] in (v.FUNCTION, v.METHOD)
        )
