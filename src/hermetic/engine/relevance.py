"""Which functions can have to do with sessions: the others are not interpreted.

A function is relevant if words of the session vocabulary stand in it or in what it is said to return, or if it calls a
relevant function, as far as types tell. Calls that types cannot resolve have no effect in the interpreter either, so
nothing is lost by this; it only saves time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.link import Codebase, Function
from hermetic.engine.repositories import METHODS
from hermetic.engine.stores import MUTATING
from hermetic.engine.types import Types
from hermetic.engine.values import Value
from hermetic.engine.walk import last_name
from hermetic.models.sqlalchemy import SYMBOLS

# Functions whose names say what a statement loads: whoever gets the statement has the rows of it.
LOADER_OPTIONS = frozenset(
    name.rsplit(".", 1)[-1] for name, (kind, _) in SYMBOLS.items() if kind in ("eager", "eager_columns")
)

# Methods and functions without which nothing happens to a session. Deliberately without `get`, `add`, `close`,
# `delete`, `begin`: a function in which only those occur mentions a session, or calls something relevant.
WORDS = frozenset(
    """
    commit rollback flush execute scalars scalar query exec refresh merge expunge add_all begin_nested run_sync
    create_engine create_async_engine engine_from_config sessionmaker async_sessionmaker scoped_session
    bulk_save_objects bulk_insert_mappings awaitable_attrs get_or_404 first_or_404 one_or_404
    """.split()
)


def relevant_functions(code: Codebase, types: Types, mentions: Mentions) -> set[int]:
    """The functions to interpret."""
    users = code.users()
    mention_sessions = {user for name, found in users.items() if name in WORDS or "ession" in name for user in found}
    choose_what_to_load = {user for name in LOADER_OPTIONS for user in users.get(name, ())}
    use_objects = {user for name in COMMON_WORDS for user in users.get(name, ())}
    found = {
        fn.id
        for fn in code.functions
        if _changes_a_row(fn, types)
        or (fn.id in choose_what_to_load and _returns_something(fn))
        or (fn.id in mention_sessions and _deals_with_sessions(fn, types))
        or (fn.id in use_objects and _uses_a_typed_session(fn, types))
        or "ession" in last_name(fn.returns)
        or types.scopes.around(fn) is not None
        or _calls_a_repository(fn, types)
    }
    found |= {fn.id for fn in code.functions if fn.decorators and _is_wrapped(fn, types, found)}
    pending = sorted(found)
    while pending:
        for user in mentions.callers(code.functions[pending.pop()], found):
            found.add(user)
            pending.append(user)
    return found


def _is_wrapped(fn: Function, types: Types, relevant: Container[int]) -> bool:
    """Is a relevant function called in its place?"""
    wrapper = types.decorators.wrapper(fn)
    return wrapper is not None and wrapper.inner.id in relevant


# What many objects have, and sessions too: evidence only where the object is known to be a session.
COMMON_WORDS = frozenset(("get", "get_one", "add", "delete", "close", "remove", "begin"))


def _returns_something(fn: Function) -> bool:
    """Not what an `async def` returns: that has done its work itself."""
    return not fn.is_async and any(node[0] == ir.RETURN and node[1] is not None for node in fn.statements())


def _uses_a_typed_session(fn: Function, types: Types) -> bool:
    """Does a function use a session under a name that says nothing, `db.get(...)` or `self.db.add(...)`?"""
    attributes = fn.attributes()
    return any(
        _is_certainly_a_session(types.infer(node[1], fn)) for word in COMMON_WORDS for node in attributes.get(word, ())
    )


def _calls_a_repository(fn: Function, types: Types) -> bool:
    if not types.repositories.used or METHODS.isdisjoint(fn.identifiers):
        return False
    return any(
        types.repositories.method(atom, node[2])
        for node in fn.nodes()
        if node[0] == ir.ATTR and node[2] in METHODS
        for atom in types.infer(node[1], fn)
    )


def _is_certainly_a_session(value: Value) -> bool:
    return any(atom[0] in SESSION_KINDS for atom in value)


def _changes_a_row(fn: Function, types: Types) -> bool:
    """Does it change an instance of a mapped class that its caller has? The caller may commit that."""
    if fn.class_id is not None and fn.self_stores and fn.name != "__init__" and types.classes.is_model(fn.class_id):
        return True
    for name in sorted(_changed_names(fn)) if fn.params else ():
        number = fn.parameter(name)
        if number is not None and (number or fn.name != "__init__") and _is_a_row(types.param(fn, number), types):
            return True
    return False


def _changed_names(fn: Function) -> set[str]:
    """Variables whose attributes the function assigns, or puts something into: `x.y = 1`, `x.y.append(1)`,
    `setattr(x, y, 1)`."""
    found = set()
    for statement in fn.statements():
        if statement[0] == ir.ASSIGN or statement[0] == ir.AUG:
            for target in statement[1] if statement[0] == ir.ASSIGN else (statement[1],):
                if type(target) is tuple and target[0] == ir.ATTR and type(target[1]) is str:
                    found.add(target[1])
    if "setattr" in fn.identifiers or not MUTATING.isdisjoint(fn.identifiers):
        found.update(_changed_by(node) for node in fn.calls())
    found.discard("")
    return found


def _changed_by(call: ir.Node) -> str:
    callee, arguments = call[1], call[2]
    if callee == "setattr" and arguments and type(arguments[0]) is str:
        return arguments[0]
    if type(callee) is tuple and callee[0] == ir.ATTR and callee[2] in MUTATING and type(callee[1]) is tuple:
        collection = callee[1]
        if collection[0] == ir.ATTR and type(collection[1]) is str:
            return str(collection[1])
        if collection[0] == ir.CALL and collection[1] == "getattr" and type((*collection[2], None)[0]) is str:
            return str(collection[2][0])
    return ""


def _is_a_row(value: Value, types: Types) -> bool:
    return any(atom[0] == v.INSTANCE and types.classes.is_model(atom[1]) for atom in value)


# What an expression has to be, by type, for its function to deal with sessions.
SESSION_KINDS = frozenset(
    (
        v.ANY_SESSION,
        v.FACTORY,
        v.REGISTRY,
        v.ENGINE,
        v.CONNECTION,
        v.TRANSACTION,
        v.QUERY,
        v.GENERATING,
    )
)


def _deals_with_sessions(fn: Function, types: Types) -> bool:
    """Can anything that the function names by such a word be a session, a factory, an engine or a query, by type?

    Where types know nothing, a caller may: of an argument, or of what a constructor was given.
    """
    for number, param in enumerate(fn.params):
        if "ession" in param[0] and _is_session(types.param(fn, number)):
            return True
    for name, nodes in fn.attributes().items():
        word = name in WORDS
        if not word and "ession" not in name:
            continue
        for node in nodes:
            if (word and _has_sessions(types.infer(node[1], fn), types)) or _is_session(types.infer(node, fn)):
                return True
    return any((name in WORDS or "ession" in name) and _is_session(types.name(name, fn)) for name in sorted(fn.names()))


def _has_sessions(base: Value, types: Types) -> bool:
    """Is it a session or the like, or a mapped class, whose `query` Flask-SQLAlchemy binds to one?"""
    return _is_session(base) or any(
        atom[0] in (v.CLASS, v.INSTANCE) and types.classes.is_model(atom[1]) for atom in base
    )


def _is_session(value: Value) -> bool:
    if not value:
        return True
    for atom in v.ordered(value):
        kind = atom[0]
        if kind in SESSION_KINDS:
            return True
        if kind in (v.EXT, v.EXT_OBJECT) and atom[1] in SYMBOLS:
            return True
        if kind in (v.MANY, v.TUPLE, v.PARTIAL, v.DEFERRED):
            return True
    return False


def _names_of(code: Codebase, fn: Function) -> tuple[str, ...]:
    """The names under which a function is called: a constructor's is the class's, with those of its subclasses."""
    if fn.is_module:
        return ()
    if fn.class_id is not None and fn.name.startswith("__"):
        names = (code.classes[fn.class_id].name, *code.subclass_names(fn.class_id))
        return (*names, *[alias for name in names for alias in code.aliases(name)])
    return (fn.name, *code.aliases(fn.name)) if fn.class_id is None else (fn.name,)


class Mentions:
    """What functions mention, by type: which functions and classes a name in a body means."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._code = types.code
        self._meant: dict[tuple[int, str], tuple[list[int], list[int]]] = {}

    def callers(self, fn: Function, known: Container[int] = ()) -> Iterator[int]:
        """The functions that may call one, without those that are known already; whoever asks may add to them
        meanwhile."""
        for name in sorted(_names_of(self._code, fn)):
            for user in self._code.users_of(name):
                if user not in known and self._reach(self._code.functions[user], name, fn):
                    yield user

    def _reach(self, fn: Function, name: str, wanted: Function) -> bool:
        """Does something that the function mentions by that name mean the wanted function?"""
        if fn.is_module:
            return False
        known = self._meant.get((fn.id, name))
        if known is None:
            known = self._meant[(fn.id, name)] = self._find(fn, name)
        functions, classes = known
        if wanted.id in functions or any(self._may_be(function, wanted) for function in functions):
            return True
        return any(wanted.class_id in self._types.classes.mro(class_id) for class_id in classes)

    def _find(self, fn: Function, name: str) -> tuple[list[int], list[int]]:
        functions: set[int] = set()
        classes: set[int] = set()
        expressions: list[Expr] = [*fn.attributes().get(name, ())]
        if name in fn.names():
            expressions.append(name)
        for expression in expressions:
            if type(expression) is tuple:
                for base in v.ordered(self._types.infer(expression[1], fn)):
                    if base[0] in (v.INSTANCE, v.CLASS):
                        found = self._types.classes.member(base[1], name)
                        if found is not None and type(found.item) is int:
                            functions.add(found.item)
            for atom in v.ordered(self._types.infer(expression, fn)):
                if atom[0] in (v.FUNCTION, v.METHOD):
                    functions.add(atom[1])
                elif atom[0] == v.CLASS:
                    classes.add(atom[1])
        return sorted(functions), sorted(classes)

    def _may_be(self, function: int, wanted: Function) -> bool:
        """Is it a method of a base class that may turn out to be the wanted one?"""
        other = self._types.code.functions[function]
        if other.name != wanted.name or other.class_id is None or wanted.class_id is None:
            return False
        return other.class_id in self._types.classes.mro(wanted.class_id)
