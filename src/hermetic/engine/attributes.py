"""Reading an attribute of a value: methods are bound, properties run, library objects answered by models."""

from __future__ import annotations

from hermetic.engine import entities, ir, values as v
from hermetic.engine.classes import CLASS_METHOD, OTHER, PROPERTY, STATIC_METHOD
from hermetic.engine.fields import read_field
from hermetic.engine.project import call_function
from hermetic.engine.repository_calls import session_of
from hermetic.engine.run import Run
from hermetic.engine.state import State
from hermetic.engine.values import Atom, Value
from hermetic.models.advanced_alchemy import NEW, SESSION

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
    out = v.UNKNOWN
    for atom in v.ordered(base):
        out = v.union(out, read_atom(run, state, atom, name, position))
    return out


def read_atom(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> Value:
    kind = atom[0]
    if kind == v.EXT:
        return v.one((v.EXT, f"{atom[1]}.{name}"))
    if kind == v.MODULE:
        found = run.types.symbols.definition(atom[1], name)
        return found if found is not None else run.types.member(atom, name)
    if kind == v.CONSTANT:
        return v.UNKNOWN
    if kind == v.DERIVED:
        return v.one(atom)
    if kind == v.OPERATION and run.types.dynamic(name):
        return v.one((v.FIELD, atom, name))
    if kind == v.SESSION or kind in LIBRARY:
        return _library(run, atom, name)
    if kind == v.EXT_OBJECT:
        if run.types.dynamic(name):
            return v.one((v.FIELD, atom, name))
        return run.types.constructors.library_member(atom, name)
    if kind == v.CLASS:
        return _of_class(run, atom, name)
    if kind == "super":
        return _of_super(run, atom, name)
    if kind == v.AWAITABLE:
        return v.one((v.DEFERRED, "attribute", atom[1], name))
    if kind in (v.FUNCTION, v.METHOD, v.CLOSURE):
        return v.one((v.OPERATION, atom, name))
    if kind == v.MANY or kind == v.TUPLE or kind == v.DEFERRED or kind == v.PARTIAL:
        return v.one((v.OPERATION, atom, name))
    return _of_object(run, state, atom, name, position)


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
    if name == "query" and run.types.classes.is_model(atom[1]):
        session = run.types.constructors.flask_session(atom[1])
        if session is not None:
            return v.one((v.QUERY, session, atom[1], (), frozenset()))
    if run.types.classes.attribute_kind(atom[1], name) != OTHER:
        return v.one((v.FIELD, atom, name))  # a column or relationship, as it stands in queries and loader options
    typed = run.types.member(atom, name)
    if any(kind[0] in (v.ANY_SESSION, v.REGISTRY, v.FACTORY, v.ENGINE) for kind in typed):
        return v.one((v.FIELD, atom, name))
    return typed


def _of_object(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> Value:
    """An object of the project, or a place whose type says what it is."""
    if name == "awaitable_attrs":
        return v.one((v.AWAITABLE, atom))
    out = v.UNKNOWN
    place = False
    types = run.type_of(atom)
    for kind in v.ordered(types):
        if kind[0] == v.INSTANCE:
            member = _member(run, state, atom, kind[1], name, position)
            if member is None:
                place = True
            else:
                out = v.union(out, member)
        elif kind[0] in (v.CLASS, v.MODULE):
            out = v.union(out, read_atom(run, state, kind, name, position))
        elif kind[0] in LIBRARY:
            out = v.union(out, _library(run, atom, name))
        elif kind[0] == v.EXT_OBJECT:
            if run.types.dynamic(name):
                return v.one((v.FIELD, atom, name))
            out = v.union(out, _of_library_place(run, atom, kind, name))
        elif kind[0] == v.OPERATION and run.types.dynamic(name):
            return v.one((v.FIELD, atom, name))
        elif kind[0] == v.MANY or kind[0] == v.TUPLE:
            out = v.union(out, v.one((v.OPERATION, atom, name)))
    if place or not out:
        out = v.union(out, read_field(run, state, atom, name))
    return out


def _of_library_place(run: Run, atom: Atom, kind: Atom, name: str) -> Value:
    """`db.session` of a Flask-SQLAlchemy object in a global: one place, wherever it is named from."""
    members = run.types.constructors.library_member(kind, name)
    if any(member[0] in (v.ANY_SESSION, v.REGISTRY) for member in members):
        return v.one((v.FIELD, atom, name))
    return members


def _member(run: Run, state: State, atom: Atom, class_id: int, name: str, position: ir.Pos) -> Value | None:
    """What the class says of the attribute; None if it is a field."""
    if atom[0] in (v.ENTITY, v.PARAM, v.FIELD, v.FREE, v.OBJECT) and run.types.classes.is_model(class_id):
        entities.read(run, state, atom, name, position)
    found = run.types.classes.member(class_id, name)
    if found is None or type(found.item) is not int:
        if found is None and name == SESSION and run.types.repositories.flavour(class_id) is not None:
            return session_of(run, state, atom)
        if found is None and run.types.classes.attribute_kind(class_id, name) == OTHER:
            inherited = run.types.member((v.INSTANCE, class_id), name)
            if inherited:
                return _inherited(atom, name, inherited)
        return None
    if found.kind == PROPERTY:
        stored = state.stores.get((atom, name))
        return stored if stored is not None else call_function(run, state, found.item, atom, [], {}, position)
    if found.kind == STATIC_METHOD:
        return v.one((v.FUNCTION, found.item))
    if found.kind == CLASS_METHOD:
        return v.one((v.METHOD, found.item, (v.CLASS, class_id)))
    return v.one((v.METHOD, found.item, atom))


def _inherited(atom: Atom, name: str, members: Value) -> Value | None:
    """An attribute that a library base class gives."""
    if any(member[0] in (v.ANY_SESSION, v.REGISTRY, v.INSTANCE) for member in members):
        return v.one((v.FIELD, atom, name))
    return frozenset((v.OPERATION, atom, name) if member[0] == v.OPERATION else member for member in members)
