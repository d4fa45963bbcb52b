"""The commits of one operation: which of them belong together."""

from __future__ import annotations

from hermetic.engine import values as v
from hermetic.engine.observations import Split
from hermetic.engine.run import Run
from hermetic.engine.session_values import is_session
from hermetic.engine.state import CHANGED, Commit, Instance, State, join_logs
from hermetic.engine.values import Atom

# Among the decisions of a state: that a row was looked for and not found.
ABSENT: Atom = (v.CONSTANT, "absent")
# What stands last in a source that is no row: a statement that changes tables, the time put into a row.
SCHEMA, MOMENT = "schema", "@moment"


def record(run: Run, state: State, done: Commit) -> None:
    """Add to the log of commits; a later one that belongs to an earlier one splits the operation."""
    if done.wrote and (done.certain or _may_follow(done)) and not run.caught:  # a handler tells of the failure
        for earlier in state.log:
            if not earlier.wrote or not earlier.certain or earlier.committed[:2] == done.committed[:2]:
                continue  # two commits inside of one call are that callee's to answer for
            if _may_stand_apart(run, earlier, done):
                continue
            related = _related(run, earlier, done)
            same = earlier.session == done.session
            if related is not None and (done.certain or (related and same)):
                run.observe(("split", done.session, done.committed[1]), Split(earlier, done, related, same))
                break
    state.log = join_logs(state.log, (done,))
    for atom, track in state.heap.items():
        if type(track) is Instance and track.mark(CHANGED) is not None:
            state.put(atom, track.settled())


def _may_follow(done: Commit) -> bool:
    """Of what a helper commits on some of its paths only: can it be the second part of an operation? Not what it makes
    because it is missing, nor what it does with each of many."""
    return done.always and not done.repeated and not done.missing


def _may_stand_apart(run: Run, earlier: Commit, later: Commit) -> bool:
    """Are the two meant to be separate, or repeatable: steps of a schema upgrade, rows that are made when they are
    missing, one batch of items after another, the time at which a batch was through, a record of the progress?"""
    if earlier.ensured or (earlier.missing and later.missing) or _is_progress(run, earlier, later):
        return True
    in_a_later_loop = bool(run.loops) and run.loops[-1] > earlier.committed[1][0]
    if earlier.repeated and (later.repeated or in_a_later_loop or _is_only(later, MOMENT)):
        return True
    return _is_only(earlier, SCHEMA) and _is_only(later, SCHEMA)


def _is_progress(run: Run, earlier: Commit, later: Commit) -> bool:
    """Does a row tell how far the work has come: marked before a slow step, and finished after it? Without such a step
    only where nothing but the time was put into the row. The one part writes nothing but that row."""
    first, second = _written_from(earlier), _written_from(later)
    begun = len(first) == 1 and first <= second
    if begun and _is_only(earlier, MOMENT):
        return True
    return (begun or (len(second) == 1 and second <= first)) and _waits_between(run, earlier, later)


def _written_from(done: Commit) -> set[Atom]:
    """The rows, and what else of the program, that a piece of writing consists of."""
    return {root for root in map(root_of, done.sources) if root[0] in FROM_THE_PROGRAM}


FROM_THE_PROGRAM = v.PLACES | {v.ENTITY, v.ORIGIN, v.OBJECT}


def _waits_between(run: Run, earlier: Commit, later: Commit) -> bool:
    begin, end = earlier.committed[1][:2], later.committed[1][:2]
    return any(begin < step <= end for step in run.waited)


def _is_only(done: Commit, what: str) -> bool:
    """Has nothing else been written? `what` stands last in such sources."""
    return bool(done.sources) and all(source[-1] == what for source in done.sources)


def _related(run: Run, earlier: Commit, later: Commit) -> bool | None:
    """Do two pieces of writing belong together: have they an origin in common, or are they the work of one helper,
    called twice? False if nothing is known of one of them, None if they have nothing in common.

    A helper with a session of its own does one thing completely, as a cache, a log or a counter does: of the same row
    it may do that twice, unless the same values go into both."""
    left, right = origins(run, earlier.sources), origins(run, later.sources)
    by_one_helper = earlier.committed[2] is not None and earlier.committed[2] == later.committed[2]
    if by_one_helper and earlier.session != later.session:
        return True if any(not _is_a_key(run, origin) for origin in left & right) else None
    if by_one_helper or left & right:
        return True
    return None if left and right else False


def _is_a_key(run: Run, origin: Atom) -> bool:
    """Does a parameter, by its name, say which row is meant?"""
    if origin[0] != v.PARAM:
        return False
    name = run.code.functions[origin[1]].params[origin[2]][0]
    return name in ("self", "cls", "id") or name.endswith("_id")


def origins(run: Run, sources: frozenset[Atom]) -> set[Atom]:
    """What the sources were made from, and what that was made from in turn."""
    found: set[Atom] = set()
    pending = [root_of(atom) for atom in sources]
    while pending:
        atom = pending.pop()
        if atom not in found:
            found.add(atom)
            pending.extend(root_of(source) for source in run.made_from.get(atom, ()))
    return {atom for atom in found if atom[-1] != SCHEMA and not is_session(run, atom)}


def root_of(source: Atom) -> Atom:
    """The instance whose attribute a source is, else the source itself."""
    while (
        source[0] == v.FIELD
        and source[1][0] in (v.ENTITY, v.FIELD, v.PARAM)
        and not (source[1][0] == v.PARAM and source[1][2] == 0)
    ):
        source = source[1]
    return source
