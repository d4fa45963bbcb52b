"""Which branch a test can take, and what each branch teaches of the variables in it."""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.names import lookup, path_of, peek, places
from hermetic.engine.run import Run
from hermetic.engine.state import EQUAL, FALSE, NONE, SOME, TRUE, State
from hermetic.engine.values import Value

_TRUTHY_FACTS = frozenset((TRUE, SOME))


def assume(run: Run, state: State, test: Expr, wanted: bool) -> bool:
    """Narrow `state` to the paths on which the test has that outcome; False if there are none."""
    if type(test) is str:
        return _assume_truth(run, state, test, wanted)
    if type(test) is not tuple:
        return True
    kind = test[0]
    if kind == ir.CONST:
        return bool(test[1]) == wanted
    if kind == ir.NOT:
        return assume(run, state, test[1], not wanted)
    if kind == ir.BOOL:
        return _assume_boolean(run, state, test[1], test[2], wanted)
    if kind == ir.CMP:
        return _assume_comparison(run, state, test, wanted)
    if kind == ir.NAMED:
        return _assume_truth(run, state, test[1], wanted)
    if kind == ir.ATTR:
        return _assume_truth(run, state, test, wanted)
    return True


def _assume_boolean(run: Run, state: State, is_and: bool, parts: tuple[Expr, ...], wanted: bool) -> bool:
    if is_and == wanted:  # all parts have the outcome
        return all(assume(run, state, part, wanted) for part in parts)
    # at least one part has it: refuted only when none can
    possible = [part for part in parts if assume(run, state.copy(), part, wanted)]
    if len(possible) == 1 and len(parts) > 1:
        return assume(run, state, possible[0], wanted)
    return bool(possible)


def _assume_comparison(run: Run, state: State, test: tuple[object, ...], wanted: bool) -> bool:
    operator, left, right = test[1], test[2], test[3]
    if operator in ("in", "not in"):
        empty = peek(run, state, right) == v.EMPTY
        return not empty or (operator == "in") != wanted
    if operator in ("is", "=="):
        same = wanted
    elif operator in ("is not", "!="):
        same = not wanted
    else:
        return True
    if type(left) is tuple and left[0] == ir.CONST:
        left, right = right, left
    if type(right) is not tuple or right[0] != ir.CONST:
        if operator in ("is", "is not") and not _may_be(peek(run, state, left), peek(run, state, right), same):
            return False
        return _assume_member(run, state, left, right, same) and _assume_member(run, state, right, left, same)
    constant = right[1]
    if constant is None:
        return _assume_none(run, state, left, same)
    if constant is True or constant is False:
        if same:
            return _assume_truth(run, state, left, constant)
        return True
    value = peek(run, state, left)
    constants = {atom[1] for atom in value if atom[0] == v.CONSTANT}
    if value and len(constants) == len(value):
        return constant in constants if same else constants != {constant}
    return _assume_equal(state, left, repr(constant), same)


def _may_be(left: Value, right: Value, same: bool) -> bool:
    """Can these be one and the same object, or not the same? A session that was made here is none that was given."""
    if len(left) != 1 or len(right) != 1:
        return True
    (one,), (other,) = left, right
    if same:
        return one == other or v.SESSION not in (one[0], other[0]) or not _is_given(one, other)
    return one != other or one[0] != v.PARAM


def _is_given(*atoms: v.Atom) -> bool:
    return any(atom[0] == v.PARAM or atom == (v.CONSTANT, None) for atom in atoms)


def _assume_member(run: Run, state: State, expression: Expr, member: Expr, same: bool) -> bool:
    """`action == Action.DELETE`: members of an enumeration are as good as constants."""
    if type(member) is tuple and member[0] == ir.ATTR and type(member[1]) is str:
        if any(atom[0] == v.CLASS for atom in lookup(run, state, member[1])):
            return _assume_equal(state, expression, f"{member[1]}.{member[2]}", same)
    return True


def _assume_equal(state: State, expression: Expr, constant: str, same: bool) -> bool:
    path = path_of(expression)
    if path is None:
        return True
    known = state.facts.get(path + EQUAL)
    if known is not None and (known == constant) != same:
        return False
    if same:
        state.learn(path + EQUAL, constant)
    return True


def _assume_none(run: Run, state: State, expression: Expr, is_none: bool) -> bool:
    value = peek(run, state, expression)
    key = path_of(expression)
    if value:
        rest = frozenset(atom for atom in value if atom != (v.CONSTANT, None))
        if is_none:
            if rest == value and all(_cannot_be_none(atom) for atom in rest):
                return False
        elif not rest:
            return False
    fact = state.facts.get(key) if key is not None else None
    if fact is not None:
        if (is_none and fact in _TRUTHY_FACTS) or (not is_none and fact == NONE):
            return False
    if is_none:
        _absent(run, state, expression, value)
    if key is not None:
        if type(expression) is str and value:
            _narrow(state, expression, value, is_none)
        if not (value and not is_none and fact == TRUE):
            state.learn(key, NONE if is_none else SOME)
    return True


def _absent(run: Run, state: State, expression: Expr, gone: Value) -> None:
    """On this path the expression holds no session or row: what is known of those it holds elsewhere says nothing."""
    rows = [atom for atom in gone if atom[0] == v.ENTITY]
    if len(rows) == 1 and gone == v.NOTHING | {rows[0]} and rows[0] in state.heap:
        state.heap = {atom: known for atom, known in state.heap.items() if atom != rows[0]}
    for atom in gone:
        if (atom[0] == v.SESSION and atom in state.heap) or (atom[0] in v.PLACES and _always_true(run, atom)):
            state.put(atom, state.track(atom)._replace(word=0))
    if type(expression) is tuple:
        for atom in places(run, state, expression):
            if _always_true(run, atom):
                state.put(atom, state.track(atom)._replace(word=0))


def _narrow(state: State, name: str, value: Value, is_none: bool) -> None:
    if name not in state.env:
        return
    if is_none:
        state.set(name, v.NOTHING)
    else:
        state.set(name, frozenset(atom for atom in value if atom != (v.CONSTANT, None)))


def _cannot_be_none(atom: v.Atom) -> bool:
    return atom[0] in (v.SESSION, v.OBJECT, v.TUPLE, v.FUNCTION, v.CLASS, v.METHOD, v.CLOSURE, v.DEFERRED) or (
        atom[0] == v.CONSTANT and atom[1] is not None
    )


def _assume_truth(run: Run, state: State, expression: Expr, wanted: bool) -> bool:
    value = peek(run, state, expression)
    key = path_of(expression)
    if value:
        kept = frozenset(atom for atom in value if _possible(atom, wanted))
        if not kept:
            return False
        if not wanted:
            _absent(run, state, expression, value)
        if type(expression) is str and expression in state.env and kept != value:
            state.set(expression, kept)
    elif not wanted:
        _absent(run, state, expression, value)
    if key is None:
        return True
    fact = state.facts.get(key)
    if (wanted and fact in (FALSE, NONE)) or (not wanted and fact == TRUE):
        return False
    if not wanted and fact == SOME and value and all(_always_true(run, atom) for atom in value):
        return False
    if wanted:
        state.learn(key, TRUE)
    else:
        none = value == v.NOTHING or (bool(value) and all(_always_true(run, atom) for atom in value))
        state.learn(key, NONE if none else FALSE)
    return True


def _always_true(run: Run, atom: v.Atom) -> bool:
    """Sessions have no `__bool__` and no `__len__`: one that is not None is true. A parameter that nothing is known of
    is one if the function puts a session in its place: `session = session or Session()`."""
    types = run.type_of(atom) - v.NOTHING
    if not types and atom[:2] == (v.PARAM, run.fn.id):
        types = run.types.local(run.fn, run.fn.params[atom[2]][0]) - v.NOTHING
    return bool(types) and all(kind[0] in (v.ANY_SESSION, v.FACTORY, v.REGISTRY, v.ENGINE) for kind in types)


def _possible(atom: v.Atom, wanted: bool) -> bool:
    if atom[0] == v.CONSTANT:
        return bool(atom[1]) == wanted
    if atom == (v.TUPLE, ()):
        return not wanted
    if atom[0] in (v.SESSION, v.OBJECT, v.FUNCTION, v.CLASS, v.METHOD, v.CLOSURE, v.DEFERRED):
        return wanted
    return True
