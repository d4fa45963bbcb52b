"""Types without flow: what a name, a field, a parameter or a call can be, asked for one at a time.

Nothing is computed until somebody asks, and every answer is kept. A question that comes back to itself (a
recursive function, fields assigned from each other) gets "nothing known" at that point; such partial answers are
kept only by the question that began the circle.
"""

from __future__ import annotations

from collections.abc import Callable

from hermetic.engine import ir, values as v, walk
from hermetic.engine.annotations import Annotations
from hermetic.engine.app_state import AppState
from hermetic.engine.classes import (
    ATTRIBUTE,
    CLASS_METHOD,
    EXTERNAL,
    FIELD,
    PROPERTY,
    STATIC_METHOD,
    ClassTable,
    decorator_names,
)
from hermetic.engine.configs import Configs
from hermetic.engine.construct import Constructors
from hermetic.engine.containers import Containers, is_container
from hermetic.engine.decorators import Decorators
from hermetic.engine.inheritance import seen_from_subclass
from hermetic.engine.injector import Injector
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import BOUND_STORE, BOUND_VALUE, Codebase, Function
from hermetic.engine.litestar import Litestar
from hermetic.engine.model_queries import ModelQueries
from hermetic.engine.queues import Queues
from hermetic.engine.repositories import Repositories
from hermetic.engine.scopes import CONTEXT, Scopes
from hermetic.engine.session_places import SessionPlaces
from hermetic.engine.signatures import CARRIED, Signatures, convincing
from hermetic.engine.state import UNSEEN
from hermetic.engine.symbols import Symbols
from hermetic.engine.values import Atom, Value, elements
from hermetic.engine.walk import last_name
from hermetic.engine.worker_state import is_state
from hermetic.models import frameworks, sqlalchemy
from hermetic.models.advanced_alchemy import NEW
from hermetic.models.python import DEFAULTING


class Types:
    """Flow-insensitive types over a linked program."""

    def __init__(self, code: Codebase) -> None:
        self.code = code
        self.symbols = Symbols(code)
        self.classes = ClassTable(code, self._base_class)
        self.constructors = Constructors(self)
        # Questions that are answered elsewhere; whoever asks need not know where.
        signatures, annotations = Signatures(self), Annotations(self)
        self.call_sites = signatures.call_sites
        self.constructed_with = signatures.constructed_with
        self.entered = signatures.entered
        self.given = signatures.given
        self.is_cached = signatures.is_cached
        self.matters = signatures.matters
        self.param = signatures.param
        self.passed = signatures.passed
        self.returned = signatures.returned
        self.yielded = signatures.yielded
        self.annotation = annotations.annotation
        self.symbol = annotations.symbol
        self.queues = Queues(self)
        self.containers = Containers(self)
        self.scopes = Scopes(self)
        self.repositories = Repositories(self)
        self.litestar = Litestar(self)
        self.configs = Configs(self)
        self.injector = Injector(self)
        self.app_state = AppState(self)
        self.decorators = Decorators(self)
        self.session_places = SessionPlaces(self)
        self.model_queries = ModelQueries(self)
        self._memo: dict[tuple[object, ...], Value] = {}
        self._active: dict[tuple[object, ...], int] = {}
        self._partial: dict[tuple[object, ...], tuple[Value, int]] = {}  # the answer, and the depth it relied on
        self._partial_by_depth: dict[int, list[tuple[object, ...]]] = {}
        self._cut = 1 << 30  # depth of the outermost question that an answer in progress relied on

    # -- the memo ---------------------------------------------------------------------------------------------

    def ask(self, key: tuple[object, ...], answer: Callable[[], Value]) -> Value:
        """The answer to a question, computed once; what it is asked again meanwhile is answered by what is known."""
        known = self._memo.get(key)
        if known is not None:
            return known
        partial = self._partial.get(key)
        if partial is not None:
            self._cut = min(self._cut, partial[1])
            return partial[0]
        if key in self._active:
            self._cut = min(self._cut, self._active[key])
            return v.UNKNOWN
        depth = len(self._active)
        if depth > 60:
            return v.UNKNOWN
        self._active[key] = depth
        outer, self._cut = self._cut, 1 << 30
        found = answer()
        del self._active[key]
        for ended in self._partial_by_depth.pop(depth, ()):
            del self._partial[ended]
        if self._cut >= depth:
            self._memo[key] = found
            self._cut = outer
        else:
            self._partial[key] = (found, self._cut)
            self._partial_by_depth.setdefault(self._cut, []).append(key)
            self._cut = min(outer, self._cut)
        return found

    # -- names ------------------------------------------------------------------------------------------------

    def name(self, name: str, fn: Function) -> Value:
        """What a name can be in a function."""
        imported = self.symbols.local_import(name, fn)
        if imported is not None:
            return self.resolved(imported)
        scope = self.symbols.scope_of(name, fn)
        if scope is not None:
            return self.local(scope, name)
        return self.resolved(self.symbols.module_level(name, fn))

    def resolved(self, value: Value) -> Value:
        """Module-level variables replaced by what they hold."""
        variables = [atom for atom in v.ordered(value) if atom[0] == v.GLOBAL]
        if not variables:
            return value
        return v.union_all([value.difference(variables), *(self.global_(atom[1], atom[2]) for atom in variables)])

    def global_(self, module: int, name: str) -> Value:
        """What a module-level variable can hold, over all its assignments."""
        return self.ask(("global", module, name), lambda: self._global(module, name))

    def _global(self, module: int, name: str) -> Value:
        out = v.UNKNOWN
        found = self.code.modules[module]
        top = self.code.functions[found.functions[0]]
        for binding in found.names.get(name, ()):
            if binding[0] in (BOUND_VALUE, BOUND_STORE):
                scope = top if binding[0] == BOUND_VALUE else self.code.functions[binding[2]]
                value = self._bound(binding[1], scope)
                out = v.union(out, _kept(value) if binding[0] == BOUND_STORE else value)
        return _most_precise(out)

    def local(self, fn: Function, name: str) -> Value:
        """What a local variable of a function can hold, over all its assignments."""
        return self.ask(("local", fn.id, name), lambda: self._local(fn, name))

    def _local(self, fn: Function, name: str) -> Value:
        number = fn.parameter(name)
        out = self.param(fn, number) if number is not None else v.UNKNOWN
        for binding in fn.bindings().get(name, ()):
            out = v.union(out, self._bound(binding, fn))
        if not out or number is None:
            out = v.union(out, self.scopes.context(fn, name))
        if not out:
            for statement in fn.statements():
                if statement[0] == ir.DEF and statement[2] == name:
                    first = self.code.modules[fn.module].functions[0]
                    return v.one((v.FUNCTION, first + statement[1]))
        return out

    def _bound(self, binding: walk.Binding, fn: Function) -> Value:
        how, expression, annotation = binding
        if annotation is not None:
            declared = self.annotation(annotation, fn)
            if declared and not self._is_a_class(expression, fn):
                return declared
        found = self.infer(expression, fn)
        if how == walk.ELEMENT:
            return elements(found)
        if how == walk.ENTERED:
            return self.entered(found)
        return found

    def _is_a_class(self, expression: Expr, fn: Function) -> bool:
        """`Model: DefaultMeta = db.Model`: the annotation names the metaclass, which says less."""
        if type(expression) is str or (type(expression) is tuple and expression[0] == ir.ATTR):
            found = self.infer(expression, fn)
            return bool(found) and all(atom[0] == v.CLASS or atom[1] in sqlalchemy.MODEL_BASES for atom in found)
        return False

    # -- expressions --------------------------------------------------------------------------------------------

    def infer(self, expression: Expr, fn: Function) -> Value:
        """What an expression can be in a function, without regard to order."""
        if expression is None:
            return v.UNKNOWN
        if type(expression) is str:
            return self.name(expression, fn)
        kind = expression[0]
        if kind == ir.CONST:
            return v.one((v.CONSTANT, expression[1]))
        if kind == ir.ATTR:
            base = self.infer(expression[1], fn)
            found = self.members(base, expression[2])
            if not found or all(atom[0] in (v.OPERATION, v.EXT, v.EXT_OBJECT) for atom in found):
                return self.app_state.kept(base, expression[2]) or self.dynamic(expression[2]) or found
            return found
        if kind == ir.CALL:
            return self.ask(("call", fn.id, expression), lambda: self.call(expression, fn))
        if kind == ir.AWAIT or kind == ir.STAR:
            return self.infer(expression[1], fn)
        if kind == ir.NAMED:
            return self.infer(expression[2], fn)
        return self._infer_compound(expression, fn)

    def _infer_compound(self, expression: Node, fn: Function) -> Value:
        kind = expression[0]
        if kind == ir.IFEXP:
            return v.union(self.infer(expression[2], fn), self.infer(expression[3], fn))
        if kind == ir.BOOL:
            out = v.UNKNOWN
            for part in expression[2]:
                out = v.union(out, self.infer(part, fn))
            return out
        if kind == ir.SEQ and len(expression[2]) <= 4:
            parts = tuple([self.infer(part, fn) for part in expression[2]])
            return v.one((v.TUPLE, parts)) if any(parts) else v.UNKNOWN
        if kind == ir.COMP and expression[1] != "dict":
            inner = self.infer(expression[2], fn)
            return v.one((v.MANY, inner)) if inner else v.UNKNOWN
        if kind == ir.SUB:
            base = self.infer(expression[1], fn)
            symbols = frozenset(atom for atom in base if atom[0] in (v.CLASS, v.EXT))
            if symbols:
                return symbols  # Generic[T] stands for Generic
            index = expression[2]
            if is_state(base) and type(index) is tuple and index[0] == ir.CONST:
                return self.members(base, index[1])
            number = index[1] if type(index) is tuple and index[0] == ir.CONST else None
            return elements(base, number if type(number) is int else None)
        if kind == ir.LAMBDA:
            return v.one((v.FUNCTION, self.code.modules[fn.module].functions[0] + expression[1]))
        return v.UNKNOWN

    def call(self, node: Node, fn: Function) -> Value:
        """What a call expression gives."""
        out = v.UNKNOWN
        callee = node[1]
        if self.injector.used and type(callee) is tuple and callee[0] == ir.ATTR:
            if self.injector.in_container(self.infer(callee[1], fn)):
                return self.infer(callee, fn)
        for atom in v.ordered(self.infer(callee, fn)):
            out = v.union(out, self.call_atom(atom, node, fn))
        if not out and len(node[2]) == 2 and type(node[1]) is tuple and last_name(node[1]) in DEFAULTING:
            given = self.infer(node[2][1], fn)  # `options.pop("client", Client())`
            return frozenset(atom for atom in given if atom[0] == v.INSTANCE)
        return out

    def call_atom(self, atom: Atom, node: Node, fn: Function) -> Value:
        """What calling one thing gives, with the arguments of `node`."""
        kind = atom[0]
        if kind == v.CLASS:
            return self.constructors.of_class(atom[1], node, fn)
        if kind == v.FUNCTION:
            return self.returned(atom[1], None)
        if kind == v.METHOD:
            return self.returned(atom[1], atom[2])
        if kind == v.EXT:
            return self.constructors.of_library(atom[1], node, fn)
        if kind in (v.FACTORY, v.REGISTRY):
            return v.one((v.ANY_SESSION, self.constructors.session_type(atom, node, fn)))
        if kind == v.OPERATION:
            return self.constructors.of_operation(atom, node, fn)
        if is_container(atom):
            return v.one(atom)
        if kind == v.GIVING:
            return v.one((v.BORROWED, atom[1])) if atom[2] else Value(atom[1])
        if kind == v.INSTANCE:
            found = self.classes.member(atom[1], "__call__")
            return self.returned(found.item, atom) if found is not None and type(found.item) is int else v.UNKNOWN
        return v.UNKNOWN

    def members(self, base: Value, name: str) -> Value:
        """What `base.name` can be."""
        out = v.UNKNOWN
        for atom in v.ordered(base):
            out = v.union(out, self.member(atom, name))
        return out

    def member(self, atom: Atom, name: str) -> Value:
        """What an attribute of one thing can be."""
        kind = atom[0]
        if kind == v.MODULE:
            found = self.symbols.definition(atom[1], name)
            if found is not None:
                return self.resolved(found)
            submodule = self.code.index.submodule(atom[1], name)
            return v.one((v.MODULE, submodule)) if submodule is not None else v.UNKNOWN
        if kind == v.EXT:
            return v.one((v.EXT, f"{atom[1]}.{name}"))
        if kind == v.CLASS or kind == v.INSTANCE:
            return self.ask(("member", atom, name), lambda: self._member(atom, name))
        return self.constructors.library_member(atom, name)

    def _member(self, atom: Atom, name: str) -> Value:
        class_id = atom[1]
        found = self.classes.member(class_id, name)
        if found is None:
            if atom[0] == v.CLASS and name == NEW and self.repositories.is_service(class_id):
                return v.one((v.OPERATION, atom, name))
            inherited = self.repositories.member(class_id, name) or self._inherited(atom, name)
            return inherited or (self.member(CONTEXT, name) if self.scopes.is_context(atom) else v.UNKNOWN)
        if type(found.item) is int:
            if found.kind == PROPERTY and atom[0] == v.INSTANCE:
                return self.returned(found.item, atom)
            if found.kind == STATIC_METHOD or (atom[0] == v.CLASS and found.kind != CLASS_METHOD):
                return v.one((v.FUNCTION, found.item))
            return v.one((v.METHOD, found.item, atom))
        # What a mixin's attribute is, the class says that it is mixed into.
        return self.field(class_id if found.owner in self.classes.mro(class_id) else found.owner, name)

    def _inherited(self, atom: Atom, name: str) -> Value:
        out = v.UNKNOWN
        if name == "query" and self.model_queries.session(atom[1]):
            return v.one((v.QUERY, None, atom[1], (UNSEEN,), frozenset()))
        for base in sorted(self.classes.external_bases(atom[1])):
            kind = v.EXT_OBJECT if atom[0] == v.INSTANCE else v.EXT
            out = v.union(out, self.constructors.library_member((kind, base), name))
        return out

    def field(self, class_id: int, name: str) -> Value:
        """What an instance attribute can hold: by annotation, else over all assignments."""
        return self.ask(("field", class_id, name), lambda: self._field(class_id, name))

    def _field(self, class_id: int, name: str) -> Value:
        out = v.UNKNOWN
        for owner in self.classes.mro(class_id):
            class_ = self.code.classes[owner]
            top = self.code.top_of(class_.module)
            attribute = class_.attributes.get(name)
            if attribute is not None:
                declared = self.annotation(attribute[1], top) if attribute[1] is not None else v.UNKNOWN
                injected = self.constructors.provided(attribute[2], top)
                value = injected or (self.infer(attribute[2], top) if attribute[2] is not None else v.UNKNOWN)
                out = v.union(out, _only_interesting(value) or declared)
            for method, store in class_.fields.get(name, ()):
                scope = self.code.functions[method]
                declared = self.annotation(store[2], scope) if store[2] is not None else v.UNKNOWN
                if owner != class_id:
                    declared = seen_from_subclass(self, class_id, scope, store[1]) or declared
                found = declared or self.infer(store[1], scope)
                out = v.union(out, _kept(found) if "classmethod" in decorator_names(scope) else found)
            if out:
                return convincing(out)
        return out

    def dynamic(self, name: str) -> Value:
        """What an attribute of an object of unknown class can hold, if all the project's assignments to attributes of
        that name agree that it is a session, a factory or an engine: `app.state.session_factory`."""
        if not self.code.stores_to(name):
            return v.UNKNOWN
        return self.ask(("dynamic", name), lambda: self._dynamic(name))

    def _dynamic(self, name: str) -> Value:
        out = v.UNKNOWN
        for function, store in self.code.stores_to(name):
            found = self._as_factory(self.infer(store[1], self.code.functions[function]))
            if not found and "session" in name:
                continue  # what is named so and holds a session elsewhere
            if not found or not all(atom[0] in CARRIED for atom in found):
                return v.UNKNOWN
            out = v.union(out, found)
        return out

    def _as_factory(self, value: Value) -> Value:
        """A function that gives a session is as good as a factory; one that gives nobody knows what may be, too."""
        out = v.UNKNOWN
        for atom in v.ordered(value):
            given = self.returned(atom[1], None) if atom[0] == v.FUNCTION else v.UNKNOWN
            if given and all(inner[0] == v.ANY_SESSION for inner in given):
                out = v.union(out, frozenset((v.FACTORY, inner[1]) for inner in given))
            elif given or atom[0] != v.FUNCTION:
                out = v.union(out, v.one(atom))
        return out

    def _base_class(self, expression: Expr, module: int) -> Value:
        top = self.code.top_of(module)
        return self.infer(expression, top)


def _most_precise(value: Value) -> Value:
    """Without the sessions that are known by annotation only, if others of the same flavour are better known."""
    known = {atom[1].flavour for atom in value if atom[0] == v.ANY_SESSION and atom[1].made is not None}
    if not known or len(value) == 1:
        return value
    return frozenset(
        atom for atom in value if atom[0] != v.ANY_SESSION or atom[1].made is not None or atom[1].flavour not in known
    )


def _kept(value: Value) -> Value:
    """By a variable of a module or of a class, which a function fills."""
    return frozenset(v.made_where(atom, "kept") for atom in value)


def _only_interesting(value: Value) -> Value:
    return frozenset(atom for atom in value if atom[0] != v.CONSTANT)


__all__ = ["ATTRIBUTE", "EXTERNAL", "FIELD", "Types", "frameworks", "sqlalchemy"]
