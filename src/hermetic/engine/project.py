"""Calls of the project's own functions and classes."""

from __future__ import annotations

from hermetic.engine import census, entities, ir, options, typestate as ts, unsaved, values as v
from hermetic.engine.apply import apply, apply_effects
from hermetic.engine.classes import decorator_names
from hermetic.engine.link import Function
from hermetic.engine.managers import swallowing_handler
from hermetic.engine.run import ERROR, Run
from hermetic.engine.session_types import BORROWED, REGISTRY, SessionType
from hermetic.engine.sessions import wait
from hermetic.engine.signatures import CONTEXT_DECORATORS
from hermetic.engine.state import (
    ALL_LOADED,
    CREATED,
    ENTERED,
    ENTITY_FRESH,
    GIVEN,
    UNSEEN,
    Fields,
    Instance,
    State,
    Track,
    join,
)
from hermetic.engine.substitution import Substitution, trail
from hermetic.engine.summary import NO_EFFECTS, Summary
from hermetic.engine.values import Atom, Value

Arguments = list[Value]
Keywords = dict[str | None, Value]

# Closures passed to a helper are interpreted inside of it, that many calls deep.
DEEPEST_INLINING = 3

Key = tuple[tuple[int, str], ...]


def call_function(
    run: Run, state: State, function: int, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    """Call a function; a coroutine, generator or context manager function only prepares its work."""
    fn = run.code.functions[function]
    if receiver is not None and receiver[0] != v.OBJECT:
        overriding = run.solver.overrides.implementations(fn)
        if overriding:
            return _any_of(run, state, overriding, receiver, args, kwargs, position)
    kind = deferral(fn)
    if kind is not None:
        named = tuple(sorted(((name or "**", value) for name, value in kwargs.items()), key=lambda item: item[0]))
        return v.one((v.DEFERRED, kind, function, receiver, tuple(args), named, position))
    return perform(run, state, fn, receiver, args, kwargs, position)


def _any_of(
    run: Run,
    state: State,
    functions: tuple[int, ...],
    receiver: Atom,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
) -> Value:
    """Call an abstract method: any of its implementations may be meant."""
    out = v.UNKNOWN
    after: State | None = None
    log, is_one_without = state.log, False
    for function in functions:
        branch = state.copy()
        value = call_function(run, branch, function, receiver, args, kwargs, position)
        if not branch.dead:
            out = v.union(out, value)
            is_one_without = is_one_without or branch.log == log
            after = branch if after is None else join(after, branch)
    if after is None:
        state.dead = True
    else:
        if is_one_without:
            after.log = log  # the implementation in use may be the one over HTTP, or in memory
        state.become(after)
    return out


def deferral(fn: Function) -> str | None:
    """What a call of the function gives instead of its result."""
    if fn.decorators and not CONTEXT_DECORATORS.isdisjoint(decorator_names(fn)):
        return "context"
    if fn.is_generator:
        return "generator"
    return "coroutine" if fn.is_async else None


def _can_fail(fn: Function) -> bool:
    """Does it call anything, or raise, or leave all to others? Who only gives back what is there does not fail."""
    return not fn.body or bool(fn.calls()) or any(node[0] in (ir.RAISE, ir.ASSERT) for node in fn.statements())


def perform(
    run: Run, state: State, fn: Function, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> Value:
    """Run the function's work: apply its summary for these arguments."""
    solver = run.solver
    if fn.id not in run.unwrapped:
        solver.called(fn, run.fn)
    elif None in kwargs:  # its wrapper hands on what it got: `function(*args, **kwargs)`
        kwargs = {**run.unwrapped[fn.id], **{name: value for name, value in kwargs.items() if name is not None}}
    slow = solver.slow.functions.get(fn.id)
    if slow is not None:
        wait(run, state, slow, run.mark(position))
    wrapper = run.types.decorators.wrapper(fn) if fn.id not in run.unwrapped and run.depth < DEEPEST_INLINING else None
    if wrapper is not None and not solver.is_opaque(wrapper.inner):
        solver.called(wrapper.inner, run.fn)
        binding = bind(wrapper.inner, receiver, args, kwargs)
        around = (*wrapper.given, (wrapper.wrapped, v.one((v.FUNCTION, fn.id))))
        return solver.inline(run, state, wrapper.inner, binding, position, around, (fn.id, kwargs))
    inlined = run.depth < DEEPEST_INLINING and solver.in_place.may_be(fn, (*args, *kwargs.values()))
    if not inlined and solver.is_opaque(fn):
        if _can_fail(fn):
            run.raise_(state, ERROR, run.mark(position))
        _read_rows(run, state, fn, receiver, args, kwargs, position)
        if receiver is not None and receiver[0] != v.CLASS and fn.gives_itself():
            return v.one(receiver)
        value = _result(run, state, fn, receiver, v.UNKNOWN, False, args, kwargs, position)
        return _without_options(value) if _makes_statements(run, fn, args, kwargs) else value
    binding = bind(fn, receiver, args, kwargs)
    before = state.heap
    if inlined and solver.in_place.is_wanted(fn, binding):
        for given in solver.in_place.functions(fn, binding):
            solver.called(given, run.fn)
        value = solver.inline(run, state, fn, binding, position)
        if run.types.decorators.commit(fn):
            unsaved.lend_changed(state, before)
        return value
    summary = solver.summary(fn.id, key_of(run, state, fn, binding))
    if summary.waits and receiver is not None and receiver[0] != v.OBJECT and _is_of_a_client(run, fn, summary):
        summary = summary._replace(slow=None, waits=(), writes_after_wait=False)
    if run.types.is_cached(fn):
        summary = _made_once(run, fn, receiver, summary)
    sub = Substitution(run, state, fn, binding, position, summary)
    value = apply(run, state, summary, sub, fn)
    if state.dead:
        return v.UNKNOWN
    if run.types.decorators.commit(fn):
        unsaved.lend_changed(state, before)
    run.kept |= summary.keeps
    for atom in v.ordered(value) if not run.types.is_cached(fn) else ():
        if atom[0] == v.ENGINE and len(atom) > 3 and atom[2] is not None and atom[2][0] == "function":
            if atom not in summary.keeps:
                run.engines.setdefault(atom, run.mark(position))
    return _result(run, state, fn, receiver, value, summary.effects.commits != (), args, kwargs, position)


def _made_once(run: Run, fn: Function, receiver: Atom | None, summary: Summary) -> Summary:
    """A function whose result is kept gives whoever calls it the session that its first call has made."""
    kept = frozenset(atom for atom in run.types.returned(fn.id, receiver) if atom[0] == v.ANY_SESSION)
    return summary._replace(returns=kept, effects=NO_EFFECTS) if kept else summary


def _is_of_a_client(run: Run, fn: Function, summary: Summary) -> bool:
    """Does the method ask a server for what others of its interface ask the database? Where a transaction is, it is not
    this one that is in use."""
    return not summary.touches and any(run.solver.summary(twin).touches for twin in run.solver.overrides.twins(fn))


def _read_rows(
    run: Run, state: State, fn: Function, receiver: Atom | None, args: Arguments, kwargs: Keywords, position: ir.Pos
) -> None:
    """What a function that has nothing to do with sessions reads of the rows that it is given."""
    given = [*args, *kwargs.values()] if receiver is None else [v.one(receiver), *args, *kwargs.values()]
    if not any(_has_rows(state, value) for value in given):
        return
    binding = bind(fn, receiver, args, kwargs)
    for number, of_items, name, where in run.solver.certain_reads(fn).reads:
        value = binding.get(number, v.UNKNOWN)
        for atom in v.ordered(v.elements(value) if of_items else value):
            if state.instance(atom) is not None:
                entities.read(run, state, atom, name, (run.fn.module, position, (fn.module, where, None)))


def _makes_statements(run: Run, fn: Function, args: Arguments, kwargs: Keywords) -> bool:
    """Does the function make the statement that it returns, rather than to go on with one that it is given?"""
    return "select" in fn.identifiers and not any(
        kind[0] == v.STATEMENT for value in (*args, *kwargs.values()) for atom in value for kind in run.type_of(atom)
    )


def _without_options(value: Value) -> Value:
    """Whoever chooses what a statement loads is interpreted, so a function that is not has chosen nothing."""
    return frozenset((*atom[:4], ()) if atom[0] == v.STATEMENT and atom[4] == (UNSEEN,) else atom for atom in value)


def _has_rows(state: State, value: Value) -> bool:
    return any(state.instance(atom) is not None if atom[0] != v.MANY else _has_rows(state, atom[1]) for atom in value)


def named(run: Run, state: State, atom: Atom, position: ir.Pos) -> Atom:
    """A session of which only the type is known gets an identity: that of the call that gave it. Who closes it is
    not known, so nobody here is asked to."""
    if atom[0] == v.ANY_SESSION and atom[1].kind != REGISTRY:
        return make_session(run, state, atom[1], position, is_open=False)
    return atom


def _result(
    run: Run,
    state: State,
    fn: Function,
    receiver: Atom | None,
    value: Value,
    committed: bool,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
) -> Value:
    """The value of a call: what the summary says, else what types say, with where it comes from."""
    if all(atom[0] in UNTYPED for atom in value):
        typed = _of_the_receiver(run, receiver, run.types.given(fn.id, _seen_as(run, receiver)))
        value = v.union(value, frozenset([named(run, state, atom, position) for atom in typed])) if typed else value
    if committed or all(atom[0] in FROM_ARGUMENTS for atom in value):
        came_from = frozenset(((v.ORIGIN, (position[0], position[1], run.salt), fn.name),)) if committed else NOWHERE
        for argument in (*args, *kwargs.values()):
            came_from |= v.sources(argument)
        value = v.union(value, v.one((v.DERIVED, came_from))) if came_from else value
    return value


# Kinds of atoms that do not say what a value is.
UNTYPED = frozenset((v.DERIVED, v.CONSTANT))
# Kinds of which a call's result may have come from its arguments.
FROM_ARGUMENTS = frozenset((v.INSTANCE, v.EXT_OBJECT, v.CONSTANT))
NOWHERE: frozenset[Atom] = frozenset()


def _seen_as(run: Run, receiver: Atom | None) -> Atom | None:
    """What the receiver of a method is, by type."""
    if receiver is None or receiver[0] == v.CLASS:
        return receiver
    return next(iter(v.ordered(run.type_of(receiver))), None)


def _of_the_receiver(run: Run, receiver: Atom | None, given: Value) -> Value:
    """What a class method selects of its own class it selects of the class that it is called on: `select(cls)`."""
    if receiver is None or receiver[0] not in v.PLACES or not any(atom[0] == v.STATEMENT for atom in given):
        return given
    class_id = run.class_of(receiver)
    return frozenset(
        (*atom[:2], receiver, *atom[3:]) if atom[0] == v.STATEMENT and atom[2] == class_id is not None else atom
        for atom in given
    )


def bind(fn: Function, receiver: Atom | None, args: Arguments, kwargs: Keywords) -> dict[int, Value]:
    """Parameter number -> value. Parameters that get nothing get their default, if it is a constant."""
    binding: dict[int, Value] = {}
    given = list(args)
    if receiver is not None:
        given.insert(0, v.one(receiver))
    place = 0
    for number, (name, _, default, kind) in enumerate(fn.params):
        if kind == ir.POSITIONAL and place < len(given):
            binding[number] = given[place]
            place += 1
        elif name in kwargs and kind != ir.KWARGS:
            binding[number] = kwargs[name]
        elif kind == ir.VARARGS and place < len(given):
            binding[number] = v.one((v.TUPLE, tuple(given[place:])))
            place = len(given)
        elif kind == ir.OPTION and name[:-1] in kwargs:
            binding[number] = kwargs[name[:-1]]
        elif kind == ir.KWARGS:
            rest = {key: value for key, value in kwargs.items() if key is None or fn.keyword(key) is None}
            named = tuple([value for key, value in rest.items() if key is not None])
            if rest:
                binding[number] = options.rest(rest) | (v.one((v.TUPLE, named)) if named else v.UNKNOWN)
        elif default is not None and type(default) is tuple and default[0] == ir.CONST and None not in kwargs:
            binding[number] = v.one((v.CONSTANT, default[1]))
    return binding


def key_of(run: Run, state: State, fn: Function, binding: dict[int, Value]) -> Key:
    """The constants among the arguments on which the function's behaviour may depend.

    `save(session, commit=False)` and `save(session)` are two functions to us; so are the calls of an
    optional-session helper with and without a session.
    """
    key = []
    seen = _class_of_receiver(run, fn, binding.get(0, v.UNKNOWN))
    if seen is not None:
        key.append((0, f"{CLASS_FACT}{seen}"))
    for number in run.solver.deciding.of(fn):
        value = binding.get(number)
        fact = _fact(run, value) if value else None
        if fact is not None and not (number == 0 and seen is not None):
            key.append((number, fact))
    last = options.parameter(fn)
    told = options.fact(binding[last]) if last in binding else None
    if last is not None and told is not None:
        key.append((last, told))
    return tuple(key)


# The beginning of the fact that the receiver is of a subclass, which defines anew what the method calls.
CLASS_FACT = "class "


def _class_of_receiver(run: Run, fn: Function, receiver: Value) -> int | None:
    """The receiver's class, if the method does something else there than in the class that defines it."""
    if fn.class_id is None or len(receiver) != 1:
        return None
    kinds = run.type_of(next(iter(receiver)))
    class_id = next(iter(kinds))[1] if len(kinds) == 1 and next(iter(kinds))[0] == v.INSTANCE else None
    if (
        class_id is None
        or class_id == fn.class_id
        or not run.solver.overrides.calls_overridden(fn, class_id, run.solver.relevant or frozenset())
    ):
        return None
    return int(class_id)


def _fact(run: Run, value: Value) -> str | None:
    if len(value) == 1:
        atom = next(iter(value))
        if atom == (v.TUPLE, ()):
            return "empty"
        if atom[0] == v.CONSTANT:
            if atom[1] is None:
                return "none"
            return "true" if atom[1] else "false"
        if atom[0] in (v.SESSION, v.OBJECT, v.ANY_SESSION):
            return "some"
        types = run.type_of(atom)
        if types and all(kind[0] in (v.ANY_SESSION, v.REGISTRY) for kind in types):
            return "some"
    return None


def construct(
    run: Run,
    state: State,
    class_id: int,
    args: Arguments,
    kwargs: Keywords,
    position: ir.Pos,
    through: Atom | None = None,
) -> Value:
    """Make an instance of a project class. `through`: the `cls` of a classmethod, of which the class is only the
    one that defines the method."""
    types = run.types
    if types.classes.is_model(class_id):
        atom: Atom = (v.ENTITY, (position[0], position[1], run.salt), class_id)
        state.put(atom, Instance(None, ENTITY_FRESH, _given(run, class_id, kwargs)))
        for value in (*args, *kwargs.values()):
            entities.put_into(state, value)
    elif not types.matters(class_id):
        run.raise_(state, ERROR, run.mark(position))
        return frozenset(((v.INSTANCE, class_id), *v.derived(*args, *kwargs.values())))
    else:
        made = (v.OBJECT, (position[0], position[1], run.salt), class_id)
        atom = made if through is None else (*made, through)
        state.put(atom, _fields(run, class_id, args, kwargs))
    # Paths that make it from other things meet later: it may have come from all of these.
    run.made_from[atom] = run.made_from.get(atom, NOWHERE) | v.sources(v.derived(*args, *kwargs.values()))
    init = types.classes.constructor(class_id)
    if init is not None:
        call_function(run, state, init.id, atom, args, kwargs, position)
    else:
        run.raise_(state, ERROR, run.mark(position))
    return v.one(atom)


def _given(run: Run, class_id: int, kwargs: Keywords) -> frozenset[str]:
    """What a new row has: everything, and of that is given here by name what stays when it is inserted. A constructor
    of its own, or one of a dataclass, may give it more."""
    classes = run.types.classes
    own = classes.member(class_id, "__init__")
    unknown = None in kwargs or own is not None or any("Dataclass" in base for base in classes.external_bases(class_id))
    names = [name for name in kwargs if name is not None]
    return frozenset((ALL_LOADED, *names, GIVEN) if unknown else (ALL_LOADED, *names))


def _fields(run: Run, class_id: int, args: Arguments, kwargs: Keywords) -> Fields:
    """The constructor's parameters as `@name`; of classes without one (dataclasses), the attributes themselves."""
    init = run.types.classes.constructor(class_id)
    if init is not None:
        binding = bind(init, (v.CONSTANT, None), args, kwargs)
        return Fields(tuple([("@" + init.params[number][0], value) for number, value in binding.items() if number]))
    names = [
        name
        for owner in reversed(run.types.classes.mro(class_id))
        for name in annotated(run.code.classes[owner].attributes)
    ]
    items = dict(zip(names, args, strict=False))
    items.update({name: value for name, value in kwargs.items() if name is not None})
    return Fields(tuple(items.items()))


def annotated(attributes: dict[str, tuple[object, ...]]) -> list[str]:
    return [name for name, attribute in attributes.items() if attribute[1] is not None]


def make_session(run: Run, state: State, type_: SessionType, position: ir.Pos, is_open: bool = True) -> Atom:
    """A session is made here; `is_open` if this function has to close it."""
    atom: Atom = (v.SESSION, (position[0], position[1], run.salt), type_)
    word = ts.put(ts.FRESH, ts.OPEN) if is_open else ts.FRESH
    state.put(atom, Track(word).with_mark(CREATED, run.mark(position)))
    state.escaped -= {atom}
    run.made_in[atom] = tuple(run.loops)
    if is_open or type_.kind == BORROWED:
        run.opened.setdefault(atom, run.mark(position))
    run.solver.session_sites.add((run.fn.id, position[0], position[1]))
    return atom


def enter_context(run: Run, state: State, atom: Atom, position: ir.Pos) -> tuple[Value, tuple[Summary, Substitution]]:
    """`with f(...)` of a context manager function: what it hands out, and what to apply at the end."""
    _, _, function, receiver, args, named, _ = atom
    fn = run.code.functions[function]
    run.solver.called(fn, run.fn)
    binding = bind(fn, receiver, list(args), {None if name == "**" else name: value for name, value in named})
    summary = run.solver.summary(function, key_of(run, state, fn, binding))
    sub = Substitution(run, state, fn, binding, position, summary)
    handed_out = sub.value(summary.yields)
    apply(run, state, summary._replace(returns=v.UNKNOWN), sub, fn)
    _not_ours(run, state, sub, entered=True)
    return handed_out, (summary, sub)


def _not_ours(run: Run, state: State, sub: Substitution, entered: bool) -> None:
    """A session that a context manager function made is for that function to close, and to be blamed for."""
    for atom in sub.made_here():
        track = state.heap.get(atom)
        if type(track) is Track:
            track = track._replace(word=ts.clear(track.word, ts.OPEN))
            state.put(atom, track.with_mark(ENTERED, run.mark(sub.position)) if entered else track)
            run.solver.session_sites.add((run.fn.id, sub.position[0], sub.position[1]))


def leave_context(run: Run, state: State, left: tuple[Summary, Substitution], raised: bool) -> None:
    """The code after the `yield` of a context manager function runs."""
    summary, sub = left
    sub.state = state
    sub.changed()
    if run.solver.takes_census and not raised:
        for atom, track in summary.after.tracks:
            if type(track) is Track and ts.must(track.word, ts.COMMITTED):
                for session in sub.atom(atom):
                    census.commits(run, state, session, census.BY_MANAGER, run.mark(sub.position))
    handler = swallowing_handler(sub.callee) if raised and summary.suppresses else None
    if handler is not None:
        run.caught.append((handler, run.trying))
    apply_effects(run, state, summary.after_raise if raised else summary.after, sub, resumed=True)
    if handler is not None:
        run.caught.pop()
    _not_ours(run, state, sub, entered=False)


__all__ = [
    "bind",
    "call_function",
    "construct",
    "deferral",
    "enter_context",
    "key_of",
    "leave_context",
    "make_session",
    "perform",
    "trail",
]
