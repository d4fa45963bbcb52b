"""Statements: each maps the states before it to those after it; what leaves another way goes to `run.exits`."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.engine import blocks, calls, control, ir, told, values as v, walk
from hermetic.engine.evaluate import assign, evaluate
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.guards import assume
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.operations import ABSENT, GIVEN_BACK
from hermetic.engine.project import named
from hermetic.engine.run import CALLED, EXPLICIT, Exits, Raised, Run
from hermetic.engine.state import FALSE, NONE, RETURNED, State
from hermetic.engine.values import Atom, Value

# The value that a function returns is kept under this name until its exits are joined.


def run_block(run: Run, block: Block, states: list[State]) -> list[State]:
    """Run statements one after the other."""
    for statement in block:
        if not states:
            break
        states = STATEMENTS[statement[0]](run, statement, states)
    return states


def run_body(run: Run, state: State) -> list[State]:
    """Run a whole function, in the transaction scope that a decorator puts around it."""
    scope = run.types.scopes.around(run.fn)
    if scope is None:
        return run_block(run, run.fn.body, [state])
    _, leaving = blocks.enter(run, state, v.one(scope), run.fn.position)
    outer = run.exits
    inner = run.exits = Exits()
    after = run_block(run, run.fn.body, [state])
    run.exits = outer
    return control.leave_block(run, inner, after, leaving, run.fn.line)


def _expression(run: Run, node: Node, states: list[State]) -> list[State]:
    run.by_itself = node[1]
    for state in states:
        evaluate(run, state, node[1])
    return alive(states)


def _assign(run: Run, node: Node, states: list[State]) -> list[State]:
    forked = _fork_on_comparison(run, node, states)
    if forked is not None:
        return forked
    _, targets, expression, line, annotation = node
    failed: list[State] = []
    for state in states:
        run.told = None
        value = evaluate(run, state, expression)
        heard = told.after(run, expression) if run.told is not None else None
        if annotation is not None:
            value = _declared(run, state, value, annotation, line)
        run.stored = expression
        for target in targets:
            assign(run, state, target, value, line)
            if heard is not None and type(target) is str and not state.dead:
                failed.append(told.assigned(state, heard, target))
        run.stored = CALLED
    return alive([*states, *failed] if failed else states)


def _declared(run: Run, state: State, value: Value, annotation: Expr, line: int) -> Value:
    """`db: Session = info.context["db"]`: an annotation says what a value is of which nothing else is known, and that
    it is a session where it came out of an object of a library."""
    unknown = all(atom[0] in (v.DERIVED, v.CONSTANT) for atom in value)
    if not unknown and not all(atom[0] in FOREIGN for atom in value):
        return value
    declared = run.types.annotation(annotation, run.fn)
    if not unknown:
        declared = frozenset(atom for atom in declared if atom[0] == v.ANY_SESSION)
    return v.union(value, frozenset([named(run, state, atom, (line, -1, line, -1)) for atom in declared]))


# Values of which no more is known than that they are a library's.
FOREIGN = frozenset((v.DERIVED, v.CONSTANT, v.EXT_OBJECT, v.OPERATION))


def alive(states: list[State]) -> list[State]:
    """Those of the states whose paths go on."""
    for state in states:
        if state.dead:
            return [other for other in states if not other.dead]
    return states


def _fork_on_comparison(run: Run, node: Node, states: list[State]) -> list[State] | None:
    """`own = session is None`: keep the two cases apart, so that `if own:` later means the same."""
    value = node[2]
    if type(value) is not tuple or value[0] not in (ir.CMP, ir.NOT) or len(node[1]) != 1 or type(node[1][0]) is not str:
        return None
    if value[0] == ir.CMP and (value[1] not in ("is", "is not") or value[3] != ir.NONE):
        return None
    out = []
    for state in states:
        evaluate(run, state, value)
        other = state.copy()
        for branch, outcome in ((state, True), (other, False)):
            if assume(run, branch, value, outcome):
                branch.bind(node[1][0], v.YES if outcome else v.NO)
                out.append(branch)
    return run.merge(out)


def _augmented(run: Run, node: Node, states: list[State]) -> list[State]:
    for state in states:
        before = evaluate(run, state, node[1])
        value = v.derived(before, evaluate(run, state, node[2]))
        if type(node[1]) is str:
            kept = frozenset(atom for atom in before if atom[0] in (v.MANY, v.TUPLE, v.STATEMENT))
            value = v.union(value, kept)
        run.stored = (ir.MIX, (node[1], node[2]))
        assign(run, state, node[1], value, node[3])
        run.stored = CALLED
    return alive(states)


def _delete(run: Run, node: Node, states: list[State]) -> list[State]:
    for state in states:
        for target in node[1]:
            if type(target) is str:
                state.bind(target, v.UNKNOWN)
    return states


def _return(run: Run, node: Node, states: list[State]) -> list[State]:
    for state in states:
        value = evaluate(run, state, node[1])
        if not state.dead:
            state.set(RETURNED, value)
            run.returned.append((value, node[2]))
            run.exits.returns.append(state)
    return []


def _raise(run: Run, node: Node, states: list[State]) -> list[State]:
    for state in states:
        value = evaluate(run, state, node[1])
        if state.dead:
            continue
        mark = run.line_mark(node[2])
        if node[1] is None and control.CAUGHT in state.env:
            kinds = {atom[1] for atom in state.env[control.CAUGHT]}
            for kind in sorted(kinds):
                run.exits.raises.append(Raised(kind, frozenset(), state.copy(), mark))
            continue
        run.exits.raises.append(Raised(EXPLICIT, _class_names(run, value), state, mark))
    return []


def _class_names(run: Run, value: Value) -> frozenset[str]:
    """The names that handlers of a raised value may go by."""
    names: set[str] = set()
    for atom in value:
        for kind in v.ordered(run.type_of(atom)):
            if kind[0] in (v.CLASS, v.INSTANCE):
                names.update(class_names(run, kind))
            elif kind[0] in (v.EXT, v.EXT_OBJECT):
                names.add(kind[1].rpartition(".")[2])
    return frozenset(names)


def class_names(run: Run, atom: Atom) -> set[str]:
    """A class and its bases, by last name."""
    classes = run.types.classes
    names = {run.code.classes[owner].name for owner in classes.mro(atom[1])}
    return names | {base.rpartition(".")[2] for base in classes.external_bases(atom[1])}


def _assert(run: Run, node: Node, states: list[State]) -> list[State]:
    out = []
    for state in states:
        evaluate(run, state, node[1])
        if not state.dead and assume(run, state, node[1], True):
            out.append(state)
    return out


def _def(run: Run, node: Node, states: list[State]) -> list[State]:
    first = run.code.modules[run.fn.module].functions[0]
    for state in states:
        state.bind(node[2], run.solver.closure(first + node[1], state))
    return states


def _class(run: Run, node: Node, states: list[State]) -> list[State]:
    first = run.code.modules[run.fn.module].classes
    for state in states:
        if first:
            state.bind(node[2], v.one((v.CLASS, first[0] + node[1])))
    return states


def _if(run: Run, node: Node, states: list[State]) -> list[State]:
    test, then, orelse = node[1], node[2], node[3]
    yes: list[State] = []
    no: list[State] = []
    before: list[frozenset[Atom]] = []
    for state in states:
        run.told = None
        value = evaluate(run, state, test)
        if state.dead:
            continue
        heard = told.after(run, test) if run.told is not None else None
        before.append(state.decisions)
        other = state.copy()
        facts, looked_for = state.facts, _looks_for_a_row(run, state, node)
        decided = control.decided_by(run, state, value, node[4]) if value else NOTHING_DECIDED
        for branch, outcome, out in ((state, True, yes), (other, False, no)):
            if assume(run, branch, test, outcome):
                if heard is not None:
                    told.tested(branch, heard, test, outcome)
                if decided:
                    branch.decisions |= decided
                if looked_for and (then if outcome else orelse) and _is_absent(looked_for, outcome, facts, branch):
                    branch.decisions |= {ABSENT}
                elif not outcome and not orelse and _returns_it(then, looked_for):
                    if _is_absent(looked_for, outcome, facts, branch):
                        branch.decisions |= {GIVEN_BACK}
                if outcome and value and _is_a_setting(value):
                    branch.aside = True
                out.append(branch)
    after_then = run_block(run, then, run.merge(yes))
    after_else = run_block(run, orelse, run.merge(no)) if orelse else no
    if after_then and after_else and before:
        # Both branches come together again: what follows no longer depends on the test.
        common = frozenset.intersection(*before)
        for state in (*after_then, *after_else):
            state.decisions = common
    return run.merge(after_then + after_else)


NOTHING_DECIDED: frozenset[Atom] = frozenset()
NO_NAMES: frozenset[str] = frozenset()


def _looks_for_a_row(run: Run, state: State, branching: Node) -> frozenset[str]:
    """The variables in a test that hold a row or nothing; of a call that gives one, the test itself."""
    test = branching[1]
    found = {name for name in _names_in(test) if _holds_a_row(run, state, name, branching)}
    if type(test) is tuple and test[0] == ir.NOT and type(test[1]) is tuple and test[1][0] == ir.CALL:
        if _can_be_a_row(run, test[1]):
            found.add(ABSENT[1])
    if _counts_none(run, test):
        found.add(ABSENT[1])
    return frozenset(found)


def _holds_a_row(run: Run, state: State, name: str, branching: Node) -> bool:
    """What a helper has found for any class may be known as a row by its type alone; what nobody knows, as one that is
    made where it is missing."""
    kinds = {atom[0] for atom in state.env.get(name, ())}
    if not kinds and not any(statement[0] == ir.ASSIGN and name in statement[1] for statement in branching[2]):
        return False
    return v.ENTITY in kinds or (kinds <= {v.DERIVED} and _can_be_a_row(run, name))


def _can_be_a_row(run: Run, expression: ir.Expr) -> bool:
    given = run.types.infer(expression, run.fn)
    return any(kind[0] == v.INSTANCE and run.types.classes.is_model(kind[1]) for kind in given)


def _counts_none(run: Run, test: ir.Expr) -> bool:
    """`query.count() == 0`, `not query.count()`"""
    counted = None
    if type(test) is tuple and test[0] == ir.NOT:
        counted = test[1]
    elif type(test) is tuple and test[0] == ir.CMP and test[1] == "==" and test[3] == (ir.CONST, 0):
        counted = test[2]
    callee = counted[1] if type(counted) is tuple and counted[0] == ir.CALL else None
    if type(callee) is not tuple or callee[0] != ir.ATTR or callee[2] != "count":
        return False
    return any(kind[0] == v.QUERY for kind in run.types.infer(callee[1], run.fn))


def _names_in(test: ir.Expr) -> list[str]:
    if type(test) is str:
        return [test]
    parts = [part for node in walk.subexpressions(test) for part in walk.children(node)]
    return [part for part in parts if type(part) is str]


def _is_absent(looked_for: frozenset[str], outcome: bool, before: dict[str, str], state: State) -> bool:
    """Is this the branch for a row that was looked for and not found?"""
    if outcome and ABSENT[1] in looked_for:
        return True
    return any(state.facts.get(name) in (NONE, FALSE) and name not in before for name in looked_for)


def _returns_it(block: ir.Block, looked_for: frozenset[str]) -> bool:
    """`if row: return row`, or a tuple of it and more."""
    last = block[-1] if block else ir.NONE
    return last[0] == ir.RETURN and last[1] is not None and not looked_for.isdisjoint(_names_in(last[1]))


def _is_a_setting(value: Value) -> bool:
    """Does a test look at nothing but attributes of what the module, or another one, has made once?"""
    sources = v.sources(value)
    return bool(sources) and all(source[0] == v.FIELD and source[1][0] == v.GLOBAL for source in sources)


def _for(run: Run, node: Node, states: list[State]) -> list[State]:
    return control.run_for(run, node, states, run_block)


def _while(run: Run, node: Node, states: list[State]) -> list[State]:
    return control.run_while(run, node, states, run_block)


def _try(run: Run, node: Node, states: list[State]) -> list[State]:
    return control.run_try(run, node, states, run_block)


def _with(run: Run, node: Node, states: list[State]) -> list[State]:
    return control.run_with(run, node, states, run_block)


def _break(run: Run, node: Node, states: list[State]) -> list[State]:
    run.exits.breaks.extend(states)
    return []


def _continue(run: Run, node: Node, states: list[State]) -> list[State]:
    run.exits.continues.extend(states)
    return []


STATEMENTS: dict[int, Callable[[Run, Node, list[State]], list[State]]] = {
    ir.EXPR: _expression,
    ir.ASSIGN: _assign,
    ir.AUG: _augmented,
    ir.DEL: _delete,
    ir.RETURN: _return,
    ir.RAISE: _raise,
    ir.IF: _if,
    ir.FOR: _for,
    ir.WHILE: _while,
    ir.TRY: _try,
    ir.WITH: _with,
    ir.BREAK: _break,
    ir.CONTINUE: _continue,
    ir.DEF: _def,
    ir.CLASS: _class,
    ir.ASSERT: _assert,
}

__all__ = ["RETURNED", "calls", "reachable_sessions", "run_block"]
