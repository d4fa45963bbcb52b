"""What an application keeps for its requests: `app.state.shop = Shop()` here, `request.app.state.shop` elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr
from hermetic.engine.link import Function
from hermetic.engine.session_types import MANAGED, PLAIN
from hermetic.engine.values import Atom, Value
from hermetic.models.frameworks import APPLICATION_OF_A_REQUEST, APPLICATIONS, STATE_ATTRIBUTES

if TYPE_CHECKING:
    from hermetic.engine.types import Types

ATTRIBUTES = frozenset(STATE_ATTRIBUTES.values())


class AppState:
    """Questions about such attributes; all of one name are taken to be the same, whatever they are reached through."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def kept(self, base: Value, name: str) -> Value:
        """What `base.name` can be, if `base` is the state of an application or a request."""
        if not any(_is_state(atom) for atom in base) or not self._types.code.stores_to(name):
            return v.UNKNOWN
        kept = self._types.ask(("app state", name), lambda: self._kept(name))
        if not any(atom[0] == v.ANY_SESSION for atom in kept):
            return kept
        of_all = any(_is_of_an_application(atom) for atom in base)
        return frozenset(atom for atom in kept if atom[0] != v.ANY_SESSION or (atom[1].kind == MANAGED) != of_all)

    def _kept(self, name: str) -> Value:
        out = v.UNKNOWN
        for function in dict.fromkeys(function for function, _ in self._types.code.stores_to(name)):
            fn = self._types.code.functions[function]
            for state, value in self._stored(fn, name):
                out = v.union(out, _lasting(state, self._types.infer(value, fn)))
        return out

    def _stored(self, fn: Function, name: str) -> Iterator[tuple[Atom, Expr]]:
        """What a function puts under a name into the state of an application or a request."""
        for statement in fn.statements():
            for target in statement[1] if statement[0] == ir.ASSIGN else ():
                if type(target) is tuple and target[0] == ir.ATTR and target[2] == name and _names_state(target[1]):
                    for atom in v.ordered(self._types.infer(target[1], fn)):
                        if _is_state(atom):
                            yield atom, statement[2]


def _names_state(expression: Expr) -> bool:
    return type(expression) is tuple and expression[0] == ir.ATTR and expression[2] in ATTRIBUTES


def _lasting(state: Atom, value: Value) -> Value:
    """Objects, and sessions as they are for whoever finds them there: an application's serves all requests, a request's
    is ended by who has put it there."""
    out = set()
    for atom in value:
        if atom[0] == v.INSTANCE:
            out.add(atom)
        elif atom[0] == v.ANY_SESSION and atom[1].kind == PLAIN:
            of_all = _is_of_an_application(state)
            out.add(v.made_where(atom, "start-up") if of_all else (atom[0], atom[1]._replace(kind=MANAGED, made=None)))
    return frozenset(out)


def _is_of_an_application(state: Atom) -> bool:
    """Is it `app.state` or `request.app.state`, not `request.state`?"""
    holder = state[1]
    if holder[0] == v.OPERATION:
        return bool(holder[2] == APPLICATION_OF_A_REQUEST)
    return str(holder[1]).rpartition(".")[2] in APPLICATIONS


def is_of_a_request(atom: Atom) -> bool:
    """Is it `request.state`?"""
    return _is_state(atom) and not _is_of_an_application(atom)


def _is_state(atom: Atom) -> bool:
    """Is it `something.state`, of an object of a library that keeps such state there?"""
    if atom[0] != v.OPERATION or atom[2] not in ATTRIBUTES:
        return False
    holder = atom[1]
    while holder[0] == v.OPERATION:
        holder = holder[1]
    return holder[0] == v.EXT_OBJECT and bool(STATE_ATTRIBUTES.get(str(holder[1]).partition(".")[0]) == atom[2])
