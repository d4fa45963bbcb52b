"""Arguments of a call as they are written, by the callee's parameters."""

from __future__ import annotations

from hermetic.engine import ir
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function


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
