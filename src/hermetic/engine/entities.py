"""ORM instances: making them, reading and writing their attributes."""

from __future__ import annotations

from hermetic.engine import ir, typestate as ts, values as v
from hermetic.engine.classes import COLUMN, OTHER, RELATIONSHIP
from hermetic.engine.observations import EndedUse
from hermetic.engine.run import Run
from hermetic.engine.session_types import Made
from hermetic.engine.sessions import MOMENT, expires, write
from hermetic.engine.state import (
    CHANGED,
    DETACHED,
    ENTITY_FOREIGN,
    ENTITY_FRESH,
    EXPIRED,
    EXPUNGED,
    LOADED,
    LOCKED,
    STALE,
    Instance,
    State,
)
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models.python import CLOCKS
from hermetic.models.sqlalchemy import ASYNC

# A column that is loaded when it is read: of the kinds of `classes.attribute_kind` it is a COLUMN.
DEFERRED = "deferred"

# The name of an attribute that is only known when the code runs: `setattr(instance, name, value)`.
ANY_ATTRIBUTE = "*"

# In `loaded` of an instance: whatever column is deferred.
ALL_DEFERRED = "*deferred"

# `loaded` of an instance that was made here and not read from the database: everything can be read.
EVERYTHING = frozenset(("*",))


def loaded(
    run: Run,
    state: State,
    owner: Atom | None,
    class_: int | Atom | None,
    options: tuple[str, ...],
    position: ir.Pos,
    came_from: frozenset[Atom],
) -> Value:
    """Rows of a mapped class come out of a session."""
    atom: Atom = (v.ENTITY, (position[0], position[1], run.salt), class_)
    run.made_from[atom] = came_from
    word = ENTITY_FRESH
    if "for_update" in options:
        word = ts.put(word, LOCKED)
        run.rechecks = True
    state.put(atom, Instance(owner, word, frozenset(options), ((LOADED, run.mark(position)),)))
    return v.one(atom)


def is_entity(run: Run, atom: Atom) -> bool:
    return entity_class(run, atom) is not None


def entity_class(run: Run, atom: Atom) -> int | None:
    """The mapped class of an atom, if it is an instance of one."""
    if atom[0] == v.ENTITY:
        return run.class_of(atom[2])
    for kind in run.type_of(atom) if atom[0] in v.PLACES else (atom,):
        if kind[0] == v.INSTANCE and run.types.classes.is_model(kind[1]):
            return int(kind[1])
    return None


def adopt(run: Run, state: State, atom: Atom, owner: Atom | None) -> None:
    """The instance is in this session from here on."""
    if not is_entity(run, atom):
        return
    known = state.instance(atom)
    if known is None:
        known = Instance(owner, ENTITY_FOREIGN)
    state.put(atom, known._replace(owner=owner).clear(DETACHED))


def refreshed(run: Run, state: State, atom: Atom, names: frozenset[str] = frozenset()) -> None:
    """`session.refresh(instance, names)`: what is named is loaded, relationships too."""
    known = state.instance(atom)
    run.rechecks = True
    if known is not None:
        state.put(atom, known._replace(loaded=known.loaded | names).clear(EXPIRED, STALE))


def awaited(state: State, atom: Atom, name: str) -> None:
    """`await instance.awaitable_attrs.name` loads the attribute."""
    known = state.instance(atom)
    if known is not None:
        state.put(atom, known._replace(loaded=known.loaded | {name}).clear(EXPIRED))


def merged(run: Run, state: State, owner: Atom, given: Value, position: ir.Pos) -> Value:
    """`session.merge(instance)` gives another instance, which is in the session."""
    out = v.UNKNOWN
    for atom in given:
        class_id = entity_class(run, atom)
        if class_id is None:
            out = v.union(out, v.one(atom))
            continue
        known = state.instance(atom)
        options = tuple(sorted(known.loaded)) if known is not None and known.loaded != EVERYTHING else ()
        out = v.union(out, loaded(run, state, owner, class_id, options, position, v.sources(v.one(atom))))
    return out


def read(run: Run, state: State, atom: Atom, name: str, position: ir.Pos) -> None:
    """An attribute of an instance is read: is it loaded, and if not, can it be?"""
    known = state.instance(atom)
    class_id = entity_class(run, atom)
    if known is None or class_id is None or name.startswith("__"):
        return
    kind = run.types.classes.attribute_kind(class_id, name)
    if kind == OTHER:
        return
    if kind == COLUMN and run.types.classes.is_deferred(class_id, name):
        kind = COLUMN if ALL_DEFERRED in known.loaded else DEFERRED
    if kind == RELATIONSHIP and _is_read_through_loaded(run, class_id, name, known):
        return
    flavour = _flavour(run, known.owner)
    if ts.may(known.word, DETACHED):
        _read_detached(run, atom, known, kind, name, position, class_id)
    elif flavour == ASYNC and not run.offloaded:
        _read_attached_async(run, atom, known, kind, name, position, class_id)
    elif ts.may(known.word, EXPIRED):
        state.put(atom, known.clear(EXPIRED))  # an open sync session reloads it
        _query(run, state, known.owner, position)
    elif kind != COLUMN and name not in known.loaded:
        state.put(atom, known._replace(loaded=known.loaded | {name}))
        if kind == DEFERRED or _loads_lazily(run, class_id, name):
            _query(run, state, known.owner, position)


def _is_read_through_loaded(run: Run, class_id: int, name: str, known: Instance) -> bool:
    """Is it a proxy of an attribute behind a relationship, which the instance has loaded?"""
    declared = run.types.classes.declared(class_id, name)
    value = declared[1][2] if declared is not None else None
    if type(value) is not tuple or value[0] != ir.CALL or last_name(value[1]) != "association_proxy" or not value[2]:
        return False
    target = value[2][0]
    if type(target) is not tuple or target[0] != ir.CONST or type(target[1]) is not str:
        return False
    return target[1] in known.loaded or not _loads_lazily(run, class_id, target[1])


def _query(run: Run, state: State, owner: Atom | None, position: ir.Pos) -> None:
    """A read that loads: it begins a transaction, like any statement."""
    if owner is not None:
        track = state.track(owner)
        if not ts.must(track.word, ts.TRANSACTION):
            begun = track._replace(word=ts.put(track.word, ts.TRANSACTION))
            state.put(owner, begun.with_mark(ts.TRANSACTION, run.mark(position)))


def _flavour(run: Run, owner: Atom | None) -> str:
    if owner is not None:
        for kind in v.ordered(run.type_of(owner)):
            if kind[0] in (v.ANY_SESSION, v.REGISTRY):
                return str(kind[1].flavour)
    return ""


def _read_detached(
    run: Run, atom: Atom, known: Instance, kind: str, name: str, position: ir.Pos, class_id: int
) -> None:
    mark = run.mark(position)
    ended, where = known.mark(DETACHED), known.mark(LOADED)
    certain = ts.must(known.word, DETACHED)
    if ts.may(known.word, EXPIRED):
        why = "expired"
    elif kind != COLUMN and name not in known.loaded and known.loaded != EVERYTHING:
        if kind == RELATIONSHIP and not _loads_lazily(run, class_id, name):
            return
        why = "unloaded" if kind == RELATIONSHIP else "deferred"
    elif kind == COLUMN and not ts.may(known.word, EXPUNGED) and known.loaded != EVERYTHING:
        if _never_expires(run, known.owner):
            return
        why = "loaded"
    else:
        return
    run.observe(("ended", atom, name, why), EndedUse(mark, why, name, ended, where, certain, atom))


def _never_expires(run: Run, owner: Atom | None) -> bool:
    """Is the session one whose commits expire nothing?"""
    kinds = run.type_of(owner) if owner is not None else v.UNKNOWN
    return bool(kinds) and all(kind[0] in (v.ANY_SESSION, v.REGISTRY) and not expires(run, kind[1]) for kind in kinds)


def _read_attached_async(
    run: Run, atom: Atom, known: Instance, kind: str, name: str, position: ir.Pos, class_id: int
) -> None:
    mark = run.mark(position)
    where = known.mark(LOADED)
    if ts.may(known.word, EXPIRED):
        certain = ts.must(known.word, EXPIRED)
        options_at = _options_at(run, known.owner)
        found = EndedUse(mark, "expired_async", name, known.mark(EXPIRED), where, certain, atom, options_at)
        run.observe(("ended", atom, name, "expired"), found)
    elif kind != COLUMN and name not in known.loaded and known.loaded != EVERYTHING:
        if kind == DEFERRED or _loads_lazily(run, class_id, name):
            why = "unloaded_async" if kind == RELATIONSHIP else "deferred_async"
            run.observe(("ended", atom, name, "unloaded"), EndedUse(mark, why, name, None, where, True, atom))


def _options_at(run: Run, owner: Atom | None) -> Made | None:
    for kind in run.type_of(owner) if owner is not None else ():
        if kind[0] in (v.ANY_SESSION, v.REGISTRY) and kind[1].expire is True:
            options_at: Made | None = kind[1].options_at
            return options_at
    return None


# Annotations that stand for `lazy="write_only"` and `lazy="dynamic"`: reading them gives something that makes queries.
# https://docs.sqlalchemy.org/en/20/orm/large_collections.html
COLLECTIONS_THAT_QUERY = frozenset(("WriteOnlyMapped", "DynamicMapped"))


def _loads_lazily(run: Run, class_id: int, name: str) -> bool:
    """Is the relationship declared without an eager loading strategy?"""
    declared = run.types.classes.declared(class_id, name)
    value = declared[1][2] if declared is not None else None
    if declared is None or type(value) is not tuple or value[0] != ir.CALL:
        return False
    if last_name(declared[1][1]) in COLLECTIONS_THAT_QUERY:
        return False
    for keyword, setting in value[3]:
        if keyword is None:
            return False
        if keyword == "lazy":
            return setting in ((ir.CONST, "select"), (ir.CONST, True))
        if keyword == "sa_relationship_kwargs":
            return False
    # A backref on the other side can set `lazy` too, but only for the attribute that it creates.
    return True


def is_identity(run: Run, instance: Atom, name: str) -> bool:
    """Does the attribute say which row it is, or of what kind? Such state hardly changes while somebody waits."""
    class_id = entity_class(run, instance)
    if class_id is not None and run.types.classes.is_key(class_id, name):
        return True
    return (
        name in ("id", "pk", "uuid")
        or name.endswith(("_id", "_pk", "_uuid", "_type", "_name"))
        or name in ("name", "created_at", ANY_ATTRIBUTE)
    )


def _is_a_moment(value: Value) -> bool:
    """Is it the time at which the code runs?"""
    return bool(value) and all(atom[0] == v.EXT_OBJECT and atom[1] in CLOCKS for atom in value)


def store(run: Run, state: State, atom: Atom, name: str, value: Value, position: ir.Pos) -> None:
    """`instance.name = value`."""
    known = state.instance(atom)
    owner = known.owner if known is not None else None
    sources = v.sources(value) | {(v.FIELD, atom, MOMENT) if _is_a_moment(value) else atom}
    own = frozenset(
        source
        for source in v.sources(value)
        if source[0] == v.FIELD and source[1] == atom and not is_identity(run, atom, source[2])
    )
    mark = run.mark(position)
    write(run, state, owner, sources, mark, own, v.one(atom), assigned=True)
    if owner is None and known is not None and known.mark(CHANGED) is None:
        state.put(atom, known._replace(marks=(*known.marks, (CHANGED, mark))))
