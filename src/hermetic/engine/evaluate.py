"""Expressions: their value, and their effect on the state."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hermetic.engine import blocks, calls, concurrency, ir, options, rounds, values as v
from hermetic.engine.attributes import read
from hermetic.engine.fields import put_in_place, reachable_sessions, write_field
from hermetic.engine.guards import assume
from hermetic.engine.ir import Expr, Node
from hermetic.engine.names import lookup, path_of
from hermetic.engine.project import deferral
from hermetic.engine.run import ERROR, ITEM, THROWN, Run, Yield
from hermetic.engine.state import EQUAL, NONE, State, join
from hermetic.engine.stores import GROWING, MUTATING, change_collection, write_attribute
from hermetic.engine.values import Atom, Value, elements
from hermetic.engine.worker_state import is_state
from hermetic.models.injector import OVERRIDE, RESET


def evaluate(run: Run, state: State, expression: Expr) -> Value:
    """The value of an expression; `state` becomes the state after it."""
    if expression is None:
        return v.UNKNOWN
    if type(expression) is str:
        value = state.env.get(expression)
        return value if value is not None else lookup(run, state, expression)
    return EVALUATION[expression[0]](run, state, expression)


def _constant(run: Run, state: State, node: Node) -> Value:
    return _constant_value(node[1])


@lru_cache(maxsize=1024, typed=True)
def _constant_value(constant: object) -> Value:
    return v.one((v.CONSTANT, constant))


def _attribute(run: Run, state: State, node: Node) -> Value:
    session = run.types.scopes.session_of(node[1], node[2], run.fn)
    if session is not None:
        return v.one(session)
    return read(run, state, evaluate(run, state, node[1]), node[2], node[3])


def _call(run: Run, state: State, node: Node) -> Value:
    _, callee, arguments, keywords, position = node
    of_container = _of_container(run, state, callee, arguments) if run.types.injector.used else None
    if of_container is not None:
        return of_container
    mutates = type(callee) is tuple and callee[0] == ir.ATTR and callee[2] in MUTATING
    if mutates:
        collection = evaluate(run, state, callee[1])
        function = read(run, state, collection, callee[2], callee[3])
    else:
        function = evaluate(run, state, callee)
    args: list[Value] = []
    for argument in arguments:
        if type(argument) is tuple and argument[0] == ir.STAR:
            args.extend(_spread(evaluate(run, state, argument[1])))
        else:
            args.append(evaluate(run, state, argument))
    kwargs = {name: evaluate(run, state, value) for name, value in keywords} if keywords else {}
    run.call_node = node
    if mutates:
        if callee[2] in GROWING and type(callee[1]) is str and args:
            _grow(run, state, callee[1], callee[2], args)
        if callee[2] in GROWING and any(atom[0] in v.PLACES for atom in collection):
            for item in args:  # into what others hold as well, and answer for
                state.escaped |= reachable_sessions(state, item)
        if callee[2] == "setdefault" and len(args) == 2:
            _note_option(run, state, callee[1], collection, args[0], args[1], True)
        change_collection(run, state, collection, callee[1], args)
    return calls.invoke(run, state, function, args, kwargs, position)


def _of_container(run: Run, state: State, callee: Expr, arguments: tuple[Expr, ...]) -> Value | None:
    """A provider of a container, called: `container.orders()` is what is there. None for what is no such call."""
    if type(callee) is not tuple or callee[0] != ir.ATTR or not _names_a_place(callee[1]):
        return None
    if callee[2] in (OVERRIDE, *RESET) and type(callee[1]) is tuple:
        containers = evaluate(run, state, callee[1][1])
        if _are_containers(run, containers):
            value = evaluate(run, state, arguments[0]) if arguments and callee[2] == OVERRIDE else None
            for container in containers:
                put_in_place(state, container, callee[1][2], value)
            return v.UNKNOWN
    containers = evaluate(run, state, callee[1])
    if not _are_containers(run, containers):
        return None
    found = read(run, state, containers, callee[2], callee[3])
    return None if any(atom[0] in (v.METHOD, v.FUNCTION) for atom in found) else found


def _names_a_place(expression: Expr) -> bool:
    while type(expression) is tuple and expression[0] == ir.ATTR:
        expression = expression[1]
    return type(expression) is str


def _are_containers(run: Run, value: Value) -> bool:
    return run.types.injector.in_container(frozenset(kind for atom in value for kind in run.type_of(atom)))


def _spread(value: Value) -> list[Value]:
    """`f(*value)`: the elements, where their number is known; else all of them in one place."""
    if len(value) == 1:
        atom = next(iter(value))
        if atom[0] == v.TUPLE:
            return list(atom[1])
    return [value]


def _grow(run: Run, state: State, name: str, method: str, args: list[Value]) -> None:
    """`tasks.append(x)`: a local container now holds x as well, and with it the sessions in x."""
    known = state.env.get(name)
    if known is None:
        return
    if not any(atom[0] in (v.MANY, v.TUPLE) for atom in known):
        return
    item = elements(args[-1]) or v.derived(args[-1]) if method == "extend" else args[-1]
    state.set(name, v.one((v.MANY, v.union(elements(known), item))))
    state.escaped |= reachable_sessions(state, item)


def _await(run: Run, state: State, node: Node) -> Value:
    run.awaited = node[1]
    return calls.await_(run, state, evaluate(run, state, node[1]), node)


def assign(run: Run, state: State, target: Expr, value: Value, line: int = 0) -> None:
    """Store a value into a variable, an attribute, an element, or several of them."""
    if type(target) is str:
        if target in run.fn.globals:
            state.forget(target)
            write_field(run, state, (v.MODULE, run.fn.module), target, value)
            state.escaped |= reachable_sessions(state, value)  # whoever clears the variable answers for it
        else:
            state.bind(target, value)
    elif type(target) is tuple:
        if target[0] == ir.ATTR:
            _store_attribute(run, state, target, value)
        elif target[0] == ir.SEQ:
            _unpack(run, state, target[2], value, line)
        elif target[0] == ir.STAR:
            assign(run, state, target[1], v.one((v.MANY, value)) if value else value, line)
        elif target[0] == ir.SUB:
            _store_element(run, state, target, value)


def _store_attribute(run: Run, state: State, target: Node, value: Value) -> None:
    base, name, position = evaluate(run, state, target[1]), target[2], target[3]
    path = path_of(target)
    if path is not None and (path in state.facts or path + EQUAL in state.facts):
        if state.facts.get(path) == NONE and base == v.one((v.PARAM, run.fn.id, 0)):
            run.made_once.setdefault(name, run.mark(position))
        state.facts = {key: fact for key, fact in state.facts.items() if key not in (path, path + EQUAL)}
    write_attribute(run, state, base, name, value, position)


def _store_element(run: Run, state: State, target: Node, value: Value) -> None:
    """`container[key] = value`: whoever has the container has the value."""
    container = evaluate(run, state, target[1])
    key = evaluate(run, state, target[2])
    _note_option(run, state, target[1], container, key, value, False)
    state.escaped |= reachable_sessions(state, value)
    if any(atom[0] in KEPT_IN_MAPS for atom in value):
        _keep_in_map(run, state, target[1], container, value)
    if type(target[1]) is str and target[1] in state.env:
        known = state.env[target[1]]
        if not known or any(atom[0] in (v.MANY, v.TUPLE) for atom in known):
            state.set(target[1], v.one((v.MANY, v.union(elements(known), value))) if value else known)


def _keep_in_map(run: Run, state: State, path: Expr, container: Value, value: Value) -> None:
    """Put it into a map that is somewhere, or into one that was made here for an attribute: `self.engines = {}`."""
    places = [atom for atom in container if atom[0] in v.PLACES]
    for atom in places:
        write_field(run, state, atom, ITEM, value)
    if not places and type(path) is tuple and path[0] == ir.ATTR and type(path[1]) is str:
        for atom in evaluate(run, state, path[1]):
            if atom[0] in v.PLACES:
                write_field(run, state, atom, path[2], v.union(container, v.one((v.MANY, value))))


def _note_option(
    run: Run, state: State, name: Expr, container: Value, key: Value, value: Value, only_if_missing: bool
) -> None:
    """What a function puts into its own `**options`."""
    number = options.parameter(run.fn)
    if number is not None and name == run.fn.params[number][0]:
        state.set(name, options.stored(container, key, value, only_if_missing))


# A map of these, one a tenant say, is what keeps them from being made for every call.
KEPT_IN_MAPS = frozenset((v.ENGINE, v.FACTORY, v.REGISTRY))


def _unpack(run: Run, state: State, targets: tuple[Expr, ...], value: Value, line: int) -> None:
    for number, target in enumerate(targets):
        part = elements(value, number)
        assign(run, state, target, part or v.derived(value), line)


def _sequence(run: Run, state: State, node: Node) -> Value:
    parts = [evaluate(run, state, part) for part in node[2]]
    if not parts:
        return v.EMPTY
    if len(parts) > 12 or not any(parts):
        return v.derived(*parts)
    if node[1] == "tuple" or len(parts) <= 4:
        return v.one((v.TUPLE, tuple(parts)))
    joined = v.UNKNOWN
    for part in parts:
        joined = v.union(joined, part)
    return v.one((v.MANY, joined)) if joined else v.UNKNOWN


def _dict(run: Run, state: State, node: Node) -> Value:
    if not node[2]:
        return v.EMPTY
    for key in node[1]:
        evaluate(run, state, key)
    parts = [evaluate(run, state, value) for value in node[2]]
    if any(atom[0] in KEPT_IN_DICTS for part in parts for atom in part):
        return v.one((v.TUPLE, tuple(parts)))
    return v.derived(*parts)


# What is to be known again when it is taken out of a dict: a table of functions says what is called.
KEPT_IN_DICTS = frozenset((v.SESSION, v.OBJECT, v.PARAM, v.FIELD, v.FUNCTION, v.METHOD, v.CLOSURE, v.PARTIAL))


def _subscript(run: Run, state: State, node: Node) -> Value:
    base = evaluate(run, state, node[1])
    index = evaluate(run, state, node[2])
    if not base:
        return v.derived(index)
    number = None
    for atom in base:
        if is_state(run.type_of(atom)):
            return frozenset(
                (v.FIELD, kind, key[1]) for kind in run.type_of(atom) for key in index if key[0] == v.CONSTANT
            )
    for atom in index:
        if atom[0] == v.CONSTANT and type(atom[1]) is int:
            number = atom[1]
    if any(atom[0] in (v.CLASS, v.EXT) for atom in base):
        return base
    return elements(base, number) or v.derived(base, index)


def _boolean(run: Run, state: State, node: Node) -> Value:
    """`a and b`, `a or b`: what stands to the right runs only on some paths."""
    is_and, parts = node[1], node[2]
    value = evaluate(run, state, parts[0])
    for position, part in enumerate(parts[1:]):
        taken = state.copy()
        if not assume(run, taken, parts[position], is_and):
            return value
        before = taken.heap
        further = evaluate(run, taken, part)
        if taken.heap is before and not taken.dead:
            # Nothing happened there that needs two paths.
            state.log, state.stores, state.floating = taken.log, taken.stores, taken.floating
        elif not taken.dead:
            state.become(join(state, taken))
        value = v.either(value, further)
    return value


def _negation(run: Run, state: State, node: Node) -> Value:
    return v.derived(evaluate(run, state, node[1]))


def _comparison(run: Run, state: State, node: Node) -> Value:
    return v.derived(evaluate(run, state, node[2]), evaluate(run, state, node[3]))


def _mix(run: Run, state: State, node: Node) -> Value:
    made = v.derived(*[evaluate(run, state, part) for part in node[1]])
    return made if len(node) == 2 else v.union(made, v.one((v.TEXT, node[2])))


def _conditional(run: Run, state: State, node: Node) -> Value:
    evaluate(run, state, node[1])
    other = state.copy()
    then_possible = assume(run, state, node[1], True)
    else_possible = assume(run, other, node[1], False)
    if not then_possible:
        state.become(other)
        return evaluate(run, state, node[3])
    value = evaluate(run, state, node[2])
    if else_possible:
        value = v.either(value, evaluate(run, other, node[3]))
        state.become(join(state, other))
    return value


def _lambda(run: Run, state: State, node: Node) -> Value:
    first = run.code.modules[run.fn.module].functions[0]
    return run.solver.closure(first + node[1], state)


def _comprehension(run: Run, state: State, node: Node) -> Value:
    before, rows = state.copy(), frozenset[Atom]()
    run.loops.append(node[4])
    for target, iterable, conditions, is_async in node[3]:
        iterated = evaluate(run, state, iterable)
        items = calls.iterate(run, state, iterated, (node[4], -1, node[4], -1))
        if not is_async:
            rows |= rounds.rows_of(state, iterated, items)
        assign(run, state, target, items)
        for condition in conditions:
            evaluate(run, state, condition)
    inner = evaluate(run, state, node[2])
    concurrency.in_each_round(run, state, before)
    run.loops.pop()
    if before.heap is not state.heap:
        log = state.log
        state.become(join(rounds.without(before, rows), state))
        state.log = log
    state.dead = False
    return v.one((v.MANY, inner)) if inner else v.UNKNOWN


def _yield(run: Run, state: State, node: Node) -> Value:
    """Control leaves and comes back, or an exception is thrown in here."""
    value = evaluate(run, state, node[1])
    mark = run.mark(node[2])
    if RESUMED in state.env and deferral(run.fn) == "context":
        run.raise_(state, ERROR, mark)  # contextlib refuses a second yield: "generator didn't stop"
        state.dead = True
        return v.UNKNOWN
    run.yields.append(Yield(value, state.copy(), mark))
    blocks.after_yield(run, state)
    state.set(RESUMED, v.YES)
    if run.fn.id not in run.types.containers.providers():
        run.raise_(state, THROWN, mark)
    return v.UNKNOWN


# Set in the variables of a generator once it has gone on after a yield.
RESUMED = "$resumed"


def _yield_from(run: Run, state: State, node: Node) -> Value:
    value = evaluate(run, state, node[1])
    mark = run.mark(node[2])
    items = calls.iterate(run, state, value, node[2])
    run.yields.append(Yield(items, state.copy(), mark))
    blocks.after_yield(run, state)
    run.raise_(state, ERROR, mark)
    run.raise_(state, THROWN, mark)
    return v.UNKNOWN


def _named(run: Run, state: State, node: Node) -> Value:
    value = evaluate(run, state, node[2])
    state.bind(node[1], value)
    return value


def _star(run: Run, state: State, node: Node) -> Value:
    return evaluate(run, state, node[1])


EVALUATION: dict[int, Callable[[Run, State, Node], Value]] = {
    ir.CONST: _constant,
    ir.ATTR: _attribute,
    ir.CALL: _call,
    ir.AWAIT: _await,
    ir.SEQ: _sequence,
    ir.DICT: _dict,
    ir.SUB: _subscript,
    ir.BOOL: _boolean,
    ir.NOT: _negation,
    ir.CMP: _comparison,
    ir.MIX: _mix,
    ir.IFEXP: _conditional,
    ir.LAMBDA: _lambda,
    ir.COMP: _comprehension,
    ir.YIELD: _yield,
    ir.YIELD_FROM: _yield_from,
    ir.NAMED: _named,
    ir.STAR: _star,
}
