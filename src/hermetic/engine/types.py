"""Types without flow: what a name, a field, a parameter or a call can be, asked for one at a time.

Nothing is computed until somebody asks, and every answer is kept. A question that comes back to itself (a
recursive function, fields assigned from each other) gets "nothing known" at that point; such partial answers are
kept only by the question that began the circle.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from hermetic.engine import ir, values as v, walk
from hermetic.engine.arguments import argument_of
from hermetic.engine.builder import FunctionBuilder, ModuleBuilder
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
from hermetic.engine.construct import Constructors
from hermetic.engine.containers import Containers, is_container, is_from_container
from hermetic.engine.inheritance import seen_from_subclass
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import BOUND_STORE, BOUND_VALUE, Codebase, Function
from hermetic.engine.litestar import Litestar
from hermetic.engine.lower_expressions import lower
from hermetic.engine.queues import Queues, is_state
from hermetic.engine.repositories import Repositories
from hermetic.engine.scopes import CONTEXT, Scopes
from hermetic.engine.symbols import Symbols
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models import frameworks, sqlalchemy
from hermetic.models.advanced_alchemy import NEW
from hermetic.models.python import CACHING_DECORATORS, DEFAULTING
from hermetic.models.workers import ARQ_STATE

# Call sites looked at to learn what an unannotated parameter gets, and of these, those that tell something.
MOST_CALLERS = 60
MOST_TELLING = 6
# Functions looked through for such call sites.
MOST_USERS = 240

# What is recognised in an attribute of an object of unknown class.
CARRIED = frozenset((v.ANY_SESSION, v.FACTORY, v.REGISTRY, v.ENGINE))

CONTEXT_DECORATORS = frozenset(("contextmanager", "asynccontextmanager"))
WRAPPERS = frozenset(
    ("Optional", "ClassVar", "Final", "Mapped", "Required", "NotRequired", "Awaitable", "Coroutine", "Self")
)
CONTAINERS = frozenset(
    """
    list List set Set frozenset FrozenSet tuple Tuple Sequence Iterable Collection Iterator AsyncIterator Generator
    AsyncGenerator AsyncIterable Deque deque ScalarResult
    """.split()
)
CONTEXT_MANAGERS = frozenset(
    """
    AbstractContextManager AbstractAsyncContextManager ContextManager AsyncContextManager _GeneratorContextManager
    _AsyncGeneratorContextManager
    """.split()
)
FACTORY_BASES = frozenset(("sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session"))


# Words without which a method has nothing to do with sessions.
SESSION_WORDS = frozenset(
    """
    commit rollback flush execute scalars scalar query exec merge refresh expunge connect engine db database begin
    repo repos
    """.split()
)


class Types:
    """Flow-insensitive types over a linked program."""

    def __init__(self, code: Codebase) -> None:
        self.code = code
        self.symbols = Symbols(code)
        self.classes = ClassTable(code, self._base_class)
        self.constructors = Constructors(self)
        self.queues = Queues(self)
        self.containers = Containers(self)
        self.scopes = Scopes(self)
        self.repositories = Repositories(self)
        self.litestar = Litestar(self)
        self._memo: dict[tuple[object, ...], Value] = {}
        self._active: dict[tuple[object, ...], int] = {}
        self._partial: dict[tuple[object, ...], tuple[Value, int]] = {}  # the answer, and the depth it relied on
        self._partial_by_depth: dict[int, list[tuple[object, ...]]] = {}
        self._cut = 1 << 30  # depth of the outermost question that an answer in progress relied on
        self._call_sites: dict[int, list[tuple[Function, Node]]] = {}
        self._given: dict[tuple[int, Atom | None], Value] = {}
        self._cached: dict[int, bool] = {}
        self._quoted: dict[str, Expr] = {}
        self._matters: dict[int, bool] = {}

    # -- the memo ---------------------------------------------------------------------------------------------

    def _ask(self, key: tuple[object, ...], answer: Callable[[], Value]) -> Value:
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
        return self._ask(("global", module, name), lambda: self._global(module, name))

    def _global(self, module: int, name: str) -> Value:
        out = v.UNKNOWN
        found = self.code.modules[module]
        top = self.code.functions[found.functions[0]]
        for binding in found.names.get(name, ()):
            if binding[0] in (BOUND_VALUE, BOUND_STORE):
                scope = top if binding[0] == BOUND_VALUE else self.code.functions[binding[2]]
                out = v.union(out, self._bound(binding[1], scope))
        return out

    def local(self, fn: Function, name: str) -> Value:
        """What a local variable of a function can hold, over all its assignments."""
        return self._ask(("local", fn.id, name), lambda: self._local(fn, name))

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
                return self.dynamic(expression[2]) or found
            return found
        if kind == ir.CALL:
            return self._ask(("call", fn.id, expression), lambda: self.call(expression, fn))
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
        for atom in v.ordered(self.infer(node[1], fn)):
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
            return self._ask(("member", atom, name), lambda: self._member(atom, name))
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
        return self.field(class_id, name)

    def _inherited(self, atom: Atom, name: str) -> Value:
        out = v.UNKNOWN
        if name == "query" and self.classes.is_model(atom[1]) and self.constructors.flask_session(atom[1]):
            return v.one((v.QUERY, None, atom[1], (), frozenset()))
        for base in sorted(self.classes.external_bases(atom[1])):
            kind = v.EXT_OBJECT if atom[0] == v.INSTANCE else v.EXT
            out = v.union(out, self.constructors.library_member((kind, base), name))
        return out

    def field(self, class_id: int, name: str) -> Value:
        """What an instance attribute can hold: by annotation, else over all assignments."""
        return self._ask(("field", class_id, name), lambda: self._field(class_id, name))

    def _field(self, class_id: int, name: str) -> Value:
        out = v.UNKNOWN
        for owner in self.classes.mro(class_id):
            class_ = self.code.classes[owner]
            top = self.code.functions[self.code.modules[class_.module].functions[0]]
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
                out = v.union(out, declared or self.infer(store[1], scope))
            if out:
                return convincing(out)
        return out

    def dynamic(self, name: str) -> Value:
        """What an attribute of an object of unknown class can hold, if all the project's assignments to attributes of
        that name agree that it is a session, a factory or an engine: `app.state.session_factory`."""
        if not self.code.stores_to(name):
            return v.UNKNOWN
        return self._ask(("dynamic", name), lambda: self._dynamic(name))

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
        """A function that gives a session is as good as a factory."""
        out = v.UNKNOWN
        for atom in v.ordered(value):
            given = self.returned(atom[1], None) if atom[0] == v.FUNCTION else v.UNKNOWN
            if given and all(inner[0] == v.ANY_SESSION for inner in given):
                out = v.union(out, frozenset((v.FACTORY, inner[1]) for inner in given))
            else:
                out = v.union(out, v.one(atom))
        return out

    # -- parameters and returns ---------------------------------------------------------------------------------

    def param(self, fn: Function, number: int) -> Value:
        """What a parameter can get: injected, annotated, else what the callers found pass."""
        return self._ask(("param", fn.id, number), lambda: self._param(fn, number))

    def _param(self, fn: Function, number: int) -> Value:
        name, annotation, default, kind = fn.params[number]
        if number == 0 and fn.class_id is not None:
            receiver = self._receiver(fn)
            if receiver is not None:
                return receiver
        if self.queues.gets_state(fn, number):
            return v.one((v.EXT_OBJECT, ARQ_STATE))
        scope = self.code.functions[fn.parent] if fn.parent is not None else fn
        injected = self.constructors.provided(default, scope) or self.constructors.provided(annotation, scope)
        declared = self.annotation(annotation, scope) if annotation is not None else v.UNKNOWN
        if injected:
            return injected if any(atom[0] == v.ANY_SESSION for atom in injected) or not declared else declared
        if kind in (ir.VARARGS, ir.KWARGS):
            return v.UNKNOWN
        context = self.scopes.context(fn, name)
        if context and not any(self.scopes.is_context(atom) for atom in declared):
            return v.union(declared, context)
        if declared:
            return declared
        passed = self._passed(fn, number) if annotation is None else v.UNKNOWN
        if passed:
            return passed
        return self.infer(default, scope) if default is not None and default != ir.NONE else v.UNKNOWN

    def _receiver(self, fn: Function) -> Value | None:
        names = decorator_names(fn)
        if "staticmethod" in names:
            return None
        class_id = fn.class_id
        assert class_id is not None
        if "classmethod" in names or fn.name in ("__new__", "__init_subclass__", "__class_getitem__"):
            return v.one((v.CLASS, class_id))
        return v.one((v.INSTANCE, class_id))

    def _passed(self, fn: Function, number: int) -> Value:
        """The join over the arguments at the call sites that are found by name."""
        out = v.UNKNOWN
        telling = 0
        for caller, node in self.call_sites(fn):
            argument = argument_of(node, fn, number, bound=fn.class_id is not None and not _is_static(fn))
            passed = _only_types(self.infer(argument, caller)) if argument is not None else v.UNKNOWN
            if passed:
                out = v.union(out, passed)
                telling += 1
                if telling == MOST_TELLING:
                    break
        return convincing(out)

    def constructed_with(self, class_id: int, init: Function, number: int) -> Value:
        """The classes that this very class, not its base, is made with: the model of a generic repository."""
        return self._ask(("made with", class_id, number), lambda: self._constructed_with(class_id, init, number))

    def _constructed_with(self, class_id: int, init: Function, number: int) -> Value:
        out = v.UNKNOWN
        wanted = self.code.classes[class_id].name
        for user in self.code.users_of(wanted)[:MOST_USERS]:
            caller = self.code.functions[user]
            for node in caller.calls_of(wanted):
                if (v.CLASS, class_id) in self.infer(node[1], caller):
                    argument = argument_of(node, init, number, bound=True)
                    passed = self.infer(argument, caller) if argument is not None else v.UNKNOWN
                    out = v.union(out, frozenset(atom for atom in passed if atom[0] == v.CLASS))
        return out

    def call_sites(self, fn: Function) -> list[tuple[Function, Node]]:
        """Calls in the project that mean this function, as far as types can tell; the first few."""
        if fn.id not in self._call_sites:
            self._call_sites[fn.id] = []
            self._call_sites[fn.id] = self._find_call_sites(fn)
        return self._call_sites[fn.id]

    def _find_call_sites(self, fn: Function) -> list[tuple[Function, Node]]:
        wanted = fn.name
        if fn.name == "__init__" and fn.class_id is not None:
            wanted = self.code.classes[fn.class_id].name
        users = self.code.users_of(wanted)
        found: list[tuple[Function, Node]] = []
        for number in users[:MOST_USERS]:
            caller = self.code.functions[number]
            for node in caller.calls_of(wanted):
                if self._means(node[1], caller, fn):
                    found.append((caller, node))
                    if len(found) >= MOST_CALLERS:
                        return found
        return found

    def _means(self, callee: Expr, caller: Function, fn: Function) -> bool:
        targets = self.infer(callee, caller)
        if not targets:
            return fn.class_id is not None and type(callee) is tuple
        for atom in v.ordered(targets):
            if atom[0] in (v.FUNCTION, v.METHOD) and atom[1] == fn.id:
                return True
            if atom[0] == v.CLASS and fn.class_id is not None and fn.class_id in self.classes.mro(atom[1]):
                return True
        return False

    def returned(self, function: int, receiver: Atom | None) -> Value:
        """What calling a project function gives; awaiting it, if it is a coroutine, gives the same."""
        fn = self.code.functions[function]
        is_context = bool(fn.decorators) and not CONTEXT_DECORATORS.isdisjoint(decorator_names(fn))
        if is_context or fn.is_generator:
            kind = "context" if is_context else "generator"
            return v.one((v.DEFERRED, kind, function, receiver, (), (), None))
        found = self._ask(("returned", function), lambda: self._returned(fn))
        return self._own_class(found, fn, receiver)

    def given(self, function: int, receiver: Atom | None) -> Value:
        """What a call, run to its end, gives."""
        key = (function, receiver)
        known = self._given.get(key)
        if known is None:
            found = self.returned(function, receiver)
            known = self._given[key] = frozenset(atom for atom in found if atom[0] != v.DEFERRED)
        return known

    def _own_class(self, value: Value, fn: Function, receiver: Atom | None) -> Value:
        """A method that returns an instance of its own class returns one of the receiver's class."""
        if receiver is None or fn.class_id is None or receiver[0] not in (v.CLASS, v.INSTANCE):
            return value
        out = v.UNKNOWN
        for atom in v.ordered(value):
            own = (
                atom[0] == v.INSTANCE
                and self.classes.is_subclass(receiver[1], atom[1])
                and atom[1] in self.classes.mro(fn.class_id)
            )
            out = v.union(out, v.one((v.INSTANCE, receiver[1]) if own else atom))
        return out

    def _returned(self, fn: Function) -> Value:
        if fn.returns is not None:
            scope = self.code.functions[fn.parent] if fn.parent is not None else fn
            declared = self.annotation(fn.returns, scope)
            if last_name(fn.returns) == "Self" and fn.class_id is not None:
                return v.one((v.INSTANCE, fn.class_id))
            # A declared base class or `object` says less than the code does; a library class says all.
            if declared and not all(atom[0] == v.CONSTANT for atom in declared):
                return self._with_options(declared, fn)
        return self._from_code(fn)

    def _from_code(self, fn: Function) -> Value:
        out = v.UNKNOWN
        for statement in fn.statements():
            if statement[0] == ir.RETURN:
                out = v.union(out, self.infer(statement[1], fn))
        made_here = frozenset(atom for atom in out if atom != (v.CONSTANT, None))
        if made_here and self.is_cached(fn):
            return frozenset(_made_where(atom, "cached") for atom in made_here)
        return made_here

    def _with_options(self, declared: Value, fn: Function) -> Value:
        """An annotation names the class of a session or factory; the code knows its options as well."""
        if not any(atom[0] in (v.ANY_SESSION, v.FACTORY, v.REGISTRY, v.ENGINE) for atom in declared):
            return declared
        precise = frozenset(
            atom for atom in self._from_code(fn) if atom[0] in (v.ANY_SESSION, v.FACTORY, v.REGISTRY, v.ENGINE)
        )
        return precise or declared

    def is_cached(self, fn: Function) -> bool:
        """Does a decorator keep the function's result for the whole process?"""
        if not fn.decorators:
            return False
        known = self._cached.get(fn.id)
        if known is None:
            known = self._cached[fn.id] = self._find_cached(fn)
        return known

    def _find_cached(self, fn: Function) -> bool:
        for decorator in fn.decorators:
            callee = decorator[1] if type(decorator) is tuple and decorator[0] == ir.CALL else decorator
            scope = self.code.functions[self.code.modules[fn.module].functions[0]]
            if any(atom[0] == v.EXT and atom[1] in CACHING_DECORATORS for atom in self.infer(callee, scope)):
                return True
        return False

    def yielded(self, function: int) -> Value:
        """What a generator yields, or a context manager function hands to `with`."""
        fn = self.code.functions[function]
        return self._ask(("yielded", function), lambda: self._yielded(fn))

    def _yielded(self, fn: Function) -> Value:
        out = v.UNKNOWN
        for node in fn.nodes():
            if node[0] == ir.YIELD:
                out = v.union(out, self.infer(node[1], fn))
            elif node[0] == ir.YIELD_FROM:
                out = v.union(out, elements(self.infer(node[1], fn)))
        if not out and fn.returns is not None:
            scope = self.code.functions[fn.parent] if fn.parent is not None else fn
            out = elements(self.annotation(fn.returns, scope))
        return out

    def entered(self, value: Value) -> Value:
        """What `with value as x` binds."""
        out = v.UNKNOWN
        for atom in v.ordered(value):
            kind = atom[0]
            if kind == v.DEFERRED and atom[1] == "context":
                out = v.union(out, self.yielded(atom[2]))
            elif kind == v.INSTANCE and self.repositories.flavour(atom[1]) is not None:
                out = v.union(out, v.one(atom))  # `with Service.new(...)`
            elif kind == v.INSTANCE:
                for name in ("__enter__", "__aenter__"):
                    found = self.classes.member(atom[1], name)
                    if found is not None and type(found.item) is int:
                        out = v.union(out, self.returned(found.item, atom) or v.one(atom))
            elif kind in (v.ANY_SESSION, v.CONNECTION, v.EXT_OBJECT):
                out = v.union(out, v.one(atom))
        return out

    def matters(self, class_id: int) -> bool:
        """Can an object of the class have to do with sessions? Plain data classes, errors and enums cannot."""
        known = self._matters.get(class_id)
        if known is None:
            known = self._matters[class_id] = self._find_matters(class_id)
        return known

    def _find_matters(self, class_id: int) -> bool:
        for owner in self.classes.mro(class_id):
            class_ = self.code.classes[owner]
            for method in class_.methods.values():
                fn = self.code.functions[method]
                if fn.is_async or any(name in SESSION_WORDS or "session" in name.lower() for name in fn.identifiers):
                    return True
                if fn.name == "__init__" and len(fn.params) > 1:
                    return True
        return False

    # -- annotations --------------------------------------------------------------------------------------------

    def annotation(self, expression: Expr, fn: Function) -> Value:
        """The instances that an annotation allows."""
        if expression is None:
            return v.UNKNOWN
        if type(expression) is tuple:
            kind = expression[0]
            if kind == ir.CONST:
                quoted = self._parse_quoted(expression[1]) if type(expression[1]) is str else None
                return self.annotation(quoted, fn)
            if kind == ir.MIX:
                return self._any_of(expression[1], fn)
            if kind == ir.SUB:
                return self._subscripted(expression, fn)
        return self._named(expression, fn)

    def _any_of(self, parts: tuple[Expr, ...], fn: Function) -> Value:
        out = v.UNKNOWN
        for part in parts:
            out = v.union(out, self.annotation(part, fn))
        return out

    def _parse_quoted(self, text: str) -> Expr:
        if text not in self._quoted:
            try:
                tree = ast.parse(text.strip(), "<annotation>", "eval")
                scratch = FunctionBuilder(ModuleBuilder(), None, "<annotation>")
                self._quoted[text] = lower(tree.body, scratch)
            except (SyntaxError, ValueError, KeyError, RecursionError, MemoryError):
                self._quoted[text] = None
        return self._quoted[text]

    def _subscripted(self, expression: Node, fn: Function) -> Value:
        base, index = expression[1], expression[2]
        name = last_name(base)
        parts: tuple[Expr, ...] = index[2] if type(index) is tuple and index[0] == ir.SEQ else (index,)
        if name == "Annotated":
            injected = v.UNKNOWN
            for part in parts[1:]:
                injected = injected or self.constructors.provided(part, fn)
            declared = self.annotation(parts[0], fn)
            return injected if any(atom[0] == v.ANY_SESSION for atom in injected) or not declared else declared
        if name == "Union":
            return self._any_of(parts, fn)
        if name in WRAPPERS:
            return self.annotation(parts[-1], fn)
        if name in CONTEXT_MANAGERS:
            return self.annotation(parts[0], fn)
        if name in CONTAINERS:
            inner = self.annotation(parts[0], fn)
            return v.one((v.MANY, inner)) if inner else v.UNKNOWN
        if name == "Callable":
            return self._callable(parts, fn)
        if name in ("type", "Type"):
            classes = frozenset(atom for atom in self.symbol(parts[0], fn) if atom[0] in (v.CLASS, v.EXT))
            bounds = self.annotation(parts[0], fn) if not classes else v.UNKNOWN  # of a TypeVar
            return classes or frozenset((v.CLASS, atom[1]) for atom in bounds if atom[0] == v.INSTANCE)
        if name in FACTORY_BASES and parts:
            return self._factory(base, parts[0], fn)
        if name == "FromDishka" and is_from_container(self.symbol(base, fn)):
            return self.containers.gives(self.annotation(parts[0], fn))
        return self._named(base, fn)

    def _factory(self, base: Expr, made: Expr, fn: Function) -> Value:
        """`sessionmaker[AsyncSession]`: the class in brackets decides the flavour."""
        out = v.UNKNOWN
        inner = self.annotation(made, fn)
        for atom in v.ordered(self._named(base, fn)):
            for session in v.ordered(inner):
                if session[0] == v.ANY_SESSION and atom[0] in (v.FACTORY, v.REGISTRY):
                    out = v.union(out, v.one((atom[0], atom[1]._replace(flavour=session[1].flavour))))
            out = out or v.one(atom)
        return out

    def _callable(self, parts: tuple[Expr, ...], fn: Function) -> Value:
        """A callable that gives a session, or a context manager of one, is as good as a factory."""
        if len(parts) < 2:
            return v.UNKNOWN
        given = self.annotation(parts[-1], fn)
        made = frozenset((v.FACTORY, atom[1]) for atom in given if atom[0] == v.ANY_SESSION)
        generated = frozenset(
            (v.GENERATING, atom[1])
            for many in given
            if many[0] == v.MANY
            for atom in many[1]
            if atom[0] == v.ANY_SESSION
        )
        return made | generated

    def symbol(self, expression: Expr, fn: Function) -> Value:
        """The classes or library symbols an annotation names, aliases and NewTypes followed."""
        if type(expression) is tuple and expression[0] == ir.CONST:
            expression = self._parse_quoted(expression[1]) if type(expression[1]) is str else None
        if type(expression) is str:
            imported = self.symbols.local_import(expression, fn)
            return imported if imported is not None else self.symbols.module_level(expression, fn)
        if type(expression) is tuple and expression[0] == ir.ATTR:
            base = self.symbol(expression[1], fn)
            return self.members(base, expression[2])
        return v.UNKNOWN

    def _named(self, expression: Expr, fn: Function) -> Value:
        out = v.UNKNOWN
        for atom in v.ordered(self.symbol(expression, fn)):
            if atom[0] == v.CLASS:
                instance = self.constructors.instance_of_class(atom[1])
                out = v.union(out, self._handed_out(atom[1]) or instance)
            elif atom[0] == v.EXT:
                out = v.union(out, self.constructors.instance_of_library(atom[1]))
            elif atom[0] == v.GLOBAL:
                out = v.union(out, self._alias(atom))
        return out

    def _handed_out(self, class_id: int) -> Value:
        """A class that only opens sessions (`__enter__` and nothing else), used as an annotation, means the session."""
        names = [name for owner in self.classes.mro(class_id) for name in self.code.classes[owner].methods]
        if not names or not all(name.startswith("__") for name in names):
            return v.UNKNOWN
        entered = self.entered(v.one((v.INSTANCE, class_id)))
        return frozenset(atom for atom in entered if atom[0] == v.ANY_SESSION)

    def _alias(self, atom: Atom) -> Value:
        """`DbSession = Annotated[Session, Depends(get_db)]`, `Row = dict | User`, NewType and TypeVar."""
        return self._ask(("alias", atom), lambda: self._alias_of(atom))

    def _alias_of(self, atom: Atom) -> Value:
        module = self.code.modules[atom[1]]
        top = self.code.functions[module.functions[0]]
        out = v.UNKNOWN
        for binding in module.names.get(atom[2], ()):
            if binding[0] != BOUND_VALUE:
                continue
            expression = binding[1][1]
            if type(expression) is tuple and expression[0] == ir.CALL:
                out = v.union(out, self._alias_call(expression, top))
            elif expression is not None:
                out = v.union(out, self.annotation(expression, top))
        return out

    def _alias_call(self, node: Node, fn: Function) -> Value:
        name = last_name(node[1])
        if name == "NewType" and len(node[2]) == 2:
            return self.annotation(node[2][1], fn)
        if name == "TypeVar":
            bound = dict(node[3]).get("bound")
            return self.annotation(bound, fn)
        if name == "TypeAliasType" and len(node[2]) == 2:
            return self.annotation(node[2][1], fn)
        # `Session = sessionmaker(...)` used as an annotation, a common slip: it means what it makes.
        made = self.infer(node, fn)
        return frozenset((v.ANY_SESSION, atom[1]) for atom in made if atom[0] in (v.FACTORY, v.REGISTRY))

    def _base_class(self, expression: Expr, module: int) -> Value:
        top = self.code.functions[self.code.modules[module].functions[0]]
        return self.infer(expression, top)


def convincing(value: Value) -> Value:
    """Where some of the code says "a session" or "a factory", unknown library objects in the rest are noise."""
    if len(value) > 1 and any(atom[0] in CARRIED for atom in value):
        return frozenset(atom for atom in value if atom[0] not in (v.OPERATION, v.EXT_OBJECT))
    return value


def elements(value: Value, number: int | None = None) -> Value:
    """What iterating over, or indexing, a value gives."""
    out = v.UNKNOWN
    for atom in v.ordered(value):
        if atom[0] == v.MANY:
            out = v.union(out, atom[1])
        elif atom[0] == v.TUPLE:
            if number is not None and -len(atom[1]) <= number < len(atom[1]):
                out = v.union(out, atom[1][number])
            else:
                for part in atom[1]:
                    out = v.union(out, part)
    return out


def _is_static(fn: Function) -> bool:
    return "staticmethod" in decorator_names(fn)


def _only_types(value: Value) -> Value:
    """What an argument tells of a parameter: its type, not the constant that one caller passes."""
    return frozenset(atom for atom in value if atom[0] not in (v.CONSTANT, v.DERIVED))


def _only_interesting(value: Value) -> Value:
    return frozenset(atom for atom in value if atom[0] != v.CONSTANT)


def _made_where(atom: Atom, where: str) -> Atom:
    if atom[0] == v.ANY_SESSION and atom[1].made is not None:
        return (v.ANY_SESSION, atom[1]._replace(made=(where, *atom[1].made[1:])))
    return atom


__all__ = ["ATTRIBUTE", "EXTERNAL", "FIELD", "Types", "elements", "frameworks", "sqlalchemy"]
