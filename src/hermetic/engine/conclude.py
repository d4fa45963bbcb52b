"""The end of an interpretation: what is left open is observed, and the summary for callers is made."""

from __future__ import annotations

from typing import Any

from hermetic.engine import census, kept, lazy, responses, typestate as ts, unattended, unsaved, values as v
from hermetic.engine.classes import COLUMN, decorator_names
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.observations import Blocking, Concurrent, EngineMade, Leak, UnguardedCommit
from hermetic.engine.operations import notes, root_of
from hermetic.engine.run import DATABASE_ERROR, EXPLICIT, THROWN, Raised, Run
from hermetic.engine.session_types import MANAGED
from hermetic.engine.sessions import COMMITTING
from hermetic.engine.state import (
    CREATED,
    ENTERED,
    ENTITY_FOREIGN,
    FAILED_WRITE,
    HANDED_OVER,
    IN_PART,
    LOST,
    RECORDED,
    RETURNED,
    SWALLOWED,
    THROWN_CAUGHT,
    TOLD,
    Commit,
    Fields,
    Instance,
    Mark,
    State,
    Track,
    hops,
    join,
    join_tracks,
)
from hermetic.engine.summary import Effects, Summary
from hermetic.engine.values import Atom, Value

# Nothing is thrown into those of pytest: what stands behind their yield runs whether the test has failed or not.
# https://docs.pytest.org/en/stable/how-to/fixtures.html#yield-fixtures-recommended
FIXTURE = "fixture"


def conclude(run: Run, normal: list[State]) -> Summary:
    """Observe what the exits show, and summarise them."""
    normal = [*run.exits.returns, *normal]
    raised = run.exits.raises
    _leaks(run, normal, raised)
    _half_closed(run, normal, raised)
    if run.solver.unattended.includes(run.fn):
        unattended.observe(run, [*normal, *(exit_.state for exit_ in raised)])
    _engines(run, normal)
    unsaved.observe(run, normal)
    kept.observe(run, normal)
    kept.commits(run, raised)
    for state in normal:
        returned = state.env.get(RETURNED, v.UNKNOWN)
        kept.hand_out(run, state, returned)
        responses.observe(run, state, returned)
    if run.solver.takes_census:
        census.observe(run, normal)
    for key, (mark, callee) in sorted(run.blocking.items(), key=v.text):
        if run.fn.is_async or run.types.litestar.on_loop(run.fn):
            run.observe(("blocking", key), Blocking(mark, callee, key))
    return _summary(run, normal, raised)


# -- what is left open ------------------------------------------------------------------------------------------


def _leaks(run: Run, normal: list[State], raised: list[Raised]) -> None:
    for state in normal:
        _outlived(run, state)
    if run.fn.is_module:
        return
    seen: dict[int, list[tuple[Atom, Track]]] = {}
    for state in normal:
        for atom, track in _open(state, seen):
            _leak(run, atom, track, "normal", None)
    closed = _closed_by_all(normal)
    for exit_ in raised:
        if exit_.kind == THROWN and FIXTURE in decorator_names(run.fn):
            continue
        ours = _open(exit_.state, seen)
        for atom, track in _open(exit_.state, seen, closed) if closed else ():
            if (atom, track) not in ours:
                _leak(run, atom, track, "exception", exit_)
        for atom, track in ours:
            if exit_.kind == DATABASE_ERROR and exit_.names == COMMITTING and track.mark(ENTERED) is None:
                failed = track.mark(ts.FAILED)
                created = track.mark(CREATED)
                if failed is not None and created is not None:
                    run.observe(("unguarded", failed), UnguardedCommit(failed, created))
            _leak(run, atom, track, "yield" if exit_.kind == THROWN else "exception", exit_)


def _half_closed(run: Run, normal: list[State], raised: list[Raised]) -> None:
    """A session of somebody else that this function closes whenever it ends well, and leaves failed otherwise: by
    closing it at all it has taken the session over. How an object of a request ends, its framework sees to."""
    if kept.is_made_for_a_request(run):
        return
    closed: set[Atom] | None = None
    for state in normal:
        here = {
            atom
            for atom, track in state.heap.items()
            if type(track) is Track and atom[0] in v.PLACES and ts.must(track.word, ts.CLOSED)
            if not any(kind[0] == v.REGISTRY for kind in run.type_of(atom))  # the registry's owner ends what is left
        }
        closed = here if closed is None else closed & here
    for exit_ in raised if closed else ():
        for atom in v.ordered(closed or ()):
            track = exit_.state.track(atom)
            failed = track.mark(ts.FAILED)
            if exit_.kind == DATABASE_ERROR and exit_.names == COMMITTING and failed is not None:
                if ts.must(track.word, ts.FAILED) and not ts.may(track.word, ts.CLOSED):
                    run.observe(("unguarded", atom), UnguardedCommit(failed, None))


def _closed_by_all(normal: list[State]) -> frozenset[Atom]:
    """The sessions that this function closes whenever it ends well: whoever else may have them, it is for it to do."""
    if not any(state.escaped or state.stores for state in normal):
        return frozenset()
    closed = [
        {
            atom
            for atom, track in state.heap.items()
            if atom[0] == v.SESSION and type(track) is Track and ts.must(track.word, ts.CLOSED)
        }
        for state in normal
    ]
    return frozenset(set.intersection(*closed)) if closed else frozenset()


def _open(
    state: State, seen: dict[int, list[tuple[Atom, Track]]], ours: frozenset[Atom] = frozenset()
) -> list[tuple[Atom, Track]]:
    """Sessions made here that may be open at an exit and are reachable for nobody else, or are `ours` all the same.
    Many exits have one heap in common: `seen` keeps what was found in it."""
    found = seen.get(id(state.heap))
    if found is None:
        found = seen[id(state.heap)] = [
            (atom, track)
            for atom, track in state.heap.items()
            if type(track) is Track and atom[0] == v.SESSION and ts.may(track.word, ts.OPEN)
        ]
    found = [(atom, track) for atom, track in found if atom not in state.escaped or atom in ours] if found else found
    if not found:
        return found
    handed = reachable_sessions(state, state.env.get(RETURNED, v.UNKNOWN))
    for value in state.stores.values():
        handed |= reachable_sessions(state, value)
    return [(atom, track) for atom, track in found if atom not in handed or atom in ours]


def _leak(run: Run, atom: Atom, track: Track, how: str, exit_: Raised | None) -> None:
    created = track.mark(CREATED)
    if created is not None:
        run.observe(("leak", atom, how), Leak(created, how, None if exit_ is None else exit_.mark, atom))


def _outlived(run: Run, state: State) -> None:
    """A session was given to a task that is still running when its owner returns."""
    for atom, track in state.heap.items():
        if type(track) is Track:
            handed = track.mark(HANDED_OVER)
            if handed is not None and _is_callers(run, atom):
                run.observe(("concurrent", handed), Concurrent(handed, atom, None, "after its owner returned"))


def _is_callers(run: Run, atom: Atom) -> bool:
    """Is it a session that the caller, or a framework for this call, opened and will close?"""
    if atom[0] == v.PARAM:
        return True
    return (
        any(kind[0] == v.ANY_SESSION and kind[1].kind == MANAGED for kind in run.type_of(atom))
        if atom[0] in v.PLACES
        else False
    )


def _engines(run: Run, normal: list[State]) -> None:
    for atom, mark in run.engines.items():
        if run.fn.is_module:
            continue
        fate = "dropped"
        if atom in run.disposed:
            fate = "disposed"
        elif atom in run.kept:
            fate = "stored"  # in a class
        for state in normal:
            if _holds(state, state.env.get(RETURNED, v.UNKNOWN), atom):
                fate = "returned"
            for (base, _), value in state.stores.items():
                if _holds(state, value, atom):
                    in_an_object = base == (v.PARAM, run.fn.id, 0)
                    fate = "stored in an object" if in_an_object else "stored"
                    run.kept |= frozenset() if in_an_object else {atom}
        for handed in run.yields:
            if _holds(handed.state, handed.value, atom):
                fate = "yielded"
        run.observe(("engine", mark), EngineMade(run.solver.made_at(atom[2]), mark, fate, atom[3]))


def _holds(state: State, value: Value, wanted: Atom, depth: int = 3) -> bool:
    for atom in value:
        if atom == wanted or (atom[0] in (v.FACTORY, v.REGISTRY) and len(atom) > 2 and atom[2] == wanted):
            return True
        if depth and atom[0] == v.TUPLE and any(_holds(state, part, wanted, depth - 1) for part in atom[1]):
            return True
        if depth and atom[0] == v.MANY and _holds(state, atom[1], wanted, depth - 1):
            return True
        if depth and atom[0] == v.OBJECT:
            for _, part in state.fields(atom).items:
                if _holds(state, part, wanted, depth - 1):
                    return True
    return False


# -- the summary --------------------------------------------------------------------------------------------------


def _summary(run: Run, normal: list[State], raised: list[Raised]) -> Summary:
    _reported(normal)
    end = _join_all(normal)
    if end is not None:
        end.log = notes(run, end, _certain(end.log, normal))
    returns = end.env.get(RETURNED, v.NOTHING) if end is not None else v.UNKNOWN
    after, after_raise, suppresses = Effects(), Effects(), False
    yields = v.UNKNOWN
    for handed in run.yields:
        yields = v.union(yields, handed.value)
    effects = effects_of(run, end, v.union(returns, yields)) if end is not None else Effects()
    lazily = lazy.sessions(run, end, returns) if end is not None else ()
    if lazily:
        returns -= {(v.FIELD, base, name) for _, base, name in lazily}
        effects = effects._replace(tracks=lazy.as_found(run, effects.tracks, lazily))
    if run.yields:
        after = effects
        after_raise, suppresses = _thrown(run, normal, raised, yields)
        entry = _join_all([handed.state for handed in run.yields])
        assert entry is not None
        effects = effects_of(run, entry, yields)
    blocking: tuple[tuple[Any, Mark, int | None], ...] = ()
    if not run.fn.is_async:
        blocking = tuple(
            (key if type(key) is str or key[0] != v.SESSION else "internal", mark, callee)
            for key, (mark, callee) in sorted(run.blocking.items(), key=v.text)
        )
    return Summary(
        returns=returns,
        effects=effects,
        raises=_raises(run, raised),
        never_returns=end is None and not run.yields and run.solver.overrides.may_trust_no_return(run.fn, raised),
        blocking=blocking,
        slow=run.slow,
        waits=tuple((settled, kind, mark) for settled, (kind, mark) in run.waits.items()),
        reads=_reads(run),
        doubtful=tuple(run.doubtful.items()),
        assigns=tuple((*what, mark) for what, mark in run.assigns.items()),
        governs=tuple((*what, *marks) for what, marks in run.governs.items()),
        writes_after_wait=run.writes_after_wait,
        rechecks=run.rechecks,
        independent=_independent(run, effects.commits + after.commits),
        lazily=lazily,
        keeps=run.kept,
        touches=any(state.touched for state in normal or [exit_.state for exit_ in raised]),
        yields=yields,
        after=after,
        after_raise=after_raise,
        suppresses=suppresses,
    )


def _independent(run: Run, commits: tuple[Commit, ...]) -> frozenset[Atom]:
    """The committed rows that were made by calls which got nothing that came from somewhere: `get_settings()`."""
    rows = {root_of(source) for done in commits for source in done.sources}
    return frozenset([row for row in rows if row in run.independent and not run.made_from.get(row)])


def _reads(run: Run) -> tuple[tuple[Atom, str, Mark], ...]:
    """What is read, whichever way the function goes, of instances that the caller has."""
    if not run.reads:
        return ()
    certain = run.solver.certain_reads(run.fn)
    return tuple(
        (atom, name, mark)
        for (atom, what), (name, mark) in run.reads.items()
        if mark[1] in certain.places and (what == COLUMN or atom[2] not in certain.handed_on)
    )


def _reported(normal: list[State]) -> None:
    """A handler that returns what no other path returns (`return False`), or nothing of many (`return []`), tells the
    caller of the failure."""
    failures = [(state, [item for item in state.heap.items() if _lives_on(item[1])]) for state in normal]
    fine = {state.env.get(RETURNED, v.NOTHING) for state, failed in failures if not failed}
    for state, failed in failures:
        told = state.env.get(RETURNED, v.NOTHING)
        if failed and fine and (told not in fine or told == v.EMPTY):
            for atom, track in failed:
                state.put(atom, track.with_mark(TOLD, track.mark(SWALLOWED)))


def _lives_on(track: Any) -> bool:
    return type(track) is Track and ts.may(track.word, ts.FAILED) and track.mark(SWALLOWED) is not None


def _certain(log: tuple[Commit, ...], normal: list[State]) -> tuple[Commit, ...]:
    """Mark the commits that only some of the normal exits come through.

    Exits after a failure that was handled, exits before anything was asked of the database ("nothing to do"), and
    those that a setting leads to ("read only", "demo") say nothing about what the function normally does.
    """
    telling = [state for state in normal if not state.handled and not state.aside and state.touched]
    found = [state for state in telling if state.env.get(RETURNED, v.NOTHING) != v.NOTHING]
    telling = found or telling  # `return None`, where others return something, is "not found"
    wrote = [{done.committed for done in state.log if done.wrote and done.always} for state in telling]
    came_by = [{done.committed for done in state.log} for state in telling]  # what a caller has written, any commits
    return tuple(
        done._replace(
            certain=done.certain and all(done.committed in places for places in (wrote if done.wrote else came_by))
        )
        for done in log
    )


def _join_all(states: list[State]) -> State | None:
    joined: State | None = None
    for state in states:
        joined = state.copy() if joined is None else join(joined, state)
    return joined


def _thrown(run: Run, normal: list[State], raised: list[Raised], yields: Value) -> tuple[Effects, bool]:
    """What happens between an exception thrown in at the yield and the exit it leads to."""
    thrown = [exit_.state for exit_ in raised if exit_.kind in (THROWN, EXPLICIT) or THROWN_CAUGHT in exit_.state.env]
    swallowed = [state for state in normal if THROWN_CAUGHT in state.env]
    end = _join_all(thrown + swallowed)
    return (effects_of(run, end, yields) if end is not None else Effects()), bool(swallowed)


def _raises(run: Run, raised: list[Raised]) -> tuple[tuple[str, frozenset[str], Effects], ...]:
    kinds: dict[tuple[str, frozenset[str]], list[Raised]] = {}
    for exit_ in raised:
        if exit_.kind != THROWN:
            names = exit_.names if exit_.kind == EXPLICIT else frozenset()
            kinds.setdefault((exit_.kind, names), []).append(exit_)
    out = []
    for (kind, names), exits in sorted(kinds.items(), key=_by_kind):
        out.append((kind, names, _raised_effects([exit_.state for exit_ in exits])))
    return tuple(out)


def _by_kind(item: tuple[tuple[str, frozenset[str]], list[Raised]]) -> tuple[str, list[str]]:
    (kind, names), _ = item
    return kind, sorted(names)


def _raised_effects(states: list[State]) -> Effects:
    """What a caller sees after an exception: the sessions that it knew before."""
    heaps = list({id(state.heap): state.heap for state in states}.values())
    atoms = {atom for heap in heaps for atom, track in heap.items() if type(track) is Track and atom[0] != v.SESSION}
    tracks = []
    for atom in v.ordered(atoms):
        joined: Track | None = None
        for heap in heaps:
            track = heap.get(atom, _UNTOUCHED)
            joined = track if joined is None else join_tracks(joined, track)
        if joined is not None and joined.word != ts.FOREIGN:
            tracks.append((atom, _believed(_without(joined))))
    return Effects(tuple(tracks))


_UNTOUCHED = Track(ts.FOREIGN)


def _believed(track: Track) -> Track:
    """A function that rolls back after one failure is taken to know what it does: where a failed read (mostly after
    the commit), an error of another type or a failure further away leaves the session failed, its caller is not blamed
    for it."""
    if not (ts.may(track.word, ts.FAILED) and ts.may_be_clear(track.word, ts.FAILED)):
        return track
    failed = track.mark(ts.FAILED)
    is_near = failed is not None and hops(failed) <= NEAR
    left = is_near and track.mark(FAILED_WRITE) is not None and track.mark(IN_PART) is None
    return track if left else track.recovered()


NEAR = 2  # so many calls away a function is taken to know what fails


def effects_of(run: Run, state: State, value: Value) -> Effects:
    """What a caller sees of a state: everything about places, and of things made here those it can reach."""
    reached: dict[Atom, Any] = {}
    _reach(state, value, reached)
    for held in state.stores.values():
        _reach(state, held, reached)
    handed = reachable_sessions(state, value).union(*(reachable_sessions(state, x) for x in state.stores.values()))
    tracks = []
    for atom, track in state.heap.items():
        if atom[0] in (v.SESSION, v.OBJECT, v.ENTITY):
            if atom in reached:
                left = atom[0] == v.SESSION and atom not in handed  # only its rows are: the leak is this function's
                tracks.append((atom, track._replace(word=ts.clear(track.word, ts.OPEN)) if left else track))
        elif type(track) is Track:
            if track.word != ts.FOREIGN or track.pending:
                tracks.append((atom, _without(track)))
        elif type(track) is Instance and (track.owner is not None or track.word != ENTITY_FOREIGN or track.marks):
            tracks.append((atom, track.settled() if state.log else track))
    stores = tuple((base, name, held) for (base, name), held in state.stores.items() if _kept(run, held))
    escaped = frozenset(atom for atom in state.escaped if atom[0] in v.PLACES or atom in reached)
    return Effects(tuple(tracks), stores, state.log, state.floating, escaped)


def _without(track: Track) -> Track:
    """Marks that mean nothing to a caller are dropped; a failure that is on record is for the caller to look up."""
    if track.mark(RECORDED) is not None:
        track = track.recovered()
    return track._replace(marks=tuple(mark for mark in track.marks if mark[0] not in (ENTERED, CREATED, LOST)))


KEPT = frozenset((v.SESSION, v.OBJECT, v.ENTITY, v.FACTORY, v.REGISTRY, v.ENGINE, v.CONSTANT, v.TRANSACTION, v.QUERY))


def _kept(run: Run, value: Value) -> bool:
    """Is a stored value one that somebody may ask for: a session, or something that can lead to one?"""
    return any(atom[0] in KEPT or (atom[0] in v.PLACES and _leads_to_session(run, atom)) for atom in value)


def _leads_to_session(run: Run, atom: Atom) -> bool:
    for kind in v.ordered(run.type_of(atom)):
        if kind[0] in KEPT or kind[0] == v.ANY_SESSION:
            return True
        if kind[0] == v.INSTANCE and (run.types.matters(kind[1]) or run.types.classes.is_model(kind[1])):
            return True
    return False


def _reach(state: State, value: Value, reached: dict[Atom, Any], depth: int = 4) -> None:
    if depth == 0:
        return
    for atom in value:
        kind = atom[0]
        if kind in (v.SESSION, v.OBJECT, v.ENTITY) and atom not in reached:
            reached[atom] = True
            track = state.heap.get(atom)
            if type(track) is Fields:
                for _, inner in track.items:
                    _reach(state, inner, reached, depth - 1)
            elif type(track) is Instance and track.owner is not None:
                _reach(state, frozenset((track.owner,)), reached, depth - 1)
        elif kind == v.MANY:
            _reach(state, atom[1], reached, depth - 1)
        elif kind == v.TUPLE:
            for inner in atom[1]:
                _reach(state, inner, reached, depth - 1)
        elif kind in (v.FIELD, v.CTOR, v.QUERY, v.RESULT, v.TRANSACTION, v.OPERATION):
            if atom[1] is not None:
                _reach(state, frozenset((atom[1],)), reached, depth - 1)
        elif kind == v.METHOD:
            _reach(state, frozenset((atom[2],)), reached, depth - 1)
        elif kind == v.DEFERRED and len(atom) == 7:
            parts = [*atom[4], *(inner for _, inner in atom[5])]
            if atom[3] is not None:
                parts.append(frozenset((atom[3],)))
            for inner in parts:
                _reach(state, inner, reached, depth - 1)
