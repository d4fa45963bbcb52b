"""A callee's summary, applied to the state of its caller."""

from __future__ import annotations

from hermetic.engine import copies, entities, sharing, stale, told, typestate as ts, unsaved, values as v
from hermetic.engine.fields import write_field
from hermetic.engine.instances import doubt, end_instances, settle
from hermetic.engine.link import Function
from hermetic.engine.operations import ABSENT, GIVEN_BACK, record
from hermetic.engine.run import Raised, Run, Told
from hermetic.engine.sessions import NO_ATOMS, hold, touch
from hermetic.engine.state import (
    LOST,
    OF_A_FAILURE,
    SCOPED,
    TOLD,
    Commit,
    Failure,
    Fields,
    Instance,
    State,
    Track,
)
from hermetic.engine.substitution import Substitution
from hermetic.engine.summary import NO_EFFECTS, Effects, Summary
from hermetic.engine.values import Atom, Value


def apply(run: Run, state: State, summary: Summary, sub: Substitution, callee: Function) -> Value:
    """The call's value; `state` becomes the state after it, exceptional exits are recorded."""
    for kind, names, effects in summary.raises:
        _raise(run, state, kind, names, effects, sub)
    run.told = None
    if summary.never_returns:
        state.dead = True
        return v.UNKNOWN
    _blocking(run, state, summary, sub, callee)
    _held(run, state, summary, sub)
    _read(run, state, summary, sub)
    for owner, use in summary.doubtful:
        doubt(run, owner, use, sub)
    state.touched = state.touched or summary.touches
    waits = (summary.slow[0], sub.trail(summary.slow[1])) if summary.slow is not None else None
    if waits is not None and summary.writes_after_wait:
        stale.lapse(run, state, *waits, sub.given)
    if run.slow is not None and _writes(summary.effects):
        run.writes_after_wait = True
    if summary.governs or summary.assigns:
        stale.called(run, state, summary, sub)
    apply_effects(run, state, summary.effects, sub)
    told.settle(run, summary.returns)
    run.rechecks = run.rechecks or (summary.rechecks and not run.writes_after_wait)
    if waits is not None and not summary.writes_after_wait:
        stale.lapse(run, state, *waits, sub.given)
    elif run.slow is not None and not summary.rechecks and _writes(summary.effects):
        judged = frozenset(target for row, *_ in summary.assigns for target in sub.atom(row))
        sources = _written_from(summary.effects, sub)
        stale.written(run, state, run.mark(sub.position), NO_ATOMS, v.UNKNOWN, sources, judged)
    value = sub.value(summary.returns)
    if run.edits and (summary.effects.commits or _writes(summary.effects)):
        copies.written_back(run, state, sub.made_here(), run.mark(sub.position))
    return value


def _held(run: Run, state: State, summary: Summary, sub: Substitution) -> None:
    """The slow steps inside of the callee, for transactions that are open here."""
    for settled, kind, inner in summary.waits:
        found = frozenset(target for atom in settled for target, _ in sub.sessions(atom))
        hold(run, state, kind, sub.trail(inner), found)


def _read(run: Run, state: State, summary: Summary, sub: Substitution) -> None:
    """What the callee reads of instances that it is given."""
    for atom, name, inner in summary.reads:
        for target in v.ordered(sub.atom(atom)):
            if target[0] in (v.ENTITY, v.PARAM):
                entities.read(run, state, target, name, sub.trail(inner))


def _written_from(effects: Effects, sub: Substitution) -> frozenset[Atom]:
    """What everything that the callee writes is made from."""
    found = effects.floating or NO_ATOMS
    for done in effects.commits:
        found |= done.sources
    for _, track in effects.tracks:
        if type(track) is Track:
            found |= track.pending
    return sub.sources(found)


def _writes(effects: Effects) -> bool:
    return (
        effects.floating is not None
        or any(done.wrote for done in effects.commits)
        or any(type(track) is Track and ts.may(track.word, ts.WROTE) for _, track in effects.tracks)
    )


def _raise(run: Run, state: State, kind: str, names: frozenset[str], effects: Effects, sub: Substitution) -> None:
    mark = run.mark(sub.position)
    if effects == NO_EFFECTS:
        run.raise_(state, kind, mark, names)
        return
    failed = state.copy()
    sub.state = failed
    apply_effects(run, failed, effects, sub, quiet=True)
    sub.state = state
    run.exits.raises.append(Raised(kind, names, failed, mark))


def _blocking(run: Run, state: State, summary: Summary, sub: Substitution, callee: Function) -> None:
    if run.offloaded:
        return
    for session, inner, _ in summary.blocking:
        mark = sub.trail(inner)
        if type(session) is str:
            run.blocking.setdefault(session, (mark, callee.id))
            continue
        for atom in sub.atom(session) or (("internal",),):
            key = "internal" if atom[0] == "internal" else atom
            run.blocking.setdefault(key, (mark, callee.id))


def apply_effects(
    run: Run, state: State, effects: Effects, sub: Substitution, quiet: bool = False, resumed: bool = False
) -> None:
    """Tracks, stores and commits of the callee. `resumed`: it goes on after its yield, with sessions made before it;
    otherwise what it makes is new, whatever an earlier round of a loop has left at the same place."""
    sessions = [(atom, track) for atom, track in effects.tracks if type(track) is Track]
    if not resumed:
        _forget_earlier_rounds(state, sessions, sub)
    if not quiet:
        for atom, track in sessions:
            if ts.may(track.word, ts.DATABASE):
                for target, type_ in sub.sessions(atom):
                    if _has_nothing_to_commit(state.track(target), track):
                        continue
                    touch(run, state, target, run.mark(sub.position), ts.may(track.word, ts.AS_GIVEN))
                    if v.root(atom)[0] != v.GLOBAL:
                        sharing.used_by_callee(run, target, type_, run.mark(sub.position))
        _commits(run, state, effects, sub)
    for atom, track in sessions:
        targets = sub.sessions(atom)
        for target, type_ in targets:
            if state.track(target).mark(SCOPED) is not None:
                _join_scope(state, target, track, effects, sub)
                continue
            _compose(run, state, target, track, sub, weak=len(targets) > 1)
            if len(targets) == 1:
                end_instances(run, state, target, type_, track, sub)
    if effects.stores or len(sessions) < len(effects.tracks):
        sub.changed()
    for atom, track in effects.tracks:
        if type(track) is Instance:
            settle(run, state, atom, track, sub)
        elif type(track) is Fields and atom[0] == v.OBJECT:
            items = tuple([(name, sub.value(value)) for name, value in track.items])
            state.put(sub.made(atom), Fields(items))
    for base, name, value in effects.stores:
        for target in v.ordered(sub.atom(base)):
            write_field(run, state, target, name, sub.value(value))
    if effects.floating is not None:
        sources = sub.sources(effects.floating)
        state.floating = sources if state.floating is None else state.floating | sources
    for atom in v.ordered(effects.escaped):
        state.escaped |= sub.atom(atom)


def _has_nothing_to_commit(known: Track, track: Track) -> bool:
    """A manager commits, and a block that closes its session itself has left it nothing to write."""
    if track.mark(ts.TRANSACTION) is not None or ts.may(track.word, ts.WROTE):
        return False
    return ts.must(known.word, ts.CLOSED) and known.mark(LOST) is None


def _forget_earlier_rounds(state: State, sessions: list[tuple[Atom, Track]], sub: Substitution) -> None:
    for atom, _ in sessions:
        if atom[0] == v.SESSION and sub.made(atom) in state.heap and atom not in sub.found:
            state.put(sub.made(atom), Track(ts.FRESH))


def _commits(run: Run, state: State, effects: Effects, sub: Substitution) -> None:
    committed: set[Atom] = set()
    for done in effects.commits:
        session = None
        sources = its_own = sub.sources(done.sources)
        wrote = done.wrote
        targets = sub.sessions(done.session) if done.session is not None else []
        if any(state.track(target).mark(SCOPED) is not None for target, _ in targets):
            continue
        for target, _ in targets:
            session = target
            if target not in committed and not done.begun:
                committed.add(target)
                track = state.track(target)
                sources |= track.pending
                wrote = wrote or ts.may(track.word, ts.DIRTY)
        is_ours = session is not None and session[0] != v.SESSION and not done.begun
        if is_ours and state.floating is not None:
            sources |= state.floating
            wrote = True
            state.floating = None
        mark = sub.trail(done.committed)
        committed_here = Commit(sources, wrote, mark, session, done.always or wrote != done.wrote, done.certain)
        committed_here = committed_here._replace(
            repeated=done.repeated,
            missing=done.missing or done.or_found or ABSENT in state.decisions,
            ensured=done.missing or done.or_found or done.ensured,
            or_found=done.or_found or GIVEN_BACK in state.decisions,
            found=done.found and sources == its_own,
            note=done.note and sources == its_own,
            begun=done.begun,
        )
        record(run, state, committed_here)


def _compose(run: Run, state: State, target: Atom, track: Track, sub: Substitution, weak: bool) -> None:
    known = state.track(target)
    if not weak and not ts.untouched(track.word, ts.DIRTY) and not ts.may(track.word, ts.DIRTY):
        events = ts.may(track.word, ts.COMMITTED) or ts.may(track.word, ts.ROLLED_BACK)
        if ts.must(track.word, ts.CLOSED) and not events:
            known = unsaved.lose(run, state, known, run.mark(sub.position))
        else:
            known = known.saved()
    if track.mark(TOLD) is not None and run.solver.asks_about(run.fn, sub.position):
        if not weak:
            failed = track._replace(word=ts.put(track.word, ts.FAILED))
            run.told = Told(sub.position, target, _composed(known, failed, sub, weak), v.UNKNOWN)
        track = track.recovered()
    state.put(target, _composed(known, track, sub, weak))


def _composed(known: Track, track: Track, sub: Substitution, weak: bool) -> Track:
    """What is known of the caller's session, given what the callee did to it."""
    word = ts.then(known.word, track.word)
    if not ts.untouched(known.word, ts.FAILED):
        word = ts.copied(word, known.word, ts.AS_GIVEN)
    if weak:
        word |= known.word
    fails_anew = ts.may(track.word, ts.FAILED) and track.mark(ts.FAILED) is not None
    marks = {flag: place for flag, place in known.marks if not (fails_anew and flag in OF_A_FAILURE)}
    for flag, inner in track.marks:
        if flag == TOLD:
            continue
        if flag >= ts.FLAGS or ts.may(track.word, flag):
            if flag not in marks or flag in (ts.CLOSED, ts.COMMITTED):
                marks[flag] = sub.trail(inner)
    pending = sub.sources(track.pending)
    if weak or ts.untouched(track.word, ts.DIRTY):
        pending |= known.pending
    further = () if fails_anew else known.further
    if track.further:
        further = tuple(
            [
                Failure(sub.trail(failure.handler), sub.trail(failure.failed), failure.wrote)
                for failure in track.further
                if not failure.before
            ]
        )
    return Track(word, tuple(marks.items()), pending, further)


def _join_scope(state: State, target: Atom, track: Track, effects: Effects, sub: Substitution) -> None:
    """The callee's scope is part of the one at hand: its work is done here, and nothing of it has ended."""
    known = state.track(target)
    word = track.word
    for flag in (ts.CLOSED, ts.COMMITTED, ts.ROLLED_BACK, ts.FAILED):
        word = ts.keep(word, flag)
    word = ts.put(word, ts.DIRTY) if ts.may(track.word, ts.WROTE) else ts.keep(word, ts.DIRTY)
    written = [done.sources for done in effects.commits if done.session == target]
    pending = known.pending.union(sub.sources(track.pending), *(sub.sources(sources) for sources in written))
    state.put(target, known._replace(word=ts.then(known.word, word), pending=pending))
