"""What a method is in a subclass: abstract ones and their implementations, calls that mean another method there."""

from __future__ import annotations

from collections.abc import Set

from hermetic.engine import ir
from hermetic.engine.classes import decorator_names
from hermetic.engine.link import Function
from hermetic.engine.run import EXPLICIT, Raised
from hermetic.engine.types import Types
from hermetic.engine.walk import last_name

# https://docs.python.org/3/library/typing.html#typing.Protocol
PROTOCOLS = frozenset(("typing.Protocol", "typing_extensions.Protocol"))

# Implementations of an abstract method that are joined; of more, none is believed to be meant.
MOST_IMPLEMENTATIONS = 12

# So many methods in common make two classes the two sides of one interface.
LARGE_INTERFACE = 4

Relevant = Set[int]  # the functions that have to do with sessions


class Overrides:
    """Questions about overriding, each answered once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._dispatched: dict[tuple[int, int], bool] = {}
        self._implementations: dict[int, tuple[int, ...]] = {}
        self._overridden: set[int] | None = None
        self._twins: dict[int, tuple[int, ...]] = {}

    def calls_overridden(self, method: Function, class_id: int, relevant: Relevant) -> bool:
        """Does a method call, directly or not, what a subclass of its class defines anew, with sessions in either?"""
        key = (method.id, class_id)
        known = self._dispatched.get(key)
        if known is None:
            inherits = method.class_id in self._types.classes.mro(class_id)
            known = self._dispatched[key] = inherits and self._reaches_override(method, class_id, relevant)
        return known

    def _reaches_override(self, method: Function, class_id: int, relevant: Relevant) -> bool:
        classes = self._types.classes
        assert method.class_id is not None
        reached = [method]
        for fn in reached:
            for name in fn.identifiers:
                here, there = classes.member(method.class_id, name), classes.member(class_id, name)
                if here is None or there is None or type(here.item) is not int or type(there.item) is not int:
                    continue
                called = self._types.code.functions[here.item]
                others = self.implementations(called) if here.item != there.item else ()
                if here.item != there.item and not relevant.isdisjoint((here.item, there.item, *others)):
                    return True
                if here.item == there.item and here.item in relevant and called not in reached:
                    reached.append(called)
        return False

    def implementations(self, fn: Function) -> tuple[int, ...]:
        """Of an abstract method: the methods that override it, in the subclasses of its class."""
        known = self._implementations.get(fn.id)
        if known is None:
            known = ()
            if fn.class_id is not None and (_is_abstract(fn) or self._is_of_a_protocol(fn)):
                known = self._overriding(fn)
            self._implementations[fn.id] = known
        return known

    def twins(self, fn: Function) -> tuple[int, ...]:
        """What the method is in other classes that implement the same interface, if that has many methods: in those of
        a server, say, where this one belongs to its client."""
        known = self._twins.get(fn.id)
        if known is None:
            known = self._twins[fn.id] = self._find_twins(fn) if fn.class_id is not None else ()
        return known

    def _find_twins(self, fn: Function) -> tuple[int, ...]:
        code, found = self._types.code, []
        assert fn.class_id is not None
        own = code.classes[fn.class_id].methods
        for base in self._types.classes.mro(fn.class_id)[1:]:
            interface = code.classes[base].methods
            if fn.name not in interface or not _is_abstract(code.functions[interface[fn.name]]):
                continue
            implemented = {name for name in own if name in interface and _is_abstract(code.functions[interface[name]])}
            for class_, method in code.methods_named(fn.name):
                common = implemented & code.classes[class_].methods.keys()
                if (
                    class_ != fn.class_id
                    and len(common) >= LARGE_INTERFACE
                    and base in self._types.classes.mro(class_)[1:]
                ):
                    found.append(method)
        return tuple(dict.fromkeys(found))

    def _is_of_a_protocol(self, fn: Function) -> bool:
        """Is it `def load(self): ...` of a Protocol, or of a class that only derives from one?"""
        return not fn.body and not PROTOCOLS.isdisjoint(self._types.classes.external_bases(fn.class_id or 0))

    def _overriding(self, fn: Function) -> tuple[int, ...]:
        found = []
        code = self._types.code
        for class_, method in code.methods_named(fn.name):
            if not code.may_know(fn.module, code.classes[class_].module):
                continue
            if method != fn.id and fn.class_id in self._types.classes.mro(class_):
                other = self._types.code.functions[method]
                if not _is_abstract(other) and not self._is_of_a_protocol(other):
                    found.append(method)
        return tuple(found) if len(found) <= MOST_IMPLEMENTATIONS else ()

    def may_trust_no_return(self, fn: Function, raised: list[Raised]) -> bool:
        """A function that never returns normally, and is not just a placeholder for overrides."""
        if any("NotImplementedError" in exit_.names for exit_ in raised if exit_.kind == EXPLICIT):
            return False
        if self._overridden is None:
            self._overridden = set()
            code = self._types.code
            for class_ in code.classes:
                for base in self._types.classes.mro(class_.id)[1:]:
                    if not code.may_know(code.classes[base].module, class_.module):
                        continue
                    methods = code.classes[base].methods
                    self._overridden.update(methods[name] for name in class_.methods if name in methods)
        return fn.id not in self._overridden


def always_raises(fn: Function) -> bool:
    """Does a function's body end in a `raise`, in each of its branches, with no other way out?"""
    if fn.is_generator or not _ends_in_raise(fn.body):
        return False
    return not any(statement[0] == ir.RETURN for statement in fn.statements())


def _ends_in_raise(block: ir.Block) -> bool:
    if not block:
        return False
    last = block[-1]
    if last[0] == ir.IF:
        return _ends_in_raise(last[2]) and _ends_in_raise(last[3])
    if last[0] == ir.WITH:
        return _ends_in_raise(last[2])
    return last[0] == ir.RAISE and last_name(last[1]) != "NotImplementedError"


def _is_abstract(fn: Function) -> bool:
    """Declared so, or with a body that only says so."""
    if "abstractmethod" in decorator_names(fn):
        return True
    for statement in fn.body:
        if statement[0] != ir.RAISE or last_name(statement[1]) != "NotImplementedError":
            return False
    return bool(fn.body)
