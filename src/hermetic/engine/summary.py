"""What a caller must know of a function.

Every atom in a summary is one of the callee's own: its parameters and their fields, globals, and what it made.
`apply` replaces them by what the caller passed.

    def save(session, user):           effects: session is DIRTY, then COMMITTED
        session.add(user)              commits: one, made from `user`
        session.commit()

    def open_session():                returns a session, `made` says it is still open
        return Session()

    async def handler(session): ...    nothing is blocking: its own finding says so, not its callers'
    def helper(session):               blocking: `session`, at this line
        session.get(User, 1)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hermetic.engine import values as v
from hermetic.engine.observations import EndedUse
from hermetic.engine.state import Commit, Mark
from hermetic.engine.values import Atom, Value


class Effects(NamedTuple):
    """What happened to sessions, objects and instances on the way to one kind of exit."""

    tracks: tuple[tuple[Atom, Any], ...] = ()  # session, instance or object -> Track, Instance, Fields
    stores: tuple[tuple[Atom, str, Value], ...] = ()
    commits: tuple[Commit, ...] = ()
    floating: frozenset[Atom] | None = None
    escaped: frozenset[Atom] = frozenset()


NO_EFFECTS = Effects()


class Summary(NamedTuple):
    returns: Value = v.UNKNOWN
    effects: Effects = NO_EFFECTS
    # exceptional exits: kind, names of explicitly raised classes, effects
    raises: tuple[tuple[str, frozenset[str], Effects], ...] = ()
    never_returns: bool = False
    # session or "internal" -> where its first statement is, and in which callee
    blocking: tuple[tuple[Any, Mark, int | None], ...] = ()
    slow: tuple[str, Mark] | None = None  # the first wait
    # slow steps: sessions whose transaction the function itself began or ended before it, what is waited for, where
    waits: tuple[tuple[frozenset[Atom], str, Mark], ...] = ()
    # attributes of the caller's instances that are read here: instance, attribute, where
    reads: tuple[tuple[Atom, str, Mark], ...] = ()
    # sessions of the caller, and what is read after a commit has expired it, if their commits do that
    doubtful: tuple[tuple[Atom, EndedUse], ...] = ()
    # rows that are assigned to here: row, attribute, kind of value, where; and those whose attribute decides what is
    # written to them: row, attribute, where that is, and the write
    assigns: tuple[tuple[Atom, str, str, Mark], ...] = ()
    governs: tuple[tuple[Atom, str, Mark, Mark], ...] = ()
    writes_after_wait: bool = False
    independent: frozenset[Atom] = frozenset()  # committed rows that nothing of what the caller passes went into
    # sessions that are made where an attribute of a parameter has none yet: session, the parameter, attribute
    lazily: tuple[tuple[Atom, Atom, str], ...] = ()
    keeps: frozenset[Atom] = frozenset()  # engines that it puts where later calls find them
    touches: bool = False  # it asks something of a database, over whatever session
    rechecks: bool = False  # it locks or refreshes what it then writes
    # of generators and context managers: what is handed out, and what happens after
    yields: Value = v.UNKNOWN
    after: Effects = NO_EFFECTS
    after_raise: Effects = NO_EFFECTS
    suppresses: bool = False


TRIVIAL = Summary()
# Of a function that cannot be interpreted: it may do anything, so it may raise.
NEVER_RETURNING = Summary(raises=(("explicit", frozenset(), Effects()),), never_returns=True)
OPAQUE = Summary(raises=(("error", frozenset(), Effects()),))
