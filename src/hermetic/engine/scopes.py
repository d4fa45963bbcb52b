"""Transaction scopes that a library opens for a context object: `@writer` functions and `with writer.using(context)`.

All scopes of a program are taken to be on one session: contexts are handed down untyped, and a function that works in
the scope of its caller cannot be told from one that works beside it by the names that they give to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Class, Function
from hermetic.engine.session_types import MANAGED, SessionType
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models import scopes as models

if TYPE_CHECKING:
    from hermetic.engine.types import Types

MODES = frozenset(models.MODES.values())

# A context with an open scope, whatever its class.
CONTEXT: Atom = (v.EXT_OBJECT, "oslo_db.sqlalchemy.enginefacade.Context")

_ATTRIBUTES = {flavour: name for name, flavour in models.SESSION_ATTRIBUTES.items()}


def session_type(attribute: str) -> SessionType | None:
    """The type of the session that an attribute of a context is; oslo.db makes them with `expire_on_commit=False`."""
    flavour = models.SESSION_ATTRIBUTES.get(attribute)
    return SessionType(flavour, MANAGED, False) if flavour is not None else None


def scope_of(full_name: str) -> Atom | None:
    """The scope that a library object of that name stands for, `oslo_db.sqlalchemy.enginefacade.writer.independent`."""
    for facade, flavour in models.FACADES.items():
        if full_name.startswith(facade):
            parts = full_name[len(facade) :].split(".")
            modes = [models.MODES[part] for part in parts if part in models.MODES]
            if modes and models.CONNECTION not in parts:
                return (v.TRANSACTION, (v.FIELD, CONTEXT, _ATTRIBUTES[flavour]), modes[-1])
    return None


def is_of_a_scope(session: Atom | None) -> bool:
    """Is it the session of a scope?"""
    return session is not None and session[0] == v.FIELD and session[1] == CONTEXT


def opened_by(callee: Atom) -> Atom | None:
    """The scope that a call opens, `writer.using(context)`."""
    if callee[0] == v.OPERATION and callee[2] != models.USING:
        return None
    full = v.full_name(callee)
    return scope_of(full) if full.endswith("." + models.USING) else None


def given_by(full_name: str) -> Value:
    """`writer.get_engine()`, `writer.get_sessionmaker()`"""
    last = full_name.rpartition(".")[2]
    scope = scope_of(full_name) if last in (models.GIVES_ENGINE, models.GIVES_FACTORY) else None
    if scope is None:
        return v.UNKNOWN
    flavour = models.SESSION_ATTRIBUTES[scope[1][2]]
    if last == models.GIVES_ENGINE:
        return v.one((v.ENGINE, flavour, None))
    return v.one((v.FACTORY, SessionType(flavour, expire=False)))


class Scopes:
    """Questions about functions and contexts."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._used: bool | None = None
        self._of_functions: dict[int, Atom | None] = {}

    @property
    def used(self) -> bool:
        """Does the program have such scopes at all?"""
        if self._used is None:
            self._used = any(
                item[1] is not None and item[1].partition(".")[0] in models.LIBRARIES
                for module in self._types.code.modules
                for item in module.imports
            )
        return self._used

    def around(self, fn: Function) -> Atom | None:
        """The scope in which a decorator runs the function."""
        if not fn.decorators or not self.used:
            return None
        if fn.id not in self._of_functions:
            self._of_functions[fn.id] = None
            self._of_functions[fn.id] = self._find_around(fn)
        return self._of_functions[fn.id]

    def _find_around(self, fn: Function) -> Atom | None:
        code = self._types.code
        top = code.top_of(fn.module)
        for decorator in fn.decorators:
            for atom in v.ordered(self._types.infer(decorator, top)):
                found = self._opened_in(atom[1]) if atom[0] == v.FUNCTION else scope_of(v.full_name(atom))
                if found is not None:
                    return found
        return None

    def _opened_in(self, decorator: int) -> Atom | None:
        """The scope that a decorator of the project opens around what it decorates, in a function nested in it."""
        for fn in self._types.code.functions[decorator:]:
            if fn.parent == decorator:
                for node in _uses(fn):
                    for atom in v.ordered(self._types.infer(node[1], fn)):
                        scope = opened_by(atom)
                        if scope is not None:
                            return scope
            elif fn.id > decorator and fn.module != self._types.code.functions[decorator].module:
                break
        return None

    def context(self, fn: Function, name: str) -> Value:
        """The context that a variable is: the first argument of a function with a scope, or one that it opens for."""
        if not self.used:
            return v.UNKNOWN
        scope = self.around(fn)
        if scope is not None and fn.params:
            number = int(fn.params[0][0] in ("self", "cls"))  # as enginefacade finds it
            if len(fn.params) > number and fn.params[number][0] == name:
                return v.one(CONTEXT)
        for node in _uses(fn):
            if node[2] and node[2][0] == name:
                if any(opened_by(atom) is not None for atom in self._types.infer(node[1], fn)):
                    return v.one(CONTEXT)
        return v.UNKNOWN

    def session_of(self, base: Expr, name: str, fn: Function) -> Atom | None:
        """The session that `base.name` is, if `base` is a context."""
        if name not in models.SESSION_ATTRIBUTES or not self.used:
            return None
        found = any(self.is_context(atom) for atom in self._types.infer(base, fn))
        return (v.FIELD, CONTEXT, name) if found else None

    def is_context(self, atom: Atom) -> bool:
        """Is it a context by its class?"""
        if atom[0] == v.EXT_OBJECT:
            return atom == CONTEXT or atom[1] in models.CONTEXT_CLASSES
        if atom[0] == v.INSTANCE and self.used:
            mro = self._types.classes.mro(atom[1])
            library = models.CONTEXT_CLASSES & self._types.classes.external_bases(atom[1])
            return bool(library) or any(_provides_context(self._types.code.classes[owner]) for owner in mro)
        return False


def _uses(fn: Function) -> list[Node]:
    if models.USING not in fn.identifiers:
        return []
    return fn.calls_of(models.USING)


def _provides_context(class_: Class) -> bool:
    return any(last_name(decorator) == models.CONTEXT_DECORATOR for decorator in class_.decorators)
