"""One interpretation of one function: the frame that the transfer functions work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hermetic.engine import ir, values as v
from hermetic.engine.inheritance import class_passed_up
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.merging import merge
from hermetic.engine.observations import EndedUse
from hermetic.engine.session_types import MANAGED, SessionType
from hermetic.engine.state import Mark, State, Track
from hermetic.engine.values import Atom, Value

if TYPE_CHECKING:
    from hermetic.engine.solve import Solver

# Why control leaves a point exceptionally.
DATABASE_ERROR = "database"  # a statement failed
ERROR = "error"  # some call failed
EXPLICIT = "explicit"  # a `raise` of the code at hand
THROWN = "thrown"  # thrown into a generator at its yield


# Pseudo attribute for the items of a collection; what they are is learned where it is iterated over.
ITEM = "[]"

# Pseudo attributes of an instance, see `fields.SESSION_OF`
SESSION_FLAVOURS = {"$session": "sync", "$async_session": "async"}


# What is stored where no assignment says.
CALLED: Node = (ir.CALL, None, (), (), None)


class Raised(NamedTuple):
    """An exceptional exit: why, where, and the state there. `names` are the classes of an explicit raise."""

    kind: str
    names: frozenset[str]
    state: State
    mark: Mark


class Exits:
    """How a block was left other than by its end."""

    __slots__ = ("breaks", "continues", "last", "raises", "returns")

    def __init__(self) -> None:
        self.raises: list[Raised] = []
        self.returns: list[State] = []
        self.breaks: list[State] = []
        self.continues: list[State] = []
        self.last: dict[tuple[str, frozenset[str]], tuple[Any, int]] = {}

    def absorb(self, other: Exits) -> None:
        """Let everything that left an inner block leave this one too."""
        self.raises.extend(other.raises)
        self.returns.extend(other.returns)
        self.breaks.extend(other.breaks)
        self.continues.extend(other.continues)


class Yield(NamedTuple):
    """A point at which a generator hands a value out, and the state there."""

    value: Value
    state: State
    mark: Mark


class Told(NamedTuple):
    """A call at this position may have swallowed a failure of a session, which is `failed` then, and tells so by giving
    this value."""

    position: tuple[int, int, int, int]
    session: Atom
    failed: Track
    value: Value


class Run:
    """`frames`: variables of the functions around a call that is interpreted in place, by function."""

    __slots__ = (
        "assigns",
        "awaited",
        "blocking",
        "by_itself",
        "call_node",
        "caught",
        "code",
        "depth",
        "disposed",
        "doubtful",
        "edits",
        "ending",
        "engines",
        "entered",
        "exits",
        "fn",
        "forgotten",
        "frames",
        "globals",
        "governs",
        "independent",
        "item_types",
        "kept",
        "lazily",
        "loops",
        "made_from",
        "made_in",
        "made_once",
        "observations",
        "offloaded",
        "opened",
        "place_types",
        "raising_again",
        "readings",
        "reads",
        "rechecks",
        "returned",
        "rollbacks",
        "salt",
        "served",
        "shared_uses",
        "slow",
        "solver",
        "stored",
        "task_waits",
        "told",
        "trying",
        "types",
        "unwinding",
        "unwrapped",
        "via",
        "waited",
        "waits",
        "writes_after_wait",
        "yields",
    )

    def __init__(
        self, solver: Solver, fn: Function, depth: int = 0, frames: dict[int, dict[str, Value]] | None = None
    ) -> None:
        self.solver = solver
        self.types = solver.types
        self.code = solver.code
        self.fn = fn
        self.depth = depth
        self.frames = frames or {}
        self.salt = fn.id if depth else 0  # keeps what an inlined callee makes apart from what its caller makes
        self.call_node: Node | None = None
        self.awaited: Expr = None  # the operand of the `await` at hand
        self.by_itself: Expr = None  # what the statement at hand is, if it does nothing with the value
        self.stored: Expr = CALLED  # what the assignment at hand stores
        self.exits = Exits()
        self.told: Told | None = None  # by the last call
        self.ending = 0  # in `finally` blocks that an exception passes on its way out
        self.unwinding = 0  # in blocks that an exception passes on its way out
        self.trying = 0  # how many `try` with handlers are around the point at hand
        self.caught: list[tuple[Mark, int]] = []  # the handlers around it, innermost last, with `trying` at each
        self.raising_again = 0  # handlers around here that end by raising
        self.loops: list[int] = []  # the loops around it, by line
        self.offloaded = 0
        # Functions whose wrappers are being interpreted, with the keywords that each was called with.
        self.unwrapped: dict[int, dict[str | None, Value]] = {}
        self.via: tuple[tuple[int, tuple[int, int, int, int]], ...] = ()  # (module, call) of these, the outermost first
        self.place_types = solver.place_types
        self.item_types: dict[Atom, Value] = {}  # items of what was iterated over, and what is reached through them
        self.globals = solver.globals_of(fn)
        self.readings: dict[tuple[Atom, str], Any] = {}  # see `attributes`
        self._begin()

    def _begin(self) -> None:
        """Nothing has been found yet."""
        self.forgotten: set[Mark] = set()  # where tasks were started that nobody kept, to wait for them
        self.observations: dict[tuple[Any, ...], Any] = {}
        self.blocking: dict[Any, tuple[Mark, int | None]] = {}
        self.rechecks = False  # something was locked or refreshed
        self.slow: tuple[str, Mark] | None = None  # the first wait
        self.edits = False  # a copy of a row was changed after it
        # What tasks that were started here wait for, by what starting one gives.
        self.task_waits: dict[Atom, tuple[str, Mark]] = {}
        # Slow steps, the first for each set of the caller's sessions whose transaction is not as it was at entry.
        self.waits: dict[frozenset[Atom], tuple[str, Mark]] = {}
        self.waited: set[tuple[int, int]] = set()  # (line, column) of every slow step
        self.writes_after_wait = False
        self.shared_uses: dict[tuple[str, int, int, int], Mark] = {}
        self.yields: list[Yield] = []
        # Of rows that the caller has or may find: attribute and kind of value -> where assigned; attribute that decides
        # -> where, and where that writes. See `stale`.
        self.assigns: dict[tuple[Atom, str, str], Mark] = {}
        self.governs: dict[tuple[Atom, str], tuple[Mark, Mark]] = {}
        # What is read of instances that a caller has: (instance, attribute or COLUMN) -> attribute, where first.
        self.reads: dict[tuple[Atom, str], tuple[str, Mark]] = {}
        self.doubtful: dict[Atom, EndedUse] = {}  # session of a caller -> what is wrong if its commits expire instances
        self.opened: dict[Atom, Mark] = {}  # sessions that this function has to end
        self.rollbacks: set[int] = set()  # the lines of this function that roll back
        self.served: dict[Atom, Mark] = {}  # registries that were called for their session
        self.entered: dict[Atom, Mark] = {}  # sessions of a manager object whose block ends them
        self.made_in: dict[Atom, tuple[int, ...]] = {}  # session -> the loops it was made in
        self.returned: list[tuple[Value, int]] = []  # what each `return` gives, and its line
        self.lazily: dict[Atom, tuple[Atom, str]] = {}  # sessions that callees make where an attribute has none yet
        self.made_once: dict[str, Mark] = {}  # attributes of the receiver that are set where they were None
        self.made_from: dict[Atom, frozenset[Atom]] = {}  # what the making of an instance was given
        self.independent: set[Atom] = set()  # rows that callees made, which were given nothing
        self.engines: dict[Atom, Mark] = {}  # engine made here, or by a callee that returns it -> where
        self.disposed: set[Atom] = set()
        self.kept: frozenset[Atom] = frozenset()  # engines that a callee has put where later calls find them

    def merge(self, states: list[State]) -> list[State]:
        """Join states that need not be told apart, see `merging.merge`."""
        return merge(states, self.fn.flag_names()) if len(states) > 1 else states

    def mark(self, position: tuple[int, int, int, int], inner: Mark | None = None) -> Mark:
        """A place in the function, leading to one in a callee; if it is a wrapper that is interpreted in the place of
        what it wraps, by way of the call."""
        mark = (self.fn.module, position, inner)
        for module, call in reversed(self.via):
            mark = (module, call, mark)
        return mark

    def line_mark(self, line: int) -> Mark:
        """The place of a statement of which only the line is known."""
        return self.mark((line, -1, line, -1))

    def observe(self, key: tuple[Any, ...], observation: Any) -> None:
        """Record something that a rule may report; the first path that shows it is kept."""
        self.observations.setdefault(key, observation)

    def raise_(self, state: State, kind: str, mark: Mark, names: frozenset[str] = frozenset()) -> None:
        """Control may leave here exceptionally. A path that differs in nothing that matters is not kept twice."""
        key = (kind, names)
        last = self.exits.last.get(key)
        if last is not None and last[0] is state.heap and last[1] == state.version:
            return
        self.exits.last[key] = (state.heap, state.version)
        self.exits.raises.append(Raised(kind, names, state.copy(), mark))

    def class_of(self, reference: int | Atom | None) -> int | None:
        """The project class that a class, or a place that holds one, stands for."""
        if type(reference) is tuple:
            return next((kind[1] for kind in sorted(self.type_of(reference)) if kind[0] == v.CLASS), None)
        return reference  # type: ignore[return-value]

    def type_of(self, atom: Atom) -> Value:
        """What is known of an atom by type alone."""
        kind = atom[0]
        if kind == v.SESSION:
            return v.one((v.ANY_SESSION, atom[2]))
        if kind == v.OBJECT or kind == v.ENTITY:
            class_id = self.class_of(atom[2])
            return v.one((v.INSTANCE, class_id)) if class_id is not None else v.UNKNOWN
        if kind not in v.PLACES:
            return v.one(atom)
        known = self.place_types.get(atom)
        if known is None:
            known = self.item_types.get(atom)
        if known is None:
            known = self._type_of_place(atom)
            memo = self.item_types if _reached_through_item(atom) else self.place_types
            memo[atom] = known
        return known

    def _type_of_place(self, atom: Atom) -> Value:
        kind = atom[0]
        if kind == v.PARAM:
            return self.types.param(self.code.functions[atom[1]], atom[2])
        if kind == v.GLOBAL:
            return self.types.global_(atom[1], atom[2])
        if kind == v.FREE:
            return self.types.local(self.code.functions[atom[1]], atom[2])
        if kind == v.FIELD and atom[2] in SESSION_FLAVOURS:
            return v.one((v.ANY_SESSION, SessionType(SESSION_FLAVOURS[atom[2]], MANAGED)))
        out = v.UNKNOWN
        for base in v.ordered(self.type_of(atom[1])):
            if kind == v.FIELD:
                out = v.union(out, self.types.member(base, atom[2]))
            elif base[0] == v.INSTANCE:
                out = v.union(out, self.constructor_parameter(base[1], atom[2]))
        if kind == v.FIELD and (not out or all(found[0] in (v.OPERATION, v.EXT_OBJECT) for found in out)):
            return self.types.app_state.kept(v.one(atom[1]), atom[2]) or self.types.dynamic(atom[2]) or out
        return out

    def constructor_parameter(self, class_id: int, name: str) -> Value:
        """The type of a constructor parameter of a class."""
        init = self.types.classes.constructor(class_id)
        if init is None:
            return self.types.field(class_id, name)
        number = init.parameter(name)
        passed = v.UNKNOWN
        for owner in self.types.classes.mro(class_id) if number is None else ():  # it passes on what it gets
            method = self.code.classes[owner].methods.get("__init__")
            if method is not None and self.code.functions[method].parameter(name) is not None:
                init = self.code.functions[method]
                number = init.parameter(name)
                passed = class_passed_up(self.types, class_id, init, name)
                break
        if number is None:
            return v.UNKNOWN
        return passed or self.types.constructed_with(class_id, init, number) or self.types.param(init, number)


def _reached_through_item(atom: Atom) -> bool:
    while atom[0] in (v.FIELD, v.CTOR):
        if atom[2] == ITEM:
            return True
        atom = atom[1]
    return False
