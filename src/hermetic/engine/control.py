"""Loops, `try` and `with`: where several kinds of exits meet."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.engine import (
    app_contexts,
    blocks,
    calls,
    generator_loops,
    ir,
    pools,
    rounds,
    typestate as ts,
    values as v,
)
from hermetic.engine.evaluate import assign, evaluate
from hermetic.engine.generator_loops import RunBlock
from hermetic.engine.guards import assume
from hermetic.engine.handlers import decided_no_more, dispatch, note_missing
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.managers import handler_of
from hermetic.engine.merging import has_failed, open_sessions
from hermetic.engine.run import ERROR, THROWN, Exits, Raised, Run
from hermetic.engine.stale import decision, is_identity
from hermetic.engine.state import RECORDED, SWALLOWED, THROWN_CAUGHT, Mark, State, Track
from hermetic.engine.values import Atom, Value

# Rounds after which a loop's state is taken as it is; joins only grow, and in practice two suffice.
MOST_ROUNDS = 3

# The kinds of exceptions that the handler at hand may have caught, for a bare `raise`.
CAUGHT = "$caught"
# Set where an exception thrown in at a yield was caught.


def decided_by(run: Run, state: State, value: Value, line: int) -> frozenset[Atom]:
    """The attributes of instances that a test looks at; identities cannot change and decide nothing."""
    found = set()
    for source in v.sources(value):
        if source[0] == v.FIELD and state.instance(source[1]) is not None and not is_identity(run, *source[1:]):
            made = decision(state, source)
            found.add(made)
            run.solver.decision_marks[(run.fn.id, made)] = run.line_mark(line)
    return frozenset(found)


# -- loops ----------------------------------------------------------------------------------------------------------


def run_for(run: Run, node: Node, states: list[State], run_block: RunBlock) -> list[State]:
    """`for target in iterable`."""
    _, target, iterable, body, orelse, line, is_async = node
    position = (line, -1, line, -1)
    entered = []
    rows: frozenset[Atom] = frozenset()
    ended: list[State] = []
    for state in states:
        value = evaluate(run, state, iterable)
        generator = generator_loops.single_round(run, iterable, value)
        if state.dead:
            continue
        if generator is not None:
            ended += generator_loops.run_loop(run, node, state, generator, run_block)
            continue
        if value == v.EMPTY and not orelse and has_failed(state):
            ended.append(state)  # what was to be found was not
            continue
        items = calls.iterate(run, state, value, position)
        entered.append((state, items))
        if not is_async:
            rows |= rounds.rows_of(state, value, items)
    if ended and not entered:
        return run.merge(ended)

    items = v.UNKNOWN
    for _, value in entered:
        items = v.union(items, value)

    before = [state.heap for state, _ in entered]

    def begin(state: State) -> bool:
        rounds.begin(state, before, rows)
        assign(run, state, target, items, line)
        return True

    at_least_once = type(iterable) is tuple and iterable[0] == ir.CALL and iterable[1] == "range"
    skipped = [] if at_least_once else [_skipping(run, state, rows & items, items, line) for state, _ in entered]
    return ended + _loop(
        run, [state for state, _ in entered], skipped, body, orelse, line, begin, lambda state: True, run_block
    )


def _skipping(run: Run, state: State, rows: frozenset[Atom], items: Value, line: int) -> State:
    """The state after a loop that has nothing to go through."""
    return pools.nothing_made(run, rounds.without(state.copy(), rows), items, line)


def run_while(run: Run, node: Node, states: list[State], run_block: RunBlock) -> list[State]:
    """`while test`."""
    _, test, body, orelse, line = node
    before = [state.heap for state in states]

    def begin(state: State) -> bool:
        rounds.begin(state, before, frozenset())
        evaluate(run, state, test)
        return not state.dead and assume(run, state, test, True)

    def end(state: State) -> bool:
        evaluate(run, state, test)
        return not state.dead and assume(run, state, test, False)

    skipped = [state for state in (state.copy() for state in states) if end(state)]
    return _loop(run, states, skipped, body, orelse, line, begin, end, run_block)


def _loop(
    run: Run,
    states: list[State],
    skipped: list[State],
    body: Block,
    orelse: Block,
    line: int,
    begin: Callable[[State], bool],
    end: Callable[[State], bool],
    run_block: RunBlock,
) -> list[State]:
    """Rounds of the body until nothing new comes of them; `skipped` are the states that never enter it."""
    outer: Exits = run.exits
    breaks: list[State] = []
    heads = states
    earlier = {done for state in (*states, *skipped) for done in state.log}
    fresh, returns = not any(state.handled for state in states), len(outer.returns)
    left = list(skipped)
    run.loops.append(line)
    for _ in range(MOST_ROUNDS):
        round_ = Exits()
        round_.last = outer.last
        run.exits = round_
        logs = [head.log for head in heads]
        before = _fingerprint(heads)
        inside = [head.copy() for head in heads]
        after = run_block(run, body, run.merge([state for state in inside if begin(state)]))
        outer.raises.extend(round_.raises)
        outer.returns.extend(round_.returns)
        breaks.extend(round_.breaks)
        after = run.merge(after + round_.continues)
        run.exits = outer
        left.extend(state for state in (state.copy() for state in after) if end(state))
        for state in after:
            # One commit an item is the point of a batch loop: the next round does not see this one's.
            state.log = logs[0] if logs else ()
        heads = run.merge(heads + after)
        if _fingerprint(heads) == before:
            break
    run.loops.pop()
    run.exits = outer
    if any(_wrote_more(state, head) for state in left for head in skipped[:1]):
        # A loop that writes is taken to run at least once: "nothing to write" is no case worth telling apart.
        left = [state for state in left if state not in skipped] or left
    for state in left:
        state.log = tuple([done._replace(repeated=True) if done not in earlier else done for done in state.log])
        _last_of_several(run, state, line)
    left = run.merge(left)
    if fresh and not skipped and len(outer.returns) > returns and all(state.handled for state in left):
        for state in left:
            _give_up(state)
    if orelse:
        left = run_block(run, orelse, left)
    return run.merge(left + breaks)


def _last_of_several(run: Run, state: State, line: int) -> None:
    """A loop that rolls back before each attempt knows what a failed session needs: the last one's is not reported."""
    for atom, track in state.heap.items():
        if type(track) is Track and ts.may(track.word, ts.FAILED) and ts.may(track.word, ts.ROLLED_BACK):
            failed = track.mark(ts.FAILED)
            if failed is not None and any(line < rollback <= failed[1][0] for rollback in run.rollbacks):
                state.put(atom, track.recovered())


def _give_up(state: State) -> None:
    """The last of several attempts failed: what its handler had prepared for another one is not written."""
    for atom, track in state.heap.items():
        if type(track) is Track and ts.may(track.word, ts.DIRTY) and ts.may(track.word, ts.ROLLED_BACK):
            state.put(atom, track._replace(word=ts.clear(track.word, ts.DIRTY), pending=frozenset()))
    state.floating = None


def _wrote_more(state: State, before: State) -> bool:
    for atom, track in state.heap.items():
        if type(track) is Track and ts.may(track.word, ts.DIRTY) and not ts.may(before.track(atom).word, ts.DIRTY):
            return True
    return state.floating is not None and before.floating is None


def _fingerprint(states: list[State]) -> list[tuple[object, ...]]:
    return [(state.heap, state.env, state.facts, state.escaped) for state in states]


# -- try ------------------------------------------------------------------------------------------------------------


def run_try(run: Run, node: Node, states: list[State], run_block: RunBlock) -> list[State]:
    """`try`: what the body raises goes to the handlers that may match, the rest on; `finally` for every exit."""
    _, body, handlers, orelse, final, _ = node
    outer = run.exits
    inner = run.exits = Exits()
    run.trying += bool(handlers)
    earlier = {done for state in states for done in state.log}
    after = run_block(run, body, states)
    run.trying -= bool(handlers)
    pending = inner.raises
    inner.raises = []
    if handlers:
        unhandled = Exits()
        run.exits = unhandled
        if orelse:
            after = run_block(run, orelse, after)
        pending, caught = dispatch(run, pending, handlers)
        falls_through = bool(after)
        writes = any(done not in earlier for state in (*after, *inner.returns) for done in state.log)
        for (types, name, handler_line, block), entries in zip(handlers, caught, strict=True):
            before = [entry.state.decisions for entry in entries]
            is_branch = note_missing(types, entries, writes)
            handled = _handle(run, entries, name, handler_line, block, run_block, is_branch)
            if falls_through and before:
                decided_no_more(handled, before)
            after = after + handled
        unhandled.returns.extend(inner.returns)
        unhandled.breaks.extend(inner.breaks)
        unhandled.continues.extend(inner.continues)
        unhandled.raises.extend(pending)
        inner = unhandled
    else:
        inner.raises = pending
        if orelse:
            after = run_block(run, orelse, after)
    run.exits = outer
    after = run.merge(after)
    if not final:
        outer.absorb(inner)
        return after
    return _finally(run, inner, after, final, run_block)


def _handle(
    run: Run, entries: list[Raised], name: str | None, line: int, block: Block, run_block: RunBlock, is_branch: bool
) -> list[State]:
    """Run a handler for everything that comes to it. `is_branch`: nothing has failed, but no row was found."""
    if not entries:
        return []
    mark = run.line_mark(line)
    states = []
    for kind in sorted({entry.kind for entry in entries}):
        for state in run.merge([entry.state.copy() for entry in entries if entry.kind == kind]):
            state.handled = True
            caught = state.env.get(CAUGHT, v.UNKNOWN)
            state.set(CAUGHT, v.one(("caught", kind)))
            if kind == THROWN:
                state.set(THROWN_CAUGHT, v.YES)
            elif kind == ERROR:
                _not_of_the_database(state)
            if name is not None:
                state.bind(name, v.UNKNOWN)
            states.append((state, caught))
    noted = states[0][0].stores
    outer = run.exits
    inner = run.exits = Exits()
    inner.last = outer.last
    if not is_branch:
        run.caught.append((mark, run.trying))
    raises_again = bool(block) and block[-1][0] == ir.RAISE
    run.raising_again += raises_again
    after = run_block(run, block, _merge_handlers(run, [state for state, _ in states]))
    run.raising_again -= raises_again
    if not is_branch:
        run.caught.pop()
    run.exits = outer
    for state in (*after, *inner.returns, *inner.breaks, *inner.continues):
        if CAUGHT in state.env:
            state.env = {name: value for name, value in state.env.items() if name != CAUGHT}
        # Inside of a handler that raises, it goes on to those who catch that.
        if not run.raising_again and not is_branch:
            _swallow(state, mark, recorded=state.stores is not noted and _is_on_record(state.stores, noted))
    outer.absorb(inner)
    return after


# What an attribute is set back to: it tells of nothing.
RESETS = (v.EMPTY, v.NOTHING, v.NO)


def _is_on_record(stores: dict[tuple[Atom, str], Value], noted: dict[tuple[Atom, str], Value]) -> bool:
    """Has the handler put something into an attribute that tells of the failure?"""
    changed = [key for key in {**stores, **noted} if stores.get(key) != noted.get(key)]
    return any(stores.get(key) not in RESETS for key in changed)


def _not_of_the_database(state: State) -> None:
    """What the handler has caught is no database error: a failure from before it is not this handler's doing."""
    for atom, track in list(state.heap.items()):
        if type(track) is Track and ts.may(track.word, ts.FAILED) and track.mark(SWALLOWED) is None:
            state.put(atom, track.unconcerned())


def _merge_handlers(run: Run, states: list[State]) -> list[State]:
    """Join entries of a handler, but keep the paths apart on which the session failed from those on which not."""
    failed = [state for state in states if has_failed(state)]
    fine = [state for state in states if not has_failed(state)]
    return run.merge(failed) + run.merge(fine)


def _swallow(state: State, mark: Mark, recorded: bool) -> None:
    """The handler ended normally: sessions that failed and were not rolled back live on."""
    for atom, track in list(state.heap.items()):
        if type(track) is Track and ts.may(track.word, ts.FAILED) and track.mark(SWALLOWED) is None:
            track = track.with_mark(SWALLOWED, mark)
            state.put(atom, track.with_mark(RECORDED, mark) if recorded else track)


def _finally(run: Run, inner: Exits, after: list[State], final: Block, run_block: RunBlock) -> list[State]:
    """Run the `finally` once for each kind of exit; its own exits override."""
    outer = run.exits
    for returned in run.merge(inner.returns):
        outer.returns.extend(_clean_up(run, final, [returned], run_block))
    for jumped, target in ((inner.breaks, outer.breaks), (inner.continues, outer.continues)):
        if jumped:
            target.extend(_clean_up(run, final, run.merge(jumped), run_block))
    for kind, names in sorted({(exit_.kind, exit_.names) for exit_ in inner.raises}, key=v.text):
        same = [exit_ for exit_ in inner.raises if (exit_.kind, exit_.names) == (kind, names)]
        run.unwinding += 1
        run.ending += 1
        for state in _clean_up(run, final, run.merge([exit_.state for exit_ in same]), run_block):
            outer.raises.append(Raised(kind, names, state, same[0].mark))
        run.unwinding -= 1
        run.ending -= 1
    return run.merge(_clean_up(run, final, after, run_block)) if after else []


def _clean_up(run: Run, final: Block, states: list[State], run_block: RunBlock) -> list[State]:
    """Run a `finally`. Where it closes a session, a clean-up before that which fails in its turn leaves none open:
    who closes in a `finally` has done what can be asked of him."""
    raises = run.exits.raises
    count = len(raises)
    opened = {atom for state in states for atom in open_sessions(state)}
    after = run_block(run, final, states)
    if opened and after and len(raises) > count:
        closed = opened.difference(*[open_sessions(state) for state in after])
        for atom in closed:
            for exit_ in raises[count:]:
                track = exit_.state.heap.get(atom)
                if type(track) is Track:
                    exit_.state.put(atom, track._replace(word=ts.clear(track.word, ts.OPEN)))
    return after


# -- with -----------------------------------------------------------------------------------------------------------


def run_with(run: Run, node: Node, states: list[State], run_block: RunBlock) -> list[State]:
    """`with`: every exit of the body passes what leaving does."""
    out: list[State] = []
    for state in states:
        out.extend(_with_items(run, node, node[1], state, run_block))
    return run.merge(out)


def _with_items(
    run: Run, node: Node, items: tuple[tuple[Expr, Expr], ...], state: State, run_block: RunBlock
) -> list[State]:
    _, _, body, line, is_async = node
    if not items:
        return run_block(run, body, [state])
    (context, target), rest = items[0], items[1:]
    if is_async:
        run.awaited = context
    value = evaluate(run, state, context)
    if state.dead:
        return []
    if value == SUPPRESSING and type(context) is tuple and context[0] == ir.CALL:
        return _suppress(run, context, ((ir.WITH, rest, body, line, is_async),) if rest else body, state, run_block)
    position = context[4] if type(context) is tuple and context[0] == ir.CALL else (line, -1, line, -1)
    entered, leaving = blocks.enter(run, state, value, position)
    if state.dead:
        return []
    if app_contexts.opens(context):
        leaving.append(("application", app_contexts.enter(run, state)))
    if target is not None:
        assign(run, state, target, entered, line)
    outer = run.exits
    inner = run.exits = Exits()
    after = _with_items(run, node, rest, state, run_block)
    run.exits = outer
    if is_async:
        run.awaited = run.call_node  # leaving is awaited, too
    return leave_block(run, inner, after, leaving, line)


SUPPRESSING = v.one((v.EXT_OBJECT, "contextlib.suppress"))


def _suppress(run: Run, context: Node, body: Block, state: State, run_block: RunBlock) -> list[State]:
    """`with suppress(IntegrityError):` is `try: ... except IntegrityError: pass`."""
    handler = ((ir.SEQ, "tuple", context[2]), None, context[4][0], ())
    return run_try(run, (ir.TRY, body, (handler,), (), (), context[4][0]), [state], run_block)


def leave_block(
    run: Run, inner: Exits, after: list[State], leaving: list[tuple[str, object]], line: int
) -> list[State]:
    """What leaving does, for every way out of a block."""
    outer = run.exits
    swallowed = []
    may_swallow = blocks.suppresses(leaving)
    handler = handler_of(leaving) if may_swallow and inner.raises else None
    for exit_ in inner.raises:
        run.unwinding += 1
        blocks.leave(run, exit_.state, leaving, line, raised=True)
        run.unwinding -= 1
        if may_swallow and exit_.kind != THROWN:
            swallowed.append(exit_.state.copy())
            if handler is not None:
                _swallow(swallowed[-1], handler, recorded=False)
        outer.raises.append(exit_)
    for states in (inner.returns, inner.breaks, inner.continues, after):
        for state in states:
            blocks.leave(run, state, leaving, line, raised=False)
    outer.returns.extend(state for state in inner.returns if not state.dead)
    outer.breaks.extend(inner.breaks)
    outer.continues.extend(inner.continues)
    return [state for state in after if not state.dead] + swallowed
