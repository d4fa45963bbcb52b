"""Reading an attribute of a value: methods are bound, properties run, library objects answered by models."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hermetic.engine import entities, ir, lazy, related, values as v
from hermetic.engine.classes import CLASS_METHOD, KEEPING, OTHER, PROPERTY, STATIC_METHOD, decorator_names
from hermetic.engine.fields import read_field
from hermetic.engine.project import call_function
from hermetic.engine.repository_calls import session_of
from hermetic.engine.run import Run
from hermetic.engine.state import State
from hermetic.engine.values import Atom, Value
from hermetic.models.advanced_alchemy import NEW, SESSION
from hermetic.models.sqlalchemy import FLASK_QUERIES, NARROWING_METHODS

AWAITABLE = "awaitable_attrs"

LIBRARY = frozenset(
    (
        v.ANY_SESSION,
        v.FACTORY,
        v.REGISTRY,
        v.ENGINE,
        v.CONNECTION,
        v.QUERY,
        v.RESULT,
        v.STATEMENT,
        v.TRANSACTION,
        v.OPERATION,
    )
)


def read(run: Run, state: State, base: Value, name: str, position: ir.Pos) -> Value:
    """The value of `base.name`."""
    if len(base) == 1:
        (atom,) = base
        return read_atom(run, state, atom, name, position)
    out = v.UNKNOWN
    for atom in v.ordered(base):
        out = v.union(out, read_atom(run, state, atom, name, position))
    return out


def read_atom(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> Value:
    if atom[0] == v.OPERATION and (stored := state.stores.get((atom, name))) is not None:
        return stored  # what the function has put into the state of a request
    if atom[0] == v.DERIVED or (atom[0] == v.FIELD and atom[1][0] == v.ENTITY):
        if name == AWAITABLE:
            return v.one((v.AWAITABLE, atom))
        related.read(run, state, atom, name, run.mark(position))
    read_one = READING.get(atom[0])
    return read_one(run, atom, name) if read_one is not None else _of_object(run, state, atom, name, position)


def _nothing(run: Run, atom: Atom, name: str) -> Value:
    return v.UNKNOWN


def _same(run: Run, atom: Atom, name: str) -> Value:
    return v.one(atom)


def _symbol(run: Run, atom: Atom, name: str) -> Value:
    return v.one((v.EXT, f"{atom[1]}.{name}"))


def _of_module(run: Run, atom: Atom, name: str) -> Value:
    found = run.types.symbols.definition(atom[1], name)
    return run.types.session_places.named(found) if found is not None else run.types.member(atom, name)


def _of_operation(run: Run, atom: Atom, name: str) -> Value:
    if run.types.dynamic(name) or run.types.app_state.kept(v.one(atom), name):
        return v.one((v.FIELD, atom, name))
    return _library(run, atom, name)


def _of_library_object(run: Run, atom: Atom, name: str) -> Value:
    if run.types.dynamic(name):
        return v.one((v.FIELD, atom, name))
    return run.types.constructors.library_member(atom, name)


def _awaitable(run: Run, atom: Atom, name: str) -> Value:
    return v.one((v.DEFERRED, "attribute", atom[1], name))


def _method(run: Run, atom: Atom, name: str) -> Value:
    return v.one((v.OPERATION, atom, name))


def _library(run: Run, atom: Atom, name: str) -> Value:
    """A member of a library object keeps the object itself as its receiver."""
    out = v.UNKNOWN
    for kind in v.ordered(run.type_of(atom)):
        for member in v.ordered(run.types.constructors.library_member(kind, name)):
            if member[0] == v.OPERATION:
                # The registry's proxy is the session; otherwise the receiver is the atom at hand.
                out = v.union(out, v.one((v.OPERATION, atom, name)))
            else:
                out = v.union(out, v.one(member))
    return out


def _of_super(run: Run, atom: Atom, name: str) -> Value:
    """`super().name`: the receiver's method, as the classes after this one define it."""
    _, receiver, class_id = atom
    for kind in v.ordered(run.type_of(receiver)):
        if kind[0] in (v.INSTANCE, v.CLASS):
            mro = run.types.classes.mro(kind[1])
            after = mro[mro.index(class_id) + 1 :] if class_id in mro else run.types.classes.mro(class_id)[1:]
            for owner in after:
                function = run.code.classes[owner].methods.get(name)
                if function is not None:
                    return v.one((v.METHOD, function, receiver))
            if run.types.repositories.method(kind, name):
                return v.one((v.OPERATION, receiver, name))
            for base in sorted(run.types.classes.external_bases(kind[1])):
                return v.one((v.OPERATION, (v.EXT_OBJECT, base), name))
    return v.UNKNOWN


def _of_class(run: Run, atom: Atom, name: str) -> Value:
    found = run.types.classes.member(atom[1], name)
    if found is not None and type(found.item) is int:
        if found.kind == CLASS_METHOD:
            return v.one((v.METHOD, found.item, atom))
        return v.one((v.FUNCTION, found.item))
    if name == NEW and run.types.repositories.is_service(atom[1]):
        return v.one((v.OPERATION, atom, name))
    if name == "query":
        session = run.types.model_queries.session(atom[1])
        if session is not None:
            return v.one((v.QUERY, session, atom[1], (), frozenset()))
    if run.types.classes.attribute_kind(atom[1], name) != OTHER:
        return v.one((v.FIELD, atom, name))  # a column or relationship, as it stands in queries and loader options
    typed = run.types.member(atom, name)
    if any(kind[0] in (v.ANY_SESSION, v.REGISTRY, v.FACTORY, v.ENGINE) for kind in typed):
        return v.one((v.FIELD, atom, name))
    return typed


class _Reading(NamedTuple):
    """What types say of an attribute of an object: known values, and what has to be done to learn more."""

    known: Value
    is_row: bool = False  # of a mapped class: it has to be loaded
    properties: tuple[int, ...] = ()
    is_field: bool = False
    is_session: bool = False  # of a repository or service


def _of_object(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> Value:
    """An object of the project, or a place whose type says what it is."""
    if name == AWAITABLE:
        return v.one((v.AWAITABLE, atom))
    if name in NARROWING_METHODS and atom[0] == v.FIELD and atom[1][0] == v.CLASS:
        return v.one((v.FIELD, atom, name))
    reading = run.readings.get((atom, name))
    if reading is None:
        reading = run.readings[(atom, name)] = _reading(run, state, atom, name, position)
    if reading.is_row:
        entities.read(run, state, atom, name, run.mark(position))
    out: Value = v.union(reading.known, session_of(run, state, atom)) if reading.is_session else reading.known
    for function in reading.properties:
        stored = state.stores.get((atom, name)) or (state.fields(atom).get(name) if atom[0] == v.OBJECT else None)
        out = v.union(out, _of_property(run, state, atom, name, function, position) if stored is None else stored)
    if reading.is_row and reading.properties and out and not v.sources(out):  # known by type alone
        out = v.union(out, v.one((v.DERIVED, frozenset(((v.FIELD, atom, name),)))))
    if reading.is_field or not out:
        out = v.union(out, read_field(run, state, atom, name))
    return out


def _of_property(run: Run, state: State, atom: Atom, name: str, function: int, position: ir.Pos) -> Value:
    found = call_function(run, state, function, atom, [], {}, position)
    if not KEEPING.isdisjoint(decorator_names(run.code.functions[function])):
        lazy.keep(run, state, atom, name, found)
    return found


def _reading(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> _Reading:
    kinds = v.ordered(run.type_of(atom))
    if any(kind[0] == v.EXT_OBJECT for kind in kinds) and run.types.dynamic(name):
        return _Reading(v.one((v.FIELD, atom, name)))
    readings = [
        _of_instance(run, atom, kind[1], name)
        if kind[0] == v.INSTANCE
        else _Reading(_of_kind(run, state, atom, kind, name, position))
        for kind in kinds
    ]
    if len(readings) == 1:
        return readings[0]
    return _Reading(
        v.union_all([reading.known for reading in readings]),
        any(reading.is_row for reading in readings),
        tuple(function for reading in readings for function in reading.properties),
        any(reading.is_field for reading in readings),
        any(reading.is_session for reading in readings),
    )


def _of_kind(run: Run, state: State, atom: Atom, kind: Atom, name: str, position: ir.Pos) -> Value:
    if kind[0] in (v.CLASS, v.MODULE):
        found = read_atom(run, state, kind, name, position)
        return _of_place(atom, kind, found) if kind[0] == v.CLASS and run.types.classes.models_of(kind[1]) else found
    if kind[0] in LIBRARY:
        return _library(run, atom, name)
    if kind[0] == v.EXT_OBJECT:
        return _of_library_place(run, atom, kind, name)
    return v.one((v.OPERATION, atom, name)) if kind[0] in (v.MANY, v.TUPLE) else v.UNKNOWN


def _of_place(place: Atom, class_: Atom, found: Value) -> Value:
    """`model.query`, or a class method, of a place that holds mapped classes: of whatever class is there."""
    return frozenset(
        [
            (*atom[:2], place, *atom[3:])
            if (atom[0] == v.QUERY and atom[2] == class_[1]) or (atom[0] == v.METHOD and atom[2] == class_)
            else atom
            for atom in found
        ]
    )


def _of_library_place(run: Run, atom: Atom, kind: Atom, name: str) -> Value:
    """`db.session` of a Flask-SQLAlchemy object in a global: one place, wherever it is named from."""
    members = run.types.constructors.library_member(kind, name)
    if name in FLASK_QUERIES and any(member[0] == v.OPERATION and member[1][0] == v.ANY_SESSION for member in members):
        return v.one((v.OPERATION, (v.FIELD, atom, "session"), name))
    if any(member[0] in (v.ANY_SESSION, v.REGISTRY) for member in members):
        return v.one((v.FIELD, atom, name))
    return members


def _of_instance(run: Run, atom: Atom, class_id: int, name: str) -> _Reading:
    """What the class says of the attribute."""
    classes = run.types.classes
    is_row = atom[0] in (v.ENTITY, v.PARAM, v.FIELD, v.FREE, v.OBJECT) and classes.is_model(class_id)
    found = classes.member(class_id, name)
    member: Value | None = None
    if found is None and name == SESSION and run.types.repositories.flavour(class_id) is not None:
        return _Reading(v.UNKNOWN, is_row, is_session=True)
    if found is None:
        if classes.attribute_kind(class_id, name) == OTHER:
            inherited = run.types.member((v.INSTANCE, class_id), name)
            member = _inherited(atom, name, inherited) if inherited else None
    elif type(found.item) is int:
        if found.kind == PROPERTY:
            return _Reading(v.UNKNOWN, is_row, (found.item,))
        if found.kind == STATIC_METHOD:
            member = v.one((v.FUNCTION, found.item))
        elif found.kind == CLASS_METHOD:
            member = v.one((v.METHOD, found.item, (v.CLASS, class_id)))
        else:
            member = v.one((v.METHOD, found.item, atom))
    return _Reading(v.UNKNOWN, is_row, is_field=True) if member is None else _Reading(member, is_row)


def _inherited(atom: Atom, name: str, members: Value) -> Value | None:
    """An attribute that a library base class gives."""
    if any(member[0] in (v.ANY_SESSION, v.REGISTRY, v.INSTANCE) for member in members):
        return v.one((v.FIELD, atom, name))
    return frozenset((v.OPERATION, atom, name) if member[0] == v.OPERATION else member for member in members)


# Of everything else an attribute is read in `_of_object`.
READING: dict[str, Callable[[Run, Atom, str], Value]] = {
    v.EXT: _symbol,
    v.MODULE: _of_module,
    v.CONSTANT: _nothing,
    v.DERIVED: _same,
    v.SESSION: _library,
    **dict.fromkeys(LIBRARY, _library),
    v.OPERATION: _of_operation,
    v.EXT_OBJECT: _of_library_object,
    v.CLASS: _of_class,
    "super": _of_super,
    v.AWAITABLE: _awaitable,
    **dict.fromkeys((v.FUNCTION, v.METHOD, v.CLOSURE, v.MANY, v.TUPLE, v.DEFERRED, v.PARTIAL), _method),
}
