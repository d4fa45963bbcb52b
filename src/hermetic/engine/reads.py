"""What a function reads of the rows that it is given, whichever way it goes: seen without interpreting it.

Heuristic with limits: a read counts that no test stands before, but for one whether the row is there at all. Operands
behind the first of `and` and `or`, both sides of `x if y else z`, handlers, and what follows a test that may leave the
function do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hermetic.engine import ir
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.walk import blocks


class ReadAttribute(NamedTuple):
    """`parameter.attribute` is read at `position`; `of_items`: of each item of the parameter."""

    number: int
    of_items: bool
    attribute: str
    position: ir.Pos


class CertainReads(NamedTuple):
    """The reads, the places of the attributes and calls that a run of the function comes by, and the parameters that
    it gives to other calls, which may load what they lack."""

    reads: tuple[ReadAttribute, ...]
    places: frozenset[ir.Pos]
    handed_on: frozenset[int]


class _Reader:
    """Walks the part of a body that every run comes through."""

    def __init__(self, fn: Function) -> None:
        bound = fn.bindings()
        self.rows = {param[0]: (number, False) for number, param in enumerate(fn.params) if param[0] not in bound}
        self.reads: list[ReadAttribute] = []
        self.places: set[ir.Pos] = set()

    def block(self, body: Block) -> bool:
        """Walk a block; False if what follows it may not be reached."""
        return all(self.statement(node) for node in body)

    def statement(self, node: Node) -> bool:
        kind = node[0]
        if kind == ir.IF:
            self.expression(node[1])
            return self._is_presence(node[1]) or not (_leaves(node[2]) or _leaves(node[3]))
        if kind == ir.FOR:
            self.expression(node[2])
            self._items(node[1], node[2])
            self.block(node[3])
            return True
        if kind == ir.WHILE:
            self.expression(node[1])
            return True
        if kind == ir.WITH:
            for context, _ in node[1]:
                self.expression(context)
            return self.block(node[2])
        if kind == ir.TRY:
            return self.block(node[1])
        if kind in (ir.EXPR, ir.RETURN, ir.RAISE, ir.ASSERT):
            self.expression(node[1])
        elif kind == ir.ASSIGN:
            self.expression(node[2])
        elif kind == ir.AUG:
            self.expressions(node[1:3])
        return kind not in (ir.RETURN, ir.RAISE, ir.BREAK, ir.CONTINUE)

    def _items(self, target: Expr, iterable: Expr) -> None:
        row = self.rows.get(iterable) if type(iterable) is str else None
        if row is not None and type(target) is str and not row[1]:
            self.rows[target] = (row[0], True)

    def _is_presence(self, test: Expr) -> bool:
        """Does the test ask whether a row is there? A caller that has one goes on."""
        if type(test) is tuple and test[0] == ir.NOT:
            test = test[1]
        elif type(test) is tuple and test[0] == ir.CMP and test[3] == ir.NONE:
            test = test[2]
        return type(test) is str and test in self.rows

    def expressions(self, parts: Iterable[Expr]) -> None:
        for part in parts:
            self.expression(part)

    def expression(self, node: Expr) -> None:
        if type(node) is not tuple:
            return
        kind = node[0]
        if kind == ir.ATTR:
            self._attribute(node)
        elif kind == ir.CALL:
            self.places.add(node[4])
            self.expressions((node[1], *node[2], *(value for _, value in node[3])))
        elif kind == ir.BOOL:
            self.expressions(node[2][:1])
        elif kind == ir.IFEXP:
            self.expression(node[1])
        elif kind == ir.COMP:
            self._comprehension(node)
        elif kind == ir.DICT:
            self.expressions((*node[1], *node[2]))
        elif kind == ir.CMP:
            self.expressions(node[2:4])
        elif kind == ir.SUB:
            self.expressions(node[1:3])
        elif kind == ir.SEQ:
            self.expressions(node[2])
        elif kind == ir.MIX:
            self.expressions(node[1])
        elif kind == ir.NAMED:
            self.expression(node[2])
        elif kind in (ir.AWAIT, ir.NOT, ir.STAR, ir.YIELD, ir.YIELD_FROM):
            self.expression(node[1])

    def _attribute(self, node: Node) -> None:
        row = self.rows.get(node[1]) if type(node[1]) is str else None
        self.places.add(node[3])
        if row is not None:
            self.reads.append(ReadAttribute(*row, node[2], node[3]))
        else:
            self.expression(node[1])

    def _comprehension(self, node: Node) -> None:
        clauses = node[3]
        self.expression(clauses[0][1])
        if len(clauses) == 1:
            self._items(clauses[0][0], clauses[0][1])
            self.expressions(clauses[0][2][:1])
            if not clauses[0][2]:
                self.expression(node[2])


def _leaves(block: Block) -> bool:
    return any(
        node[0] in (ir.RETURN, ir.RAISE, ir.BREAK, ir.CONTINUE) or any(map(_leaves, blocks(node))) for node in block
    )


def certain_reads(fn: Function) -> CertainReads:
    """What every run of the function reads of its parameters."""
    reader = _Reader(fn)
    reader.block(fn.body)
    given = {argument for call in fn.calls() for argument in (*call[2], *(value for _, value in call[3]))}
    handed_on = frozenset(number for number, param in enumerate(fn.params) if param[0] in given)
    return CertainReads(tuple(reader.reads), frozenset(reader.places), handed_on)
