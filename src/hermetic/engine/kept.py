"""Rows and sessions that an object keeps in its attributes, or a function returns, after their session has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import entities, ir, typestate as ts, values as v, walk
from hermetic.engine.classes import BASES_WITHOUT_MEMBERS, OTHER
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.holders import ENDING
from hermetic.engine.link import Function
from hermetic.engine.observations import EndedUse, Kept, KeptCommit, Leak, UnguardedCommit
from hermetic.engine.run import DATABASE_ERROR, Raised, Run
from hermetic.engine.session_types import PLAIN, Made
from hermetic.engine.sessions import COMMITTING
from hermetic.engine.state import CREATED, DETACHED, ENTERED, EXPUNGED, LOADED, State, Track
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import MADE_FOR_A_REQUEST

if TYPE_CHECKING:
    from hermetic.engine.solve import Solver


def observe(run: Run, normal: list[State]) -> None:
    """Note what the receiver of a method has in its attributes when the method has ended."""
    if run.fn.class_id is None or not run.fn.params:
        return
    receiver: Atom = (v.PARAM, run.fn.id, 0)
    for state in normal:
        for (base, name), value in state.stores.items():
            if base == receiver:
                _rows(run, state, name, value)
                _session(run, state, name, value)
                _left_open(run, state, name, value)


def hand_out(run: Run, state: State, returned: Value) -> None:
    """`with Session() as session: return session`: whoever gets it has a closed session."""
    for atom in v.ordered(returned):
        if atom[0] == v.SESSION and atom in state.heap and _is_closed(state.track(atom)):
            ended = state.track(atom).mark(ts.CLOSED)
            if ended is not None:
                run.observe(("handed out", atom), EndedUse(ended, "handed_out", "", ended, None, True))


def _rows(run: Run, state: State, name: str, value: Value) -> None:
    for atom in v.ordered(value):
        known = state.instance(atom) if atom[0] == v.ENTITY else None
        if known is not None and ts.must(known.word, DETACHED) and not ts.may(known.word, EXPUNGED):
            run.observe(("kept", name), Kept(name, atom, known, entities.never_expires(run, known.owner)))


def _session(run: Run, state: State, name: str, value: Value) -> None:
    """`if self.session is None: with Session() as self.session: ...` finds a closed session the next time."""
    stored = run.made_once.get(name)
    sessions = reachable_sessions(state, value) if stored is not None else None
    if not sessions or stored is None:
        return
    tracks = [state.track(session) for session in sessions]
    if all(_is_closed(track) for track in tracks):
        why = "kept_session" if not sessions.isdisjoint(value) else "kept_holder"
        run.observe(("kept", name), EndedUse(stored, why, name, tracks[0].mark(ts.CLOSED), None, True))


def _left_open(run: Run, state: State, name: str, value: Value) -> None:
    """A method puts a session into an attribute whenever it is called, and nobody ever closes what is there."""
    if run.fn.name == "__init__" or name in run.made_once:
        return
    for atom in v.ordered(value):
        track = state.track(atom) if atom[0] == v.SESSION and atom not in state.escaped else None
        created = track.mark(CREATED) if track is not None and ts.must(track.word, ts.OPEN) else None
        if created is not None and created[2] is None and not _may_be_closed(run, name):
            run.observe(("leak", atom, "stored"), Leak(created, "stored", None, atom))


def _may_be_closed(run: Run, name: str) -> bool:
    """Can somebody end a session in an attribute of that name? Whoever does more than to work with it may."""
    assert run.fn.class_id is not None
    if not run.types.classes.external_bases(run.fn.class_id) <= BASES_WITHOUT_MEMBERS:
        return True
    for user in run.code.users_of(name):
        fn = run.code.functions[user]
        uses = len(fn.attributes().get(name, ()))
        for operation, nodes in fn.attributes().items():
            on_it = sum(type(node[1]) is tuple and node[1][0] == ir.ATTR and node[1][2] == name for node in nodes)
            if on_it and (operation not in ts.SESSION_OPERATIONS or operation in ENDING):
                return True
            uses -= on_it
        stored = sum(
            type(target) is tuple and target[0] == ir.ATTR and target[2] == name
            for statement in fn.statements()
            if statement[0] == ir.ASSIGN
            for target in statement[1]
        )
        if uses > stored:
            return True
    return False


def _is_closed(track: Track) -> bool:
    """Has the block closed it, wherever it was opened?"""
    closed = ts.may(track.word, ts.CLOSED) and not ts.may(track.word, ts.OPEN)
    return closed and track.mark(ENTERED) is not None


def commits(run: Run, raised: list[Raised]) -> None:
    """Note the commits of a method that fail and leave the session that its receiver keeps as it is then; what is made
    for a request keeps it no longer than that."""
    if run.fn.class_id is None or not run.fn.params or is_made_for_a_request(run):
        return
    for exit_ in raised:
        if exit_.kind == DATABASE_ERROR and exit_.names == COMMITTING:
            for atom, track in exit_.state.heap.items():
                if atom[0] != v.FIELD or atom[1] != (v.PARAM, run.fn.id, 0) or type(track) is not Track:
                    continue
                failed = track.mark(ts.FAILED)
                if failed is not None and failed[2] is None and ts.must(track.word, ts.FAILED):
                    if not ts.may(track.word, ts.CLOSED):
                        run.observe(("kept commit", failed), KeptCommit(failed, atom[2]))


def is_made_for_a_request(run: Run) -> bool:
    """Is it a method of an object that a framework makes for one request?"""
    class_id = run.fn.class_id
    return class_id is not None and not run.types.classes.external_bases(class_id).isdisjoint(MADE_FOR_A_REQUEST)


def kept_commits(solver: Solver) -> Iterator[tuple[int, UnguardedCommit]]:
    """Those on sessions that the object itself has opened, where nobody ever rolls them back and no `with` ends them:
    they live on, and refuse whatever comes next."""
    for function in sorted(solver.observations):
        for seen in solver.observations[function]:
            if type(seen) is KeptCommit:
                class_id = solver.code.functions[function].class_id
                assert class_id is not None
                made = _opened_by_itself(solver, class_id, seen.attribute)
                if made is None or _is_looked_after(solver, class_id, seen.attribute):
                    continue
                if not _is_made_anew(solver, class_id, seen.attribute, function):
                    yield function, UnguardedCommit(seen.commit, solver.made_at(made))


def _opened_by_itself(solver: Solver, class_id: int, name: str) -> Made | None:
    """The call that makes the session, if everything that is ever put there is made by hand."""
    found = None
    for method, store in solver.types.classes.stores(class_id, name):
        fn = solver.code.functions[method]
        if store[1] in (None, ir.NONE):
            continue
        if type(store[1]) is str and any(how == walk.ENTERED for how, *_ in fn.bindings().get(store[1], ())):
            return None  # `with Session() as session: self.session = session`
        for atom in v.ordered(solver.types.infer(store[1], fn)) or (NOTHING_KNOWN,):
            made = atom[1].made if atom[0] == v.ANY_SESSION and atom[1].kind == PLAIN else None
            if made is None or made[0] != "function":
                return None
            found = made
    return found


def _is_made_anew(solver: Solver, class_id: int, name: str, function: int) -> bool:
    """Does whoever calls the method give the object another session first? Then the failed one does not live on."""
    makers = {method for method, store in solver.types.classes.stores(class_id, name) if store[1] != ir.NONE}
    makers = {maker for maker in makers if solver.code.functions[maker].name != "__init__"}
    callers, found = [function], {function}
    for callee in callers:
        new = solver.edges.get(callee, set()) - found
        callers.extend(sorted(new))
        found |= new
    return not makers.isdisjoint(found - {function})


NOTHING_KNOWN: Atom = (v.DERIVED, frozenset())


def _is_looked_after(solver: Solver, class_id: int, name: str) -> bool:
    """Does a block end the object, or does somebody roll back what it has in that attribute?"""
    if any(solver.types.classes.member(class_id, method) is not None for method in ("__exit__", "__aexit__")):
        return True
    users = (solver.code.functions[user] for user in solver.code.users_of("rollback"))
    return any(_rolls_back(solver, fn, class_id, name) for fn in users)


def _rolls_back(solver: Solver, fn: Function, class_id: int, name: str) -> bool:
    mro = solver.types.classes.mro
    is_foreign = fn.class_id is not None and fn.class_id not in mro(class_id) and class_id not in mro(fn.class_id)
    own = fn.params[0][0] if is_foreign and fn.params else None  # an attribute of that name, of another object
    bases = [node[1][1] for node in fn.calls_of("rollback") if type(node[1]) is tuple and node[1][0] == ir.ATTR]
    return any(type(base) is tuple and base[::2] == (ir.ATTR, name) and base[1] != own for base in map(_head, bases))


def _head(expression: ir.Expr) -> ir.Expr:
    return expression[:3] if type(expression) is tuple else expression


def kept_reads(solver: Solver) -> Iterator[tuple[int, EndedUse]]:
    """Where methods read a row that another method of the object has left in an attribute, detached. Rows that a method
    puts there anew are not judged, nor those that the method which keeps them may hand on by calling the reader."""
    for function in sorted(solver.observations):
        for kept in solver.observations[function]:
            if type(kept) is Kept:
                keeper = solver.code.functions[function]
                for reader in _other_methods(solver, keeper, kept.name):
                    for use in _reads(solver, reader, kept):
                        yield reader.id, use


def _other_methods(solver: Solver, keeper: Function, name: str) -> Iterator[Function]:
    classes = solver.types.classes
    assert keeper.class_id is not None
    stores = {method for method, store in classes.stores(keeper.class_id, name) if store[1] not in (None, ir.NONE)}
    if stores != {keeper.id}:
        return
    for class_ in solver.code.classes:
        if keeper.class_id in classes.mro(class_.id):
            for method in class_.methods.values():
                if method != keeper.id and keeper.id not in solver.edges.get(method, ()):
                    yield solver.code.functions[method]


def _reads(solver: Solver, reader: Function, kept: Kept) -> Iterator[EndedUse]:
    if not reader.params or kept.name not in reader.attributes():
        return
    classes, class_id = solver.types.classes, kept.instance[2]
    path = (ir.ATTR, reader.params[0][0], kept.name)
    for node in reader.nodes():
        base = node[1] if node[0] == ir.ATTR else None
        if type(base) is not tuple or base[:3] != path or type(class_id) is not int:
            continue
        kind = classes.attribute_kind(class_id, node[2])
        why = entities.why_unreadable(classes, class_id, node[2], kind, kept.known) if kind != OTHER else ""
        if why and not (why == "loaded" and kept.never_expires):
            mark = (reader.module, node[3], None)
            ended, loaded = kept.known.mark(DETACHED), kept.known.mark(LOADED)
            yield EndedUse(mark, why, node[2], ended, loaded, True, kept.instance)
