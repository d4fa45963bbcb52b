"""A function's control flow as blocks and edges, exceptional exits included, as text.

The interpreter walks structured statements and keeps no graph; this draws the ways that it takes. A block with an
edge `raise` may be left after any of its statements. `finally`, and the leaving of a `with`, are drawn once: each
kind of exit that enters one goes on from its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hermetic.engine import ir, walk
from hermetic.engine.ir import Block, Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.walk import last_name
from hermetic.models.exceptions import CATCH_ALL
from hermetic.report import debug_ir

EXITS = {"next": "exit: end of the body", "return": "exit: return", "raise": "exit: exception"}
MAY_RAISE = frozenset((ir.CALL, ir.AWAIT, ir.YIELD, ir.YIELD_FROM))


@dataclass(eq=False)
class _Piece:
    """A run of statements with one way in, and the edges out of it: (kind, block or exit)."""

    number: int
    lines: list[tuple[int, str]] = field(default_factory=list)
    edges: dict[tuple[str, int | str], None] = field(default_factory=dict)


@dataclass
class _Loop:
    head: int
    after: int


@dataclass
class _Try:
    handlers: list[int]
    catches_all: bool


@dataclass
class _Final:
    entry: int
    pending: dict[str, None] = field(default_factory=dict)


def render(fn: Function) -> str:
    """Every block with its statements and where it leads."""
    graph = _Graph()
    graph.block(fn.body)
    graph.leave("next")
    shown = [piece for piece in graph.entered if piece.lines] or graph.entered[:1]
    names: dict[int | str, str] = {piece.number: f"block {place}" for place, piece in enumerate(shown)}
    reached = {graph.end_of(target) for piece in graph.entered for _, target in piece.edges}
    out = [debug_ir.head(fn)]
    for piece in shown:
        remark = "" if piece.number in reached else "  (nothing leads here)"
        out += ["", f"{names[piece.number]}{'  (entry)' if piece is shown[0] else remark}"]
        out += [f"{line:>5}  {text}" for line, text in piece.lines]
        ways = {(kind, graph.end_of(target)): None for kind, target in piece.edges}
        out += [f"       -> {kind}: {names.get(end, str(end))}" for kind, end in ways]
    return "\n".join(out)


class _Graph:
    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.entered: list[_Piece] = []  # in source order
        self.frames: list[_Loop | _Try | _Final] = []
        self._enter(self._new())

    # -- edges --------------------------------------------------------------------------------------------------

    def _new(self) -> _Piece:
        self.pieces.append(_Piece(len(self.pieces)))
        return self.pieces[-1]

    def _edge(self, kind: str, target: int) -> None:
        if self.live:
            self.current.edges[kind, target] = None

    def _enter(self, piece: _Piece) -> None:
        self.current, self.live = piece, True
        if piece not in self.entered:
            self.entered.append(piece)

    def end_of(self, target: int | str) -> int | str:
        """Where an edge leads, behind blocks in which nothing happens."""
        while type(target) is int and not self.pieces[target].lines and len(self.pieces[target].edges) == 1:
            ((_, target),) = self.pieces[target].edges
        return target

    def _begin(self, kind: str) -> _Piece:
        """Go on in a new block."""
        piece = self._new()
        self._edge(kind, piece.number)
        self._enter(piece)
        return piece

    def leave(self, kind: str) -> None:
        """An edge out of the frames around this point: as far as something takes it."""
        if self.live:
            for target in self._takers(kind):
                self.current.edges[kind, target] = None
        self.live = self.live and kind == "raise"

    def _takers(self, kind: str) -> list[int | str]:
        found: list[int | str] = []
        for frame in reversed(self.frames):
            if isinstance(frame, _Loop) and kind in ("break", "continue"):
                return [frame.after if kind == "break" else frame.head]
            if isinstance(frame, _Try) and kind == "raise":
                found += frame.handlers
                if frame.catches_all:
                    return found
            elif isinstance(frame, _Final):
                frame.pending[kind] = None
                return [*found, frame.entry]
        return [*found, EXITS[kind]]

    # -- statements ---------------------------------------------------------------------------------------------

    def block(self, body: Block) -> None:
        for node in body:
            if not self.live:
                self._enter(self._new())
            self._statement(node)

    def _say(self, line: int, text: str, *expressions: Expr) -> None:
        self.current.lines.append((line, text))
        if any(part[0] in MAY_RAISE for expression in expressions for part in walk.subexpressions(expression)):
            self.leave("raise")

    def _statement(self, node: Node) -> None:
        kind = node[0]
        if kind == ir.IF:
            self._if(node)
        elif kind == ir.FOR:
            self._loop(node, node[3], node[4])
        elif kind == ir.WHILE:
            self._loop(node, node[2], node[3])
        elif kind == ir.TRY:
            self._try(node)
        elif kind == ir.WITH:
            self._with(node, node[1])
        else:
            self._simple(node)

    def _simple(self, node: Node) -> None:
        self._say(debug_ir.line_of(node), debug_ir.statement(node), *walk.own_expressions(node))
        if node[0] in (ir.RAISE, ir.ASSERT):
            self.leave("raise")
            self.live = node[0] == ir.ASSERT
        elif node[0] in JUMPS:
            self.leave(JUMPS[node[0]])

    def _if(self, node: Node) -> None:
        self._say(node[4], debug_ir.statement(node), node[1])
        fork, after = self.current, self._new()
        for kind, body in (("true", node[2]), ("false", node[3])):
            self._enter(fork)
            if body:
                self._begin(kind)
                self.block(body)
                self._edge("next", after.number)
            else:
                self._edge(kind, after.number)
        self._enter(after)
        self.live = self._is_entered(after)

    def _is_entered(self, piece: _Piece) -> bool:
        return any(target == piece.number for other in self.pieces for _, target in other.edges)

    def _loop(self, node: Node, body: Block, orelse: Block) -> None:
        head = self._begin("next")
        self._say(debug_ir.line_of(node), debug_ir.statement(node), *walk.own_expressions(node))
        after = self._new()
        is_for = node[0] == ir.FOR
        self.frames.append(_Loop(head.number, after.number))
        self._begin("next item" if is_for else "true")
        self.block(body)
        self._edge("again", head.number)
        self.frames.pop()
        self._enter(head)
        if is_for or node[1] != ir.TRUE:
            kind = "no more items" if is_for else "false"
            if orelse:
                self._begin(kind)
                self.block(orelse)
                kind = "next"
            self._edge(kind, after.number)
        self._enter(after)
        self.live = self._is_entered(after)

    def _try(self, node: Node) -> None:
        _, body, handlers, orelse, final, line = node
        after = self._new()
        closing = _Final(self._new().number) if final else None
        if closing is not None:
            self.frames.append(closing)
        pieces = [self._new() for _ in handlers]
        self.current.lines.append((line, "try:"))
        self.frames.append(_Try([piece.number for piece in pieces], any(_catches_all(item[0]) for item in handlers)))
        self._begin("next")
        self.block(body)
        self.frames.pop()
        if orelse:
            if self.live:
                self._begin("else")
            self.block(orelse)
        self._pass_on(closing, after)
        for item, piece in zip(handlers, pieces, strict=True):
            self._enter(piece)
            self.live = self._is_entered(piece)
            piece.lines.append((item[2], debug_ir.handler(item)))
            self.block(item[3])
            self._pass_on(closing, after)
        if closing is not None:
            self._finish(closing, final, after)
        self._enter(after)
        self.live = self._is_entered(after)

    def _pass_on(self, closing: _Final | None, after: _Piece) -> None:
        """The normal end of a part of a `try` or `with`."""
        if closing is None:
            self._edge("next", after.number)
        elif self.live:
            self._edge("next", closing.entry)
            closing.pending["next"] = None

    def _finish(self, closing: _Final, final: Block, after: _Piece, swallows: bool = False) -> None:
        """Draw what every exit passes, and from its end each of them goes on."""
        self.frames.pop()
        self._enter(self.pieces[closing.entry])
        if final:
            self.current.lines.append((debug_ir.line_of(final[0]), "finally:"))
            self.block(final)
        going_on = self.live
        for kind in closing.pending:
            self.live = going_on
            if kind == "next":
                self._edge("next", after.number)
            else:
                self.leave(kind)
                if kind == "raise" and swallows:
                    self._edge("swallowed", after.number)

    def _with(self, node: Node, items: tuple[tuple[Expr, Expr], ...]) -> None:
        """Item by item, as if each had a `with` of its own."""
        if not items:
            self.block(node[2])
            return
        line = node[3]
        self._say(line, debug_ir.statement((ir.WITH, items[:1], (), line, node[4])), items[0][0])
        self.leave("raise")  # entering may fail, too
        after, entry = self._new(), self._new()
        entry.lines.append((line, f"leave {debug_ir.expression(items[0][0])}"))
        closing = _Final(entry.number)
        self.frames.append(closing)
        self._begin("next")
        self._with(node, items[1:])
        self._pass_on(closing, after)
        self._finish(closing, (), after, swallows=last_name(items[0][0]) == "suppress")
        self._enter(after)
        self.live = self._is_entered(after)


JUMPS = {ir.RETURN: "return", ir.BREAK: "break", ir.CONTINUE: "continue"}


def _catches_all(types: Expr) -> bool:
    if types is None:
        return True
    names = types[2] if type(types) is tuple and types[0] == ir.SEQ else (types,)
    return any(last_name(name) in CATCH_ALL for name in names)
