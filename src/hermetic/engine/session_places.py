"""The session of a registry is one place, by whatever name it goes: `session = db.session` at the top of a module, or a
parameter that gets nothing else from any caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.construct import FLASK_DATABASE
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_VALUE, Function
from hermetic.engine.values import Atom, Value
from hermetic.models.sqlalchemy import SYMBOLS

if TYPE_CHECKING:
    from hermetic.engine.types import Types

MOST_NAMES = 4  # an alias of an alias is followed that far


class SessionPlaces:
    """The places of the registries of a program."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._aliases: dict[Atom, Value] = {}
        self._only: Atom | None = None
        self._counted = False

    def named(self, value: Value) -> Value:
        """What a name of a module stands for: a variable that is another name of a registry's session is that."""
        if len(value) != 1:
            return value
        (atom,) = value
        if atom[0] != v.GLOBAL:
            return value
        known = self._aliases.get(atom)
        if known is None:
            followed = self._followed(atom, MOST_NAMES)
            known = self._aliases[atom] = v.one(followed) if followed is not None else value
        return known

    def of_parameter(self, fn: Function, number: int) -> Atom | None:
        """The place that every caller gives to a parameter without a default, in a program with one registry."""
        _, annotation, default, kind = fn.params[number]
        if default is not None or kind in (ir.VARARGS, ir.KWARGS, ir.OPTION) or self._only_registry() is None:
            return None
        given = self._types.param(fn, number)
        if annotation is not None and all(atom[0] == v.ANY_SESSION for atom in given):
            given = self._types.passed(fn, number)  # the annotation says no more than that it is a session
        return self._only if given and all(atom[0] == v.REGISTRY for atom in given) else None

    def _only_registry(self) -> Atom | None:
        if not self._counted:
            self._counted = True
            found = list(self._flask_sessions())
            self._only = found[0] if len(found) == 1 else None
        return self._only

    def _flask_sessions(self) -> Iterator[Atom]:
        for module in self._types.code.modules:
            for name, bindings in module.names.items():
                values = (binding[1][1] for binding in bindings if binding[0] == BOUND_VALUE)
                if any(self._makes_a_database(value, module.functions[0]) for value in values):
                    yield (v.FIELD, (v.GLOBAL, module.number, name), "session")

    def _makes_a_database(self, value: Expr, module_code: int) -> bool:
        """`SQLAlchemy()`, of Flask-SQLAlchemy or of a class derived from it."""
        top = self._types.code.functions[module_code]
        made = self._meant(value[1], top) if type(value) is tuple and value[0] == ir.CALL else None
        if made is None or made[0] not in (v.EXT, v.CLASS):
            return False
        names = (made[1],) if made[0] == v.EXT else self._types.classes.external_bases(made[1])
        return any(SYMBOLS.get(name, ("",))[0] == "flask_db" for name in names)

    def _is_database(self, variable: Atom) -> bool:
        held = self._types.global_(variable[1], variable[2])
        return bool(held) and all(atom[0] == v.EXT_OBJECT and atom[1] == FLASK_DATABASE for atom in held)

    def _followed(self, variable: Atom, names: int) -> Atom | None:
        module = self._types.code.modules[variable[1]]
        bindings = module.names.get(variable[2], ())
        if not names or len(bindings) != 1 or bindings[0][0] != BOUND_VALUE:
            return None
        value = bindings[0][1][1]
        top = self._types.code.functions[module.functions[0]]
        if type(value) is tuple and value[0] == ir.ATTR and value[2] == "session":
            database = self._meant(value[1], top)
            if database is not None and database[0] == v.GLOBAL and self._is_database(database):
                return (v.FIELD, database, "session")
        meant = self._meant(value, top)
        return self._followed(meant, names - 1) if meant is not None and meant[0] == v.GLOBAL else None

    def _meant(self, expression: Expr, top: Function) -> Atom | None:
        """The one thing that a name, or a name in a module, stands for."""
        found = self._types.symbols.named(expression, top)
        return next(iter(found)) if len(found) == 1 else None
