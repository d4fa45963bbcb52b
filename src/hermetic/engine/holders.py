"""Objects that open a session of their own: is it for the class to close it, or for whoever makes the object?"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.classes import ClassTable
from hermetic.engine.link import Codebase
from hermetic.engine.typestate import CLOSED, SESSION_OPERATIONS
from hermetic.engine.values import Atom

ENTERING = frozenset(("__enter__", "__aenter__"))
# Operations after which a session holds nothing, and how the end of something else is called, on which it may depend.
ENDING = frozenset(name for name, operation in SESSION_OPERATIONS.items() if CLOSED in operation.puts) | frozenset(
    ("close_all", "stop", "shutdown", "__exit__", "__aexit__")
)


def is_for_the_class(code: Codebase, classes: ClassTable, session: Atom) -> bool:
    """Was the session made for an attribute, where a `with` of the object begins, or by the constructor of a class
    without a method that could close it?"""
    made = session[2].made if session[0] == v.SESSION else None
    if made is None:
        return False
    maker = code.functions[made[1]]
    if maker.class_id is None or not _is_kept(code, maker.class_id, maker.id, made[2:]):
        return False
    if maker.name in ENTERING:
        return True
    family = [owner.id for owner in code.classes if _related(classes, owner.id, maker.class_id)]
    return maker.name == "__init__" and not any(_ends_something(code, owner) for owner in family)


def _related(classes: ClassTable, one: int, other: int) -> bool:
    """Does one of them derive from the other?"""
    return classes.is_subclass(one, other) or classes.is_subclass(other, one)


def _is_kept(code: Codebase, class_id: int, method: int, at: tuple[int, int]) -> bool:
    """`self.session = Session()`, at that place"""
    stores = (store for found in code.classes[class_id].fields.values() for store in found)
    return any(
        where == method and type(store[1]) is tuple and store[1][0] == ir.CALL and store[1][4][:2] == at
        for where, store in stores
    )


def _ends_something(code: Codebase, class_id: int) -> bool:
    methods = code.classes[class_id].methods.values()
    return any(not ENDING.isdisjoint(code.functions[method].identifiers) for method in methods)
