"""What a dependency marker names, `Depends(get_db)`, and what becomes of the sessions that it gives.

A framework that runs generator functions itself enters no manager, so what such a function opens reaches nobody. And
it ends generators only: a session that a function returns is closed by nobody, unless the function that gets it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hermetic.engine import typestate as ts, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.markers import markers, provider_of
from hermetic.engine.observations import Leak
from hermetic.engine.project import deferral
from hermetic.engine.session_types import MANAGED, PLAIN, SessionType
from hermetic.engine.solve import Solver
from hermetic.engine.state import CREATED, Fields, Mark, Track
from hermetic.engine.summary import Effects, Summary
from hermetic.engine.types import Types
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import ENTER_NO_MANAGER, INJECTORS
from hermetic.models.python import MANAGER_DECORATORS

# What may stand above the decorator that makes the manager without changing what a call gives.
KINDS_OF_METHOD = frozenset(("staticmethod", "classmethod"))
# Objects inside of objects are looked through that far for the session that a manager hands out.
DEEPEST_OBJECT = 4


class InjectedManager(NamedTuple):
    """`at`: the marker that names the function `manager`; `entered`: somebody else calls it, for a `with`."""

    at: Mark
    manager: Function
    entered: bool


def injected_managers(solver: Solver) -> Iterator[tuple[int, InjectedManager]]:
    """(function, what it injects) for every manager of a session that is named by such a marker, once a function."""
    types = solver.types
    verdicts: dict[int, bool] = {}
    seen: set[tuple[object, int]] = set()
    for owner, node, scope in markers(types, ENTER_NO_MANAGER):
        for manager in _managers(provider_of(node), scope, types):
            # Aliases stand side by side in a module's body: each of them is a mistake of its own.
            key = (node[4] if owner.is_module else owner.id, manager.id)
            if key not in seen and _hands_out_a_session(manager, solver, verdicts):
                seen.add(key)
                at = (owner.module, node[4], None)
                yield owner.id, InjectedManager(at, manager, bool(types.call_sites(manager)))


def injected_leaks(solver: Solver) -> Iterator[tuple[int, Leak]]:
    """(function, leak) for every session that a provider makes and returns, and that nobody who gets it closes."""
    users: dict[int, list[tuple[Function, Node]]] = {}
    made_by_marker: dict[Mark, tuple[int, Leak]] = {}
    for owner, node, scope in markers(solver.types, INJECTORS):
        at: Mark = (owner.module, node[4], None)
        for atom in v.ordered(solver.types.infer(provider_of(node), scope)):
            if atom[0] in (v.FUNCTION, v.METHOD):
                users.setdefault(atom[1], []).append((owner, node))
            elif _makes_sessions(atom) and not _closes_parameter(owner, node, solver):
                session = (v.SESSION, node[4][:3], SessionType(atom[1].flavour))
                made_by_marker.setdefault(at, (owner.id, Leak(at, "injected", None, session)))
    for number, named_by in sorted(users.items()):
        provider = solver.code.functions[number]
        if (
            deferral(provider) in ("context", "generator")
            or solver.types.is_cached(provider)
            or solver.types.litestar.is_kept(number)
        ):
            continue
        summary = solver.summary(number)
        for session, created in _left_open(summary.returns, summary, solver.types):
            if not _closed_by_its_users(session, named_by, solver):
                owner, node = named_by[0]
                yield number, Leak(created, "injected", (owner.module, node[4], None), session)
    yield from made_by_marker.values()
    yield from _left_by_containers(solver)


def _makes_sessions(atom: Atom) -> bool:
    """Is it a sessionmaker, and not only a callable whose annotation says that it gives sessions, perhaps kept ones?"""
    return atom[0] == v.FACTORY and atom[1].options_at is not None


def _left_by_containers(solver: Solver) -> Iterator[tuple[int, Leak]]:
    """The same of the providers of a container; what one makes for the whole application has no end to be missed."""
    for provider in solver.types.containers.providers().values():
        if not provider.lasting and deferral(solver.code.functions[provider.function]) not in ("context", "generator"):
            summary = solver.summary(provider.function)
            for session, created in _left_open(summary.returns, summary, solver.types):
                if not _closed_by_its_users(session, [], solver):
                    yield provider.function, Leak(created, "injected", provider.at, session)


def _managers(provider: Expr, scope: Function, types: Types) -> list[Function]:
    """The functions that a provider can be, if calling any of them gives a manager."""
    found = []
    for atom in v.ordered(types.infer(provider, scope)):
        managers = _managers_of(atom, types)
        if not managers:
            return []
        found += managers
    return found


def _managers_of(atom: Atom, types: Types) -> list[Function]:
    if atom[0] in (v.FUNCTION, v.METHOD):
        fn = types.code.functions[atom[1]]
        return [fn] if _is_manager(fn, types) else []
    if atom[0] == v.EXT_OBJECT and atom[1] in MANAGER_DECORATORS and len(atom) > 2:
        return [types.code.functions[inner[1]] for inner in v.ordered(atom[2]) if inner[0] in (v.FUNCTION, v.METHOD)]
    return []


def _is_manager(fn: Function, types: Types) -> bool:
    """Is the outermost decorator the one of contextlib? What another one makes of a manager is not known."""
    top = types.code.top_of(fn.module)
    outermost = next((decorator for decorator in fn.decorators if decorator not in KINDS_OF_METHOD), None)
    made_by = types.infer(outermost, top)
    return bool(made_by) and all(atom[0] == v.EXT and atom[1] in MANAGER_DECORATORS for atom in made_by)


def _hands_out_a_session(fn: Function, solver: Solver, verdicts: dict[int, bool]) -> bool:
    known = verdicts.get(fn.id)
    if known is None:
        summary = solver.summary(fn.id)
        known = verdicts[fn.id] = _holds_a_session(solver.types.yielded(fn.id) | summary.yields, summary)
    return known


def _holds_a_session(value: Value, summary: Summary, depth: int = DEEPEST_OBJECT) -> bool:
    """Is it a session, or an object or a tuple around one?"""
    return depth > 0 and any(_is_or_holds_a_session(atom, summary, depth - 1) for atom in value)


def _is_or_holds_a_session(atom: Atom, summary: Summary, depth: int) -> bool:
    if atom[0] in (v.SESSION, v.ANY_SESSION):
        return True
    if atom[0] == v.MANY:
        return _holds_a_session(atom[1], summary, depth)
    if atom[0] == v.TUPLE:
        return any(_holds_a_session(part, summary, depth) for part in atom[1])
    if atom[0] == v.OBJECT:
        held = (fields for made, fields in summary.effects.tracks if made == atom and type(fields) is Fields)
        return any(_holds_a_session(value, summary, depth) for fields in held for _, value in fields.items)
    return False


# -- sessions that a provider returns ---------------------------------------------------------------------------

# A class with one of these can be ended by whoever gets its object.
ENDINGS = ("close", "aclose", "__exit__", "__aexit__", "__del__", "shutdown", "dispose")


def _left_open(value: Value, summary: Summary, types: Types, depth: int = DEEPEST_OBJECT) -> list[tuple[Atom, Mark]]:
    """The sessions that were made for a value, and where: the value itself, or what an object holds that has no end."""
    found: list[tuple[Atom, Mark]] = []
    kept = summary.effects.escaped.union(*(stored for _, _, stored in summary.effects.stores))
    for atom in v.ordered(value - kept) if depth else ():
        for made, track in summary.effects.tracks:
            if made != atom:
                continue
            if type(track) is Track and atom[0] == v.SESSION and atom[2].kind == PLAIN and ts.may(track.word, ts.OPEN):
                created = track.mark(CREATED)
                if created is not None:
                    found.append((atom, created))
            elif type(track) is Fields and not _has_an_end(atom, types):
                for _, inner in track.items:
                    found += _left_open(inner, summary, types, depth - 1)
    return list(dict(found).items())


def _has_an_end(atom: Atom, types: Types) -> bool:
    return atom[0] != v.OBJECT or any(types.classes.member(atom[2], name) is not None for name in ENDINGS)


def _closed_by_its_users(session: Atom, named_by: list[tuple[Function, Node]], solver: Solver) -> bool:
    """Does every function that gets the session close it? By a marker of its own, or by an alias's."""
    closed = [_closes_parameter(owner, node, solver) for owner, node in named_by if not owner.is_module]
    for fn in solver.code.functions:
        for number in range(len(fn.params)):
            for atom in v.ordered(solver.types.param(fn, number)):
                if atom[0] == v.ANY_SESSION and atom[1].kind == MANAGED and atom[1].made == session[2].made:
                    closed.append(_closes(fn, number, solver))
    return bool(closed) and all(closed)


def _closes_parameter(owner: Function, marker: Node, solver: Solver) -> bool:
    """Does a function close the session that a marker in its signature puts into a parameter?"""
    for number, param in enumerate(owner.params):
        if any(marker is node for expression in param[1:3] for node in walk.subexpressions(expression)):
            return _closes(owner, number, solver)
    return False


def _closes(fn: Function, number: int, solver: Solver) -> bool:
    """A generator dependency does so behind its yield, and whatever is thrown in there."""
    summary = solver.summary(fn.id)
    ends = (summary.after, summary.after_raise) if fn.is_generator else (summary.effects,)
    return all(_is_closed((v.PARAM, fn.id, number), end) for end in ends)


def _is_closed(session: Atom, end: Effects) -> bool:
    return any(
        atom == session and type(track) is Track and ts.must(track.word, ts.CLOSED) for atom, track in end.tracks
    )
