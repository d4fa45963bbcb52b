"""Variables: what a name holds at a point, without any effect."""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.run import Run
from hermetic.engine.state import State
from hermetic.engine.values import Value


def lookup(run: Run, state: State, name: str) -> Value:
    """A variable: of this function, of an enclosing one, of the module, imported, or a builtin."""
    value = state.env.get(name)
    if value is not None:
        return value
    known = run.globals.get(name)
    if known is None:
        known = run.globals[name] = _outside(run, name)
    return known


def _outside(run: Run, name: str) -> Value:
    symbols = run.types.symbols
    imported = symbols.local_import(name, run.fn)
    if imported is not None:
        return imported
    scope = symbols.scope_of(name, run.fn)
    if scope is run.fn:
        return v.UNKNOWN  # assigned later, or on another path
    if scope is not None:
        return v.one((v.FREE, scope.id, name))
    return run.types.session_places.named(symbols.module_level(name, run.fn))


def peek(run: Run, state: State, expression: Expr) -> Value:
    """The value of a name or attribute path, as far as it is known without reading it again."""
    if type(expression) is str:
        return lookup(run, state, expression)
    if type(expression) is tuple and expression[0] == ir.ATTR:
        out = v.UNKNOWN
        for atom in peek(run, state, expression[1]):
            stored = state.stores.get((atom, expression[2]))
            if stored is None and atom[0] == v.OBJECT:
                stored = state.fields(atom).get(expression[2])
            if stored is not None:
                out = v.union(out, stored)
        return out
    return v.UNKNOWN


def places(run: Run, state: State, expression: Expr) -> Value:
    """The places that an attribute path names."""
    from hermetic.engine.fields import read_field

    if type(expression) is str:
        return lookup(run, state, expression)
    out = v.UNKNOWN
    if type(expression) is tuple and expression[0] == ir.ATTR:
        for atom in places(run, state, expression[1]):
            out = v.union(out, read_field(run, state, atom, expression[2]))
    return out


def path_of(expression: Expr) -> str | None:
    """`a.b.c` of a chain of attributes; what facts are keyed by."""
    parts = []
    while type(expression) is tuple and expression[0] == ir.ATTR:
        parts.append(expression[2])
        expression = expression[1]
    if type(expression) is not str:
        return None
    parts.append(expression)
    return ".".join(reversed(parts))
