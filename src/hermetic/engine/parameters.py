"""Which parameters decide what a function does: those that it tests, or hands on to a function that tests them.

A function is summarised once for each set of constants that such parameters get; see `project.key_of`.
"""

from __future__ import annotations

from typing import NamedTuple

from hermetic.engine import ir, walk
from hermetic.engine.classes import ClassTable, decorator_names
from hermetic.engine.link import Codebase, Function
from hermetic.engine.walk import last_name


class _HandOn(NamedTuple):
    """`helper(session)`: a parameter that becomes a parameter of a callee, of which the name is known."""

    number: int
    callee: str
    place: int | str | None  # position, keyword, or None where `*` or `**` stands before it


class DecidingParameters:
    """Names stand for callees here: a function that is not meant costs a summary more, never a wrong one."""

    def __init__(self, code: Codebase, classes: ClassTable) -> None:
        self._code = code
        self._classes = classes
        self._named: dict[str, list[Function]] = {}
        self._callees: dict[str, list[Function]] = {}
        for fn in code.functions:
            self._named.setdefault(fn.name, []).append(fn)
        self._hand_ons: dict[int, list[_HandOn]] = {}
        self._known: dict[int, frozenset[int]] = {}
        self._sorted: dict[int, tuple[int, ...]] = {}

    def of(self, fn: Function) -> tuple[int, ...]:
        """The numbers of a function's deciding parameters, ascending."""
        found = self._sorted.get(fn.id)
        if found is None:
            self._settle(fn)
            found = self._sorted[fn.id] = tuple(sorted(self._known[fn.id]))
        return found

    def _settle(self, start: Function) -> None:
        """Find the tests of everything that the function's parameters can reach, then carry them back to a fixpoint."""
        reached = [start]
        if start.id not in self._known:
            self._look_at(start)
        for fn in reached:
            for hand_on in self._hand_ons[fn.id]:
                for callee in self._functions(fn, hand_on.callee):
                    if callee.id not in self._known:
                        self._look_at(callee)
                        reached.append(callee)
        changed = True
        while changed:
            changed = False
            for fn in reversed(reached):
                decided = self._known[fn.id].union(
                    hand_on.number for hand_on in self._hand_ons[fn.id] if self._decides(fn, hand_on)
                )
                if decided != self._known[fn.id]:
                    self._known[fn.id] = decided
                    changed = True

    def _look_at(self, fn: Function) -> None:
        names = {param[0]: number for number, param in enumerate(fn.params)}
        if fn.params and fn.params[-1][3] == ir.OPTION:
            names |= _kept_options(fn, names)
        self._known[fn.id] = _tested(fn, names) if names else frozenset()
        self._hand_ons[fn.id] = self._handed_on(fn, names) if names else []

    def _handed_on(self, fn: Function, names: dict[str, int]) -> list[_HandOn]:
        found = []
        for node in fn.calls():
            arguments = [*enumerate(node[2]), *node[3]] if node[3] else enumerate(node[2])
            given = [
                (place, names[argument]) for place, argument in arguments if type(argument) is str and argument in names
            ]
            if not given:
                continue
            spread = any(type(argument) is tuple and argument[0] == ir.STAR for argument in node[2])
            callee = last_name(node[1])
            found += [_HandOn(number, callee, None if spread else place) for place, number in given]
            # `partial(save, session)`, `to_thread(save, session)`: whoever gets a function may call it with the rest
            named = {last_name(argument) for argument in (*node[2], *(value for _, value in node[3]))}
            for function in sorted(named & self._named.keys()):
                found += [_HandOn(number, function, None) for _, number in given]
        return found

    def _decides(self, fn: Function, hand_on: _HandOn) -> bool:
        for callee in self._functions(fn, hand_on.callee):
            known = self._known[callee.id]
            if known and (hand_on.place is None or parameter_at(callee, hand_on.place) in known):
                return True
        return False

    def _functions(self, fn: Function, name: str) -> list[Function]:
        """The functions of that name, and the constructors of the classes of that name, that the function may mean."""
        found = self._all_functions(name)
        if self._code.has_tests():
            found = [callee for callee in found if self._code.may_know(fn.module, callee.module)]
        return found

    def _all_functions(self, name: str) -> list[Function]:
        found = self._callees.get(name)
        if found is None:
            found = self._callees[name] = list(self._named.get(name, ()))
            for class_id in self._code.classes_named(name):
                init = self._classes.constructor(class_id)
                if init is not None:
                    found.append(init)
        return found


def _tested(fn: Function, names: dict[str, int]) -> frozenset[int]:
    """The parameters that stand in a condition, or are called: what they are is not known here."""
    found: set[int] = set()
    for statement in fn.statements():
        if statement[0] in (ir.IF, ir.WHILE, ir.ASSERT):
            found |= _names_in_test(statement[1], names)
        elif statement[0] == ir.ASSIGN and type(statement[2]) is tuple and statement[2][0] in (ir.CMP, ir.NOT):
            found |= _names_in_test(statement[2], names)
    for node in fn.nodes():
        if node[0] == ir.IFEXP:
            found |= _names_in_test(node[1], names)
        elif node[0] == ir.BOOL:
            found |= _names_in_test(node, names)
        elif node[0] == ir.CALL and type(node[1]) is str and node[1] in fn.locals:
            found.update(names[argument] for argument in node[2] if type(argument) is str and argument in names)
    return frozenset(found)


def _kept_options(fn: Function, names: dict[str, int]) -> dict[str, int]:
    """The variables that hold what was taken out of `**kwargs`: `commit = kwargs.pop("commit", True)`."""
    return {
        statement[1][0]: names[statement[2]]
        for statement in fn.statements()
        if statement[0] == ir.ASSIGN and type(statement[2]) is str and statement[2] in names
        if statement[2].endswith(ir.OPTION_MARK) and type(statement[1][0]) is str
    }


def _names_in_test(test: ir.Expr, names: dict[str, int]) -> set[int]:
    if type(test) is str:
        return {names[test]} if test in names else set()
    found: set[int] = set()
    if type(test) is tuple and test[0] in (ir.NOT, ir.CMP, ir.BOOL):
        for part in walk.children(test):
            found |= _names_in_test(part, names)
    return found


def parameter_at(fn: Function, place: int | str) -> int | None:
    """The number of the parameter that an argument fills; a method's first one is its object."""
    if type(place) is str:
        return fn.keyword(place)
    return int(place) + (fn.class_id is not None and "staticmethod" not in decorator_names(fn))
