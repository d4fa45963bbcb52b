"""Rows that a dependency loads and a framework hands to the function that depends on it: `user: User = Depends(...)`.

They are in the session of the dependency, which the function mostly gets as well, as the dependency has left them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.classes import RELATIONSHIP
from hermetic.engine.link import Function
from hermetic.engine.state import DETACHED, ENTITY_FOREIGN, EXPUNGED, STALE, Instance
from hermetic.engine.values import Atom

if TYPE_CHECKING:
    from hermetic.engine.injection import Injection
    from hermetic.engine.types import Types

LONGEST_CHAIN = 3  # `active_user` depends on `current_user`, which depends on `user`


def at_entry(injection: Injection, fn: Function) -> Iterator[tuple[int, Instance]]:
    """(parameter, what is known of it) for every row that comes from a dependency. Endpoints are decorated."""
    for number in _of_models(injection.types, fn) if fn.decorators else ():
        known = _row(injection, fn, number, LONGEST_CHAIN)
        if known is not None:
            ended = known.mark(DETACHED)
            known = known.clear(STALE)  # what a dependency waits for, to know who asks, is no step of the operation
            # Of what stays readable after the end, every endpoint would have to be told.
            yield number, known if ended is None else known.put(EXPUNGED, ended)


def readers(injection: Injection) -> Iterator[int]:
    """Functions that may have nothing to do with sessions but for such rows: they read relationships of them, or give
    them to the framework to read."""
    for fn in injection.types.code.functions:
        if fn.decorators and fn.params:
            for number in _of_models(injection.types, fn):
                if _is_looked_into(injection.types, fn, number) and injection.providers_of(fn, number):
                    yield fn.id


def _of_models(types: Types, fn: Function) -> Iterator[int]:
    for number, param in enumerate(fn.params):
        if (param[1] is not None or param[2] is not None) and (number or fn.class_id is None):
            if _model(types, fn, number) is not None:
                yield number


def _model(types: Types, fn: Function, number: int) -> int | None:
    for atom in v.ordered(types.param(fn, number)):
        if atom[0] == v.INSTANCE and types.classes.is_model(atom[1]):
            return int(atom[1])
    return None


def _is_looked_into(types: Types, fn: Function, number: int) -> bool:
    name, model = fn.params[number][0], _model(types, fn, number)
    if any(statement[0] == ir.RETURN and statement[1] == name for statement in fn.statements()):
        return True
    return model is not None and any(
        types.classes.attribute_kind(model, attribute) == RELATIONSHIP
        for attribute, nodes in fn.attributes().items()
        if any(node[1] == name for node in nodes)
    )


def _row(injection: Injection, fn: Function, number: int, depth: int) -> Instance | None:
    providers = injection.providers_of(fn, number)
    provider = injection.types.code.functions[providers[0]] if len(providers) == 1 else None
    if provider is None or provider.is_generator or not depth:
        return None
    summary = injection.summary(provider.id)
    given = [atom for atom in summary.returns if atom[0] not in (v.CONSTANT, v.DERIVED)]
    found = next((known for atom, known in summary.effects.tracks if given == [atom]), None)
    if len(given) == 1 and given[0][:2] == (v.PARAM, provider.id) and (found is None or _is_untouched(found)):
        found = _row(injection, provider, given[0][2], depth - 1)
    return found._replace(owner=_owner(injection, fn, found.owner)) if type(found) is Instance else None


def _is_untouched(known: object) -> bool:
    return type(known) is Instance and known.word == ENTITY_FOREIGN and not known.marks


def _owner(injection: Injection, fn: Function, owner: Atom | None) -> Atom | None:
    """The session of the row: the function's own parameter, if it gets the same one."""
    if owner is None or owner[0] != v.PARAM:
        return owner
    made = injection.made(injection.types.code.functions[owner[1]], owner[2])
    same = (other for other in range(len(fn.params)) if made is not None and injection.made(fn, other) == made)
    mine = next(same, None)
    return owner if mine is None else (v.PARAM, fn.id, mine)
