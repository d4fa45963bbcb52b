"""Methods of a library's repositories and services, performed on the session that they were made with."""

from __future__ import annotations

from hermetic.engine import entities, ir, sessions, values as v
from hermetic.engine.library import loader_options, relationship_names
from hermetic.engine.project import Arguments, Keywords
from hermetic.engine.run import ERROR, Run
from hermetic.engine.session_types import SessionType
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import ALL_LOADED, DETACHED, EXPUNGED, UNSEEN, Fields, State
from hermetic.engine.values import Atom, Value, elements
from hermetic.models import advanced_alchemy as models


def is_method(run: Run, operation: Atom) -> bool:
    """Is it a bound method of a repository or service, `(OPERATION, object, name)`?"""
    if not run.types.repositories.used:
        return False
    return any(run.types.repositories.method(kind, operation[2]) for kind in run.type_of(operation[1]))


def session_of(run: Run, state: State, owner: Atom) -> Value:
    """The session that a repository or service works on; that of a service's repository is the service's own."""
    if owner[0] == v.FIELD and owner[2] == models.REPOSITORY:
        if any(kind[0] == v.INSTANCE and run.types.repositories.is_service(kind[1]) for kind in run.type_of(owner[1])):
            return session_of(run, state, owner[1])
    given = state.fields(owner).get(models.SESSION) if owner[0] == v.OBJECT else None
    return given or v.one((v.FIELD, owner, models.SESSION))


def make(run: Run, state: State, class_id: int, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """`Service(session)`, `Repository(session=...)` and `Service.new(session)`, of classes without a constructor."""
    atom: Atom = (v.OBJECT, (position[0], position[1], run.salt), class_id)
    items = {name: value for name, value in kwargs.items() if name is not None}
    if args:
        items.setdefault(models.SESSION, args[0])
    state.put(atom, Fields(tuple(items.items())))
    run.raise_(state, ERROR, run.mark(position))
    return v.one(atom)


def call(run: Run, state: State, operation: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """`repository.add(instance)`: what it sends over the session, and what it gives."""
    owner, name = operation[1], operation[2]
    given = [*args, *(value for key, value in kwargs.items() if key not in models.DEFAULTS)]
    class_id = next((kind[1] for kind in v.ordered(run.type_of(owner)) if kind[0] == v.INSTANCE), None)
    model = run.types.repositories.model(class_id) if class_id is not None else None
    out = v.UNKNOWN
    for session, type_ in sessions_in(run, session_of(run, state, owner)):
        if name in models.WRITES:
            result = _write(run, state, owner, session, type_, name, given, kwargs, model, position)
        else:
            sessions.operate(run, state, session, type_, "execute", run.mark(position), False)
            options = _eager(run, class_id, kwargs)
            result = _loaded(run, state, session, models.READS[name], model, given, position, options)
        out = v.union(out, result)
    return out


def _write(
    run: Run,
    state: State,
    owner: Atom,
    session: Atom,
    type_: SessionType,
    name: str,
    given: list[Value],
    kwargs: Keywords,
    model: int | None,
    position: ir.Pos,
) -> Value:
    mark = run.mark(position)
    is_new = models.WRITES[name] == "same"
    instances = [
        atom for value in given for atom in v.ordered(value | elements(value)) if entities.is_entity(run, atom)
    ]
    for instance in instances:
        entities.adopt(run, state, instance, session)
    written = frozenset(source for value in given for source in v.sources(value))
    made_from = [run.made_from.get(instance, frozenset()) for instance in instances if is_new]
    sessions.write(run, state, session, written.union(*made_from), mark, frozenset())
    commits = _option(state, owner, kwargs, models.AUTO_COMMIT) or _may_be_told(run, owner, kwargs)
    sessions.operate(run, state, session, type_, "commit" if commits else "flush", mark, False)
    result = frozenset(instances) if models.WRITES[name] == "same" else v.UNKNOWN
    result = result or _loaded(run, state, session, models.WRITES[name], model, given, position)
    for instance in dict.fromkeys((*_instances(result), *_merged(state, instances, session))):
        if _option(state, owner, kwargs, models.AUTO_REFRESH):
            entities.refreshed(run, state, instance)
        known = state.instance(instance)
        if known is not None and _option(state, owner, kwargs, models.AUTO_EXPUNGE):
            state.put(instance, known.put(DETACHED, mark).put(EXPUNGED, mark))
    return result


def _merged(state: State, instances: list[Atom], session: Atom) -> list[Atom]:
    """What was given and is in the session already is the very instance that a merge gives."""
    known = ((instance, state.instance(instance)) for instance in instances)
    return [instance for instance, track in known if track is not None and track.owner == session]


def _eager(run: Run, class_id: int | None, kwargs: Keywords) -> tuple[str, ...]:
    """The relationships that are loaded as well; all of them, where a class says more than can be seen."""
    if class_id is not None and run.types.classes.declared(class_id, models.LOADER_OPTIONS) is not None:
        return (ALL_LOADED,)
    load = kwargs.get(models.LOAD, v.UNKNOWN)
    names = relationship_names([load | elements(load)]).union(loader_options(load))
    return tuple(sorted(names or ({UNSEEN} if load - v.NOTHING else ())))


def _may_be_told(run: Run, owner: Atom, kwargs: Keywords) -> bool:
    """Is the owner, which was made elsewhere, of a class that is told to commit by some of those who make it?"""
    if owner[0] == v.OBJECT or models.AUTO_COMMIT in kwargs:
        return False
    classes = (kind[1] for kind in run.type_of(owner) if kind[0] == v.INSTANCE)
    return any(run.types.repositories.commits_by_itself(class_id) for class_id in classes)


def _option(state: State, owner: Atom, kwargs: Keywords, name: str) -> bool:
    """An option of the call, else of the object; where its value is not known, the default."""
    value = kwargs.get(name)
    if not value or value == v.NOTHING:
        value = state.fields(owner).get(name) if owner[0] == v.OBJECT else None
    return models.DEFAULTS[name] if value not in (v.YES, v.NO) else value == v.YES


def _instances(value: Value) -> list[Atom]:
    inner = value | elements(value)
    return sorted((atom for atom in inner | elements(inner) if atom[0] == v.ENTITY), key=v.text)


def _loaded(
    run: Run,
    state: State,
    session: Atom,
    kind: str,
    model: int | None,
    given: list[Value],
    position: ir.Pos,
    options: tuple[str, ...] = (),
) -> Value:
    came_from = v.sources(v.derived(*given))
    if model is None or kind == "derived":
        return v.one((v.DERIVED, came_from)) if came_from else v.UNKNOWN
    rows = entities.loaded(run, state, session, model, options, position, came_from)
    if kind in ("many", "rows"):
        rows = v.one((v.MANY, rows))
    if kind in ("rows", "pair"):
        return v.one((v.TUPLE, (rows, v.UNKNOWN)))
    return v.union(rows, v.NOTHING) if kind == "optional" else rows
