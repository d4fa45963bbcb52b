"""The session that `Model.query` runs on: of Flask-SQLAlchemy's `db.Model`, or of what has made a `query_property()`.

https://flask-sqlalchemy.readthedocs.io/en/stable/models/
https://docs.sqlalchemy.org/en/20/orm/contextual.html#sqlalchemy.orm.scoped_session.query_property
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_VALUE, Function
from hermetic.engine.values import Atom

if TYPE_CHECKING:
    from hermetic.engine.types import Types

# `Model = db.Model` is followed through that many names.
MOST_NAMES = 4

ATTRIBUTE, MAKER = "query", "query_property"


class ModelQueries:
    """Of the models of a program."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._set: dict[Atom, Atom] | None = None

    def session(self, class_id: int) -> Atom | None:
        """The session of a model's `query`, or of `cls.query` of a mixin that is mixed into such models."""
        found = {self._of_model(model) for model in self._types.classes.models_of(class_id)}
        return found.pop() if len(found) == 1 else None

    def _of_model(self, class_id: int) -> Atom | None:
        code = self._types.code
        for owner in self._types.classes.mro(class_id):
            class_ = code.classes[owner]
            top = self._types.code.top_of(class_.module)
            declared = class_.attributes.get(ATTRIBUTE)
            own = self._maker(declared[2], top) if declared is not None else self._set_outside().get((v.CLASS, owner))
            if own is not None:
                return own
            for base in class_.bases:
                session = self._of_base(base, top)
                if session is not None:
                    return session
        return None

    def _of_base(self, base: Expr, top: Function) -> Atom | None:
        """Of `db.Model`, by whatever name, or of a `declarative_base()` in a variable."""
        database = self._database_of(base, top, MOST_NAMES)
        if database is not None:
            return (v.FIELD, database, "session")
        outside = self._set_outside()
        return next((outside[atom] for atom in self._meant(base, top) if atom in outside), None)

    def _database_of(self, base: Expr, top: Function, names: int) -> Atom | None:
        """The global `db` of `db.Model`."""
        if type(base) is tuple and base[0] == ir.ATTR and base[2] == "Model":
            return next((atom for atom in self._meant(base[1], top) if atom[0] == v.GLOBAL), None)
        for atom in self._meant(base, top) if names else ():
            if atom[0] == v.GLOBAL:
                for binding in self._types.code.modules[atom[1]].names.get(atom[2], ()):
                    if binding[0] == BOUND_VALUE:
                        return self._database_of(binding[1][1], self._types.code.top_of(atom[1]), names - 1)
        return None

    def _set_outside(self) -> dict[Atom, Atom]:
        """Class, or variable with a base class -> the session of its query: `Base.query = registry.query_property()`"""
        if self._set is None:
            self._set = {}
            for function in dict.fromkeys(function for function, _ in self._types.code.stores_to(ATTRIBUTE)):
                fn = self._types.code.functions[function]
                for statement in fn.statements():
                    made = self._maker(statement[2], fn) if statement[0] == ir.ASSIGN else None
                    for target in statement[1] if made is not None else ():
                        if type(target) is tuple and target[0] == ir.ATTR and target[2] == ATTRIBUTE:
                            self._set.update(dict.fromkeys(self._meant(target[1], fn), made))
        return self._set

    def _maker(self, value: Expr, scope: Function) -> Atom | None:
        """The registry of `registry.query_property()`."""
        method = value[1] if type(value) is tuple and value[0] == ir.CALL else None
        if type(method) is not tuple or method[0] != ir.ATTR or method[2] != MAKER:
            return None
        return next((atom for atom in self._meant(method[1], scope) if atom[0] == v.GLOBAL), None)

    def _meant(self, expression: Expr, scope: Function) -> Sequence[Atom]:
        return v.ordered(self._types.symbols.named(expression, scope))
