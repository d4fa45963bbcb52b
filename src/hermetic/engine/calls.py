"""Calling a value, awaiting it, iterating over it, entering and leaving it as a context manager."""

from __future__ import annotations

from collections.abc import Sequence

from hermetic.engine import (
    afterwards,
    census,
    concurrency,
    entities,
    ir,
    library,
    pools,
    repository_calls,
    schemas,
    sessions,
    toolkit,
    typestate as ts,
    unsaved,
    values as v,
)
from hermetic.engine.blocks import enter
from hermetic.engine.containers import is_container
from hermetic.engine.externals import call_external, new_session
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.project import (
    Arguments,
    Keywords,
    call_function,
    construct,
    named,
    perform,
)
from hermetic.engine.run import ERROR, ITEM, Run
from hermetic.engine.scopes import given_by, opened_by
from hermetic.engine.session_types import REGISTRY
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import State, join
from hermetic.engine.unknown import call_unknown, lend
from hermetic.engine.values import Atom, Value, elements
from hermetic.engine.waits import ANSWER, stays_near
from hermetic.models.advanced_alchemy import NEW
from hermetic.models.python import (
    DEFAULTING,
    NEVER_RAISING_METHODS,
    NEVER_RAISING_OBJECTS,
    OFFLOADING_METHODS,
    PARALLEL,
    SPAWNING_METHODS,
)
from hermetic.models.sqlalchemy import ASYNC, NARROWING_METHODS, RESULT_METHODS, SYMBOLS
from hermetic.models.waiting import NO_WAIT


def invoke(run: Run, state: State, callee: Value, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Call a value; where it can be several things, the paths are joined."""
    if not callee:
        return call_unknown(run, state, args, kwargs, position)
    if len(callee) == 1:
        (atom,) = callee
        if atom[0] == v.OPERATION and RESULT_METHODS.get(atom[2], "same") not in ("same", "scalars"):
            library.fetch(run, state, v.one(atom[1]), position)
        return invoke_atom(run, state, atom, args, kwargs, position)
    ordered = v.ordered(callee)
    atoms = [atom for atom in ordered if atom[0] not in (v.DERIVED, v.CONSTANT)] or ordered[:1]
    out = v.UNKNOWN
    if _is_one_of_several_sessions(atoms):
        for atom in atoms:
            out = v.union(out, _operation(run, state, atom, args, kwargs, position, weak=len(atoms) > 1))
        return out
    after: State | None = None
    for atom in atoms:
        branch = state.copy()
        value = invoke_atom(run, branch, atom, args, kwargs, position)
        if not branch.dead:
            out = v.union(out, value)
            after = branch if after is None else join(after, branch)
    if after is None:
        state.dead = True
    else:
        state.become(after)
    return out


def _is_one_of_several_sessions(atoms: Sequence[Atom]) -> bool:
    """Is a method of one session called, which may be any of these? Every such call means the same one, so the state
    is not to be split anew at each."""
    if len({atom[2] for atom in atoms if atom[0] == v.OPERATION}) != 1:
        return False
    return all(
        atom[0] == v.OPERATION and atom[1][0] == v.SESSION and atom[2] in ts.SESSION_OPERATIONS for atom in atoms
    )


def invoke_atom(run: Run, state: State, atom: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    kind = atom[0]
    if kind == v.FUNCTION:
        return call_function(run, state, atom[1], None, args, kwargs, position)
    if kind == v.METHOD:
        return call_function(run, state, atom[1], atom[2], args, kwargs, position)
    if kind == v.OPERATION:
        return _operation(run, state, atom, args, kwargs, position)
    if kind == v.EXT:
        return call_external(run, state, atom[1], args, kwargs, position)
    if kind == v.CLASS:
        return _construct(run, state, atom[1], args, kwargs, position)
    if kind == v.CLOSURE:
        return run.solver.call_closure(run, state, atom, args, kwargs, position)
    if kind == v.PARTIAL:
        merged = {**{None if name == "**" else name: value for name, value in atom[3]}, **kwargs}
        return invoke_atom(run, state, atom[1], [*atom[2], *args], merged, position)
    if kind in (v.FACTORY, v.REGISTRY):
        return library.factory_call(run, state, atom, atom[1], kwargs, position, kind == v.REGISTRY)
    if is_container(atom):
        return v.one(atom)  # the container of an inner scope
    if kind == v.EXT_OBJECT and atom[1] in PARALLEL and args:
        pools.run_each(run, state, args[0], position)
    if kind in v.PLACES or kind in (v.OBJECT, v.INSTANCE):
        return _place(run, state, atom, args, kwargs, position)
    return call_unknown(run, state, args, kwargs, position)


def _place(run: Run, state: State, atom: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    """Call what a place holds, as far as its type tells."""
    if atom[0] == v.FIELD and atom[2] in NARROWING_METHODS and atom[1][0] == v.FIELD and atom[1][1][0] == v.CLASS:
        return v.one(atom[1])
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] in (v.FACTORY, v.REGISTRY):
            return library.factory_call(run, state, atom, kind[1], kwargs, position, kind[0] == v.REGISTRY)
        if kind[0] == v.CLASS and atom[0] == v.PARAM and atom[2] == 0:
            return _construct(run, state, kind[1], args, kwargs, position, atom)
        if kind[0] == v.GENERATING:
            return v.one((v.DEFERRED, "generator", None, kind, (), (), position))
        if kind[0] == v.GIVING:
            call_unknown(run, state, args, kwargs, position)
            site = (position[0], position[1], run.salt)
            given = frozenset((v.OBJECT, site, atom[1]) for atom in kind[1])
            return v.one((v.BORROWED, given, "until left")) if kind[2] else given
        if kind[0] in (v.FUNCTION, v.METHOD, v.CLASS, v.EXT):
            return invoke_atom(run, state, kind, args, kwargs, position)
        if kind[0] == v.INSTANCE:
            found = run.types.classes.member(kind[1], "__call__")
            if found is not None and type(found.item) is int:
                return call_function(run, state, found.item, atom, args, kwargs, position)
        if is_container(kind):
            return v.one(kind)
        if kind[0] == v.ANY_SESSION and kind[1].kind == REGISTRY:
            return v.one(atom)  # a registry, called: the session of this context
    given = args[1] if atom[0] == v.FIELD and atom[2] in DEFAULTING and len(args) == 2 else v.UNKNOWN
    objects = frozenset(default for default in given if default[0] in (v.OBJECT, v.INSTANCE))
    return v.union(call_unknown(run, state, args, kwargs, position), objects)


def _construct(
    run: Run,
    state: State,
    class_id: int,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
    through: Atom | None = None,
) -> Value:
    for base in sorted(run.types.classes.external_bases(class_id)):
        known = SYMBOLS.get(base)
        if known is not None and known[0] == "session":
            bind = kwargs.get("bind", args[0] if args else v.UNKNOWN)
            return new_session(run, state, known[1], bind, kwargs, position)
        if known is not None and known[0] in ("flask_db", "factory", "registry"):
            what = census.FLASK if known[0] == "flask_db" else known[0]
            census.configures(run, what, known[1], [key or "**" for key in kwargs], position)
            return run.solver.by_type(run, base, position)
    if run.types.repositories.flavour(class_id) is not None and run.types.classes.member(class_id, "__init__") is None:
        return repository_calls.make(run, state, class_id, args, kwargs, position)
    schemas.construct(run, state, class_id, kwargs, position)
    return construct(run, state, class_id, args, kwargs, position, through)


def _operation(
    run: Run, state: State, atom: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos, weak: bool = False
) -> Value:
    """A method of a library object, or of a place that holds one; `weak`: it may be another session that is meant."""
    receiver, name = atom[1], atom[2]
    types = run.type_of(receiver)
    if receiver[0] == v.CLASS and name == NEW:
        return repository_calls.make(run, state, receiver[1], args, kwargs, position)
    if repository_calls.is_method(run, atom):
        if any(run.types.repositories.flavour(kind[1]) == ASYNC for kind in types if kind[0] == v.INSTANCE):
            return _deferred(atom, args, kwargs, position)
        return repository_calls.call(run, state, atom, args, kwargs, position)
    for kind in v.ordered(types):
        if kind[0] in (v.ANY_SESSION, v.REGISTRY):
            if name not in ts.SESSION_OPERATIONS:
                _of_session_class(run, state, atom, position, weak)
                continue
            if kind[1].flavour == ASYNC and name not in SYNC_ON_ASYNC:
                return _deferred(atom, args, kwargs, position)
            return on_session(run, state, atom, args, kwargs, position, weak)
        result = _on_library(run, state, receiver, kind, name, args, kwargs, position)
        if result is not None:
            return result
    return _method_of_unknown(run, state, atom, args, kwargs, position)


def _deferred(operation: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos) -> Value:
    given = tuple(sorted(((key or "**", value) for key, value in kwargs.items()), key=lambda item: item[0]))
    return v.one((v.DEFERRED, "operation", operation, None, tuple(args), given, position))


# Methods of AsyncSession that are plain functions. https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html
SYNC_ON_ASYNC = frozenset(
    """
    add add_all begin begin_nested on_commit expire expire_all expunge expunge_all get_bind in_transaction is_modified
    query in_nested_transaction get_transaction configure
    """.split()
)


def _of_session_class(run: Run, state: State, atom: Atom, position: ir.Pos, weak: bool) -> None:
    """A method that a session class of the project adds."""
    for ending in run.solver.session_classes.endings_of(atom[2]):
        on_session(run, state, (v.OPERATION, atom[1], ending), [], {}, position, weak)


def on_session(
    run: Run,
    state: State,
    atom: Atom,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
    weak: bool = False,
) -> Value:
    """Perform an operation on the session or sessions that it is bound to; `weak`: or on another."""
    found = sessions_in(run, frozenset((atom[1],)))
    weak = weak or len(found) > 1
    out = v.UNKNOWN
    for target, type_ in found:
        value = library.session_operation(run, state, target, type_, atom[2], args, kwargs, position, weak)
        out = v.union(out, value)
    return out


def _on_library(
    run: Run, state: State, receiver: Atom, kind: Atom, name: str, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value | None:
    """The models of everything but sessions; None if there is no model for the receiver."""
    if kind[0] == v.QUERY:
        return library.query_operation(
            run, state, receiver if receiver[0] == v.QUERY else kind, name, args, kwargs, position
        )
    if kind[0] == v.RESULT:
        return library.result_operation(run, state, receiver if receiver[0] == v.RESULT else kind, name, args, position)
    if kind[0] == v.STATEMENT:
        return library.statement_operation(receiver if receiver[0] in v.PLACES else kind, name, args, kwargs)
    if (
        kind[0] == v.EXT_OBJECT
        and name in TABLE_STATEMENTS
        and str(kind[1]).rpartition(".")[2] in ("Table", "__table__")
    ):
        return v.one((v.STATEMENT, name, None, frozenset(), ()))
    opened = opened_by((v.OPERATION, kind, name))
    if opened is not None:
        return v.one(opened)
    made = run.types.configs.makes((v.OPERATION, kind, name))
    if made:
        return frozenset(named(run, state, atom, position) for atom in made)
    if is_container(kind) and name == "get" and run.call_node is not None:
        given = run.types.constructors.taken(name, run.call_node, run.fn)
        return frozenset(named(run, state, atom, position) for atom in given)
    if kind[0] in (v.ENGINE, v.CONNECTION):
        if name == "dispose":
            run.disposed.add(kind)
        return library.engine_operation(run, state, kind[1], name, position, kind[0] == v.CONNECTION)
    if kind[0] == v.FACTORY and name == "begin":
        session = library.factory_call(run, state, kind, kind[1], kwargs, position, False)
        return frozenset((v.TRANSACTION, atom, "own") for atom in session)
    if kind[0] == v.FACTORY:
        return toolkit.call(run, state, kind, name, args, kwargs, position)
    if kind[0] == v.TRANSACTION:
        return _on_transaction(run, state, kind, name, position)
    return None


def _on_transaction(run: Run, state: State, transaction: Atom, name: str, position: ir.Pos) -> Value:
    if name not in ("commit", "rollback") or transaction[1] is None:
        return v.UNKNOWN
    mark = run.mark(position)
    for target, type_ in sessions_in(run, frozenset((transaction[1],))):
        if transaction[2] is not True:
            sessions.operate(run, state, target, type_, name, mark, False)
        elif name == "commit":
            sessions.operate(run, state, target, type_, "flush", mark, False)
        else:
            sessions.to_savepoint(state, target)
    return v.UNKNOWN


def _method_of_unknown(
    run: Run, state: State, atom: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    """A method of something that no model describes: what the method's name says of concurrency still holds."""
    receiver, name = atom[1], atom[2]
    if (
        name in OFFLOADING_METHODS
        and len(args) > OFFLOADING_METHODS[name]
        and _is_callable(args[OFFLOADING_METHODS[name]])
    ):
        return concurrency.offload(run, state, OFFLOADING_METHODS[name], args, kwargs, position)
    if name in SPAWNING_METHODS and len(args) > SPAWNING_METHODS[name]:
        is_process = pools.is_of_processes(run, receiver)
        return concurrency.spawn(run, state, SPAWNING_METHODS[name], args, kwargs, position, is_process)
    if name in ENTERING_METHODS and args:
        return _enter_on_stack(run, state, args[0], position)
    if name in ("callback", "push", "push_async_callback", "push_async_exit", "register"):
        _give_away(state, args)
    if receiver[0] in (v.MANY, v.TUPLE):
        return _container_method(run, state, receiver, name, args, position)
    types = v.ordered(run.type_of(receiver))
    for type_ in types:
        if type_[0] == v.EXT_OBJECT and afterwards.begins(f"{type_[1]}.{name}"):
            afterwards.begin(run, state, f"{type_[1]}.{name}", args, kwargs, position)
    full = v.full_name(atom)
    made = given_by(full)
    if made:
        return made
    kind = run.solver.slow.kind(full) if full else _inherited_wait(run, receiver, name)
    if kind is not None:
        sessions.wait(run, state, kind, run.mark(position), v.sources(v.derived(*args, *kwargs.values())))
    if name not in NEVER_RAISING_METHODS and not any(type_[1] in NEVER_RAISING_OBJECTS for type_ in types):
        run.raise_(state, ERROR, run.mark(position))
    if name in pools.METHODS:
        started = pools.call(run, state, receiver, name, args, kwargs, position)
        if started:
            return started
    for argument in (*args, *kwargs.values()):
        lend(run, state, argument)
    unsaved.lend_behind(state, receiver)
    derived = v.derived(frozenset((receiver,)), *args, *kwargs.values())
    if kind is not None:
        derived = v.answered(derived)
        full = full and full + ANSWER
    return v.union(derived, v.one((v.EXT_OBJECT, full))) if full else derived


def _inherited_wait(run: Run, receiver: Atom, name: str) -> str | None:
    """What a method waits for that a class of the project has from its library base: a client of one's own."""
    for kind in v.ordered(run.type_of(receiver)):
        if kind[0] == v.INSTANCE:
            for base in sorted(run.types.classes.external_bases(kind[1])):
                waits_for = run.solver.slow.kind(f"{base}.{name}")
                if waits_for is not None:
                    return str(waits_for)
    return None


TABLE_STATEMENTS = frozenset(("insert", "update", "delete", "select"))
ENTERING_METHODS = frozenset(("enter_context", "enter_async_context"))


def _is_callable(value: Value) -> bool:
    return any(atom[0] in (v.FUNCTION, v.METHOD, v.CLOSURE, v.OPERATION, v.PARTIAL, v.EXT) for atom in value)


def _container_method(run: Run, state: State, receiver: Atom, name: str, args: Arguments, position: ir.Pos) -> Value:
    if name in ("pop", "get", "popleft", "__getitem__", "values", "items", "copy"):
        inner = elements(frozenset((receiver,)))
        if name == "items":
            inner = v.one((v.TUPLE, (v.UNKNOWN, inner)))
        return v.one((v.MANY, inner)) if name in ("values", "items", "copy") else inner
    if name == "close":
        run.raise_(state, ERROR, run.mark(position))
    return v.UNKNOWN


def _enter_on_stack(run: Run, state: State, context: Value, position: ir.Pos) -> Value:
    """`stack.enter_context(x)`: whoever closes the stack closes x."""
    entered, _ = enter(run, state, context, position)
    for session in reachable_sessions(state, entered | context):
        state.escaped |= {session}
    return v.one((v.DEFERRED, "done", entered, frozenset()))


def _give_away(state: State, args: Arguments) -> None:
    """A bound `close` is registered to be called later."""
    for argument in args:
        for session in reachable_sessions(state, argument):
            state.escaped |= {session}


# -- await ------------------------------------------------------------------------------------------------------


def await_(run: Run, state: State, value: Value, node: ir.Node) -> Value:
    """`await value`: deferred work runs; anything that is not known to stay inside of this process is a wait."""
    line = node[2]
    position = node[1][4] if type(node[1]) is tuple and node[1][0] == ir.CALL else (line, -1, line, -1)
    known, out = False, v.UNKNOWN
    for atom in v.ordered(value):
        if atom[0] == v.DEFERRED:
            known = True
            out = v.union(out, force_atom(run, state, atom, position))
        elif atom[0] == v.CONSTANT or _stays_inside(run, atom):
            known = True
            out = v.union(out, v.one(atom))
        else:
            out = v.union(out, v.one(atom))
    if not known and stays_near(run, node[1]):
        run.raise_(state, ERROR, run.mark(position))
    elif not known:
        run.raise_(state, ERROR, run.mark(position))
        sessions.wait(run, state, sessions.OUTSIDE, run.mark(position), v.sources(out))
        out = v.answered(out)
    return out


def _stays_inside(run: Run, atom: Atom) -> bool:
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] in (v.ANY_SESSION, v.RESULT, v.CONNECTION, v.QUERY, v.ENGINE, v.TRANSACTION):
            return True
        if kind[0] == v.EXT_OBJECT and isinstance(kind[1], str) and kind[1].startswith(NO_WAIT):
            return True
    return False


def force(run: Run, state: State, value: Value, position: ir.Pos) -> Value:
    """Run whatever deferred work a value holds."""
    out = v.UNKNOWN
    for atom in v.ordered(value):
        if atom[0] == v.DEFERRED:
            out = v.union(out, force_atom(run, state, atom, position))
        elif atom[0] == v.MANY:
            inner = force(run, state, atom[1], position)
            out = v.union(out, v.one((v.MANY, inner)))
        elif atom[0] == v.TUPLE:
            out = v.union(out, v.one((v.TUPLE, tuple([force(run, state, part, position) for part in atom[1]]))))
        else:
            out = v.union(out, v.one(atom))
    return out


def force_atom(run: Run, state: State, atom: Atom, position: ir.Pos) -> Value:
    kind = atom[1]
    if kind == "done":
        return Value(atom[2])
    if kind == "task":
        concurrency.awaited(run, state, atom, position)
        return Value(atom[2])
    if kind == "attribute":
        entities.awaited(state, atom[2], atom[3])
        return v.one((v.FIELD, atom[2], atom[3]) if atom[2][0] != v.DERIVED else atom[2])
    kwargs: Keywords = {None if name == "**" else name: value for name, value in atom[5]}
    if kind == "operation" and repository_calls.is_method(run, atom[2]):
        return repository_calls.call(run, state, atom[2], list(atom[4]), kwargs, atom[6])
    if kind == "operation":
        return on_session(run, state, atom[2], list(atom[4]), kwargs, atom[6])
    if kind == "coroutine":
        fn = run.code.functions[atom[2]]
        return perform(run, state, fn, atom[3], list(atom[4]), kwargs, atom[6])
    return v.one(atom)


# -- iteration ----------------------------------------------------------------------------------------------------


def iterate(run: Run, state: State, value: Value, position: ir.Pos) -> Value:
    """What a `for` over a value binds."""
    out = library.gone_through(run, state, value, position)
    rest = v.UNKNOWN
    for atom in v.ordered(value):
        if atom[0] == v.DEFERRED and atom[1] == "generator":
            out = v.union(out, run.solver.advance(run, state, frozenset((atom,)), position, whole=True))
        elif atom[0] in v.PLACES:
            out = v.union(out, _iterate_place(run, state, atom))
            rest = v.union(rest, frozenset((atom,)))
        elif atom[0] not in (v.MANY, v.TUPLE, v.CONSTANT, v.QUERY, v.RESULT):
            rest = v.union(rest, frozenset((atom,)))
    return out or v.derived(rest)


def _iterate_place(run: Run, state: State, atom: Atom) -> Value:
    """Iterating over a relationship or a list that came as a parameter: items known by type."""
    out = v.UNKNOWN
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] == v.MANY:
            for item in v.ordered(kind[1]):
                if item[0] == v.INSTANCE:
                    place = (v.FIELD, atom, ITEM)
                    run.item_types[place] = frozenset((item,))
                    out = v.union(out, frozenset((place,)))
                else:
                    out = v.union(out, frozenset((item,)))
    return out
