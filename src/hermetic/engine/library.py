"""Methods of library objects: sessions, factories, queries, results, statements, engines."""

from __future__ import annotations

from typing import Any

from hermetic.engine import census, entities, ir, options, sessions, typestate as ts, values as v
from hermetic.engine.operations import PURGE, SCHEMA
from hermetic.engine.project import Arguments, Keywords, make_session
from hermetic.engine.run import DATABASE_ERROR, EXPLICIT, Run
from hermetic.engine.session_types import REGISTRY, SessionType
from hermetic.engine.session_values import sessions_in
from hermetic.engine.stale import is_identity
from hermetic.engine.state import DETACHED, EXPIRED, EXPUNGED, INSERTED, LOADED, STALE, UNSEEN, Instance, State
from hermetic.engine.values import Atom, Value, elements
from hermetic.models.exceptions import RESULT_ERRORS
from hermetic.models.sqlalchemy import (
    ASYNC,
    CONNECTION_METHODS,
    ENGINE_METHODS,
    OPTIONS_THAT_LOAD_NOTHING,
    QUERY_ENDINGS,
    RESULT_METHODS,
    SYNC,
)

WRITING = frozenset(("insert", "update", "delete", "write"))

# Methods of Query after which its rows are no longer instances. [qry]
OTHER_COLUMNS = frozenset(("with_entities", "add_columns", "add_entity", "values"))

# Methods that raise when there is not exactly one row.
EXPECTING = frozenset(
    ("one", "one_or_none", "scalar_one", "scalar_one_or_none", "first_or_404", "get_or_404", "one_or_404")
)


def session_operation(
    run: Run,
    state: State,
    atom: Atom,
    type_: SessionType,
    name: str,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
    weak: bool,
) -> Value:
    """`session.name(...)`."""
    operation = ts.SESSION_OPERATIONS.get(name)
    if operation is None:
        return v.UNKNOWN
    mark = run.mark(position)
    first = (
        args[0]
        if args
        else next((value for key, value in kwargs.items() if key in ("statement", "instance", "entity")), v.UNKNOWN)
    )
    if name == "commit":
        census.commits(run, state, atom, census.BY_COMMIT, mark)
    elif name == "add" and entities.are_as_committed(state, first, atom):
        sessions.touch(run, state, atom, mark)
        return v.UNKNOWN
    _before(run, state, atom, name, first, position)
    sessions.operate(run, state, atom, type_, name, mark, weak)
    return _result(run, state, atom, type_, operation.result, first, args, kwargs, position)


def _before(run: Run, state: State, atom: Atom, name: str, first: Value, position: ir.Pos) -> None:
    """What an operation writes, and which instances it takes in."""
    if name in ("add", "add_all", "merge", "delete", "bulk_save_objects"):
        written: frozenset[Atom] = v.sources(first)
        for instance in v.ordered(first | elements(first)):
            made_from = run.made_from.get(instance)
            written |= made_from if made_from is not None else frozenset()
            if name in ("add", "add_all"):
                entities.adopt(run, state, instance, atom)
            elif name == "delete":
                entities.delete(run, state, instance, atom, run.mark(position))
        attached = name == "add" and not _is_made_here(first)
        if name == "add" and _is_changed(state, atom, first):
            return  # what was assigned to it says what is written
        sessions.write(run, state, atom, written, run.mark(position), frozenset(), first, assigned=attached)
    elif name in ("execute", "scalar", "scalars", "exec", "stream"):
        for statement in first:
            if statement[0] == v.STATEMENT and statement[1] in WRITING:
                came_from = _with_rows(run, statement[3])
                if statement[1] == "delete":
                    came_from = came_from or _purge(run, statement, position)
                sessions.write(run, state, atom, came_from, run.mark(position), frozenset())
            elif statement[0] == v.STATEMENT and statement[1] == SCHEMA:
                step: Atom = (v.ORIGIN, (position[0], position[1], run.salt), SCHEMA)
                run.made_from[step] = statement[3]
                sessions.write(run, state, atom, frozenset((step,)), run.mark(position), frozenset())
    elif name in ("bulk_insert_mappings", "bulk_update_mappings"):
        sessions.write(run, state, atom, v.sources(first), run.mark(position), frozenset())


def _is_changed(state: State, session: Atom, given: Value) -> bool:
    """Is it a row that is in the database already, and of which something is to be written without this?"""
    rows = [atom for atom in given if atom[0] == v.ENTITY]
    known = state.instance(rows[0]) if len(rows) == 1 else None
    if known is None or not (known.mark(LOADED) is not None or INSERTED in known.loaded):
        return False
    written = state.track(session).pending | (state.floating or frozenset())
    return any(source[0] == v.FIELD and source[1] == rows[0] for source in written)


def _purge(run: Run, written: Atom, position: ir.Pos) -> frozenset[Atom]:
    """What a bulk delete of some rows writes that depends on nothing but constants and the time of day: something of
    its own."""
    class_, options = written[2], written[4 if written[0] == v.STATEMENT else 3]
    is_of_some = class_ is not None and SOME_ROWS in options
    return frozenset(((v.ORIGIN, (*position[:2], run.fn.id), class_, PURGE),) if is_of_some else ())


# In the options of a query or of a DELETE: not all rows are meant.
SOME_ROWS = "*some"


def _of_some(name: str, options: tuple[str, ...]) -> tuple[str, ...]:
    return (SOME_ROWS,) if name in ("where", "filter", "filter_by") and SOME_ROWS not in options else ()


def _with_rows(run: Run, sources: frozenset[Atom]) -> frozenset[Atom]:
    """What a statement is made from, and the rows that it names by their keys: mostly it is they that it writes."""
    named = {source[1] for source in sources if source[0] == v.FIELD and is_identity(run, *source[1:])}
    return sources | named


def _is_made_here(given: Value) -> bool:
    """Is it a row that the function made or loaded? `add()` of another may only attach it, to load what it lacks."""
    return not given or any(atom[0] not in v.PLACES for atom in given)


def _result(
    run: Run,
    state: State,
    atom: Atom,
    type_: SessionType,
    result: str,
    first: Value,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
) -> Value:
    if result in ("entity", "locked"):
        class_id = class_reference(first)
        options = ("for_update",) if result == "locked" else _options(kwargs)
        came_from = v.sources(v.derived(*args[1:], *kwargs.values()))
        return v.union(entities.loaded(run, state, atom, class_id, options, position, came_from), v.NOTHING)
    if result == "merged":
        return entities.merged(run, state, atom, first, position)
    if result in ("result", "scalars", "scalar"):
        return _executed(run, state, atom, first, result, position)
    if result == "query":
        class_id = class_reference(first)
        return v.one((v.QUERY, atom, class_id, (), v.sources(v.derived(*args, *kwargs.values()))))
    if result in ("transaction", "savepoint"):
        return v.one((v.TRANSACTION, atom, result == "savepoint"))
    if result == "connection":
        return v.one((v.CONNECTION, type_.flavour))
    if result == "run_sync":
        return run.solver.call_in_greenlet(run, state, args, kwargs, atom, position)
    named = [*args[1:], *(value for key, value in kwargs.items() if key == "attribute_names")]
    names = relationship_names([value | elements(value) for value in named])
    if named and not names:
        names = frozenset((UNSEEN,))
    _instances(run, state, atom, result, first, names, position)
    if result == "refreshed" and "for_update" in _options(kwargs):
        for target in v.ordered(first):
            entities.lock(state, target, run.mark(position))
    return v.UNKNOWN


def class_reference(argument: Value) -> int | Atom | None:
    """The mapped class that an argument names: itself, or a place such as `cls` or `self.model` that holds one."""
    for atom in v.ordered(argument):
        if atom[0] == v.CLASS:
            return int(atom[1])
    if len(argument) == 1:
        (atom,) = argument
        if atom[0] in v.PLACES and not (atom[0] == v.FIELD and atom[1][0] == v.CLASS):
            return atom
    return None


def _instances(
    run: Run, state: State, atom: Atom, result: str, first: Value, names: frozenset[str], position: ir.Pos
) -> None:
    """refresh, expunge, expire: operations on single instances."""
    mark = run.mark(position)
    targets = v.ordered(first | elements(first))
    if result == "refreshed":
        for target in targets:
            entities.refreshed(run, state, target, names)
    elif result == "expunged":
        for target in targets:
            known = state.instance(target)
            if known is not None:
                state.put(target, known.put(DETACHED, mark).put(EXPUNGED, mark))
    elif result == "expunged_all":
        for target, known in list(state.heap.items()):
            if type(known) is Instance and known.owner == atom:
                state.put(target, known.put(DETACHED, mark).put(EXPUNGED, mark))
    elif result == "expired":
        for target in targets:
            known = state.instance(target)
            if known is not None and names:
                state.put(target, known._replace(loaded=known.loaded - names))
            elif known is not None:
                state.put(target, known.put(EXPIRED, mark).clear(STALE))  # what it is read for next is fresh
    elif result == "expired_all":
        sessions.each_instance(state, atom, EXPIRED, mark)


def loader_options(value: Value) -> list[str]:
    """The relationships that loader options name."""
    return [name for name in _option_names(value) if name != UNSEEN]


def _options(kwargs: Keywords) -> tuple[str, ...]:
    found = []
    if any(
        atom[1] is not None and atom[1] is not False
        for name in ("with_for_update", "populate_existing")
        for atom in kwargs.get(name, ())
        if atom[0] == v.CONSTANT
    ):
        found.append("for_update")
    if "options" in kwargs:
        found.extend(_option_names(kwargs["options"]))
    return tuple(found)


def _option_names(value: Value) -> list[str]:
    """Relationship names in loader options, and UNSEEN where there are others."""
    if not value:
        return [UNSEEN]
    found: list[str] = []
    for option in v.ordered(value):
        if option[0] == v.MANY:
            found += _option_names(option[1])
        elif option[0] == v.TUPLE:
            found += [name for part in option[1] for name in _option_names(part)]
        elif option[0] == v.STATEMENT and option[1] == "option":
            found += sorted(option[3]) or [UNSEEN]
        elif not (option[0] == v.CONSTANT or (option[0] == v.DERIVED and len(value) > 1) or _loads_nothing(option)):
            found.append(UNSEEN)
    return found


def _loads_nothing(option: Atom) -> bool:
    return bool(option[0] == v.EXT_OBJECT and option[1] in OPTIONS_THAT_LOAD_NOTHING)


def _executed(run: Run, state: State, atom: Atom, statement: Value, result: str, position: ir.Pos) -> Value:
    class_id: int | Atom | None = None
    options: tuple[Any, ...] = ()
    further: tuple[str, ...] = ()
    came_from: frozenset[Atom] = frozenset()
    for kind in v.ordered(statement):
        if kind[0] == v.STATEMENT and kind[1] == "option":
            further += tuple(sorted(kind[3]))  # of a helper that went on with the statement
            continue
        if kind[0] == v.STATEMENT:
            given = (kind[2], kind[4] if len(kind) > 4 else (), kind[3])
        elif kind[0] == v.QUERY:
            given = (kind[2], kind[3], kind[4])
        else:
            continue
        if class_id is None:
            class_id, options, came_from = given
        elif class_id == given[0]:  # one of several: what only some of them load is not known to be missing
            options, came_from = tuple(dict.fromkeys((*options, *given[1]))), came_from | given[2]
    options = (*options, *further)
    if result == "scalar":
        if class_id is None:
            return _unknown_rows(run, came_from, position)
        return v.union(entities.loaded(run, state, atom, class_id, options, position, came_from), v.NOTHING)
    return v.one((v.RESULT, atom, class_id, options, came_from, "rows" if result == "result" else "scalars"))


def _unknown_rows(run: Run, came_from: frozenset[Atom], position: ir.Pos) -> Value:
    """Something read from the database that is no instance: a value that comes from this statement."""
    origin = (v.ORIGIN, (position[0], position[1], run.salt), "row")
    run.made_from[origin] = came_from
    return v.one((v.DERIVED, frozenset((origin,))))


def factory_call(
    run: Run, state: State, atom: Atom, type_: SessionType, kwargs: Keywords, position: ir.Pos, is_registry: bool
) -> Value:
    """`Factory()`; for a registry, the session of the current context, which the registry owns."""
    kind = type_.kind
    if is_registry:
        run.served.setdefault(atom, run.mark(position))
        return v.one(atom)
    bind = kwargs.get("bind")
    if bind is not None and any(k[0] == v.CONNECTION for item in bind for k in run.type_of(item)):
        kind = "borrowed"
    made = ("module" if run.fn.is_module else "function", run.fn.id, position[0], position[1])
    given = type_._replace(kind=kind, expire=options.expiring(kwargs, type_.expire), made=made)
    return v.one(make_session(run, state, given, position, is_open=kind != "borrowed"))


def query_operation(
    run: Run, state: State, query: Atom, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    """Methods of Query: most build, some run."""
    ending = QUERY_ENDINGS.get(name, "query")
    if name in OTHER_COLUMNS:
        query = (*query[:2], None, *query[3:])
    if ending == "query":
        came_from = v.limited(query[4] | v.sources(v.derived(*args, *kwargs.values())))
        options = (*query[3], *(_loader_options(name, args) or _of_some(name, query[3])))
        return v.one((v.QUERY, query[1], query[2], options, came_from))
    owner = None
    for target, type_ in sessions_in(run, frozenset((query[1],)) if query[1] is not None else v.UNKNOWN):
        owner = target
        if ending == "write":
            came_from = query[4] | v.sources(v.derived(*args, *kwargs.values()))
            if name == "delete":
                came_from = came_from or _purge(run, query, position)
            sessions.write(run, state, target, _with_rows(run, came_from), run.mark(position), frozenset())
        _send(run, state, target, type_, position)
    if ending == "write" or ending == "derived" or query[2] is None:
        return _unknown_rows(run, query[4] | v.sources(v.derived(*args)), position)
    if name in EXPECTING:
        run.raise_(state, EXPLICIT, run.mark(position), RESULT_ERRORS)
    rows = entities.loaded(run, state, owner, query[2], query[3], position, query[4] | v.sources(v.derived(*args)))
    if ending == "many":
        return v.one((v.MANY, rows))
    return rows if name == "one" else v.union(rows, v.NOTHING)


def _send(run: Run, state: State, atom: Atom, type_: SessionType, position: ir.Pos) -> None:
    """A statement goes out over a session: as `execute`, whatever the spelling."""
    sessions.operate(run, state, atom, type_, "execute", run.mark(position), False)


def _loader_options(name: str, args: Arguments) -> tuple[str, ...]:
    if name == "with_for_update":
        return ("for_update",)
    if name == "populate_existing":
        return ("for_update",)
    if name == "options":
        return tuple(option for argument in args for option in _option_names(argument))
    return ()


def fetch(run: Run, state: State, given: Value, position: ir.Pos) -> None:
    """Rows are fetched from what is given. Where that can be several things, a path on which the session is closed
    may be one that nobody takes."""
    if len(given) != 1:
        return
    (result,) = given
    if result[0] == v.RESULT and result[2] is not None and result[1] is not None:
        if any(
            type_.flavour != ASYNC for _, type_ in sessions_in(run, v.one(result[1]))
        ):  # an async one fetches at once
            sessions.fetch(run, state, result[1], run.mark(position))


def gone_through(run: Run, state: State, given: Value, position: ir.Pos) -> Value:
    """The rows, beside other items, that whoever goes through these values gets: a query is run by it."""
    fetch(run, state, given, position)
    out = elements(given)
    for atom in v.ordered(given):
        if atom[0] == v.RESULT:
            out = v.union(out, elements(result_operation(run, state, atom, "all", [], position)))
        elif atom[0] == v.QUERY:
            out = v.union(out, elements(query_operation(run, state, atom, "__iter__", [], {}, position)))
    return out


def result_operation(run: Run, state: State, result: Atom, name: str, args: Arguments, position: ir.Pos) -> Value:
    """Methods of Result and ScalarResult: the rows are at hand, nothing is sent."""
    _, owner, class_id, options, came_from, shape = result
    kind = RESULT_METHODS.get(name)
    if kind is None:
        return v.UNKNOWN
    if name in EXPECTING:
        run.raise_(state, EXPLICIT, run.mark(position), RESULT_ERRORS)
    if kind == "scalars":
        return v.one((v.RESULT, owner, class_id, options, came_from, "scalars"))
    if kind == "same":
        return v.one(result)
    if class_id is None or kind == "rows" or (shape == "rows" and kind != "one_scalar"):
        rows = _unknown_rows(run, came_from, position)
        if class_id is not None and shape == "rows" and kind in ("many", "one"):
            # a row of `select(User)`: unpacking or indexing it gives the instance
            inner = entities.loaded(run, state, owner, class_id, options, position, came_from)
            rows = v.one((v.TUPLE, (inner,)))
            return v.one((v.MANY, rows)) if kind == "many" else v.union(rows, v.NOTHING)
        return v.one((v.MANY, rows)) if kind == "many" else rows
    rows = entities.loaded(run, state, owner, class_id, options, position, came_from)
    if kind == "many":
        return v.one((v.MANY, rows))
    return rows if name in ("one", "scalar_one") else v.union(rows, v.NOTHING)


def statement_operation(statement: Atom, name: str, args: Arguments, kwargs: Keywords) -> Value:
    """Methods of select(), insert(), ...: each returns a statement made from more."""
    if statement[0] in v.PLACES:  # a statement that somebody else began
        begun = v.union(v.one(statement), v.derived(*args, *kwargs.values()))
        names = frozenset(_loader_options(name, args))
        return v.union(begun, v.one((v.STATEMENT, "option", None, names, ()))) if names else begun
    came_from = statement[3]
    for argument in (*args, *kwargs.values()):
        came_from |= v.sources(argument)
    options = statement[4] if len(statement) > 4 else ()
    if statement[1] == "option":
        return v.one((v.STATEMENT, "option", None, statement[3] | _further_names(name, args), ()))
    further = _loader_options(name, args) or (_of_some(name, options) if statement[1] == "delete" else ())
    return v.one((v.STATEMENT, statement[1], statement[2], came_from, (*options, *further)))


def _further_names(name: str, args: Arguments) -> frozenset[str]:
    """What `joinedload(User.orders)` loads by `.selectinload(Order.lines)` or `.options(selectinload(Order.lines))`."""
    if name == "options":
        return frozenset(found for argument in args for found in _option_names(argument))
    return relationship_names(args)


def relationship_names(args: Arguments) -> frozenset[str]:
    names = set()
    for argument in args:
        for atom in argument:
            if atom[0] == v.FIELD:
                names.add(atom[2])
            elif atom[0] == v.CONSTANT and type(atom[1]) is str:
                names.add(atom[1])
    return frozenset(names)


def engine_operation(run: Run, state: State, flavour: str, name: str, position: ir.Pos, connection: bool) -> Value:
    """Methods of engines and connections."""
    sends, result = (CONNECTION_METHODS if connection else ENGINE_METHODS).get(name, (False, ""))
    mark = run.mark(position)
    if sends:
        if flavour == SYNC and not run.offloaded and run.call_node is not run.awaited:
            run.blocking.setdefault("internal", (mark, None))
        run.raise_(state, DATABASE_ERROR, mark)
    if result == "connection":
        return v.one((v.CONNECTION, flavour))
    if result == "result":
        return v.one((v.RESULT, None, None, (), frozenset(), "rows"))
    return v.UNKNOWN


def is_async(type_: SessionType) -> bool:
    return type_.flavour == ASYNC


def is_registry(type_: SessionType) -> bool:
    return type_.kind == REGISTRY
