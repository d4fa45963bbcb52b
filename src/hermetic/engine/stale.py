"""Rows that grow stale while something is waited for, and what is written on the strength of them.

A write is believed to depend on a stale row where the row itself is written, and

* the value is computed from what the attribute was (a counter), or
* the row was looked at after the wait, as it was before it, or
* it was looked at before the wait, and what is written says that the step is done: a constant, for the attribute that
  was looked at, or because of one that holds a state.

Where an answer from outside is stored, whoever comes second stores another one, which does no harm. That is so but
where something that had expired is renewed, and the row's own state went out with the request: what can be used once is
used twice. Everything else, the settings of a row say, hardly changes meanwhile: what depends on them is a hint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hermetic.engine import copies, ir, typestate as ts, values as v
from hermetic.engine.classes import ClassTable
from hermetic.engine.ir import Expr
from hermetic.engine.observations import StaleWrite
from hermetic.engine.operations import origins, root_of
from hermetic.engine.run import Run
from hermetic.engine.state import (
    ALL_LOADED,
    CONSUMED,
    EXPIRED,
    INSERTED,
    LOADED,
    LOCKED,
    REASKED,
    STALE,
    Instance,
    Mark,
    State,
)
from hermetic.engine.values import Atom, Value

if TYPE_CHECKING:
    from hermetic.engine.substitution import Substitution
    from hermetic.engine.summary import Summary

# What a row's attribute is set to: something that stands in the code, what was computed from the attribute itself, or
# anything else.
FIXED, OWN, GIVEN = "fixed", "own", "given"

# The name of an attribute that is only known when the code runs: `setattr(instance, name, value)`.
ANY_ATTRIBUTE = "*"

# In a decision: it was made when the row was stale already.
LATE = "@late"

# Assignments to rows, and decisions on them, as far as callers are told.
MOST_TOLD = 12

NO_ATOMS: frozenset[Atom] = frozenset()

# Names of attributes that hold the state of a row, where their type does not say so: a heuristic.
STATES = ("state", "status", "phase")


def lapse(run: Run, state: State, kind: str, mark: Mark, sent: Callable[[], frozenset[Atom]]) -> None:
    """Time goes by: what was read before may have changed meanwhile. `sent` gives what went out with the request."""
    if run.caught:
        return  # the pause between two attempts is no step of the operation
    if run.slow is None:
        run.slow = (kind, mark)
    changed = None
    for atom, track in state.heap.items():
        if type(track) is Instance and not ts.may(track.word, LOCKED) and not ts.must(track.word, STALE):
            if ts.must(track.word, EXPIRED):
                continue  # it is read anew when it is needed
            if _is_ours_alone(state, track):
                continue
            if changed is None:
                changed = dict(state.heap)
            grown = track.put(STALE, mark)
            changed[atom] = grown.noted(CONSUMED, mark) if _goes_out(run, atom, sent()) else grown
    if changed is not None:
        state.heap = changed
    if run.fn.foreign_stores:  # otherwise nothing changes a copy here
        copies.grow_stale(state, mark)


def _is_ours_alone(state: State, instance: Instance) -> bool:
    """Was it made here, and not committed yet? Nobody else can have changed it."""
    if instance.mark(LOADED) is not None or instance.loaded.isdisjoint((ALL_LOADED, INSERTED)):
        return False
    return instance.owner is None or not ts.may(state.track(instance.owner).word, ts.COMMITTED)


def _goes_out(run: Run, atom: Atom, sent: frozenset[Atom]) -> bool:
    return any(
        source == atom or (source[0] == v.FIELD and source[1] == atom and not is_identity(run, atom, source[2]))
        for source in sent
    )


def row_class(run: Run, atom: Atom) -> int | None:
    """The mapped class of an atom, if it is an instance of one."""
    if atom[0] == v.ENTITY:
        return run.class_of(atom[2])
    for kind in v.ordered(run.type_of(atom)) if atom[0] in v.PLACES else (atom,):
        if kind[0] == v.INSTANCE and run.types.classes.is_model(kind[1]):
            return int(kind[1])
    return None


def is_identity(run: Run, instance: Atom, name: str) -> bool:
    """Does the attribute say which row it is, or of what kind? Such state hardly changes while somebody waits."""
    class_id = row_class(run, instance)
    if class_id is not None and run.types.classes.is_key(class_id, name):
        return True
    return (
        name in ("id", "pk", "uuid")
        or name.endswith(("_id", "_pk", "_uuid", "_type", "_name"))
        or name in ("name", "created_at", ANY_ATTRIBUTE)
    )


def reasked(run: Run, state: State, atom: Atom, fresh: Instance, came_from: frozenset[Atom]) -> Instance:
    """A row is asked for by the key of one that the session has: it gets that very instance, as it is."""
    for other, known in state.heap.items():
        if type(known) is Instance and other != atom and known.owner == fresh.owner and ts.must(known.word, STALE):
            wait = known.mark(STALE)
            if (
                wait is not None
                and _has_key_of(run, other, came_from)
                and row_class(run, other) == row_class(run, atom)
            ):
                return fresh.put(STALE, wait).noted(REASKED, wait)
    return fresh


def _has_key_of(run: Run, row: Atom, sources: frozenset[Atom]) -> bool:
    return any(
        source == row or (source[0] == v.FIELD and source[1] == row and is_identity(run, row, source[2]))
        for source in sources
    )


def decision(state: State, source: Atom) -> Atom:
    """What a test looks at, as it is remembered: with a mark, if that is stale already."""
    known = state.instance(source[1])
    return (*source, LATE) if known is not None and ts.must(known.word, STALE) else source


def kind_of(expression: Expr, value: Value, own: bool) -> str:
    """What a row's attribute is set to by `= expression`. What the caller gave stood before the wait, too. What another
    function makes of the attribute is not known to be counted up from it."""
    if own:
        return OWN if type(expression) is tuple and expression[0] in (ir.MIX, ir.DICT, ir.SEQ) else GIVEN
    told = bool(value) and all(atom[0] == v.PARAM for atom in value)
    return FIXED if told or _is_fixed(expression) else GIVEN


def _is_fixed(expression: Expr) -> bool:
    """A constant, or a member of a class that is named: `True`, `"paid"`, `Status.PAID`, `Status.PAID.value`."""
    if expression is None or (type(expression) is tuple and expression[0] == ir.CONST):
        return True
    while type(expression) is tuple and expression[0] == ir.ATTR:
        expression = expression[1]
    return type(expression) is str and expression[:1].isupper()


def assigned(run: Run, state: State, row: Atom, name: str, kind: str, mark: Mark) -> None:
    """An attribute of a row is set here."""
    known = state.instance(row)
    if known is None:
        return
    if row[0] == v.PARAM or known.mark(LOADED) is not None:
        _tell(run, state, row, name, kind, mark)
    _decided(run, state, row, name, kind, mark)
    if kind == OWN and ts.may(known.word, STALE) and not _is_versioned(run, row):
        _observe(run, row, known, name, mark, mark, "error")


def _decided(run: Run, state: State, row: Atom, name: str, kind: str, mark: Mark) -> None:
    """Has a decision on a stale row led to this assignment?"""
    for source in v.ordered(state.decisions):
        if source[0] != v.FIELD or not _is_same_row(run, source[1], row) or _is_versioned(run, row):
            continue
        decisive = state.instance(source[1])
        written_to = state.instance(row) if row != source[1] else None
        if written_to is not None and ts.may(written_to.word, LOCKED):
            continue  # it was read anew
        if decisive is not None and ts.may(decisive.word, STALE):
            use = run.solver.decision_marks.get((run.fn.id, source)) or mark
            how = _weight(run, decisive, source, name, kind)
            if how == "warning" and kind == GIVEN and (_is_far(mark) or decisive.mark(LOADED) is None):
                how = "hint"  # whoever renews it, far away, is the one to look first; and a caller may have locked it
            _observe(run, source[1], decisive, source[2], use, mark, how)


def _weight(run: Run, row: Instance, source: Atom, name: str, kind: str, told: bool = False) -> str:
    """How much a decision on a stale row says about what is written to it. What is asked after the wait and then set,
    to what it is not yet, is set once more at worst."""
    class_id = row_class(run, source[1])
    if class_id is None:
        return "hint"
    classes, late = run.types.classes, source[-1] == LATE
    columns = looked_at(classes, class_id, source[2])
    same = name in columns
    if kind == OWN or holds_state(classes, class_id, source[2]):
        return "error" if kind != GIVEN or late or same else "warning"
    if kind == FIXED and same:
        return "hint" if late and classes.is_flag(class_id, name) else "error"
    if late and not told and not same and classes.is_flag(class_id, source[2]):
        return "error"
    renewed = same and not late and any(classes.is_moment(class_id, column) for column in columns)
    return "warning" if renewed and row.mark(CONSUMED) is not None else "hint"


def _concerns(run: Run, source: Atom, name: str, kind: str) -> bool:
    """Does a decision concern what is assigned, if it turns out to be late?"""
    known = Instance(None, 0)
    return _weight(run, known, (*source[:3], LATE), name, kind, told=True) == "error"


def _is_far(mark: Mark) -> bool:
    return mark[2] is not None and mark[2][2] is not None


def looked_at(classes: ClassTable, class_id: int, name: str) -> frozenset[str]:
    """The columns behind an attribute: of a property those that its own body names."""
    found = classes.member(class_id, name)
    if found is None or type(found.item) is not int:
        return frozenset((name,))
    return frozenset((name, *classes.code.functions[found.item].attributes()))


def holds_state(classes: ClassTable, class_id: int, name: str) -> bool:
    """Does the attribute, or one behind it, say how far the row has come?"""
    return any(
        column in STATES or column.endswith(tuple(f"_{word}" for word in STATES))
        for column in looked_at(classes, class_id, name)
    )


def _is_same_row(run: Run, one: Atom, other: Atom) -> bool:
    """Are they one row? Of two that were loaded, if one was asked for by the key of the other."""
    if one == other:
        return True
    class_id = row_class(run, one)
    if class_id != row_class(run, other):
        return False
    asked_by = run.made_from.get(other, NO_ATOMS)
    if _has_key_of(run, one, asked_by):
        return True
    same = asked_by & run.made_from.get(one, NO_ATOMS)  # what both were asked for by
    return any(source[0] == v.ENTITY and row_class(run, source) == class_id for source in same)


def _is_versioned(run: Run, instance: Atom) -> bool:
    return any(kind[0] == v.INSTANCE and run.types.classes.is_versioned(kind[1]) for kind in run.type_of(instance))


def _observe(run: Run, row: Atom, known: Instance, name: str, use: Mark, write: Mark, how: str) -> None:
    wait = known.mark(STALE)
    if wait is not None:
        found = StaleWrite(use, wait, known.mark(LOADED), write, name, how, row)
        run.observe(("stale", row, how), found)


def written(
    run: Run,
    state: State,
    mark: Mark,
    own: frozenset[Atom],
    rows: Value,
    sources: frozenset[Atom],
    judged: frozenset[Atom] = NO_ATOMS,
    by_key: bool = False,
) -> None:
    """Something is written here other than by an assignment, made from `sources`: a decision on a stale row, or its
    state, goes into it. `rows` are written themselves, `judged` have been looked at where they were assigned to;
    `by_key`: a statement writes the rows among its sources."""
    for source in (*v.ordered(state.decisions), *v.ordered(own - state.decisions)):
        known = state.instance(source[1]) if source[0] == v.FIELD else None
        if known is None or not ts.may(known.word, STALE) or source[1] in judged:
            continue
        if source[1] in rows and _is_versioned(run, source[1]):
            continue
        use = run.solver.decision_marks.get((run.fn.id, source)) if source in state.decisions else None
        is_it = source[1] in rows or (by_key and source[1] in sources)
        how = _leads_on(run, known, source, is_it, sources)
        _observe(run, source[1], known, source[2], use or mark, mark, how)


def _leads_on(run: Run, row: Instance, source: Atom, is_it: bool, sources: frozenset[Atom]) -> str:
    """How much a decision says about another write than an assignment: to the very row (`is_it`), or to another. What
    is made from a row that is in some state may be right whatever becomes of that, a log entry say."""
    if source[-1] == LATE and row.mark(REASKED) is not None:
        return "warning"
    class_id = row_class(run, source[1])
    if class_id is None:
        return "hint"
    classes = run.types.classes
    if not holds_state(classes, class_id, source[2]) and not classes.is_flag(class_id, source[2]):
        return "hint"
    if is_it:
        return "error"
    return "warning" if root_of(source[:3]) in origins(run, sources) else "hint"


# -- callers ---------------------------------------------------------------------------------------------------------


def _tell(run: Run, state: State, row: Atom, name: str, kind: str, mark: Mark) -> None:
    """Whether a row is stale may be the caller's to know: it is told of the assignment, and of the decision for it."""
    if len(run.assigns) >= MOST_TOLD:
        return
    run.assigns.setdefault((row, name, kind), mark)
    if kind == OWN:
        _govern(run, state, row, name, mark, mark)
        return
    for source in v.ordered(state.decisions):
        if source[0] == v.FIELD and _is_same_row(run, source[1], row) and _concerns(run, source, name, kind):
            use = run.solver.decision_marks.get((run.fn.id, source)) or mark
            _govern(run, state, source[1], source[2], use, mark)


def _govern(run: Run, state: State, row: Atom, name: str, use: Mark, write: Mark) -> None:
    known = state.instance(row) if row[0] == v.PARAM else None
    if known is not None and ts.untouched(known.word, STALE) and len(run.governs) < MOST_TOLD:
        run.governs.setdefault((row, name), (use, write))


def called(run: Run, state: State, summary: Summary, sub: Substitution) -> None:
    """A callee assigns to rows that it is given, or finds: on a decision of its own, or of its caller's."""
    for row, name, use, write in summary.governs:
        for target in v.ordered(sub.atom(row)):
            known = state.instance(target)
            if known is not None and ts.may(known.word, STALE) and not _is_versioned(run, target):
                _observe(run, target, known, name, sub.trail(use), sub.trail(write), "error")
            _govern(run, state, target, name, sub.trail(use), sub.trail(write))
    for row, name, kind, inner in summary.assigns if not summary.rechecks else ():
        for target in v.ordered(sub.atom(row)):
            if target[0] in (v.PARAM, v.ENTITY):
                _tell(run, state, target, name, kind, sub.trail(inner))
                _decided(run, state, target, name, kind, sub.trail(inner))
