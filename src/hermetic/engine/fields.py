"""Attributes of objects, without properties: where a session that an object holds comes from.

Two paths to the same session must give the same atom. `self.session` and `self.repo.session` are one if both
were filled from one constructor parameter, so an attribute that `__init__` fills from its parameter `p` is
written `(CTOR, object, p)`, and parameters of nested constructors are followed to the outer object.
"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of
from hermetic.engine.run import Run
from hermetic.engine.state import State
from hermetic.engine.values import Atom, Value
from hermetic.models.advanced_alchemy import REPOSITORY, SESSION
from hermetic.models.sqlalchemy import ASYNC, SYNC

# Longer paths (`a.b.c.d.e`) are not told apart.
LONGEST_PATH = 5

# The pseudo attributes of an instance for the session it is in: `object_session(instance)` and its asyncio twin.
SESSION_OF = {SYNC: "$session", ASYNC: "$async_session"}


def depth(atom: Atom) -> int:
    count = 0
    while atom[0] in (v.FIELD, v.CTOR):
        atom = atom[1]
        count += 1
    return count


def read_field(run: Run, state: State, base: Atom, name: str) -> Value:
    """What `base.name` holds; `base` is an object, a place, or known by type."""
    stored = state.stores.get((base, name))
    if stored is not None:
        return stored
    if name.startswith("$"):
        owner = state.instance(base)
        if owner is not None and owner.owner is not None:
            return v.one(owner.owner)
    if base[0] == v.OBJECT:
        known = state.fields(base).get(name)
        if known is not None:
            return known
        return _from_class(run, base, name)
    if base[0] in v.PLACES or base[0] in (v.INSTANCE, v.ENTITY, v.EXT_OBJECT):
        return _place(run, state, base, name)
    return v.UNKNOWN


def _from_class(run: Run, base: Atom, name: str) -> Value:
    """An attribute that the constructor did not set: of the class, or set by a method not seen."""
    found = run.types.field(base[2], name)
    interesting = frozenset(atom for atom in found if atom[0] not in (v.CONSTANT, v.DERIVED))
    if interesting and depth(base) < LONGEST_PATH:
        return v.one((v.FIELD, base, name))
    return found


def _place(run: Run, state: State, base: Atom, name: str) -> Value:
    if depth(base) >= LONGEST_PATH:
        return v.UNKNOWN
    if name == SESSION and base[0] == v.FIELD and base[2] == REPOSITORY and _is_service(run, base[1]):
        return read_field(run, state, base[1], name)
    for atom in v.ordered(run.type_of(base)):
        if atom[0] == v.INSTANCE:
            parameter = run.types.classes.filled_from(atom[1], name)
            if parameter is not None:
                return read_parameter(run, state, base, parameter)
    return v.one((v.FIELD, base, name))


def _is_service(run: Run, atom: Atom) -> bool:
    """Of a library: its repository works on its own session."""
    return any(kind[0] == v.INSTANCE and run.types.repositories.is_service(kind[1]) for kind in run.type_of(atom))


def read_parameter(run: Run, state: State, base: Atom, name: str) -> Value:
    """What the constructor of `base` got for the parameter `name`."""
    if base[0] == v.OBJECT:
        fields = state.fields(base)
        known = fields.get("@" + name)
        if known is None:
            known = _of_other_constructor(run, state, base, name)
        return known if known is not None else _class_passed_up(run, base, name)
    if base[0] == v.FIELD:
        passed = _passed(run, state, base, name)
        if passed is not None:
            return passed
    if depth(base) >= LONGEST_PATH:
        return v.UNKNOWN
    return v.one((v.CTOR, base, name))


def _of_other_constructor(run: Run, state: State, base: Atom, name: str) -> Value | None:
    """`name` is a parameter of a base class's constructor: what did the attribute it fills get?"""
    fields = state.fields(base)
    for attribute, value in fields.items:
        if not attribute.startswith("@") and run.types.classes.filled_from(base[2], attribute) == name:
            return value
    return None


def _class_passed_up(run: Run, base: Atom, name: str) -> Value:
    """`super().__init__(Model, session)`: the class that a base class's constructor gets, whatever else it keeps."""
    found = run.constructor_parameter(base[2], name) if type(base[2]) is int else v.UNKNOWN
    return frozenset(atom for atom in found if atom[0] == v.CLASS)


def _passed(run: Run, state: State, base: Atom, name: str) -> Value | None:
    """`outer.attribute = Inner(argument)`: what the argument is, seen from `outer`."""
    outer, attribute = base[1], base[2]
    for atom in v.ordered(run.type_of(outer)):
        if atom[0] != v.INSTANCE:
            continue
        provider = run.types.injector.argument(atom[1], attribute, name) if run.types.injector.used else None
        if provider is not None:
            return read_field(run, state, outer, provider)
        for method, store in run.types.classes.stores(atom[1], attribute):
            call = store[1]
            if type(call) is not tuple or call[0] != ir.CALL:
                continue
            scope = run.code.functions[method]
            for made in v.ordered(run.types.infer(call[1], scope)):
                if made[0] != v.CLASS:
                    continue
                init = run.types.classes.constructor(made[1])
                if init is None:
                    continue
                number = init.parameter(name)
                argument = argument_of(call, init, number, bound=True) if number is not None else None
                seen = _seen_from(run, state, outer, argument, method)
                if seen is not None:
                    return seen
    return None


def _seen_from(run: Run, state: State, outer: Atom, argument: object, method: int) -> Value | None:
    fn = run.code.functions[method]
    if type(argument) is str and fn.name == "__init__" and fn.parameter(argument) is not None:
        return read_parameter(run, state, outer, argument)
    if type(argument) is tuple and argument[0] == ir.ATTR and fn.params and argument[1] == fn.params[0][0]:
        return read_field(run, state, outer, argument[2])
    return None


def write_field(run: Run, state: State, base: Atom, name: str, value: Value) -> None:
    """`base.name = value`."""
    if base[0] == v.OBJECT:
        state.put(base, state.fields(base).set(name, value))
    else:
        state.store(base, name, value)


def put_in_place(state: State, container: Atom, name: str, value: Value | None) -> None:
    """`container.session.override(value)`; None takes it back."""
    if container[0] == v.OBJECT:
        place: Atom = (v.FIELD, container, name)
        state.put(container, state.fields(container).set(name, v.one(place) if value is None else value))
    elif value is not None:
        state.store(container, name, value)
    else:
        state.stores = {key: stored for key, stored in state.stores.items() if key != (container, name)}


def reachable_sessions(state: State, value: Value, depth_left: int = 4) -> set[Atom]:
    """The sessions made here that can be got at through a value."""
    found: set[Atom] = set()
    if depth_left == 0:
        return found
    for atom in v.ordered(value):
        kind = atom[0]
        if kind == v.SESSION:
            found.add(atom)
        elif kind == v.OBJECT:
            for _, inner in state.fields(atom).items:
                found |= reachable_sessions(state, inner, depth_left - 1)
        elif kind == v.MANY:
            found |= reachable_sessions(state, atom[1], depth_left - 1)
        elif kind == v.TUPLE:
            for inner in atom[1]:
                found |= reachable_sessions(state, inner, depth_left - 1)
        elif kind in (v.OPERATION, v.METHOD, v.TRANSACTION, v.QUERY, v.RESULT):
            holder = atom[2] if kind == v.METHOD else atom[1]
            if holder is not None:
                found |= reachable_sessions(state, frozenset((holder,)), depth_left - 1)
        elif kind == v.EXT_OBJECT and len(atom) > 2 and type(atom[2]) is frozenset:
            found |= reachable_sessions(state, atom[2], depth_left - 1)
        elif kind == v.BORROWED:
            found |= reachable_sessions(state, atom[1], depth_left - 1)
        elif kind in (v.DEFERRED, v.PARTIAL):
            for inner in _held(atom):
                found |= reachable_sessions(state, inner, depth_left - 1)
    return found


def _held(atom: Atom) -> list[Value]:
    """The values that a deferred call holds on to."""
    if atom[0] == v.PARTIAL:
        return [v.one(atom[1]), *atom[2], *(value for _, value in atom[3])]
    if atom[1] in ("done", "task"):
        return [atom[2], atom[3]]
    if atom[1] == "attribute":
        return []
    if atom[1] == "operation":
        return [v.one(atom[2]), *atom[4], *(value for _, value in atom[5])]
    receiver = [] if atom[3] is None else [v.one(atom[3])]
    return [*receiver, *atom[4], *(value for _, value in atom[5])]
