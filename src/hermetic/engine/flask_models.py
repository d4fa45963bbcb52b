"""Flask-SQLAlchemy's models: the session that `Model.query` runs on.

https://flask-sqlalchemy.readthedocs.io/en/stable/models/
"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.classes import ClassTable
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_VALUE, Codebase, Function
from hermetic.engine.symbols import Symbols
from hermetic.engine.values import Atom, Value

# `Model = db.Model` is followed through that many names.
MOST_NAMES = 4


def session_of_model(code: Codebase, symbols: Symbols, classes: ClassTable, class_id: int) -> Atom | None:
    """The `session` of the `db` whose `db.Model` the class derives from, by whatever name."""
    for owner in classes.mro(class_id):
        class_ = code.classes[owner]
        for base in class_.bases:
            database = _database_of(base, _top(code, class_.module), code, symbols, MOST_NAMES)
            if database is not None:
                return (v.FIELD, database, "session")
    return None


def _database_of(base: Expr, top: Function, code: Codebase, symbols: Symbols, names: int) -> Atom | None:
    """The global `db` of `db.Model`."""
    if type(base) is tuple and base[0] == ir.ATTR and base[2] == "Model":
        return next((atom for atom in _meant(base[1], top, symbols) if atom[0] == v.GLOBAL), None)
    for atom in _meant(base, top, symbols) if names else ():
        if atom[0] == v.GLOBAL:
            for binding in code.modules[atom[1]].names.get(atom[2], ()):
                if binding[0] == BOUND_VALUE:
                    return _database_of(binding[1][1], _top(code, atom[1]), code, symbols, names - 1)
    return None


def _meant(expression: Expr, top: Function, symbols: Symbols) -> Value:
    """What a name, or a name in a module, stands for."""
    if type(expression) is str:
        return symbols.module_level(expression, top)
    out = v.UNKNOWN
    if type(expression) is tuple and expression[0] == ir.ATTR:
        for atom in _meant(expression[1], top, symbols):
            if atom[0] == v.MODULE:
                out = v.union(out, symbols.definition(atom[1], expression[2]) or v.UNKNOWN)
    return out


def _top(code: Codebase, module: int) -> Function:
    return code.functions[code.modules[module].functions[0]]
