"""ORM instances: making them, reading and writing their attributes."""

from __future__ import annotations

from hermetic.engine import ir, outdated, stale, typestate as ts, values as v
from hermetic.engine.classes import COLUMN, OTHER, RELATIONSHIP, ClassTable
from hermetic.engine.observations import EndedUse
from hermetic.engine.operations import MOMENT
from hermetic.engine.run import Run
from hermetic.engine.session_types import Made
from hermetic.engine.sessions import expires, write
from hermetic.engine.stale import is_identity, kind_of, reasked, row_class
from hermetic.engine.state import (
    CHANGED,
    DELETED,
    DETACHED,
    ENTITY_FOREIGN,
    ENTITY_FRESH,
    EXPIRED,
    EXPUNGED,
    GIVEN,
    IN_DOUBT,
    INSERTED,
    LOADED,
    LOCKED,
    OUTDATED,
    STALE,
    UNSEEN,
    Instance,
    Mark,
    State,
)
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models.python import CLOCKS
from hermetic.models.sqlalchemy import ASYNC

# A column that is loaded when it is read: of the kinds of `classes.attribute_kind` it is a COLUMN.
DEFERRED = "deferred"

# In `loaded` of an instance: whatever column is deferred.
ALL_DEFERRED = "*deferred"

# In `loaded` of an instance that was inserted here: it has been refreshed, with what is to be loaded eagerly.
REFRESHED = "*refreshed"


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
        _recheck(run, state)
    fresh = Instance(owner, word, frozenset(options), ((LOADED, run.mark(position)),))
    again = run.slow is not None and "for_update" not in options
    state.put(atom, reasked(run, state, atom, fresh, came_from) if again else fresh)
    return v.one(atom)


def is_entity(run: Run, atom: Atom) -> bool:
    return row_class(run, atom) is not None


def are_as_committed(state: State, rows: Value, owner: Atom) -> bool:
    """Are the rows in this session, expired by its last commit, and have not been looked at since? `session.add(row)`
    does nothing then."""
    found = [state.instance(atom) for atom in rows]
    return bool(found) and all(
        known is not None and known.owner == owner and ts.must(known.word, EXPIRED) and not ts.may(known.word, DETACHED)
        for known in found
    )


def adopt(run: Run, state: State, atom: Atom, owner: Atom | None) -> None:
    """The instance is in this session from here on."""
    if not is_entity(run, atom):
        return
    known = state.instance(atom)
    if known is None:
        known = Instance(owner, ENTITY_FOREIGN)
    state.put(atom, known._replace(owner=owner).clear(DETACHED))


def _recheck(run: Run, state: State) -> None:
    """Something is locked or read anew; after a write or a commit that is for the caller to read."""
    if not run.writes_after_wait and not state.log:
        run.rechecks = True


def delete(run: Run, state: State, atom: Atom, owner: Atom, mark: Mark) -> None:
    """`session.delete(instance)` takes the instance in, if it was in no session."""
    known = state.instance(atom)
    if known is None or known.owner is None:
        adopt(run, state, atom, owner)
        known = state.instance(atom)
    if known is not None:
        state.put(atom, known.put(DELETED, mark))


def refreshed(run: Run, state: State, atom: Atom, names: frozenset[str] = frozenset()) -> None:
    """`session.refresh(instance, names)`: what is named is loaded, relationships too."""
    known = state.instance(atom)
    _recheck(run, state)
    if known is not None:
        found = names or frozenset((REFRESHED,))
        again = outdated.loaded(run, known, row_class(run, atom), names)
        state.put(atom, again._replace(loaded=known.loaded | found).clear(EXPIRED, STALE))
    elif names:
        note_loaded(state, atom, *names)


def way_to(atom: Atom) -> Atom | None:
    """`order.lines`, where the row of this atom is reached through that attribute of a row: see `related`."""
    if atom[0] == v.DERIVED and len(atom[1]) == 1:
        (atom,) = atom[1]
    return atom if atom[0] == v.FIELD and atom[1][0] == v.ENTITY else None


def note_loaded(state: State, atom: Atom, *names: str) -> None:
    """These attributes of an instance are there from here on; of those that are reached through an attribute of a row,
    on whatever path they were loaded."""
    way = way_to(atom) if state.instance(atom) is None else None
    known = state.instance(atom if way is None else way)
    if known is None and way is not None:
        known = Instance(None, ENTITY_FOREIGN)
    if known is not None:
        state.put(atom if way is None else way, known._replace(loaded=known.loaded | frozenset(names)))


def lock(state: State, atom: Atom, mark: Mark) -> None:
    """The row is locked: nobody else changes it until the transaction ends."""
    known = state.instance(atom)
    if known is not None:
        state.put(atom, known.put(LOCKED, mark))


def set_committed(state: State, rows: Value, name: str) -> None:
    """`set_committed_value(instance, name, value)`: the attribute is there from here on."""
    for atom in rows:
        note_loaded(state, atom, name)


def awaited(state: State, atom: Atom, name: str) -> None:
    """`await instance.awaitable_attrs.name` loads the attribute."""
    note_loaded(state, atom, name)
    known = state.instance(atom)
    if known is not None:
        state.put(atom, known.clear(EXPIRED, OUTDATED))


def merged(run: Run, state: State, owner: Atom, given: Value, position: ir.Pos) -> Value:
    """`session.merge(instance)` gives another instance, which is in the session."""
    out = v.UNKNOWN
    for atom in given:
        class_id = row_class(run, atom)
        if class_id is None:
            out = v.union(out, v.one(atom))
            continue
        known = state.instance(atom)
        options = tuple(sorted(known.loaded)) if known is not None and not is_made_here(known) else ()
        out = v.union(out, loaded(run, state, owner, class_id, options, position, v.sources(v.one(atom))))
    return out


# Attributes of its parameters that a function reads first, as far as its callers are told.
MOST_READS = 12


def read(run: Run, state: State, atom: Atom, name: str, mark: Mark) -> None:
    """An attribute of an instance is read: is it loaded, and if not, can it be?"""
    known = state.instance(atom)
    if known is None and atom[0] != v.PARAM:
        return
    class_id = row_class(run, atom)
    if class_id is None or name.startswith("__"):
        return
    kind = run.types.classes.attribute_kind(class_id, name)
    if kind == OTHER:
        return
    if atom[0] == v.PARAM and (known is None or ts.untouched(known.word, DETACHED)):
        _leave_to_caller(run, atom, known, kind, name, mark)
    if known is None:
        return
    if kind == COLUMN and run.types.classes.is_deferred(class_id, name):
        kind = COLUMN if ALL_DEFERRED in known.loaded else DEFERRED
    if kind == RELATIONSHIP and known.has_everything:
        known = known._replace(loaded=known.loaded | {name})  # what is not in the database yet gets an empty collection
        state.put(atom, known)
    if kind == RELATIONSHIP and is_read_through_loaded(run, class_id, name, known):
        return
    if kind == RELATIONSHIP and not is_made_here(known) and _raises(run.types.classes, class_id, name):
        _read_guarded(run, atom, known, name, mark)
        return
    flavour = flavour_of(run, known.owner)
    if ts.may(known.word, DETACHED):
        _read_detached(run, atom, known, kind, name, mark, class_id)
    elif flavour == ASYNC and not run.offloaded:
        _read_attached_async(run, atom, known, kind, name, mark, class_id)
    elif ts.may(known.word, EXPIRED):
        state.put(atom, known.clear(EXPIRED))  # an open sync session reloads it
        _query(run, state, known.owner, mark)
    elif kind != COLUMN and name not in known.loaded:
        state.put(atom, known._replace(loaded=known.loaded | {name}))
        if kind == DEFERRED or loads_lazily(run.types.classes, class_id, name):
            _query(run, state, known.owner, mark)


def _raises(classes: ClassTable, class_id: int, name: str) -> bool:
    """`relationship(lazy="raise")`: it is for each query to load. A backref on the other side is another attribute."""
    return _strategy(classes, class_id, name) == "raise"


def _read_guarded(run: Run, atom: Atom, known: Instance, name: str, mark: Mark) -> None:
    where = known.mark(LOADED)
    if name not in known.loaded and UNSEEN not in known.loaded and where is not None:
        run.observe(("ended", atom, name, "raises"), EndedUse(mark, "raises", name, None, where, True, atom))


def _leave_to_caller(run: Run, atom: Atom, known: Instance | None, kind: str, name: str, mark: Mark) -> None:
    """Whether a parameter can be read depends on the caller: of its columns one is enough to know."""
    if known is not None and (name in known.loaded or known.mark(DELETED) is not None):
        return  # loaded here
    key = (atom, name if kind != COLUMN or _is_set_by_updates(run, atom, name) else COLUMN)
    first = run.reads.get(key)
    if first is None and len(run.reads) < MOST_READS:
        run.reads[key] = (name, mark)
    elif first is not None and first[1] != mark:
        certain = run.solver.certain_reads(run.fn).places
        if mark[1] in certain and first[1][1] not in certain:  # the first is only made in a branch
            run.reads[key] = (name, mark)


def _is_set_by_updates(run: Run, atom: Atom, name: str) -> bool:
    class_id = row_class(run, atom)
    return class_id is not None and name in run.types.classes.set_by_updates(class_id)


def is_read_through_loaded(run: Run, class_id: int, name: str, known: Instance) -> bool:
    """Is it a proxy of an attribute behind a relationship, which the instance has loaded?"""
    declared = run.types.classes.declared(class_id, name)
    value = declared[1][2] if declared is not None else None
    if type(value) is not tuple or value[0] != ir.CALL or last_name(value[1]) != "association_proxy" or not value[2]:
        return False
    target = value[2][0]
    if type(target) is not tuple or target[0] != ir.CONST or type(target[1]) is not str:
        return False
    return target[1] in known.loaded or not loads_lazily(run.types.classes, class_id, target[1])


def _query(run: Run, state: State, owner: Atom | None, mark: Mark) -> None:
    """A read that loads: it begins a transaction, like any statement."""
    if owner is not None:
        track = state.track(owner)
        if not ts.must(track.word, ts.TRANSACTION):
            begun = track._replace(word=ts.put(track.word, ts.TRANSACTION))
            state.put(owner, begun.with_mark(ts.TRANSACTION, mark))


def flavour_of(run: Run, owner: Atom | None) -> str:
    if owner is not None:
        for kind in v.ordered(run.type_of(owner)):
            if kind[0] in (v.ANY_SESSION, v.REGISTRY):
                return str(kind[1].flavour)
    return ""


def _read_detached(run: Run, atom: Atom, known: Instance, kind: str, name: str, mark: Mark, class_id: int) -> None:
    ended, where = known.mark(DETACHED), known.mark(LOADED)
    certain = ts.must(known.word, DETACHED)
    if known.mark(DELETED) is not None and kind == COLUMN:
        why = "deleted" if ts.must(known.word, DELETED) and not is_identity(run, atom, name) else ""
    else:
        why = why_unreadable(run.types.classes, class_id, name, kind, known)
    if not why or (why == "loaded" and never_expires(run, known.owner)):
        return
    certain = certain and (why != "outdated" or ts.must(known.word, OUTDATED))
    run.observe(("ended", atom, name, why), EndedUse(mark, why, name, ended, where, certain, atom))


def why_unreadable(classes: ClassTable, class_id: int, name: str, kind: str, known: Instance) -> str:
    """What is wrong with reading an attribute of a detached instance, "" if nothing."""
    if ts.may(known.word, EXPIRED):
        return "expired"
    if outdated.is_outdated(classes, known, class_id, name):
        return "outdated"
    if kind == COLUMN:
        return "" if ts.may(known.word, EXPUNGED) or is_made_here(known) else "loaded"
    if _is_there(classes, class_id, name, known):
        return ""
    if kind == RELATIONSHIP:
        return "unloaded" if is_made_here(known) or loads_lazily(classes, class_id, name) else ""
    return "deferred"


def is_made_here(instance: Instance) -> bool:
    """Was it made here, and not read from the database? Its columns can be read."""
    return instance.has_everything or INSERTED in instance.loaded


def _is_there(classes: ClassTable, class_id: int, name: str, known: Instance) -> bool:
    """Has the instance this attribute, which is no plain column? What a new row refers to, may be nothing; of its
    collections that nobody has given, the database has to be asked as soon as the row is there."""
    if name in known.loaded or known.has_everything or UNSEEN in known.loaded:
        return True
    if INSERTED not in known.loaded:
        return False
    if GIVEN in known.loaded or not classes.is_collection(class_id, name):
        return True
    return not loads_lazily(classes, class_id, name, EAGER if REFRESHED not in known.loaded else frozenset())


def never_expires(run: Run, owner: Atom | None) -> bool:
    """Is the session one whose commits expire nothing?"""
    kinds = run.type_of(owner) if owner is not None else v.UNKNOWN
    return bool(kinds) and all(kind[0] in (v.ANY_SESSION, v.REGISTRY) and not expires(run, kind[1]) for kind in kinds)


def _read_attached_async(
    run: Run, atom: Atom, known: Instance, kind: str, name: str, mark: Mark, class_id: int
) -> None:
    where = known.mark(LOADED)
    if ts.may(known.word, EXPIRED):
        certain = ts.must(known.word, EXPIRED)
        options_at = _options_at(run, known.owner)
        found = EndedUse(mark, "expired_async", name, known.mark(EXPIRED), where, certain, atom, options_at)
        run.observe(("ended", atom, name, "expired"), found)
    elif outdated.is_outdated(run.types.classes, known, class_id, name):
        certain = ts.must(known.word, OUTDATED)
        found = EndedUse(mark, "outdated_async", name, known.mark(OUTDATED), where, certain, atom)
        run.observe(("ended", atom, name, "outdated"), found)
    elif kind != COLUMN and not _is_there(run.types.classes, class_id, name, known):
        if where is None and not is_made_here(known):  # whoever loaded it knows what came with it
            if atom[0] == v.PARAM:
                _leave_to_caller(run, atom, known, kind, name, mark)
        elif kind == DEFERRED or is_made_here(known) or loads_lazily(run.types.classes, class_id, name):
            why = "unloaded_async" if kind == RELATIONSHIP else "deferred_async"
            # One row behind a relationship may be in the session already; a helper's caller may know that it is.
            certain = mark[2] is None or kind != RELATIONSHIP or run.types.classes.is_collection(class_id, name)
            run.observe(("ended", atom, name, "unloaded"), EndedUse(mark, why, name, None, where, certain, atom))
    elif ts.must(known.word, IN_DOUBT) and known.owner is not None:
        found = EndedUse(mark, "expired_async", name, known.mark(IN_DOUBT), where, True, atom)
        run.doubtful.setdefault(known.owner, found)


def _options_at(run: Run, owner: Atom | None) -> Made | None:
    for kind in v.ordered(run.type_of(owner)) if owner is not None else ():
        if kind[0] in (v.ANY_SESSION, v.REGISTRY) and kind[1].expire is True:
            options_at: Made | None = kind[1].options_at
            return options_at
    return None


# Annotations that stand for `lazy="write_only"` and `lazy="dynamic"`: reading them gives something that makes queries.
# https://docs.sqlalchemy.org/en/20/orm/large_collections.html
COLLECTIONS_THAT_QUERY = frozenset(("WriteOnlyMapped", "DynamicMapped"))


# Strategies by which a query, or a refresh, loads a relationship too.
EAGER = frozenset(("selectin", "joined", "subquery", "immediate", False))


def loads_lazily(classes: ClassTable, class_id: int, name: str, others: frozenset[object] = frozenset()) -> bool:
    """Is the relationship declared without an eager loading strategy, or with one of `others`?"""
    declared = classes.declared(class_id, name)
    if declared is not None and last_name(declared[1][1]) in COLLECTIONS_THAT_QUERY:
        return False
    strategy = _strategy(classes, class_id, name)
    return strategy is not None and (strategy in ("select", True) or strategy in others)


def _strategy(classes: ClassTable, class_id: int, name: str) -> object:
    """How the relationship is loaded, `lazy="joined"` for example; None if that is not known."""
    declared = classes.declared(class_id, name)
    value = declared[1][2] if declared is not None else None
    if type(value) is not tuple or value[0] != ir.CALL:
        return None
    # A backref on the other side can set `lazy` too, but only for the attribute that it creates.
    settings: list[tuple[object, ir.Expr]] = list(value[3])
    for keyword, setting in value[3]:
        if keyword == "sa_relationship_kwargs":  # SQLModel's way to hand them on
            if type(setting) is not tuple or setting[0] != ir.DICT:
                return None
            settings += [(key[1] if key is not None else None, given) for key, given in zip(*setting[1:3], strict=True)]
    for keyword, setting in settings:
        if keyword is None:
            return None
        if keyword == "lazy":
            return setting[1] if type(setting) is tuple and setting[0] == ir.CONST else None
    return "select"


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
    mark, class_id = run.mark(position), row_class(run, atom)
    put_into(state, value)
    if known is not None and name not in known.loaded and (is_made_here(known) or _is_relationship(run, atom, name)):
        known = known._replace(loaded=known.loaded | {name})
        state.put(atom, known)
    if known is not None and class_id is not None:
        known = outdated.assigned(run, atom, known, class_id, name, mark)
        state.put(atom, known)
    is_own = (v.FIELD, atom, name) in v.sources(value)
    stale.assigned(run, state, atom, name, kind_of(run.stored, value, is_own), mark)
    write(run, state, owner, sources, mark, own, v.one(atom), assigned=True)
    if owner is None and known is not None and known.mark(CHANGED) is None:
        state.put(atom, known._replace(marks=(*known.marks, (CHANGED, mark))))


def _is_relationship(run: Run, atom: Atom, name: str) -> bool:
    class_id = row_class(run, atom)
    return class_id is not None and run.types.classes.attribute_kind(class_id, name) == RELATIONSHIP


def put_into(state: State, value: Value) -> None:
    """Rows made here are given to others, which may put something into their collections: `Line(order=order)`."""
    for atom in value | v.elements(value):
        known = state.instance(atom) if atom[0] == v.ENTITY else None
        if known is not None and is_made_here(known) and GIVEN not in known.loaded:
            state.put(atom, known._replace(loaded=known.loaded | {GIVEN}))
