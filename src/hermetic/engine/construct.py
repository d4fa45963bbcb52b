"""What calling, and reading attributes of, library objects gives: `models/` applied to types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hermetic.engine import ir, values as v
from hermetic.engine.containers import is_container
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.scopes import given_by, opened_by, session_type
from hermetic.engine.session_types import BORROWED, MANAGED, PLAIN, REGISTRY, Made, SessionType
from hermetic.engine.state import UNSEEN
from hermetic.engine.typestate import SESSION_ATTRIBUTES, SESSION_OPERATIONS
from hermetic.engine.values import Atom, Value
from hermetic.engine.waits import ANSWER, kind_of
from hermetic.models import frameworks
from hermetic.models.advanced_alchemy import config_flavour
from hermetic.models.python import MANAGER_DECORATORS, OFFLOADS
from hermetic.models.sqlalchemy import ASYNC, FLASK_QUERIES, QUERY_ENDINGS, SYMBOLS, SYNC
from hermetic.models.toolkit import READ, TRANSACTION
from hermetic.models.workers import STATE

if TYPE_CHECKING:
    from hermetic.engine.types import Types

FLASK_DATABASE = "flask_sqlalchemy.SQLAlchemy"

# Functions that hand their (first or given) argument through, as far as types are concerned.
PASS_THROUGH: dict[str, int] = {
    "contextlib.closing": 0,
    "contextlib.aclosing": 0,
    "contextlib.nullcontext": 0,
    "asyncio.run": 0,
    "asyncio.wait_for": 0,
    "asyncio.shield": 0,
    "asyncio.ensure_future": 0,
    "asyncio.create_task": 0,
    "copy.copy": 0,
    "functools.partial": 0,
    "functools.wraps": 0,
    "list": 0,
    "tuple": 0,
    "sorted": 0,
    "reversed": 0,
    "iter": 0,
    "set": 0,
}


class Constructors:
    """The library half of `Types`."""

    def __init__(self, types: Types) -> None:
        self.types = types

    # -- calls ------------------------------------------------------------------------------------------------

    def of_class(self, class_id: int, node: Node, fn: Function) -> Value:
        """Calling a project class."""
        for base in sorted(self.types.classes.external_bases(class_id)):
            kind, flavour = SYMBOLS.get(base, ("", ""))
            if kind == "session":
                return v.one((v.ANY_SESSION, self._new_session(flavour, node, fn)))
            if kind == "flask_db":
                return v.one(self._flask_database(node))
            if kind in ("factory", "registry"):
                return self._constructed(kind, flavour, base, node, fn)
        return v.one((v.INSTANCE, class_id))

    def of_library(self, name: str, node: Node, fn: Function) -> Value:
        """Calling a library symbol."""
        known = SYMBOLS.get(name)
        if known is not None:
            return self._constructed(known[0], known[1], name, node, fn)
        if name == "typing.cast" and len(node[2]) == 2:
            return self.types.annotation(node[2][0], fn) or self.types.infer(node[2][1], fn)
        provided = self.types.injector.given(name, node, fn)
        if provided is not None:
            return provided
        config = config_flavour(name)
        if config is not None:
            return v.one(self.types.configs.object(name, config, node, fn))
        opened = opened_by((v.EXT, name))
        if opened is not None:
            return self._session_in(opened)
        made = given_by(name)
        if made:
            return made
        if name in PASS_THROUGH:
            place = PASS_THROUGH[name]
            return self.types.infer(node[2][place], fn) if len(node[2]) > place else v.UNKNOWN
        if name in MANAGER_DECORATORS and node[2]:
            return v.one((v.EXT_OBJECT, name, self.types.infer(node[2][0], fn)))
        if name in OFFLOADS and len(node[2]) > OFFLOADS[name]:
            return self._result_of(node[2][OFFLOADS[name]], node, fn)
        if name in ("next", "anext", "builtins.anext") and node[2]:
            return self._next(self.types.infer(node[2][0], fn))
        if name == "super":
            return self._super(fn)
        if name == "getattr" and len(node[2]) >= 2:
            attribute = node[2][1]
            if type(attribute) is tuple and attribute[0] == ir.CONST and type(attribute[1]) is str:
                return self.types.members(self.types.infer(node[2][0], fn), attribute[1])
        return v.one((v.EXT_OBJECT, name))

    def _result_of(self, callee: Expr, node: Node, fn: Function) -> Value:
        out = v.UNKNOWN
        for atom in v.ordered(self.types.infer(callee, fn)):
            out = v.union(out, self.types.call_atom(atom, node, fn))
        return out

    def _next(self, value: Value) -> Value:
        out = v.UNKNOWN
        for atom in v.ordered(value):
            if atom[0] == v.DEFERRED:
                out = v.union(out, self.types.yielded(atom[2]))
            elif atom[0] == v.MANY:
                out = v.union(out, atom[1])
        return out

    def _super(self, fn: Function) -> Value:
        out = v.UNKNOWN
        if fn.class_id is not None:
            for base in self.types.classes.mro(fn.class_id)[1:]:
                out = v.union(out, v.one((v.INSTANCE, base)))
        return out

    def _constructed(self, kind: str, flavour: str, name: str, node: Node, fn: Function) -> Value:
        if kind == "session":
            return v.one((v.ANY_SESSION, self._new_session(flavour, node, fn)))
        if kind == "factory":
            return v.one((v.FACTORY, self.factory_type(flavour, node, fn)))
        if kind == "database":
            return v.one((v.FACTORY, SessionType(flavour, expire=False, options_at=self.made(node, fn))))
        if kind == "registry":
            return v.one((v.REGISTRY, self._registry_type(flavour, node, fn)))
        if kind in ("engine", "wrapped_engine"):
            return v.one((v.ENGINE, flavour, self.made(node, fn)))
        if kind == "statement":
            return v.one((v.STATEMENT, flavour, self._entity_class(node, fn), frozenset(), (UNSEEN,)))
        if kind == "flask_db":
            return v.one(self._flask_database(node))
        if kind == "query_class":
            return v.one((v.QUERY, None, self._entity_class(node, fn), (UNSEEN,), frozenset()))
        if kind == "session_of":
            return v.one((v.ANY_SESSION, SessionType(flavour, MANAGED)))
        return v.one((v.EXT_OBJECT, name))

    def made(self, node: Node, fn: Function) -> Made:
        """The record of a call that makes something."""
        return ("module" if fn.is_module else "function", fn.id, node[4][0], node[4][1])

    def _new_session(self, flavour: str, node: Node, fn: Function) -> SessionType:
        keywords = dict(node[3])
        bind = keywords.get("bind", node[2][0] if node[2] else None)
        kind = BORROWED if self._is_connection(bind, fn) else PLAIN
        made = self.made(node, fn)
        return SessionType(flavour, kind, _expire(keywords, node), made, made)

    def _is_connection(self, bind: Expr, fn: Function) -> bool:
        if bind is None:
            return False
        # alembic: https://alembic.sqlalchemy.org/en/latest/ops.html, op.get_bind() is the migration's connection
        for atom in v.ordered(self.types.infer(bind, fn)):
            if atom[0] == v.CONNECTION:
                return True
            if atom[0] == v.OPERATION and atom[2] == "get_bind":
                return True
            if atom[0] == v.EXT_OBJECT and atom[1].endswith("get_bind"):
                return True
        return False

    def factory_type(self, flavour: str, node: Node, fn: Function) -> SessionType:
        """The type of the sessions that a factory built by this call makes."""
        keywords = dict(node[3])
        class_ = keywords.get("class_")
        if class_ is not None:
            for atom in v.ordered(self.types.infer(class_, fn)):
                flavour = self._flavour_of_class(atom) or flavour
        bind = keywords.get("bind", node[2][0] if node[2] else None)
        if bind is not None and flavour == SYNC:
            for atom in v.ordered(self.types.infer(bind, fn)):
                if atom[0] == v.ENGINE and atom[1] == ASYNC:
                    flavour = ASYNC
        kind = BORROWED if self._is_connection(bind, fn) else PLAIN
        return SessionType(flavour, kind, _expire(keywords, node), None, self.made(node, fn))

    def _flavour_of_class(self, atom: Atom) -> str | None:
        names = self.types.classes.external_bases(atom[1]) if atom[0] == v.CLASS else {atom[1]}
        for name in names:
            known = SYMBOLS.get(name) if isinstance(name, str) else None
            if known is not None and known[0] == "session":
                return known[1]
        return None

    def _registry_type(self, flavour: str, node: Node, fn: Function) -> SessionType:
        expire = options_at = None
        first = node[2][0] if node[2] else dict(node[3]).get("session_factory")
        for atom in v.ordered(self.types.infer(first, fn) if first is not None else v.UNKNOWN):
            if atom[0] == v.FACTORY:
                flavour, _, expire, _, options_at = atom[1]
        return SessionType(flavour, REGISTRY, expire, None, options_at)

    def session_type(self, atom: Atom, node: Node, fn: Function) -> SessionType:
        """The type of the session that calling a factory or registry gives."""
        flavour, kind, expire, _, options_at = atom[1]
        keywords = dict(node[3])
        if _expire(keywords, node) is not True and "expire_on_commit" in keywords:
            expire = _expire(keywords, node)
        if kind == PLAIN and "bind" in keywords and self._is_connection(keywords["bind"], fn):
            kind = BORROWED
        return SessionType(flavour, kind, expire, self.made(node, fn), options_at)

    def _flask_database(self, node: Node) -> Atom:
        """`SQLAlchemy(app, session_options={...})`."""
        expire: bool | None = True
        options = dict(node[3]).get("session_options")
        if type(options) is tuple and options[0] == ir.DICT:
            for key, value in zip(options[1], options[2], strict=True):
                if key == (ir.CONST, "expire_on_commit"):
                    expire = value[1] if type(value) is tuple and value[0] == ir.CONST else None
        elif options is not None:
            expire = None
        return (v.EXT_OBJECT, FLASK_DATABASE, expire)

    def _entity_class(self, node: Node, fn: Function) -> int | None:
        """The mapped class that a statement or query is about: its first argument, or the class of that column."""
        for argument in node[2][:1]:
            for atom in v.ordered(self.types.infer(argument, fn)):
                if atom[0] == v.CLASS and self.types.classes.is_model(atom[1]):
                    return int(atom[1])
        return None

    def of_operation(self, atom: Atom, node: Node, fn: Function) -> Value:
        """Calling a method of a library object."""
        receiver, name = atom[1], atom[2]
        kind = receiver[0]
        if kind == v.ANY_SESSION:
            return self._session_operation(receiver, name, node, fn)
        if kind in (v.FACTORY, v.REGISTRY) and name in ("begin", TRANSACTION, READ):
            return v.one((v.ANY_SESSION, self.session_type(receiver, node, fn)))
        if kind == v.QUERY:
            return self._query_operation(receiver, name)
        if kind == v.RESULT:
            return self._result_operation(receiver, name)
        if kind == v.ENGINE:
            return (
                v.one((v.CONNECTION, receiver[1]))
                if name in ("connect", "begin")
                else v.one(receiver)
                if name == "execution_options"
                else v.UNKNOWN
            )
        if kind == v.STATEMENT:
            return v.one(receiver)
        if receiver[0] == v.CLASS:
            return v.one((v.INSTANCE, receiver[1]))  # `Service.new(...)`
        of_config = self.types.configs.makes(atom)
        if of_config:
            return of_config
        opened = opened_by(atom)
        if opened is not None:
            return self._session_in(opened)
        made = given_by(v.full_name(atom))
        if made:
            return made
        if is_container(receiver):
            return self.taken(name, node, fn)
        root = receiver
        while root[0] == v.OPERATION:
            root = root[1]
        if (
            root[0] == v.EXT_OBJECT
            and name in ("create_session", "create_scoped_session")
            and root[1] == FLASK_DATABASE
        ):
            return v.one((v.ANY_SESSION, SessionType(SYNC, PLAIN, root[2], self.made(node, fn))))
        if root[0] != v.EXT_OBJECT:
            return v.UNKNOWN
        answer = ANSWER if kind_of(v.full_name(atom)) is not None else ""
        return v.one((v.EXT_OBJECT, f"{root[1]}.{name}{answer}"))

    def _session_in(self, scope: Atom) -> Value:
        return self.library_member(*scope[1][1:])

    def taken(self, name: str, node: Node, fn: Function) -> Value:
        """`container.get(Session)`"""
        wanted = node[2][0] if node[2] else dict(node[3]).get("dependency_type")
        return self.types.containers.gives(self.types.annotation(wanted, fn)) if name == "get" else v.UNKNOWN

    def _session_operation(self, receiver: Atom, name: str, node: Node, fn: Function) -> Value:
        result = SESSION_OPERATIONS[name].result if name in SESSION_OPERATIONS else ""
        if result in ("entity", "locked", "merged"):
            class_id = self._entity_class(node, fn)
            if result == "merged":
                return self.types.infer(node[2][0], fn) if node[2] else v.UNKNOWN
            return v.one((v.INSTANCE, class_id)) if class_id is not None else v.UNKNOWN
        if result == "query":
            return v.one((v.QUERY, receiver, self._entity_class(node, fn), (UNSEEN,), frozenset()))
        if result in ("result", "scalars", "scalar"):
            class_id = None
            for atom in v.ordered(self.types.infer(node[2][0], fn) if node[2] else v.UNKNOWN):
                if atom[0] in (v.STATEMENT, v.QUERY):
                    class_id = atom[2]
            if result == "scalar":
                return v.one((v.INSTANCE, class_id)) if class_id is not None else v.UNKNOWN
            shape = "rows" if result == "result" else "scalars"
            return v.one((v.RESULT, receiver, class_id, (UNSEEN,), frozenset(), shape))
        if result == "connection":
            return v.one((v.CONNECTION, receiver[1].flavour))
        if result == "transaction" or result == "savepoint":
            return v.one((v.TRANSACTION, receiver, result == "savepoint"))
        if result == "engine":
            return v.one((v.OPERATION, receiver, "get_bind"))
        return v.UNKNOWN

    def _query_operation(self, receiver: Atom, name: str) -> Value:
        ending = QUERY_ENDINGS.get(name, "query")
        if ending == "query":
            return v.one(receiver)
        if receiver[2] is None:
            return v.UNKNOWN
        entity = v.one((v.INSTANCE, receiver[2]))
        return entity if ending == "one" else v.one((v.MANY, entity)) if ending == "many" else v.UNKNOWN

    def _result_operation(self, receiver: Atom, name: str) -> Value:
        if name == "scalars":
            return v.one((*receiver[:5], "scalars"))
        if name in ("unique", "yield_per"):
            return v.one(receiver)
        if receiver[2] is None:
            return v.UNKNOWN
        entity = v.one((v.INSTANCE, receiver[2]))
        if name in ("scalar", "scalar_one", "scalar_one_or_none"):
            return entity
        if receiver[5] == "scalars":
            return entity if name in ("first", "one", "one_or_none") else v.one((v.MANY, entity))
        return v.UNKNOWN

    # -- attributes -------------------------------------------------------------------------------------------

    def library_member(self, atom: Atom, name: str) -> Value:
        """What an attribute of a library object is."""
        kind = atom[0]
        if kind == v.REGISTRY:
            if name in SESSION_OPERATIONS and name not in ("remove", "configure"):
                return v.one((v.OPERATION, (v.ANY_SESSION, atom[1]), name))
            return v.one((v.OPERATION, atom, name))
        if kind == v.ANY_SESSION:
            if name == "sync_session":
                return v.one((v.ANY_SESSION, atom[1]._replace(flavour=SYNC, kind=MANAGED)))
            if name in ("bind", "engine"):
                return v.one((v.ENGINE, atom[1].flavour, None))
            return v.UNKNOWN if name in SESSION_ATTRIBUTES else v.one((v.OPERATION, atom, name))
        if kind in (v.EXT_OBJECT, v.EXT) and SYMBOLS.get(atom[1], ("",))[0] == "flask_db":
            return self._flask_member(atom, name)
        of_scope = session_type(name) if self.types.scopes.is_context(atom) else None
        if of_scope is not None:
            return v.one((v.ANY_SESSION, of_scope))
        if atom == (v.EXT_OBJECT, STATE):
            return self.types.queues.workers.item(name)
        if kind in (
            v.FACTORY,
            v.ENGINE,
            v.CONNECTION,
            v.QUERY,
            v.RESULT,
            v.STATEMENT,
            v.EXT_OBJECT,
            v.OPERATION,
            v.TRANSACTION,
        ):
            if kind == v.ENGINE and name == "sync_engine":
                return v.one((v.ENGINE, atom[1], atom[2]))
            return v.one((v.OPERATION, atom, name))
        return v.one((v.EXT, f"{atom[1]}.{name}")) if kind == v.EXT else v.UNKNOWN

    def _flask_member(self, atom: Atom, name: str) -> Value:
        expire = atom[2] if len(atom) > 2 else True
        if name == "session":
            return v.one((v.REGISTRY, SessionType(SYNC, REGISTRY, expire)))
        if name in FLASK_QUERIES:
            return v.one((v.OPERATION, (v.ANY_SESSION, SessionType(SYNC, REGISTRY, expire)), name))
        if name in ("engine", "get_engine"):
            return v.one((v.ENGINE, SYNC, None))
        if name == "Model":
            return v.one((v.EXT, "flask_sqlalchemy.Model"))
        if name in ("create_session", "create_scoped_session", "init_app", "create_all", "drop_all"):
            return v.one((v.OPERATION, atom, name))
        module = "sqlalchemy.orm" if f"sqlalchemy.orm.{name}" in SYMBOLS else "sqlalchemy"
        return v.one((v.EXT, f"{module}.{name}"))

    # -- annotations and injection ----------------------------------------------------------------------------

    def instance_of_class(self, class_id: int) -> Value:
        """An instance of a project class that somebody else made."""
        for base in sorted(self.types.classes.external_bases(class_id)):
            kind, flavour = SYMBOLS.get(base, ("", ""))
            if kind == "session":
                return v.one((v.ANY_SESSION, SessionType(flavour)))
            if kind == "flask_db":
                return v.one((v.EXT_OBJECT, FLASK_DATABASE, None))
        return v.one((v.INSTANCE, class_id))

    def instance_of_library(self, name: str) -> Value:
        """An instance of a library class, as an annotation names it."""
        kind, flavour = SYMBOLS.get(name, ("", ""))
        type_ = SessionType(flavour)
        if kind == "session":
            return v.one((v.ANY_SESSION, type_))
        if kind == "factory":
            return v.one((v.FACTORY, type_))
        if kind == "database":
            return v.one((v.FACTORY, type_._replace(expire=False)))
        if kind == "registry":
            return v.one((v.REGISTRY, SessionType(flavour, REGISTRY)))
        if kind in ("engine_class", "wrapped_engine"):
            return v.one((v.ENGINE, flavour, None))
        if kind == "connection_class":
            return v.one((v.CONNECTION, flavour))
        if kind == "query_class":
            return v.one((v.QUERY, None, None, (), frozenset()))
        if kind == "flask_db":
            return v.one((v.EXT_OBJECT, FLASK_DATABASE, None))
        if kind == "statement_class":
            return v.one((v.STATEMENT, flavour, None, frozenset(), ()))
        if name in NO_INSTANCES or "." not in name:
            return v.UNKNOWN
        return v.one((v.EXT_OBJECT, name))

    def provided(self, expression: Expr, fn: Function) -> Value:
        """What a dependency marker (`Depends(get_db)`) puts into a parameter."""
        if type(expression) is not tuple or expression[0] != ir.CALL:
            return v.UNKNOWN
        for atom in v.ordered(self.types.infer(expression[1], fn)):
            if atom[0] == v.EXT and atom[1] in frameworks.INJECTORS:
                provider = expression[2][0] if expression[2] else dict(expression[3]).get("dependency")
                return self.provision(self.types.infer(provider, fn)) if provider is not None else v.UNKNOWN
        return v.UNKNOWN

    def provision(self, provider: Value) -> Value:
        """What a provider gives the parameter: generators give what they yield, classes an instance."""
        out = v.UNKNOWN
        for atom in v.ordered(provider):
            if atom[0] == v.FUNCTION or atom[0] == v.METHOD:
                given = self.types.returned(atom[1], atom[2] if atom[0] == v.METHOD else None)
                for inner in v.ordered(given):
                    out = v.union(out, self.types.yielded(inner[2]) if inner[0] == v.DEFERRED else v.one(inner))
            elif atom[0] == v.CLASS:
                out = v.union(out, self.instance_of_class(atom[1]))
            elif atom[0] in (v.FACTORY, v.REGISTRY):
                out = v.union(out, v.one((v.ANY_SESSION, atom[1])))
            elif atom[0] == v.INSTANCE:
                found = self.types.classes.member(atom[1], "__call__")
                if found is not None and type(found.item) is int:
                    given = self.types.returned(found.item, atom)
                    for inner in v.ordered(given):
                        out = v.union(out, self.types.yielded(inner[2]) if inner[0] == v.DEFERRED else v.one(inner))
        return frozenset(managed(atom) for atom in out)


# Names in annotations that say nothing about an instance.
NO_INSTANCES = frozenset(("typing.Any", "typing.Self", "typing_extensions.Self", "builtins.object", "object"))


def managed(atom: Atom) -> Atom:
    """The same session, opened and closed by a framework around the call."""
    if atom[0] == v.ANY_SESSION and atom[1].kind == PLAIN:
        return (v.ANY_SESSION, atom[1]._replace(kind=MANAGED))
    return atom


def _expire(keywords: dict[str | None, Any], node: Node) -> bool | None:
    """expire_on_commit as written; True by default, None when `**options` may say otherwise."""
    value = keywords.get("expire_on_commit")
    if value is not None:
        return value[1] if type(value) is tuple and value[0] == ir.CONST and type(value[1]) is bool else None
    return None if None in keywords else True


__all__ = ["Constructors", "managed"]
