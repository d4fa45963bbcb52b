"""Calls of library functions and classes that are no method of a modelled object."""

from __future__ import annotations

from hermetic.engine import (
    afterwards,
    census,
    concurrency,
    ir,
    library,
    options,
    schemas,
    typestate as ts,
    unsaved,
    values as v,
)
from hermetic.engine.entities import ALL_DEFERRED, is_entity, set_committed
from hermetic.engine.fields import SESSION_OF, reachable_sessions, read_field
from hermetic.engine.library import class_reference, relationship_names
from hermetic.engine.observations import OptionMisused
from hermetic.engine.operations import SCHEMA
from hermetic.engine.project import Arguments, Keywords, make_session, named
from hermetic.engine.run import ERROR, Run
from hermetic.engine.scopes import given_by, opened_by
from hermetic.engine.session_types import BORROWED, PLAIN, SessionType
from hermetic.engine.session_values import sessions_in
from hermetic.engine.sessions import wait
from hermetic.engine.stale import ANY_ATTRIBUTE
from hermetic.engine.state import State
from hermetic.engine.stores import write_attribute
from hermetic.engine.values import Value
from hermetic.models.injector import OBJECT, PROVIDERS
from hermetic.models.python import CONCURRENT, DELAYING, NEVER_RAISE, NEVER_RETURN, OFFLOADS, PROCESSES, SPAWNS, WAITING
from hermetic.models.sqlalchemy import REMOVED_OPTIONS, SETTING_COMMITTED, SYMBOLS
from hermetic.models.waiting import SLEEP
from hermetic.models.zope import JOINING

# Functions whose value is (one of) their arguments.
SAME_VALUE: dict[str, int] = {
    "contextlib.closing": 0,
    "contextlib.aclosing": 0,
    "copy.copy": 0,
    "asyncio.wait_for": 0,
    "asyncio.shield": 0,
    "asyncio.timeout_at": 0,
    "iter": 0,
    "reversed": 0,
}
# How the URL of such an SQLite database ends.
# https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#using-a-memory-database-in-multiple-threads
IN_MEMORY = ("://", ":memory:")
COLLECTIONS = frozenset(("dict", "list", "tuple", "set", "sorted", "frozenset", "collections.deque"))
LAZY = frozenset(("map", "filter"))
RUNNERS = frozenset(("asyncio.run", "anyio.run", "trio.run", "asgiref.sync.async_to_sync"))


def call_external(run: Run, state: State, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Call a library symbol by its full name."""
    opened = opened_by((v.EXT, name))
    if opened is not None:
        return v.one(opened)
    known = SYMBOLS.get(name)
    if known is not None:
        return _sqlalchemy(run, state, name, known, args, kwargs, position)
    if name == "typing.cast" and len(args) == 2:
        return frozenset([named(run, state, atom, position) for atom in _cast(run, args[0], args[1])])
    if name in SAME_VALUE:
        return args[SAME_VALUE[name]] if len(args) > SAME_VALUE[name] else v.UNKNOWN
    if name == "contextlib.nullcontext":
        return v.one((v.BORROWED, args[0] if args else v.UNKNOWN))
    if name in COLLECTIONS:
        return _collection(run, state, args, position)
    if name in JOINING:
        return _join_a_manager(run, state, args)
    if name in NEVER_RETURN:
        state.dead = True
        return v.UNKNOWN
    if name in CONCURRENT:
        return concurrency.gather(run, state, args, position)
    if name in RUNNERS:
        return run.solver.force(run, state, args[0], position) if args else v.UNKNOWN
    if name in OFFLOADS:
        return concurrency.offload(run, state, OFFLOADS[name], args, kwargs, position)
    if name in SPAWNS:
        return concurrency.spawn(run, state, SPAWNS[name], args, kwargs, position, name in PROCESSES)
    return _plain(run, state, name, args, kwargs, position)


def _join_a_manager(run: Run, state: State, args: Arguments) -> Value:
    """From here on the transaction manager ends the session's transactions, and closes it."""
    for session, _ in sessions_in(run, args[0] if args else v.UNKNOWN):
        track = state.track(session)
        state.put(session, track._replace(word=ts.clear(track.word, ts.OPEN)))
    return v.UNKNOWN


def _cast(run: Run, to: Value, value: Value) -> Value:
    """`cast(T, x)` is x without what is no T, and where nothing is left of x, some T."""
    wanted = [atom[1] for atom in to if atom[0] == v.CLASS]
    if wanted:
        value = frozenset(atom for atom in value if _may_be(run, atom, wanted))
    if any(atom[0] not in (v.DERIVED, v.CONSTANT) for atom in value):
        return value
    out = value
    for atom in to:
        if atom[0] == v.CLASS:
            out = v.union(out, run.types.constructors.instance_of_class(atom[1]))
        elif atom[0] == v.EXT:
            out = v.union(out, run.types.constructors.instance_of_library(atom[1]))
    return out


def _may_be(run: Run, atom: v.Atom, wanted: list[int]) -> bool:
    """Can it be an instance of one of these classes, by what is known of it?"""
    kinds = run.type_of(atom)
    if not kinds or any(kind[0] != v.INSTANCE for kind in kinds):
        return True
    return any(run.types.classes.is_subclass(kind[1], class_id) for kind in kinds for class_id in wanted)


def _collection(run: Run, state: State, args: Arguments, position: ir.Pos) -> Value:
    if not args:
        return v.EMPTY
    inner = library.gone_through(run, state, args[0], position)
    return v.one((v.MANY, inner)) if inner else args[0]


def _plain(run: Run, state: State, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    if name == "functools.partial" and args:
        keywords = tuple((key or "**", value) for key, value in kwargs.items())
        return frozenset((v.PARTIAL, callee, tuple(args[1:]), keywords) for callee in args[0])
    if name in DELAYING and args:  # what it gives, called, is a call that has been prepared
        return v.one((v.PARTIAL, (v.EXT, "functools.partial"), (args[0],), ()))
    if name == "itertools.repeat" and args:
        return v.one((v.MANY, args[0]))
    if name in WAITING and args:
        run.solver.force(run, state, args[0], position)
        return args[0]
    if name in ("next", "anext") and args:
        return run.solver.advance(run, state, args[0], position)
    if name in ("enumerate", "zip") and args:
        first = (v.UNKNOWN,) if name == "enumerate" else ()
        parts = [library.gone_through(run, state, argument, position) or v.derived(argument) for argument in args]
        return v.one((v.MANY, v.one((v.TUPLE, (*first, *parts)))))
    if name in LAZY and len(args) > 1:  # whatever is done with the items
        library.gone_through(run, state, args[1], position)
    if PROVIDERS.get(name) == OBJECT and args:
        return args[0]
    if name == "super":
        return _super(run, state)
    if name == "getattr" and len(args) >= 2:
        return _getattr(run, state, args)
    if name == "setattr" and len(args) == 3:
        _setattr(run, state, args, position)
        return v.UNKNOWN
    if name in SETTING_COMMITTED and len(args) == 3:
        for attribute in _texts(args[1]):
            set_committed(state, args[0], attribute)
    if name in schemas.FILLING and args:
        schemas.fill(run, state, args[0], position)
    made = given_by(name)
    if made:
        return made
    if afterwards.begins(name):
        afterwards.begin(run, state, name, args, kwargs, position)
    kind = run.solver.slow.kind(name)
    if kind == SLEEP and args and args[0] == v.one((v.CONSTANT, 0)):
        kind = None  # only lets others run
    if kind is not None:
        wait(run, state, kind, run.mark(position), v.sources(v.derived(*args, *kwargs.values())))
    held: set[v.Atom] = set()
    for value in (*args, *kwargs.values()):
        held |= reachable_sessions(state, value)
    if name not in NEVER_RAISE:
        run.raise_(state, ERROR, run.mark(position))
        for value in (*args, *kwargs.values()):
            unsaved.lend_among(state, value)
    result = (v.EXT_OBJECT, name, frozenset(held)) if held else (v.EXT_OBJECT, name)
    derived = v.derived(*args, *kwargs.values())
    return (v.answered(derived) if kind is not None else derived) | {result}


def _super(run: Run, state: State) -> Value:
    """`super()`: the receiver, looked at from the next class of the mro."""
    if run.fn.params and run.fn.class_id is not None:
        receiver = state.env.get(run.fn.params[0][0], v.UNKNOWN)
        return frozenset(("super", atom, run.fn.class_id) for atom in receiver)
    return v.UNKNOWN


def _texts(value: Value) -> list[str]:
    return [atom[1] for atom in value if atom[0] == v.CONSTANT and type(atom[1]) is str and atom[1]]


def _getattr(run: Run, state: State, args: Arguments) -> Value:
    names = _texts(args[1])
    if len(names) != 1:
        unnamed = frozenset((v.FIELD, atom, ANY_ATTRIBUTE) for atom in args[0] if is_entity(run, atom))
        return v.union(v.derived(args[0]), unnamed)
    out = v.UNKNOWN
    for atom in args[0]:
        out = v.union(out, read_field(run, state, atom, names[0]))
    return v.union(out, args[2]) if len(args) > 2 else out


def _setattr(run: Run, state: State, args: Arguments, position: ir.Pos) -> None:
    """`setattr(request.state, key, session)`: a row is written, or a session kept by whoever has the object."""
    names = _texts(args[1])
    write_attribute(run, state, args[0], names[0] if len(names) == 1 else ANY_ATTRIBUTE, args[2], position)


def _sqlalchemy(
    run: Run, state: State, name: str, known: tuple[str, str], args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    kind, flavour = known
    if kind == "session":
        bind = kwargs.get("bind", args[0] if args else v.UNKNOWN)
        return new_session(run, state, flavour, bind, kwargs, position)
    if kind == "statement":
        class_id = class_reference(args[0]) if args else None
        if class_id is None:
            class_id = next(
                (
                    atom[1][1]
                    for argument in args[:1]
                    for atom in v.ordered(argument)
                    if atom[0] == v.FIELD and atom[1][0] == v.CLASS
                ),
                None,
            )
            if flavour == "select":
                class_id = None  # columns, not instances
        if flavour == "text":
            flavour = _text_verb(args)
        return v.one((v.STATEMENT, flavour, class_id, v.sources(v.derived(*args)), ()))
    if kind == "eager_columns":
        return v.one((v.STATEMENT, "option", None, frozenset((ALL_DEFERRED,)), ()))
    if kind == "eager":
        return v.one((v.STATEMENT, "option", None, relationship_names(args), ()))
    if kind == "session_of":
        out = v.UNKNOWN
        for atom in args[0] if args else ():
            out = v.union(out, read_field(run, state, atom, SESSION_OF[flavour]))
        return out
    if kind in ("engine", "wrapped_engine"):
        if kind == "wrapped_engine" and args:
            return args[0]
        census.configures(run, "engine", flavour, [key or "**" for key in kwargs], position)
        made = ("module" if run.fn.is_module else "function", run.fn.id, position[0], position[1])
        atom = (v.ENGINE, flavour, made, _pool(kwargs))
        if _is_in_memory(kwargs.get("url", args[0] if args else v.UNKNOWN)):
            run.solver.memory_engines.add(made)
        run.engines.setdefault(atom, run.mark(position))
        return v.one(atom)
    if kind in ("factory", "registry"):
        census.configures(run, kind, flavour, [key or "**" for key in kwargs], position)
        return _factory(run, name, args, kwargs, position)
    if kind == "database":
        census.configures(run, "factory", flavour, [key or "**" for key in kwargs], position)
    if kind == "flask_db":
        census.configures(run, census.FLASK, flavour, [key or "**" for key in kwargs], position)
    return run.solver.by_type(run, name, position)


def _factory(run: Run, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """A factory keeps the engine that it is made with: of those of several paths the last."""
    engine = None
    for value in (*args, *kwargs.values()):
        for atom in v.ordered(value):
            found = _engine_of(run, atom)
            if found is not None:
                if engine is not None and engine != found:
                    run.engines.pop(engine, None)
                engine = found
    _check_options(run, kwargs, position)
    made = run.solver.by_type(run, name, position)
    if engine is not None and engine[0] == v.ENGINE:
        run.solver.engine_of.update((atom[1].options_at, engine[2]) for atom in made if atom[0] == v.FACTORY)
    return frozenset((*atom[:2], engine) if atom[0] in (v.FACTORY, v.REGISTRY) else atom for atom in made)


def _engine_of(run: Run, atom: v.Atom) -> v.Atom | None:
    """The engine that an argument of a factory is, or that the factory has which it is."""
    if atom[0] == v.FACTORY:
        return atom[2] if len(atom) > 2 else None
    of_a_caller = atom[0] == v.PARAM and any(kind[0] == v.ENGINE for kind in run.type_of(atom))
    return atom if atom[0] == v.ENGINE or of_a_caller else None


def _check_options(run: Run, kwargs: Keywords, position: ir.Pos) -> None:
    for name, value in kwargs.items():
        why = REMOVED_OPTIONS.get((name or "", value == v.YES))
        if why is not None and value in (v.YES, v.NO):
            run.observe(("option", position), OptionMisused(run.mark(position), name or "", why))


def _is_in_memory(url: Value) -> bool:
    """Is it the URL of a database that is gone with the process?"""
    texts = _texts(url)
    return len(texts) == len(url) == 1 and texts[0].startswith("sqlite") and texts[0].endswith(IN_MEMORY)


def _pool(kwargs: Keywords) -> str:
    for atom in kwargs.get("poolclass", ()):
        if atom[0] == v.EXT:
            return str(atom[1]).rpartition(".")[2]
    return ""


def _text_verb(args: Arguments) -> str:
    for atom in args[0] if args else ():
        if atom[0] in (v.CONSTANT, v.TEXT) and type(atom[1]) is str:
            word = atom[1].lstrip().partition(" ")[0].lower()
            if word in SCHEMA_WORDS:
                return SCHEMA
            if word in WRITING_WORDS:
                return "write"
    return "text"


WRITING_WORDS = frozenset(
    """
    insert update delete merge replace truncate grant revoke
    """.split()
)
SCHEMA_WORDS = frozenset(("alter", "create", "drop", "comment"))


def new_session(run: Run, state: State, flavour: str, bind: Value, kwargs: Keywords, position: ir.Pos) -> Value:
    """`Session(...)`."""
    _check_options(run, kwargs, position)
    expire = options.expiring(kwargs, None if None in kwargs else True)
    borrowed = any(_is_connection(kind) for atom in bind for kind in run.type_of(atom))
    made = ("module" if run.fn.is_module else "function", run.fn.id, position[0], position[1])
    type_ = SessionType(flavour, BORROWED if borrowed else PLAIN, expire, made, made)
    for atom in bind:
        for kind in v.ordered(run.type_of(atom)):
            if kind[0] == v.ENGINE:
                run.solver.engine_of[made] = kind[2]
    return v.one(make_session(run, state, type_, position, is_open=not borrowed))


def _is_connection(kind: v.Atom) -> bool:
    if kind[0] == v.CONNECTION:
        return True
    return kind[0] == v.EXT_OBJECT and isinstance(kind[1], str) and kind[1].endswith("get_bind")


__all__ = ["call_external", "new_session", "sessions_in"]
