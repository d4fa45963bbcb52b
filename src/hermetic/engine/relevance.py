"""Which functions can have to do with sessions: the others are not interpreted.

A function is relevant if words of the session vocabulary stand in it, or if it calls a relevant function, as far as
types tell. Calls that types cannot resolve have no effect in the interpreter either, so nothing is lost by this;
it only saves time.
"""

from __future__ import annotations

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr
from hermetic.engine.link import Codebase, Function
from hermetic.engine.types import Types

# Methods and functions without which nothing happens to a session. Deliberately without `get`, `add`, `close`,
# `delete`, `begin`: a function in which only those occur mentions a session, or calls something relevant.
WORDS = frozenset(
    """
    commit rollback flush execute scalars scalar query exec refresh merge expunge add_all begin_nested run_sync
    create_engine create_async_engine engine_from_config sessionmaker async_sessionmaker scoped_session
    bulk_save_objects bulk_insert_mappings awaitable_attrs
    """.split()
)


def relevant_functions(code: Codebase, types: Types) -> set[int]:
    """The functions to interpret."""
    found = {fn.id for fn in code.functions if _mentions_sessions(fn)}
    pending = sorted(found)
    calls: dict[int, dict[str, list[Expr]]] = {}
    while pending:
        fn = code.functions[pending.pop()]
        for name in _names_of(code, fn):
            for user in code.users_of(name):
                if user not in found and _reaches(code.functions[user], name, fn, types, calls):
                    found.add(user)
                    pending.append(user)
    return found


def _mentions_sessions(fn: Function) -> bool:
    return any(name in WORDS or "ession" in name for name in fn.identifiers)


def _names_of(code: Codebase, fn: Function) -> tuple[str, ...]:
    """The names under which a function is called: a constructor's is the class's, with those of its subclasses."""
    if fn.is_module:
        return ()
    if fn.class_id is not None and fn.name.startswith("__"):
        return (code.classes[fn.class_id].name, *code.subclass_names(fn.class_id))
    return (fn.name,)


def _reaches(fn: Function, name: str, wanted: Function, types: Types, calls: dict[int, dict[str, list[Expr]]]) -> bool:
    """Does something that the function mentions by that name mean the wanted function?"""
    if fn.is_module:
        return False
    known = calls.get(fn.id)
    if known is None:
        known = calls[fn.id] = _mentions(fn)
    return any(_means(expression, fn, wanted, types) for expression in known.get(name, ()))


def _means(expression: Expr, fn: Function, wanted: Function, types: Types) -> bool:
    if type(expression) is tuple and wanted.class_id is not None:
        for base in types.infer(expression[1], fn):
            if base[0] in (v.INSTANCE, v.CLASS):
                found = types.classes.member(base[1], expression[2])
                if found is not None and type(found.item) is int and _is_or_is_overridden(found.item, wanted, types):
                    return True
    for atom in types.infer(expression, fn):
        if atom[0] in (v.FUNCTION, v.METHOD):
            if _is_or_is_overridden(atom[1], wanted, types):
                return True
        elif atom[0] == v.CLASS and wanted.class_id is not None and wanted.class_id in types.classes.mro(atom[1]):
            return True
    return False


def _is_or_is_overridden(function: int, wanted: Function, types: Types) -> bool:
    """Is it the wanted method, or one of a base class that may turn out to be it?"""
    if function == wanted.id:
        return True
    other = types.code.functions[function]
    if other.name != wanted.name or other.class_id is None or wanted.class_id is None:
        return False
    return other.class_id in types.classes.mro(wanted.class_id)


def _mentions(fn: Function) -> dict[str, list[Expr]]:
    """Names and attributes in a function's body, by their last part."""
    found: dict[str, list[Expr]] = {}
    for node in fn.nodes():
        if node[0] == ir.ATTR:
            found.setdefault(node[2], []).append(node)
        for child in walk.children(node):
            if type(child) is str:
                found.setdefault(child, []).append(child)
    return found
