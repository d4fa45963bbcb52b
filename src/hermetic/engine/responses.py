"""What a framework reads of the rows that a route returns, to make the response of them.

FastAPI fills the `response_model` of a route, or what its function is said to return, when the function has returned
and its blocks have ended; the sessions of its dependencies are still open then. Every attribute that a field of the
schema names is read, whether the field has a default, is excluded or not.
https://fastapi.tiangolo.com/tutorial/response-model/

Heuristic with limits: a schema, a list of them, and either of these or None; not generic classes around a schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.observations import EndedUse
from hermetic.engine.run import Run
from hermetic.engine.schemas import Field, fields, is_schema, read
from hermetic.engine.stale import row_class
from hermetic.engine.state import LOADED, Instance, Mark, State
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models.frameworks import ADD_ROUTE, RESPONSE_MODEL, ROUTE_METHODS, ROUTERS, WRITING_METHODS

if TYPE_CHECKING:
    from hermetic.engine.types import Types

# What ends in no error, and is as the author of the route has tried it.
WORKS = frozenset(("loaded", "deleted"))


class Responses:
    """Which schema a route's function is to fill."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._in_use = any(
            item[1] is not None and item[1].partition(".")[0] == "fastapi"
            for module in types.code.modules
            for item in module.imports
        )
        self._known: dict[int, Value] = {}
        self._added: dict[int, tuple[Node, Function]] | None = None

    def of(self, fn: Function) -> Value:
        """The type that a framework fills from what the function returns, as far as one does."""
        if not self._in_use:
            return v.UNKNOWN
        known = self._known.get(fn.id)
        if known is None:
            known = self._known[fn.id] = self._of(fn)
        return known

    def is_told_to_write(self, fn: Function) -> bool:
        """Is it a route of a method by which a client asks for something to be changed?"""
        return self._in_use and any(
            last_name(decorator) in WRITING_METHODS and self._is_route(decorator, fn) for decorator in fn.decorators
        )

    def _of(self, fn: Function) -> Value:
        for decorator in fn.decorators:
            if self._is_route(decorator, fn):
                return self._model(decorator, fn, fn)
        added = self._registered().get(fn.id)
        return self._model(added[0], added[1], fn) if added is not None else v.UNKNOWN

    def _is_route(self, decorator: Expr, fn: Function) -> bool:
        """`@router.get("/", ...)`; of an unknown object, if it is given what only such routes take."""
        if type(decorator) is not tuple or decorator[0] != ir.CALL or last_name(decorator) not in ROUTE_METHODS:
            return False
        callee = decorator[1]
        if type(callee) is not tuple or callee[0] != ir.ATTR:
            return False
        scope = self._types.code.functions[fn.parent] if fn.parent is not None else fn
        routers = self._types.infer(callee[1], scope)
        if not routers:
            return any(name == RESPONSE_MODEL for name, _ in decorator[3])
        return any(self._is_router(atom) for atom in routers)

    def _is_router(self, atom: Atom) -> bool:
        if atom[0] == v.INSTANCE:
            return not ROUTERS.isdisjoint(self._types.classes.external_bases(atom[1]))
        return bool(atom[0] == v.EXT_OBJECT and atom[1] in ROUTERS)

    def _model(self, route: Node, scope: Function, fn: Function) -> Value:
        for name, value in route[3]:
            if name == RESPONSE_MODEL:
                return self._types.annotation(value, scope)
        return self._types.annotation(fn.returns, fn)

    def _registered(self) -> dict[int, tuple[Node, Function]]:
        """`router.add_api_route("/", function, response_model=...)`: function -> the call, and where that stands."""
        if self._added is None:
            self._added = {}
            for user in self._types.code.users_of(ADD_ROUTE):
                scope = self._types.code.functions[user]
                for call in scope.calls_of(ADD_ROUTE):
                    endpoint = call[2][1] if len(call[2]) > 1 else dict(call[3]).get("endpoint")
                    for atom in self._types.infer(endpoint, scope):
                        if atom[0] in (v.FUNCTION, v.METHOD):
                            self._added.setdefault(atom[1], (call, scope))
        return self._added


def observe(run: Run, state: State, returned: Value) -> None:
    """The function has ended and gives `returned`: what does the response read of the rows in it?"""
    wanted = run.solver.responses.of(run.fn)
    for row, schema in _pairs(run, returned, wanted) if wanted else ():
        for value, line in run.returned:
            if any(other == row for other, _ in _pairs(run, value, wanted)):
                _read(run, state.copy(), row, schema, run.line_mark(line))
                break


def _pairs(run: Run, value: Value, wanted: Value) -> Iterator[tuple[Atom, int]]:
    """The rows in a value, each with the schema that stands in its place of the type. Of several types one may do
    where another fails."""
    if len(wanted) != 1:
        return
    (type_,) = wanted
    if type_[0] == v.INSTANCE and is_schema(run, type_[1]):
        yield from ((atom, type_[1]) for atom in v.ordered(value) if row_class(run, atom) is not None)
    elif type_[0] == v.MANY:
        yield from _pairs(run, v.elements(value), type_[1])


def _read(run: Run, state: State, row: Atom, schema: int, at: Mark) -> None:
    """Every field is read; what comes of it is the route's finding."""
    known, model = state.instance(row), row_class(run, row)
    if known is None or model is None or schema in run.types.classes.mro(model):
        return  # an instance of the schema is taken as it is
    for field in fields(run, schema, model):
        if _is_known(row, known, field, run):
            outer, run.observations = run.observations, {}
            read(run, state, row, field, at)
            found, run.observations = run.observations, outer
            for key, use in found.items():
                if type(use) is EndedUse and use.why not in WORKS:
                    run.observe(key, use._replace(read_for=field.at))


def _is_known(row: Atom, known: Instance, field: Field, run: Run) -> bool:
    """A row that the function was given may have all that its giver has loaded."""
    return row[0] != v.PARAM or known.mark(LOADED) is not None
