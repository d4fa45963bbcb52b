"""What a framework has done with a session before the function that gets it runs: the work of other dependencies.

FastAPI calls a dependency once a request: an endpoint and the dependency that looks up its user get the same session,
and what the one has begun is open in the other, as what has failed in the one has failed in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hermetic.engine import injected_rows, ir, typestate as ts, values as v, walk
from hermetic.engine.arguments import argument_of
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_VALUE, Function
from hermetic.engine.markers import is_marker, provider_of
from hermetic.engine.session_types import MANAGED, Made
from hermetic.engine.state import FAILED_WRITE, SWALLOWED, Failure, Instance, Mark, Track
from hermetic.engine.summary import Summary
from hermetic.engine.types import Types
from hermetic.engine.values import Atom
from hermetic.models.frameworks import INJECTORS


class Injection:
    """`summary`: what is known of a function, by its number."""

    def __init__(self, types: Types, summary: Callable[[int], Summary]) -> None:
        self.types = types
        self.summary = summary
        last = {name.rpartition(".")[2] for name in INJECTORS}
        modules = types.code.modules
        self._in_use = any(item[2] in last for module in modules for item in module.imports)
        self._providers: dict[int, tuple[int, ...]] = {}
        self._providers_of: dict[tuple[int, int], list[int]] = {}
        self._receivers: tuple[Function, ...] | None = None

    def receivers(self) -> tuple[Function, ...]:
        """The functions that get a session from a framework."""
        if self._receivers is None:
            functions = self.types.code.functions if self._in_use else ()
            told = ((fn, number) for fn in functions for number, _ in _told(fn))
            self._receivers = tuple(dict.fromkeys(fn for fn, number in told if self.made(fn, number)))
        return self._receivers

    def at_entry(self, fn: Function) -> Iterator[tuple[int, Track]]:
        """(parameter, state) for every injected session that is in a transaction when the function begins, or failed
        in a dependency that let its failure pass."""
        if not self._in_use:
            return
        for number, _ in _told(fn):
            made = self.made(fn, number)
            if made is not None:
                where, failures = self._begun_at(fn, made), self._failures(fn, made)
                word = ts.FOREIGN if where is None else ts.put(ts.FOREIGN, ts.TRANSACTION)
                if failures:
                    word |= ts.put(0, ts.FAILED)
                if where is not None or failures:
                    yield number, Track(word, ((ts.TRANSACTION, where),) if where is not None else (), further=failures)

    def is_only_closed(self, fn: Function, session: Atom) -> bool:
        """Is it a session that a generator function gives to a parameter, and ends without a commit?"""
        holder = v.root(session)
        if holder[0] != v.PARAM or holder[1] != fn.id:
            return False
        if self.types.litestar.calls(fn.id) and self.types.litestar.has_hooks():
            return False
        made = self.made(fn, holder[2]) or self._made_for_object(fn, holder, session)
        if made is None or made[0] != "function":
            return False
        summary = self.summary(made[1])
        after = [track for atom, track in summary.after.tracks if type(track) is Track and _is_made_by(atom, made)]
        return bool(after) and not any(ts.may(track.word, ts.COMMITTED) for track in after)

    def made(self, fn: Function, number: int) -> Made | None:
        """The call that makes the session which a framework puts into a parameter."""
        for atom in v.ordered(self.types.param(fn, number)):
            if atom[0] == v.ANY_SESSION and atom[1].kind == MANAGED:
                made: Made | None = atom[1].made
                return made
        return None

    def _made_for_object(self, fn: Function, holder: Atom, session: Atom) -> Made | None:
        """The same for what the framework makes an object with, which it puts into a parameter: a service."""
        if session[0] != v.CTOR or session[1] != holder:
            return None
        for kind in v.ordered(self.types.param(fn, holder[2])):
            init = self.types.classes.constructor(kind[1]) if kind[0] == v.INSTANCE else None
            number = init.parameter(session[2]) if init is not None else None
            made = self.made(init, number) if init is not None and number is not None else None
            if made is not None:
                return made
        return self._made_for_given(fn, holder[2], session[2])

    def _made_for_given(self, fn: Function, number: int, name: str) -> Made | None:
        """The same, where a dependency makes it: `def orders(session=Depends(opened)): return Orders(session)`."""
        for provider in self.providers_of(fn, number):
            maker = self.types.code.functions[provider]
            for call in (statement[1] for statement in maker.statements() if statement[0] == ir.RETURN):
                given = self._argument(call, name, maker)
                place = maker.parameter(given) if type(given) is str else None
                if place is not None:
                    return self.made(maker, place)
        return None

    def _argument(self, call: Expr, name: str, scope: Function) -> Expr:
        """What a call passes to the parameter of that name, if it makes an object of the project."""
        if type(call) is tuple and call[0] == ir.CALL:
            for made in v.ordered(self.types.infer(call[1], scope)):
                init = self.types.classes.constructor(made[1]) if made[0] == v.CLASS else None
                number = init.parameter(name) if init is not None else None
                if init is not None and number is not None:
                    return argument_of(call, init, number, bound=True)
        return None

    def _begun_at(self, fn: Function, made: Made) -> Mark | None:
        where = None
        if made[0] == "function" and made[1] != fn.id:
            where = _after(self._tracks(made[1], lambda atom: _is_made_by(atom, made)), where)
        for tracks in self._left_by_dependencies(fn, made):
            where = _after(tracks, where)
        return where

    def _failures(self, fn: Function, made: Made) -> tuple[Failure, ...]:
        """Failures of the session that other dependencies have caught, and not rolled back."""
        found = []
        for tracks in self._left_by_dependencies(fn, made):
            for track in tracks:
                handler, failed = track.mark(SWALLOWED), track.mark(ts.FAILED)
                if ts.may(track.word, ts.FAILED) and handler is not None and failed is not None:
                    found.append(Failure(handler, failed, track.mark(FAILED_WRITE) is not None, before=True))
        return tuple(found)

    def _left_by_dependencies(self, fn: Function, made: Made) -> Iterator[list[Track]]:
        """What the dependencies that get the same session have left of it."""
        for provider in self.providers(fn):
            dependency = self.types.code.functions[provider]
            for number in range(len(dependency.params)):
                if self.made(dependency, number) == made:
                    parameter = (v.PARAM, provider, number)
                    yield self._tracks(provider, lambda atom, wanted=parameter: bool(atom == wanted))  # type: ignore[misc]

    def _tracks(self, function: int, wanted: Callable[[Atom], bool]) -> list[Track]:
        tracks = self.summary(function).effects.tracks
        return [track for atom, track in tracks if type(track) is Track and wanted(atom)]

    def providers(self, fn: Function) -> tuple[int, ...]:
        """The functions that a framework calls for the parameters of a function, in their order."""
        known = self._providers.get(fn.id)
        if known is None:
            scope = self.types.code.functions[fn.parent] if fn.parent is not None else fn
            found: dict[int, None] = {}
            for _, annotation, default, _ in fn.params:
                for expression in (default, annotation):
                    found.update(dict.fromkeys(self._named_by(expression, scope)))
            known = self._providers[fn.id] = tuple(found)
        return known

    def providers_of(self, fn: Function, number: int) -> list[int]:
        """The functions that it calls for one of them."""
        known = self._providers_of.get((fn.id, number))
        if known is None:
            scope = self.types.code.functions[fn.parent] if fn.parent is not None else fn
            named = (self._named_by(expression, scope) for expression in fn.params[number][2:0:-1])
            known = self._providers_of[(fn.id, number)] = [provider for found in named for provider in found]
        return known

    def rows_at_entry(self, fn: Function) -> Iterator[tuple[int, Instance]]:
        """(parameter, row) for everything that a dependency has loaded for the function."""
        return injected_rows.at_entry(self, fn) if self._in_use else iter(())

    def readers(self) -> Iterator[int]:
        """Functions that read what dependencies have loaded."""
        return injected_rows.readers(self) if self._in_use else iter(())

    def _named_by(self, expression: Expr, scope: Function) -> Iterator[int]:
        for marker, inside in self._markers(expression, scope):
            for atom in v.ordered(self.types.infer(provider_of(marker), inside)):
                if atom[0] in (v.FUNCTION, v.METHOD):
                    yield atom[1]

    def _markers(self, expression: Expr, scope: Function) -> Iterator[tuple[ir.Node, Function]]:
        """The markers in an expression, or in the alias that it names."""
        for node in walk.subexpressions(expression):
            if node[0] == ir.CALL and is_marker(node, scope, self.types, INJECTORS):
                yield node, scope
        if type(expression) is str or (type(expression) is tuple and expression[0] == ir.ATTR):
            for atom in v.ordered(self.types.symbol(expression, scope)):
                if atom[0] == v.GLOBAL:
                    module = self.types.code.modules[atom[1]]
                    top = self.types.code.functions[module.functions[0]]
                    for binding in module.names.get(atom[2], ()):
                        if binding[0] == BOUND_VALUE and type(binding[1][1]) is tuple:
                            yield from self._markers(binding[1][1], top)


def _told(fn: Function) -> Iterator[tuple[int, ir.Node]]:
    """The parameters of which the signature says something."""
    return ((number, param) for number, param in enumerate(fn.params) if param[1] is not None or param[2] is not None)


def _is_made_by(atom: Atom, made: Made) -> bool:
    return bool(atom[0] == v.SESSION and atom[2].made == made)


def _after(tracks: list[Track], where: Mark | None) -> Mark | None:
    """Where the transaction that is open after more work on the session began, given where it had begun before."""
    for track in tracks:
        if ts.must(track.word, ts.TRANSACTION):
            where = where or track.mark(ts.TRANSACTION)
        elif not ts.untouched(track.word, ts.TRANSACTION):
            where = None
    return where


__all__ = ["Injection"]
