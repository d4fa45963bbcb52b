"""A callee's atoms, seen from its caller at one call."""

from __future__ import annotations

from collections.abc import Callable

from hermetic.engine import copies, ir, lazy, values as v
from hermetic.engine.fields import read_field, read_parameter
from hermetic.engine.link import Function
from hermetic.engine.operations import PURGE
from hermetic.engine.run import Run
from hermetic.engine.session_types import SessionType
from hermetic.engine.session_values import sessions_in
from hermetic.engine.sessions import NO_ATOMS
from hermetic.engine.state import (
    Mark,
    State,
    hops,
)
from hermetic.engine.summary import Summary
from hermetic.engine.values import Atom, Value

# How far a mark leads into callees.
LONGEST_TRAIL = 8

MADE = (v.SESSION, v.OBJECT, v.ENTITY, v.ORIGIN)


class Substitution:
    """The callee's atoms, seen from the caller at one call."""

    def __init__(
        self,
        run: Run,
        state: State,
        callee: Function,
        binding: dict[int, Value],
        position: ir.Pos,
        summary: Summary,
    ) -> None:
        self.run = run
        self.state = state
        self.callee = callee
        self.binding = binding
        self.position = position
        self._made: dict[Atom, Atom] = {}
        self._independent = summary.independent
        self._lazily = {session: (base, name) for session, base, name in summary.lazily}
        self.found: dict[Atom, Atom] = {}  # for those of the callee, sessions that were there already
        self._arguments: frozenset[Atom] | None = None
        # The ways out of a callee have sessions, sources and marks in common. What they are for the caller is kept
        # until one of the callee's stores may have changed it.
        self._keeping = True
        self._sessions: dict[Atom, list[tuple[Atom, SessionType]]] = {}
        self._sources: dict[frozenset[Atom], frozenset[Atom]] = {}
        self._trails: dict[int, Mark] = {}

    def changed(self) -> None:
        """From here on the state may answer otherwise."""
        self._keeping = False

    def sessions(self, atom: Atom) -> list[tuple[Atom, SessionType]]:
        """The caller's sessions that one of the callee's can be."""
        if not self._keeping:
            return sessions_in(self.run, self.atom(atom))
        known = self._sessions.get(atom)
        if known is None:
            known = self._sessions[atom] = sessions_in(self.run, self.atom(atom))
        return known

    def trail(self, inner: Mark) -> Mark:
        """The call, leading to a place in the callee."""
        known = self._trails.get(id(inner))
        if known is None:
            known = self._trails[id(inner)] = trail(self.run, self.position, inner)
        return known

    def atom(self, atom: Atom) -> Value:
        kind = atom[0]
        if kind == v.PARAM:
            return self.binding.get(atom[2], v.UNKNOWN) if atom[1] == self.callee.id else v.one(atom)
        if kind == v.FIELD:
            return self._each(atom[1], lambda base: read_field(self.run, self.state, base, atom[2]))
        if kind == v.CTOR:
            return self._each(atom[1], lambda base: read_parameter(self.run, self.state, base, atom[2]))
        if kind in MADE:
            return v.one(atom if atom[-1] == PURGE else self.made(atom))  # of old rows no call has made any
        if kind == v.FREE:
            return self._free(atom)
        return self._composite(atom)

    def _each(self, base: Atom, read: Callable[[Atom], Value]) -> Value:
        out = v.UNKNOWN
        for found in v.ordered(self.atom(base)):
            out = v.union(out, read(found))
        return out

    def _free(self, atom: Atom) -> Value:
        """A variable of an enclosing function: of this one, if the callee is nested in it."""
        if atom[1] == self.run.fn.id:
            return self.state.env.get(atom[2], v.UNKNOWN)
        frame = self.run.frames.get(atom[1])
        return frame.get(atom[2], v.UNKNOWN) if frame is not None else v.one(atom)

    def _composite(self, atom: Atom) -> Value:
        kind = atom[0]
        if kind == v.MANY:
            inner = self.value(atom[1])
            return v.one((v.MANY, inner)) if inner else v.UNKNOWN
        if kind == v.TUPLE:
            return v.one((v.TUPLE, tuple([self.value(part) for part in atom[1]])))
        if kind == v.DERIVED:
            return self._derived(atom)
        if kind in (v.METHOD, v.OPERATION, v.QUERY, v.RESULT, v.TRANSACTION):
            place = 2 if kind == v.METHOD else 1
            if atom[place] is None:
                return v.one(atom)
            return frozenset((*atom[:place], base, *self._rest(atom, place)) for base in self.atom(atom[place]))
        if kind == v.STATEMENT and atom[1] != "option":
            return v.one((*atom[:2], self._class(atom[2]), self.sources(atom[3]), *atom[4:]))
        if kind == v.DEFERRED:
            return self._deferred(atom)
        if kind == v.BORROWED:
            return v.one((v.BORROWED, self.value(atom[1]), *atom[2:]))
        if kind in (v.FACTORY, v.REGISTRY) and len(atom) > 2 and atom[2] is not None and atom[2][0] == v.PARAM:
            return frozenset((*atom[:2], engine) for engine in self.atom(atom[2])) or v.one(atom[:2])
        return v.one(atom)

    def _rest(self, atom: Atom, place: int) -> Atom:
        if atom[0] in (v.QUERY, v.RESULT):
            return (self._class(atom[2]), atom[3], self.sources(atom[4]), *atom[5:])
        return atom[place + 1 :]

    def _class(self, reference: object) -> object:
        """A class reference, seen from the caller: the class itself, or the one place that it may come from."""
        if type(reference) is not tuple:
            return reference
        found = self.atom(reference)
        for atom in v.ordered(found):
            if atom[0] == v.CLASS:
                return atom[1]
        return next(iter(found)) if len(found) == 1 and next(iter(found))[0] in v.PLACES else None

    def _derived(self, atom: Atom) -> Value:
        found = self.sources(atom[1])
        return frozenset(((v.DERIVED, found),)) if found else v.UNKNOWN

    def _deferred(self, atom: Atom) -> Value:
        if atom[1] in ("done", "task"):
            return v.one(
                (
                    *atom[:2],
                    self.value(atom[2]),
                    frozenset(inner for held in v.ordered(atom[3]) for inner in self.atom(held)),
                )
            )
        if atom[1] == "attribute":
            return frozenset((*atom[:2], base, atom[3]) for base in self.atom(atom[2]))
        arguments = tuple([self.value(argument) for argument in atom[4]])
        keywords = tuple([(name, self.value(argument)) for name, argument in atom[5]])
        if atom[1] == "operation":
            operations = v.ordered(self.atom(atom[2]))
            return frozenset((*atom[:2], operation, None, arguments, keywords, atom[6]) for operation in operations)
        receivers = [None] if atom[3] is None else v.ordered(self.atom(atom[3]))
        return frozenset((*atom[:3], receiver, arguments, keywords, atom[6]) for receiver in receivers)

    def made(self, atom: Atom) -> Atom:
        """What the callee made, as made by this call."""
        known = self._made.get(atom) or self.found.get(atom)
        if known is None and atom in self._lazily:
            base, name = self._lazily[atom]
            known = lazy.there(self.run, self.state, self.atom(base), name)
            self.found.update({} if known is None else {atom: known})
        if known is None:
            line, column = self.position[0], self.position[1]
            number = len(self._made) + 1
            what = self._class(atom[2]) if atom[0] == v.ENTITY else atom[2]
            known = self._made[atom] = (atom[0], (line, column, number), *self._class_of_object(atom, what))
            if atom[0] == v.ENTITY and self.run.slow is not None:
                copies.forget(self.state, known)
            if atom[0] == v.SESSION:
                self.run.made_in[known] = tuple(self.run.loops)
                if atom in self._lazily:
                    base, name = self._lazily[atom]
                    lazy.note(self.run, self.atom(base), name, known)
            else:
                self._made_from(atom, known)
        return known

    def _made_from(self, atom: Atom, known: Atom) -> None:
        given = NO_ATOMS if atom in self._independent else self.given()
        self.run.made_from[known] = given
        if not given and known[0] == v.ENTITY:
            self.run.independent.add(known)

    def _class_of_object(self, atom: Atom, declared: object) -> tuple[object, ...]:
        """`cls(...)` in a classmethod is of the class that the method was called on; `declared` is where it stands."""
        if len(atom) > 3 and atom[0] == v.OBJECT:
            for called_on in self.atom(atom[3]):
                if called_on[0] == v.CLASS:
                    return (called_on[1],)
                if called_on[0] == v.PARAM:
                    return (declared, called_on)
        return (declared,)

    def given(self) -> frozenset[Atom]:
        """The sources of the call's arguments."""
        if self._arguments is None:
            found: frozenset[Atom] = frozenset()
            for value in self.binding.values():
                found |= v.sources(value)
            self._arguments = found
        return self._arguments

    def made_here(self) -> list[Atom]:
        """What the callee made, as known to the caller."""
        return list(self._made.values())

    def value(self, value: Value) -> Value:
        if len(value) == 1:
            return self.atom(next(iter(value)))
        parts = [self.atom(atom) for atom in v.ordered(value)]
        out = v.UNKNOWN
        for part in parts:
            out = v.union(out, part)
        return out if all(parts) else v.either(out, v.UNKNOWN)

    def sources(self, sources: frozenset[Atom]) -> frozenset[Atom]:
        if not sources:
            return sources
        known = self._sources.get(sources) if self._keeping else None
        if known is None:
            found: set[Atom] = set()
            for atom in v.ordered(sources):
                found |= v.sources(self.atom(atom))
            known = self._sources[sources] = v.limited(frozenset(found))
        return known


def trail(run: Run, position: ir.Pos, inner: Mark | None) -> Mark:
    """The call, leading to a place in the callee; of a long way there the next stop is left out."""
    if inner is not None and hops(inner) + 2 > LONGEST_TRAIL:
        inner = inner[2]
    return run.mark(position, inner)
