"""Arguments of a call as they are written, by the callee's parameters."""

from __future__ import annotations

from hermetic.engine import ir
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.walk import last_name
from hermetic.models.python import OFFLOADING_METHODS, OFFLOADS, SPAWNING_METHODS, SPAWNS

# By last name, which argument of a call is the function that it calls with those that follow. Not `run_sync`: that of a
# session gives the function one argument more.
_HANDED_ON = {
    **{name.rpartition(".")[2]: place for name, place in OFFLOADS.items()},
    **OFFLOADING_METHODS,
    **SPAWNING_METHODS,
    "partial": 0,  # https://docs.python.org/3/library/functools.html
}
del _HANDED_ON["run_sync"]
# Those that have the function, and its arguments, in keywords.
STARTING = tuple(sorted({name.rpartition(".")[2] for name, place in SPAWNS.items() if place < 0}))
HANDING_ON = frozenset((*_HANDED_ON, *STARTING))


def argument_of(node: Node, fn: Function, number: int, bound: bool) -> Expr:
    """The argument expression that a call gives to a parameter; `bound` if the receiver is not among them."""
    name = fn.params[number][0]
    for keyword, value in node[3]:
        if keyword == name:
            return value
    place = number - 1 if bound else number
    if 0 <= place < len(node[2]):
        argument = node[2][place]
        starred = any(type(item) is tuple and item[0] == ir.STAR for item in node[2][: place + 1])
        return None if starred else argument
    return None


def calls_through(caller: Function, name: str) -> list[Node]:
    """The calls of what has that last name that others make: `to_thread(save, row)` is one of `save(row)`."""
    if HANDING_ON.isdisjoint(caller.identifiers):
        return []
    found = []
    for through in STARTING:
        for node in caller.calls_of(through):
            options = dict(node[3])
            given, packed = options.get("target"), options.get("args")
            if given is not None and last_name(given) == name and type(packed) is tuple and packed[0] == ir.SEQ:
                found.append((node[0], given, packed[2], (), node[4]))
    for through, place in _HANDED_ON.items():
        for node in caller.calls_of(through):
            given = node[2][place : place + 1]
            if given and last_name(given[0]) == name and (type(given[0]) is str or given[0][0] == ir.ATTR):
                found.append((node[0], given[0], node[2][place + 1 :], *node[3:]))
    return found
