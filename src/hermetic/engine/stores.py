"""Writing into things: attributes that are assigned, named in the code or not, and collections that change."""

from __future__ import annotations

from hermetic.engine import copies, entities, ir, sessions, values as v
from hermetic.engine.app_state import is_of_a_request
from hermetic.engine.classes import OTHER
from hermetic.engine.fields import reachable_sessions, write_field
from hermetic.engine.ir import Expr
from hermetic.engine.run import Run
from hermetic.engine.stale import ANY_ATTRIBUTE, row_class
from hermetic.engine.state import State
from hermetic.engine.values import Atom, Value

# Methods that put their argument into a container.
GROWING = frozenset(("append", "add", "extend", "insert", "appendleft", "put"))
# Methods that change a collection.
MUTATING = GROWING | frozenset(("remove", "discard", "pop", "clear", "update", "set", "setdefault"))


def write_attribute(run: Run, state: State, base: Value, name: str, value: Value, position: ir.Pos) -> None:
    """`base.name = value`, or `setattr(base, name, value)`; the name can be `ANY_ATTRIBUTE`."""
    for atom in v.ordered(base):
        if entities.is_entity(run, atom):
            entities.store(run, state, atom, name, value, position)
        elif atom[0] in v.PLACES or atom[0] in (v.OBJECT, v.INSTANCE):
            if name != ANY_ATTRIBUTE:
                write_field(run, state, atom, name, value)
            else:
                state.escaped |= reachable_sessions(state, value)
            run.made_from[atom] = run.made_from.get(atom, frozenset()) | v.sources(value)
        else:
            state.escaped |= reachable_sessions(state, value)
            if is_of_a_request(atom):
                write_field(run, state, atom, name, value)
            elif atom[0] in (v.CLASS, v.EXT_OBJECT):
                run.kept |= _engines_in(value)
            elif atom[0] == v.DERIVED:
                _into_unknown(state, atom, value)
                if run.slow is not None:
                    copies.edited(run, state, atom, run.mark(position))
    if not base:
        state.escaped |= reachable_sessions(state, value)
        run.kept |= _engines_in(value)


def _engines_in(value: Value) -> frozenset[Atom]:
    """The engines in a value, and those of the factories in it."""
    bound = [atom[2] for atom in value if atom[0] in (v.FACTORY, v.REGISTRY) and len(atom) > 2]
    return frozenset([atom for atom in (*value, *bound) if atom is not None and atom[0] == v.ENGINE])


def _into_unknown(state: State, atom: Atom, value: Value) -> None:
    """`row.total = x` where what `row` is, is not known, but it came out of an instance or a query."""
    if any(source[0] == v.ORIGIN for source in atom[1]):
        changed = atom[1] | v.sources(value)
        state.floating = changed if state.floating is None else state.floating | changed


def change_collection(run: Run, state: State, collection: Value, path: Expr, args: list[Value]) -> None:
    """`order.lines.append(line)`: a change of the instance that the collection belongs to. `path` is `order.lines`, or
    whatever else gives the collection."""
    named = type(path) is tuple and path[0] == ir.ATTR
    position = path[3] if named else run.call_node[4] if run.call_node is not None else (0, -1, 0, -1)
    owned = [atom for atom in v.ordered(collection) if _is_of_an_instance(run, atom)]
    for atom in owned:
        entities.store(run, state, atom[1], atom[2], v.derived(*args), position)
    if named and not owned and all(_is_unknown(run, atom) for atom in collection):
        for item in args:
            _link(run, state, path[2], v.sources(collection), item, position)


def _is_of_an_instance(run: Run, atom: Atom) -> bool:
    if atom[0] != v.FIELD:
        return False
    class_id = row_class(run, atom[1])
    if class_id is None:
        return False
    return atom[2] == ANY_ATTRIBUTE or run.types.classes.attribute_kind(class_id, atom[2]) != OTHER


def _is_unknown(run: Run, atom: Atom) -> bool:
    if atom[0] == v.FIELD:
        return not run.type_of(atom[1])
    return bool(atom[0] == v.DERIVED)


def _link(run: Run, state: State, name: str, owner: frozenset[Atom], item: Value, position: ir.Pos) -> None:
    """A row is put into a collection of something unknown: into a relationship, where a mapped class has one of that
    name for rows of this kind."""
    for atom in v.ordered(item):
        class_id = row_class(run, atom)
        if class_id is not None and run.types.classes.relates(name, class_id):
            known = state.instance(atom)
            session = known.owner if known is not None else None
            sessions.write(run, state, session, owner | {atom}, run.mark(position), frozenset())
