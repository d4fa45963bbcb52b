"""What goes into functions and what comes out of them: parameters, by marker, annotation or call sites; results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of, calls_through
from hermetic.engine.classes import (
    decorator_names,
)
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.parameters import parameter_at
from hermetic.engine.values import Atom, Value, elements
from hermetic.engine.walk import last_name
from hermetic.models.python import CACHING_DECORATORS
from hermetic.models.workers import STATE

if TYPE_CHECKING:
    from hermetic.engine.types import Types

# Call sites looked at to learn what an unannotated parameter gets, and of these, those that tell something.
MOST_CALLERS = 60
MOST_TELLING = 6
# Functions looked through for such call sites.
MOST_USERS = 240

# What is recognised in an attribute of an object of unknown class.
CARRIED = frozenset((v.ANY_SESSION, v.FACTORY, v.REGISTRY, v.ENGINE))

CONTEXT_DECORATORS = frozenset(("contextmanager", "asynccontextmanager"))
# Words without which a method has nothing to do with sessions.
SESSION_WORDS = frozenset(
    """
    commit rollback flush execute scalars scalar query exec merge refresh expunge connect engine db database begin
    repo repos
    """.split()
)


class Signatures:
    """The half of `Types` that is about functions."""

    def __init__(self, types: Types) -> None:
        self.types = types
        self._call_sites: dict[int, list[tuple[Function, Node]]] = {}
        self._given: dict[tuple[int, Atom | None], Value] = {}
        self._cached: dict[int, bool] = {}
        self._matters: dict[int, bool] = {}

    def param(self, fn: Function, number: int) -> Value:
        """What a parameter can get: injected, annotated, else what the callers found pass."""
        return self.types.ask(("param", fn.id, number), lambda: self._param(fn, number))

    def _param(self, fn: Function, number: int) -> Value:
        name, annotation, default, kind = fn.params[number]
        if number == 0 and fn.class_id is not None:
            receiver = self._receiver(fn)
            if receiver is not None:
                return receiver
        if self.types.queues.workers.gets(fn, number):
            return v.one((v.EXT_OBJECT, STATE))
        task = self.types.queues.bound_task(fn) if number == 0 and fn.decorators else None
        if task is not None:
            return v.one((v.INSTANCE, task))
        scope = self.types.code.functions[fn.parent] if fn.parent is not None else fn
        injected = self.types.constructors.provided(default, scope) or self.types.constructors.provided(
            annotation, scope
        )
        injected = injected or self.types.litestar.injected(fn, number)
        declared = self.types.annotation(annotation, scope) if annotation is not None else v.UNKNOWN
        if injected:
            return injected if any(atom[0] == v.ANY_SESSION for atom in injected) or not declared else declared
        if kind in (ir.VARARGS, ir.KWARGS, ir.OPTION):
            return v.UNKNOWN
        context = self.types.scopes.context(fn, name)
        if context and not any(self.types.scopes.is_context(atom) for atom in declared):
            return v.union(declared, context)
        if declared:
            return declared
        passed = self.passed(fn, number) if annotation is None else v.UNKNOWN
        passed = self.types.decorators.passed(fn, number) or passed
        if passed:
            return passed
        if default is not None and default != ir.NONE:
            return self.types.infer(default, self._defined_in(fn))
        return self._taken_for(fn, name) if annotation is None else v.UNKNOWN

    def _defined_in(self, fn: Function) -> Function:
        """Where the defaults of a function are evaluated: once, with its definition."""
        code = self.types.code
        return code.functions[fn.parent if fn.parent is not None else code.modules[fn.module].functions[0]]

    def _taken_for(self, fn: Function, name: str) -> Value:
        """A parameter of which neither annotations nor callers tell anything is a session, if the functions that get it
        as it is say so. What a callback gets, whoever calls it knows better."""
        out = v.UNKNOWN
        if fn.parent is not None and not self.types.code.functions[fn.parent].is_module:
            return out
        for node in fn.calls():
            places = [place for place, argument in enumerate(node[2]) if argument == name]
            places += [keyword for keyword, argument in node[3] if keyword is not None and argument == name]
            if not places or name in fn.bindings():
                continue
            for atom in v.ordered(self.types.infer(node[1], fn)):
                if atom[0] in (v.FUNCTION, v.METHOD):
                    callee = self.types.code.functions[atom[1]]
                    out = v.union_all([out, *(self._declared_session(callee, place) for place in places)])
        return out if len({atom[1].flavour for atom in out}) == 1 else v.UNKNOWN

    def _declared_session(self, callee: Function, place: int | str) -> Value:
        number = parameter_at(callee, place)
        if number is None or number >= len(callee.params) or callee.params[number][1] is None:
            return v.UNKNOWN
        scope = self.types.code.functions[callee.parent] if callee.parent is not None else callee
        declared = self.types.annotation(callee.params[number][1], scope)
        return frozenset(atom for atom in declared if atom[0] == v.ANY_SESSION)

    def _receiver(self, fn: Function) -> Value | None:
        names = decorator_names(fn)
        if "staticmethod" in names:
            return None
        class_id = fn.class_id
        assert class_id is not None
        if "classmethod" in names or fn.name in ("__new__", "__init_subclass__", "__class_getitem__"):
            return v.one((v.CLASS, class_id))
        return v.one((v.INSTANCE, class_id))

    def passed(self, fn: Function, number: int) -> Value:
        """The join over the arguments at the call sites that are found by name."""
        out = v.UNKNOWN
        telling = 0
        for caller, node in self.call_sites(fn):
            argument = argument_of(node, fn, number, bound=fn.class_id is not None and not _is_static(fn))
            passed = _only_types(self.types.infer(argument, caller)) if argument is not None else v.UNKNOWN
            if passed:
                out = v.union(out, passed)
                telling += 1
                if telling == MOST_TELLING:
                    break
        return convincing(out)

    def constructed_with(self, class_id: int, init: Function, number: int) -> Value:
        """The classes that this very class, not its base, is made with: the model of a generic repository."""
        return self.types.ask(("made with", class_id, number), lambda: self._constructed_with(class_id, init, number))

    def _constructed_with(self, class_id: int, init: Function, number: int) -> Value:
        out = v.UNKNOWN
        wanted = self.types.code.classes[class_id].name
        for caller in self._users_known_to(self.types.code.classes[class_id].module, wanted):
            for node in caller.calls_of(wanted):
                if (v.CLASS, class_id) in self.types.infer(node[1], caller):
                    argument = argument_of(node, init, number, bound=True)
                    passed = self.types.infer(argument, caller) if argument is not None else v.UNKNOWN
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
            wanted = self.types.code.classes[fn.class_id].name
        found: list[tuple[Function, Node]] = []
        for caller in self._users_known_to(fn.module, wanted):
            for node in (*caller.calls_of(wanted), *calls_through(caller, wanted)):
                if self._means(node[1], caller, fn):
                    found.append((caller, node))
                    if len(found) >= MOST_CALLERS:
                        return found
        return found

    def _users_known_to(self, module: int, name: str) -> list[Function]:
        code = self.types.code
        users = code.users_of(name)
        if code.has_tests():
            users = [user for user in users if code.may_know(module, code.functions[user].module)]
        return [code.functions[user] for user in users[:MOST_USERS]]

    def _means(self, callee: Expr, caller: Function, fn: Function) -> bool:
        targets = self.types.infer(callee, caller)
        if not targets:
            return fn.class_id is not None and type(callee) is tuple
        for atom in v.ordered(targets):
            if atom[0] in (v.FUNCTION, v.METHOD) and (atom[1] == fn.id or self._is_overridden_by(atom[1], fn)):
                return True
            if atom[0] == v.CLASS and fn.class_id is not None and fn.class_id in self.types.classes.mro(atom[1]):
                return True
        return False

    def _is_overridden_by(self, function: int, fn: Function) -> bool:
        """Is it the method of a base class or a Protocol, which a call of it may not reach, but this one?"""
        other = self.types.code.functions[function]
        if fn.class_id is None or other.class_id is None or other.name != fn.name:
            return False
        return other.class_id in self.types.classes.mro(fn.class_id)

    def returned(self, function: int, receiver: Atom | None) -> Value:
        """What calling a project function gives; awaiting it, if it is a coroutine, gives the same."""
        fn = self.types.code.functions[function]
        is_context = bool(fn.decorators) and not CONTEXT_DECORATORS.isdisjoint(decorator_names(fn))
        if is_context or fn.is_generator:
            kind = "context" if is_context else "generator"
            return v.one((v.DEFERRED, kind, function, receiver, (), (), None))
        found = self.types.ask(("returned", function), lambda: self._returned(fn))
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
                and self.types.classes.is_subclass(receiver[1], atom[1])
                and atom[1] in self.types.classes.mro(fn.class_id)
            )
            out = v.union(out, v.one((v.INSTANCE, receiver[1]) if own else atom))
        return out

    def _returned(self, fn: Function) -> Value:
        if fn.returns is not None:
            scope = self.types.code.functions[fn.parent] if fn.parent is not None else fn
            declared = self.types.annotation(fn.returns, scope)
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
                out = v.union(out, self.types.infer(statement[1], fn))
        made_here = frozenset(atom for atom in out if atom != (v.CONSTANT, None))
        if made_here and self.is_cached(fn):
            return frozenset(v.made_where(atom, "cached") for atom in made_here)
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
            scope = self.types.code.top_of(fn.module)
            if any(atom[0] == v.EXT and atom[1] in CACHING_DECORATORS for atom in self.types.infer(callee, scope)):
                return True
        return False

    def yielded(self, function: int) -> Value:
        """What a generator yields, or a context manager function hands to `with`."""
        fn = self.types.code.functions[function]
        return self.types.ask(("yielded", function), lambda: self._yielded(fn))

    def _yielded(self, fn: Function) -> Value:
        out = v.UNKNOWN
        for node in fn.nodes():
            if node[0] == ir.YIELD:
                out = v.union(out, self.types.infer(node[1], fn))
            elif node[0] == ir.YIELD_FROM:
                out = v.union(out, elements(self.types.infer(node[1], fn)))
        if not out and fn.returns is not None:
            scope = self.types.code.functions[fn.parent] if fn.parent is not None else fn
            out = elements(self.types.annotation(fn.returns, scope))
        return out

    def entered(self, value: Value) -> Value:
        """What `with value as x` binds."""
        out = v.UNKNOWN
        for atom in v.ordered(value):
            kind = atom[0]
            if kind == v.DEFERRED and atom[1] == "context":
                out = v.union(out, self.yielded(atom[2]))
            elif kind == v.INSTANCE and self.types.repositories.flavour(atom[1]) is not None:
                out = v.union(out, v.one(atom))  # `with Service.new(...)`
            elif kind == v.INSTANCE:
                for name in ("__enter__", "__aenter__"):
                    found = self.types.classes.member(atom[1], name)
                    if found is not None and type(found.item) is int:
                        out = v.union(out, self.returned(found.item, atom) or v.one(atom))
            elif kind in (v.ANY_SESSION, v.CONNECTION, v.EXT_OBJECT):
                out = v.union(out, v.one(atom))
            elif kind == v.BORROWED:
                out = v.union(out, atom[1])
        return out

    def matters(self, class_id: int) -> bool:
        """Can an object of the class have to do with sessions? Plain data classes, errors and enums cannot."""
        known = self._matters.get(class_id)
        if known is None:
            known = self._matters[class_id] = self._find_matters(class_id)
        return known

    def _find_matters(self, class_id: int) -> bool:
        if self.types.injector.is_container(class_id):
            return True
        for owner in self.types.classes.mro(class_id):
            class_ = self.types.code.classes[owner]
            for method in class_.methods.values():
                fn = self.types.code.functions[method]
                if fn.is_async or any(name in SESSION_WORDS or "session" in name.lower() for name in fn.identifiers):
                    return True
                if fn.name == "__init__" and len(fn.params) > 1:
                    return True
        return False


def _is_static(fn: Function) -> bool:
    return "staticmethod" in decorator_names(fn)


def _only_types(value: Value) -> Value:
    """What an argument tells of a parameter: its type, not the constant that one caller passes."""
    return frozenset(atom for atom in value if atom[0] not in (v.CONSTANT, v.DERIVED))


def convincing(value: Value) -> Value:
    """Where some of the code says "a session" or "a factory", unknown library objects in the rest are noise."""
    if len(value) > 1 and any(atom[0] in CARRIED for atom in value):
        return frozenset(atom for atom in value if atom[0] not in (v.OPERATION, v.EXT_OBJECT))
    return value
