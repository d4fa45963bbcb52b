"""The commits of one operation: which of them belong together."""

from __future__ import annotations

from collections.abc import Set

from hermetic.engine import values as v
from hermetic.engine.observations import Split
from hermetic.engine.run import Run
from hermetic.engine.session_values import is_session
from hermetic.engine.state import CHANGED, LOADED, Commit, Instance, Mark, State, join_logs
from hermetic.engine.values import Atom

# Among the decisions of a state: that a row was looked for and not found; that it would have been returned.
ABSENT: Atom = (v.CONSTANT, "absent")
GIVEN_BACK: Atom = (v.CONSTANT, "given back")
# What stands last in a source that is no row: a statement that changes tables, the time put into a row.
SCHEMA, MOMENT = "schema", "@moment"
# The same of a bulk delete of what is old, or of all; before it stands the class.
PURGE = "purge"


def record(run: Run, state: State, done: Commit) -> None:
    """Add to the log of commits; a later one that belongs to an earlier one splits the operation."""
    follows = done.wrote and not done.ensured and (done.certain or _may_follow(done))
    if follows and not run.caught:  # a handler tells of the failure
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
    missing, one batch of items after another, the time at which a batch was through, a record of the progress or of
    what has been done?"""
    if earlier.ensured or (earlier.missing and later.missing) or _is_progress(run, earlier, later):
        return True
    if _is_record(run, earlier) or _is_record(run, later):
        return True
    if _is_note(run, earlier, later) or _is_note(run, later, earlier) or _is_a_time_elsewhere(earlier, later):
        return True
    in_a_later_loop = bool(run.loops) and run.loops[-1] > earlier.committed[1][0]
    if earlier.repeated and (later.repeated or in_a_later_loop or _is_only(later, MOMENT)):
        return True
    return _is_only(earlier, SCHEMA) and _is_only(later, SCHEMA)


def _is_record(run: Run, done: Commit) -> bool:
    """Has a helper only put on record what is done? Rows may be named in the record, if it has a session of its own; in
    the operation's, what names them could be part of the one transaction."""
    if done.session is None or done.committed[2] is None:
        return False
    rows = {source for source in done.sources if source[0] in MADE_OR_LOADED}
    records = {row for row in rows if type(row[2]) is int and run.solver.records.is_record(row[2])}
    if done.session[0] != v.SESSION:
        return (
            bool(records) and rows == records and all(run.solver.records.refers_to_nothing(row[2]) for row in records)
        )
    named = {source for record in records for source in run.made_from.get(record, NO_ATOMS)}
    return bool(records) and rows <= records | named


def _is_a_time_elsewhere(earlier: Commit, later: Commit) -> bool:
    """Is nothing but the time put into another row: when something was last done?"""
    return _is_only(later, MOMENT) and _written_from(later).isdisjoint(_written_from(earlier))


def begun_by_a_block(log: tuple[Commit, ...], mark: Mark) -> tuple[Commit, ...]:
    """Mark the commit at the end of a `with session.begin():`, which refuses to begin after anything was written.

    https://docs.sqlalchemy.org/en/20/orm/session_transaction.html#explicit-begin"""
    return tuple([done._replace(begun=True) if done.committed == mark else done for done in log])


def notes(run: Run, end: State, log: tuple[Commit, ...]) -> tuple[Commit, ...]:
    """Mark, of what a function tells its callers, the only commit of one that makes a row and then waits: it keeps
    account of what it sends."""
    if len(log) != 1 or log[0].note or not log[0].wrote:
        return log
    (done,) = log
    rows = _rows(done)
    track = end.instance(rows[0]) if len(rows) == 1 else None
    is_made_here = track is not None and track.mark(LOADED) is None and _written_from(done) <= origins(run, {rows[0]})
    waits = any(step > done.committed[1][:2] for step in run.waited)
    return (done._replace(note=True),) if is_made_here and waits else log


def _is_note(run: Run, done: Commit, other: Commit) -> bool:
    """Is the one a helper's account of what it sends, of which the other knows nothing?"""
    if not done.note:
        return False
    known, call = origins(run, other.sources), done.committed[1][:2]
    answers = any(origin[0] == v.ORIGIN and origin[1][:2] == call for origin in known)
    return known.isdisjoint(_rows(done)) and not answers


def _is_progress(run: Run, earlier: Commit, later: Commit) -> bool:
    """Does a row tell how far the work has come: marked before a slow step, and finished after it? Without such a step
    only where nothing but the time was put into the row. The one part writes nothing but that row."""
    first, second = _written_from(earlier), _written_from(later)
    begun = len(first) == 1 and first <= second
    if begun and _is_only(earlier, MOMENT):
        return True
    of_one_row = begun or (len(second) == 1 and second <= first) or _is_one_row(run, earlier, later)
    return of_one_row and _waits_between(run, earlier, later)


def _is_one_row(run: Run, earlier: Commit, later: Commit) -> bool:
    """Has each of two helpers loaded the same row, by the same key, and one of them written nothing but that?"""
    first, second = _rows(earlier), _rows(later)
    if not (earlier.found and later.found) or len(first) != 1 or len(second) != 1 or first[0][2] != second[0][2]:
        return False
    begun, ended = run.made_from.get(first[0], NO_ATOMS), run.made_from.get(second[0], NO_ATOMS)
    begins, ends = begun <= ended, ended <= begun
    only_first, only_second = _written_from(earlier) <= {*first, *begun}, _written_from(later) <= {*second, *ended}
    return bool(begun and ended) and ((begins and only_first) or (ends and only_second))


def _rows(done: Commit) -> list[Atom]:
    return [root for root in _written_from(done) if root[0] in MADE_OR_LOADED]


def all_were_loaded(state: State, pending: frozenset[Atom]) -> bool:
    """Is every row in it one that was loaded here?"""
    rows = [root for root in map(root_of, pending) if root[0] in MADE_OR_LOADED]
    tracks = [state.instance(row) for row in rows]
    return bool(tracks) and all(track is not None and track.mark(LOADED) is not None for track in tracks)


def _written_from(done: Commit) -> set[Atom]:
    """The rows, and what else of the program, that a piece of writing consists of."""
    return {root for root in map(root_of, done.sources) if root[0] in FROM_THE_PROGRAM}


NO_ATOMS: frozenset[Atom] = frozenset()
MADE_OR_LOADED = frozenset((v.ENTITY, v.OBJECT))
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
    shared = {origin for origin in left & right if not _is_no_data(run, origin)}
    by_one_helper = earlier.committed[2] is not None and earlier.committed[2] == later.committed[2]
    if by_one_helper and earlier.session != later.session:
        return True if any(not _is_a_key(run, origin) for origin in shared) else None
    if by_one_helper or shared:
        return True
    told = left and right and not _may_refill(left, right) and not _may_refill(right, left)
    return None if told else False


def _may_refill(left: set[Atom], right: set[Atom]) -> bool:
    """Is there a row of the class of which the other has deleted some?"""
    emptied = {origin[2] for origin in left if origin[-1] == PURGE}
    return any((row[0] == v.ENTITY or row[-1] == PURGE) and row[2] in emptied for row in right if len(row) > 2)


def _is_no_data(run: Run, origin: Atom) -> bool:
    """Is it the same for every operation: a constant of a module, or an object that was made from nothing?"""
    if origin[0] != v.OBJECT:
        return bool(v.root(origin)[0] == v.GLOBAL)
    is_row = type(origin[2]) is int and run.types.classes.is_model(origin[2])
    return not is_row and not run.made_from.get(origin)


def _is_a_key(run: Run, origin: Atom) -> bool:
    """Is it a row that is given, or an attribute of an object that is there for all; or a parameter that, by its name,
    says which row is meant?"""
    if origin[0] in MADE_OR_LOADED or v.root(origin)[0] == v.INSTANCE:
        return True
    if origin[0] != v.PARAM:
        return False
    name = run.code.functions[origin[1]].params[origin[2]][0]
    return name in ("self", "cls", "id") or name.endswith("_id")


def origins(run: Run, sources: Set[Atom]) -> set[Atom]:
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
