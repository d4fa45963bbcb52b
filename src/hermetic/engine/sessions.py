"""What happens to a session, and to the instances in it, when something is done to the session."""

from __future__ import annotations

from hermetic.engine import outdated, sharing, stale, typestate as ts, unsaved, values as v
from hermetic.engine.observations import Concurrent, EndedUse, Held, SwallowedFailure, UsedAtTheEnd
from hermetic.engine.operations import ABSENT, GIVEN_BACK, all_were_loaded, record
from hermetic.engine.run import DATABASE_ERROR, Raised, Run
from hermetic.engine.session_types import MANAGED, REGISTRY, SessionType
from hermetic.engine.state import (
    ALL_LOADED,
    ALL_ROWS,
    ASSIGNED,
    CREATED,
    DELETED,
    DETACHED,
    ENTERED,
    EXPIRED,
    EXPUNGED,
    FAILED_WRITE,
    HANDED_OVER,
    IN_DOUBT,
    IN_PART,
    INSERTED,
    LOADED,
    NONE,
    SWALLOWED,
    WRITTEN,
    Commit,
    Failure,
    Instance,
    Mark,
    State,
    Track,
    hops,
)
from hermetic.engine.values import Atom, Value
from hermetic.models.sqlalchemy import ASYNC, SYNC
from hermetic.models.waiting import SLEEP

NO_NAMES: frozenset[str] = frozenset()
NO_ATOMS: frozenset[Atom] = frozenset()
OUTSIDE = "something outside of this process"  # what is waited for where no model says more
MOST_WAITS = 4  # of a function, that its summary tells apart
COMMITTING = frozenset(("commit",))
# What an operation that writes what is pending fails with, by its name.
WRITING_OUT = {"commit": COMMITTING, "flush": frozenset(("flush",))}


def operate(run: Run, state: State, atom: Atom, type_: SessionType, name: str, mark: Mark, weak: bool) -> None:
    """One operation on one session. `weak`: it may be another session that is meant."""
    operation = ts.SESSION_OPERATIONS[name]
    if name == "connection":
        work(run, state, atom, type_, mark)
        run.raise_(state, DATABASE_ERROR, mark)  # no connection, no transaction that could need a rollback
    elif operation.statement:
        statement(run, state, atom, type_, mark, WRITING_OUT.get(name, NO_NAMES))
    elif name not in ("rollback", "close", "aclose", "reset", "invalidate", "remove", "add", "add_all"):
        touch(run, state, atom, mark)
    elif name == "rollback":
        run.rollbacks.add(mark[1][0])
        _rolled_back(run, state.track(atom), mark)
    if name == "commit":
        commit(run, state, atom, type_, mark)
    elif name == "flush":
        _sent(state, atom)
        inserted(state, atom)
    outdated.operated(run, state, atom, type_, name, mark)
    track = state.track(atom)
    if name == "expunge_all":
        track = track.saved()
    elif ts.CLOSED in operation.puts:
        track = unsaved.lose(run, state, track, mark)
    elif ts.DIRTY in operation.clears and not weak:
        track = track.saved()
    word = operation.apply(track.word)
    if operation.statement and ts.untouched(track.word, ts.FAILED):
        word = ts.put(word, ts.AS_GIVEN)
    reopened = ts.CLOSED in operation.clears and ts.must(track.word, ts.CLOSED) and track.mark(CREATED) is not None
    if reopened and operation.statement and track.mark(ENTERED) is None and type_.kind not in (REGISTRY, MANAGED):
        word = ts.put(word, ts.OPEN)
    for flag in operation.puts:
        if track.mark(flag) is None or flag in (ts.CLOSED, ts.COMMITTED):
            track = track.with_mark(flag, mark)
    if ts.FAILED in operation.clears and not weak:
        track = track.recovered()
    if weak:
        word |= track.word
    if ts.DIRTY in operation.clears:  # of whichever session is meant: what was written went to the same one
        word, track = ts.clear(word, ts.DIRTY), track._replace(pending=frozenset())
    state.put(atom, track._replace(word=word))
    if name in ("close", "aclose", "reset", "remove", "invalidate"):
        each_instance(state, atom, DETACHED, mark)
    elif name == "rollback":
        state.floating = None
        each_instance(state, atom, EXPIRED, mark, only_loaded=True)


def _sent(state: State, atom: Atom) -> None:
    """What was assigned to rows is written on purpose."""
    track = state.track(atom)
    assigned = track.mark(ASSIGNED)
    if assigned is not None and track.mark(WRITTEN) is None:
        state.put(atom, track.with_mark(WRITTEN, assigned))


def _rolled_back(run: Run, track: Track, mark: Mark) -> None:
    """`rollback()` behind the `with` of its session, mostly in a handler around it: nothing is left to roll back."""
    if ts.may(track.word, ts.CLOSED) and not ts.may(track.word, ts.OPEN) and track.mark(ENTERED) is not None:
        run.observe(("ended", mark), EndedUse(mark, "rolled_back", "", track.mark(ts.CLOSED), None, True))


def to_savepoint(state: State, atom: Atom) -> None:
    """A failure since the savepoint is undone, without harm to the transaction around it: that is as it was, which is
    not to say that somebody has rolled it back."""
    state.put(atom, state.track(atom).unconcerned())


def statement(
    run: Run, state: State, atom: Atom, type_: SessionType, mark: Mark, names: frozenset[str] = NO_NAMES
) -> None:
    """Something is about to be sent to the database over a session; it can fail."""
    work(run, state, atom, type_, mark)
    fail(run, state, atom, mark, names)


def work(run: Run, state: State, atom: Atom, type_: SessionType, mark: Mark) -> None:
    """The database is asked for something: the thread waits for it, and whoever shares the session meets it here."""
    touch(run, state, atom, mark)
    state.touched = True
    if type_.flavour == SYNC and not run.offloaded and run.call_node is not run.awaited:
        # What is awaited at once is an AsyncSession, whatever its annotation says.
        run.blocking.setdefault(atom, (mark, None))
    sharing.used(run, state, atom, type_, mark)


def fail(run: Run, state: State, atom: Atom, mark: Mark, names: frozenset[str]) -> None:
    """The path on which the statement fails: the session needs a rollback there."""
    key = (DATABASE_ERROR, names)
    last = run.exits.last.get(key)
    if last is not None and last[0] is state.heap and last[1] == state.version:
        return
    run.exits.last[key] = (state.heap, state.version)
    failed = state.copy()
    track = failed.track(atom).recovered()  # an earlier failure that is still there has been observed by `touch`
    word = ts.put(ts.put(track.word, ts.FAILED), ts.TRANSACTION)
    if ts.untouched(track.word, ts.FAILED):
        word = ts.put(word, ts.AS_GIVEN)
    track = track._replace(word=ts.put(word, ts.DATABASE)).with_mark(ts.FAILED, mark)
    if names or ts.must(track.word, ts.DIRTY):
        track = track.with_mark(FAILED_WRITE, mark)
    failed.put(atom, track)
    run.exits.raises.append(Raised(DATABASE_ERROR, names, failed, mark))


def touch(run: Run, state: State, atom: Atom, mark: Mark, as_given: bool = True) -> None:
    """A session is used: is it in a state in which it should not be? Not `as_given` is what a callee rolls back first,
    or closes."""
    found = state.heap.get(atom)
    if type(found) is not Track:
        return
    track: Track = found
    if as_given and ts.may(track.word, ts.FAILED):
        _used_after_failure(run, atom, track, mark)
    if ts.must(track.word, ts.CLOSED) and track.mark(ENTERED) is not None:
        ended = track.mark(ts.CLOSED)
        run.observe(("ended", mark), EndedUse(mark, "session", "", ended, None, True))
    handed = track.mark(HANDED_OVER)
    if handed is not None:
        run.observe(("concurrent", handed), Concurrent(handed, atom, track.mark(CREATED), "beside its owner"))


def fetch(run: Run, state: State, owner: Atom | None, mark: Mark) -> None:
    """Instances are fetched from a result: a session that is closed cannot take them in."""
    track = state.heap.get(owner) if owner is not None else None
    if type(track) is Track and ts.must(track.word, ts.CLOSED):
        run.observe(("ended", mark), EndedUse(mark, "result", "", track.mark(ts.CLOSED), None, True))


def _used_after_failure(run: Run, atom: Atom, track: Track, mark: Mark) -> None:
    """A session that failed is used without a rollback. A failed write makes it refuse every further use, wherever it
    was caught; a failed read is believed to matter only where the `try` itself reads and the handler lets it go on."""
    swallowed = track.mark(SWALLOWED)
    failed = track.mark(ts.FAILED)
    wrote = track.mark(FAILED_WRITE) is not None
    for failure in track.further:
        _swallowed(run, atom, failure, mark, failure.wrote or (not failure.before and _in_the_try(failure)))
    if failed is None:
        return
    if swallowed is not None:
        failure = Failure(swallowed, failed, wrote)
        _swallowed(run, atom, failure, mark, wrote or _in_the_try(failure))
    elif run.caught:
        handler, trying = run.caught[-1]
        # under a `try` of its own, the handler only tidies up
        _swallowed(run, atom, Failure(handler, failed, wrote), mark, wrote and run.trying <= trying)
    elif run.ending and ts.must(track.word, ts.FAILED) and track.mark(IN_PART) is None and hops(failed) <= 1:
        # farther away others may roll back, and who rolls back for some types knows what he leaves to the others
        run.observe(("used at the end", atom), UsedAtTheEnd(mark, failed, atom))


def _swallowed(run: Run, atom: Atom, failure: Failure, mark: Mark, certain: bool) -> None:
    """The use that comes before the handler is one in the next round of a loop."""
    repeated = mark[1] < failure.handler[1] and run.made_in.get(atom, ()) != tuple(run.loops)
    lives_on = failure.before or repeated
    found = SwallowedFailure(failure.handler, failure.failed, mark, atom, certain, lives_on)
    run.observe(("swallowed", failure.handler, atom, certain, lives_on), found)


def _in_the_try(failure: Failure) -> bool:
    """Is the failure one of the `try` itself, and not of something that it calls?"""
    return hops(failure.failed) <= hops(failure.handler)


def write(
    run: Run,
    state: State,
    atom: Atom | None,
    sources: frozenset[Atom],
    mark: Mark,
    own: frozenset[Atom],
    instances: Value = v.UNKNOWN,
    assigned: bool = False,
) -> None:
    """Something was added, changed or deleted, made from `sources`: `instances`, if it was they. `own` are the sources
    that were read from the written instance itself. `assigned`: by `row.attribute = value`."""
    judged = instances if assigned else NO_ATOMS
    stale.written(run, state, mark, own, instances, sources, judged, by_key=not instances)
    if run.slow is not None:
        run.writes_after_wait = True
    if atom is None:
        state.floating = sources if state.floating is None else state.floating | sources
        return
    dirty(state, atom, mark, assigned)
    track = state.track(atom)
    state.put(atom, track._replace(pending=track.pending | sources))


def dirty(state: State, atom: Atom, mark: Mark, assigned: bool) -> None:
    """Something in the session has to be committed from here on. An assignment to a row may be for show only, until
    something sends it to the database."""
    track = state.track(atom)
    for flag in (ts.WROTE, ASSIGNED if assigned else WRITTEN):
        if track.mark(flag) is None:
            track = track.with_mark(flag, mark)
    state.put(atom, track._replace(word=ts.put(ts.put(track.word, ts.DIRTY), ts.WROTE)))


def commit(run: Run, state: State, atom: Atom, type_: SessionType, mark: Mark) -> None:
    """A commit succeeds: what was pending is done, and the instances expire."""
    track = state.track(atom)
    pending = track.pending
    wrote = ts.may(track.word, ts.DIRTY)
    always = ts.must(track.word, ts.DIRTY) or state.floating is not None
    if state.floating is not None:
        pending |= state.floating
        wrote = True
        state.floating = None
    missing, found = ABSENT in state.decisions, all_were_loaded(state, pending)
    or_found = GIVEN_BACK in state.decisions
    record(run, state, Commit(pending, wrote, mark, atom, always, missing=missing, or_found=or_found, found=found))
    inserted(state, atom)
    if expires(run, type_):
        each_instance(state, atom, EXPIRED, mark)
        let_go(state, atom, mark)
    elif is_in_doubt(run, atom, type_):
        each_instance(state, atom, IN_DOUBT, mark)


def inserted(state: State, owner: Atom) -> None:
    """The rows that were made here and added are in the database from here on."""
    for atom, track in list(state.heap.items()):
        if type(track) is Instance and track.owner == owner and ALL_LOADED in track.loaded and not track.mark(LOADED):
            state.put(atom, track._replace(loaded=track.loaded - {ALL_LOADED} | {INSERTED}))


def let_go(state: State, owner: Atom, mark: Mark) -> None:
    """What was deleted leaves its session with a commit that expires the others; its own columns stay as they were."""
    for atom, track in state.heap.items():
        if type(track) is Instance and track.owner == owner and ts.must(track.word, DELETED):
            state.put(atom, track.put(DETACHED, mark))


def expires(run: Run, type_: SessionType) -> bool:
    """Does a commit expire the instances of such a session? Where no code says, as the project's others do."""
    return run.solver.expiry.default(type_.flavour) if type_.expire is None else type_.expire


def is_in_doubt(run: Run, atom: Atom, type_: SessionType) -> bool:
    """Does it depend on the caller whether a commit expires the instances, and would that matter here?"""
    if type_.expire is not None or type_.flavour != ASYNC or v.root(atom)[0] != v.PARAM:
        return False
    return run.solver.expiry.differs(type_.flavour)


def _forget_changes(state: State, owner: Atom) -> None:
    """What is changed in rows of a session that ends, no other session writes."""
    rows = [state.instance(atom) for atom in state.floating or () if atom[0] == v.ENTITY]
    if rows and all(row is not None and row.owner == owner for row in rows):
        state.floating = None


def each_instance(state: State, owner: Atom, flag: int, mark: Mark, only_loaded: bool = False) -> None:
    """Set a flag of every instance of a session."""
    if flag == DETACHED and state.floating is not None:
        _forget_changes(state, owner)
    changed = None
    for atom, track in state.heap.items():
        if type(track) is Instance and track.owner == owner:
            every = ALL_ROWS.get(flag)
            if every is not None:
                if ts.must(track.word, EXPUNGED):
                    continue  # it is not of this session
                track = track.noted(every, mark)
            if only_loaded and track.mark(LOADED) is None:
                continue  # a rollback makes what was never flushed transient, with its values
            if changed is None:
                changed = dict(state.heap)
            is_gone = every is not None and ts.must(track.word, DELETED)  # what is deleted is detached, not expired
            changed[atom] = track if is_gone else track.put(flag, mark)
    if changed is not None:
        state.heap = changed


def note_on_all_rows(state: State, owner: Atom, what: int, mark: Mark) -> None:
    """Something may have happened to the rows of a session, those of other rounds too."""
    for atom, track in list(state.heap.items()):
        if type(track) is Instance and track.owner == owner and not ts.must(track.word, EXPUNGED):
            state.put(atom, track.noted(what, mark))


def wait(run: Run, state: State, kind: str, mark: Mark, sent: frozenset[Atom] = NO_ATOMS) -> None:
    """Something slow or outside of this process happens; `sent` goes out with the request."""
    if kind == SLEEP and state.handled:
        return  # the pause before the next attempt
    stale.lapse(run, state, kind, mark, lambda: sent)
    if kind != OUTSIDE:
        hold(run, state, kind, mark)


def hold(run: Run, state: State, kind: str, mark: Mark, settled: frozenset[Atom] = NO_ATOMS) -> None:
    """A slow step begins: a transaction that is open keeps its connection until the step is over. `settled`: sessions
    of which the callee that waits has said, in its own finding or by ending the transaction, how they are meanwhile."""
    if run.caught or _is_prepared_once(run, state):
        return  # the pause between two attempts, or what only the first call waits for
    run.waited.add(mark[1][:2])
    known = set(settled)
    for atom, track in state.heap.items():
        if type(track) is not Track or atom in settled or ts.untouched(track.word, ts.TRANSACTION):
            continue
        known.add(atom)
        if ts.may(track.word, ts.TRANSACTION):
            run.observe(("held", atom), Held(mark, kind, atom, track.mark(ts.TRANSACTION)))
    theirs = frozenset(atom for atom in known if atom[0] in v.PLACES)
    if len(run.waits) < MOST_WAITS:
        run.waits.setdefault(theirs, (kind, mark))


def _is_prepared_once(run: Run, state: State) -> bool:
    """Is something made here that later calls find made: a client in a global, or in an attribute that was None?"""
    if run.fn.globals or run.types.is_cached(run.fn):
        return True
    if run.fn.class_id is None or not run.fn.params:
        return False
    attributes = run.fn.params[0][0] + "."
    return any(fact == NONE and path.startswith(attributes) for path, fact in state.facts.items())


__all__ = [
    "ASYNC",
    "OUTSIDE",
    "commit",
    "dirty",
    "each_instance",
    "expires",
    "fetch",
    "hold",
    "let_go",
    "operate",
    "statement",
    "to_savepoint",
    "touch",
    "wait",
    "write",
]
