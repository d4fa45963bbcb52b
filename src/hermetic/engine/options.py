"""`expire_on_commit` on its way to the factory that it is meant for: by keyword, or inside of `**options`.

A `**` parameter is known by its place; beside that place stands, as a constant, what was said in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from hermetic.engine import ir, values as v
from hermetic.engine.link import Function
from hermetic.engine.values import Value

EXPIRE = "expire_on_commit"

# What a function with `**options` was told by this call: the beginning of a fact in its key.
FACT = "option "

SAID = {said: v.one((v.CONSTANT, (EXPIRE, said))) for said in (True, False)}


def expiring(kwargs: Mapping[str | None, Value], default: bool | None) -> bool | None:
    """What a call says of expire_on_commit; None if it says something that is not known."""
    if EXPIRE in kwargs:
        constants = {atom[1] for atom in kwargs[EXPIRE] if atom[0] == v.CONSTANT}
        return bool(constants.pop()) if len(constants) == 1 else None
    said = _said(kwargs.get(None, v.UNKNOWN))
    return default if not said else said.pop() if len(said) == 1 else None


def rest(kwargs: Mapping[str | None, Value]) -> Value:
    """What a `**` parameter holds of it."""
    found = expiring(kwargs, None)
    return v.UNKNOWN if found is None else SAID[found]


def parameter(fn: Function) -> int | None:
    """The number of a function's `**` parameter; behind it stands only what is taken out of it."""
    if not fn.params or fn.params[-1][3] not in (ir.KWARGS, ir.OPTION):
        return None
    return next(number for number, param in enumerate(fn.params) if param[3] == ir.KWARGS)


def fact(value: Value) -> str | None:
    """As a part of a key."""
    said = _said(value)
    return f"{FACT}{said.pop()}" if len(said) == 1 else None


def at_entry(place: v.Atom, fact: str) -> Value:
    """The `**` parameter of a function that is called so."""
    return SAID[fact == f"{FACT}{True}"] | {place}


def stored(value: Value, key: Value, item: Value, only_if_missing: bool) -> Value:
    """`options["expire_on_commit"] = False`, `options.setdefault("expire_on_commit", False)`"""
    said = _said(value)
    if key != v.one((v.CONSTANT, EXPIRE)) or (only_if_missing and said):
        return value
    without = frozenset(atom for atom in value if not _is_said(atom))
    constants = {bool(atom[1]) for atom in item if atom[0] == v.CONSTANT}
    return without | SAID[constants.pop()] if len(constants) == 1 else without


def _said(value: Value) -> set[bool]:
    return {atom[1][1] for atom in value if _is_said(atom)}


def _is_said(atom: v.Atom) -> bool:
    return atom[0] == v.CONSTANT and type(atom[1]) is tuple and atom[1][:1] == (EXPIRE,)
