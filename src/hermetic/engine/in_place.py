"""Which callees are interpreted in place, with the very values that they get, and not by their summary."""

from __future__ import annotations

from collections.abc import Iterable

from hermetic.engine import ir, values as v
from hermetic.engine.link import Function
from hermetic.engine.types import Types
from hermetic.engine.values import Atom, Value

LARGEST = 60  # statements of a function that may be


class InPlace:
    """Those that call what they are given: a summary could not say what that does."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._called: dict[int, frozenset[int]] = {}

    def may_be(self, fn: Function, given: Iterable[Value]) -> bool:
        """Can `is_wanted` be, whatever these arguments are bound to?"""
        given = tuple(given)
        return bool(self._called_parameters(fn)) or any(map(_goes_on, given)) or self._is_lent_a_session(fn, given)

    def is_wanted(self, fn: Function, binding: dict[int, Value]) -> bool:
        """Is one of the arguments a function that the callee will call, or a query that it goes on with?"""
        if any(map(_goes_on, binding.values())) or self._is_lent_a_session(fn, binding.values()):
            return _is_small(fn)
        return any(map(_is_callable, self._to_be_called(fn, binding)))

    def functions(self, fn: Function, binding: dict[int, Value]) -> list[Function]:
        """The functions of the project that the callee is given to call, now or in a thread that it starts."""
        given = [atom for atom in self._to_be_called(fn, binding) if atom[0] in (v.FUNCTION, v.METHOD)]
        return [self._types.code.functions[atom[1]] for atom in given]

    def _to_be_called(self, fn: Function, binding: dict[int, Value]) -> list[Atom]:
        return [atom for number in self._called_parameters(fn) for atom in binding.get(number, ())]

    def _is_lent_a_session(self, fn: Function, given: Iterable[Value]) -> bool:
        """A nested function that a helper calls with a session: one of so many that types do not know what it gets."""
        if fn.parent is None or self._types.code.functions[fn.parent].is_module:
            return False
        return any(atom[0] == v.SESSION for value in given for atom in value) and not any(
            atom[0] == v.ANY_SESSION for number in range(len(fn.params)) for atom in self._types.param(fn, number)
        )

    def _called_parameters(self, fn: Function) -> frozenset[int]:
        known = self._called.get(fn.id)
        if known is None:
            known = _called_parameters(fn)
            for inner in self._functions_inside(fn) if fn.params and _is_small(fn) else ():
                known |= _called_there(fn, inner)
            self._called[fn.id] = known
        return known

    def _functions_inside(self, fn: Function) -> list[Function]:
        code = self._types.code
        first = code.modules[fn.module].functions[0]
        return [code.functions[first + statement[1]] for statement in fn.statements() if statement[0] == ir.DEF]


def _is_small(fn: Function) -> bool:
    return len(fn.statements()) <= LARGEST


def _is_callable(atom: Atom) -> bool:
    """A function or bound method; what is read from a library's object need not be one."""
    if atom[0] == v.OPERATION:
        return atom[1][0] not in (v.EXT_OBJECT, v.OPERATION)
    return atom[0] in (v.CLOSURE, v.PARTIAL, v.METHOD, v.FUNCTION)


def _holds_coroutines(value: Value) -> bool:
    """Calls that have not run yet, to be run by whoever gets the value."""
    for atom in value:
        if atom[0] == v.DEFERRED and atom[1] in ("coroutine", "operation", "attribute"):
            return True
        if atom[0] == v.MANY and _holds_coroutines(atom[1]):
            return True
        if atom[0] == v.TUPLE and any(_holds_coroutines(part) for part in atom[1]):
            return True
    return False


def _goes_on(value: Value) -> bool:
    """Is it a call that has not run yet, or a query of a session that is known? By its type a callee would know neither
    the query's session nor its class."""
    return _holds_coroutines(value) or any(atom[0] == v.QUERY and atom[1] is not None for atom in value)


def _called_there(fn: Function, inner: Function) -> frozenset[int]:
    """Parameters that a function inside of it calls: `def work(): task(*args)`."""
    return frozenset(
        number
        for number, param in enumerate(fn.params)
        if param[0] not in inner.locals and any(node[1] == param[0] for node in inner.calls())
    )


def _called_parameters(fn: Function) -> frozenset[int]:
    """Parameters that are called, or passed on where they may be."""
    if not _is_small(fn):
        return frozenset()
    names = {param[0]: number for number, param in enumerate(fn.params)}
    found = set()
    for node in fn.calls():
        if type(node[1]) is str and node[1] in names:
            found.add(names[node[1]])
        for argument in node[2]:
            if type(argument) is str and argument in names:
                found.add(names[argument])
    return frozenset(found)
