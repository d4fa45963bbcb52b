"""What the interpreter saw that a rule may report. Each is about one function; marks lead across calls."""

from __future__ import annotations

from typing import NamedTuple

from hermetic.engine.session_types import Made
from hermetic.engine.state import Commit, Instance, Mark
from hermetic.engine.values import Atom


class Leak(NamedTuple):
    """A session made here is open and ours at an exit. `how`: normal, exception, yield, dropped; injected: a framework
    gets it from a dependency, at the marker `at` or (None) by calling the factory itself; left: a loop over an
    asynchronous generator that has it in a block is left early; stored: a method keeps it in an attribute; unattended:
    a thread or a task never removes what a registry has made for it."""

    created: Mark
    how: str
    at: Mark | None
    session: Atom


class UnguardedCommit(NamedTuple):
    """A commit on a session made here by hand (or closed here: then `created` is None); when it fails, nothing rolls
    back or closes."""

    commit: Mark
    created: Mark | None


class KeptCommit(NamedTuple):
    """The same on a session that the receiver of a method has in that attribute."""

    commit: Mark
    attribute: str


class EngineInProcess(NamedTuple):
    """An engine, which was made at `made` if that is known, goes into a new process at `at`."""

    at: Mark
    made: Mark | None


class SwallowedFailure(NamedTuple):
    """A database error was caught at `handler`, nothing rolled back, and the session is used again; `lives_on`: by the
    next round of the loop around the handler, or by the endpoint whose dependency has caught it."""

    handler: Mark
    failed: Mark
    used: Mark | None
    session: Atom
    certain: bool
    lives_on: bool


class UsedAtTheEnd(NamedTuple):
    """A session failed at `failed`, and the `finally` on the way out uses it without a rollback."""

    used: Mark
    failed: Mark
    session: Atom


class Blocking(NamedTuple):
    """The first synchronous statement of a session in a coroutine function, or the call that leads to it."""

    at: Mark
    callee: int | None
    session: Atom | str


class EndedUse(NamedTuple):
    """An instance is read, or a session used, after the end. `why` names the case, see rule SES005; `read_for`: a field
    of the schema that the response to a request is made by."""

    at: Mark
    why: str
    attribute: str
    ended: Mark | None
    loaded: Mark | None
    certain: bool
    instance: Atom | None = None
    options_at: Made | None = None  # where expire_on_commit of its session was left on
    read_for: Mark | None = None


class Kept(NamedTuple):
    """When a method has ended, an attribute of its receiver holds a row that is detached. `never_expires`: no commit of
    its session expires anything."""

    name: str
    instance: Atom
    known: Instance
    never_expires: bool


class Split(NamedTuple):
    """Two committed pieces of writing in one operation, one after the other."""

    first: Commit
    second: Commit
    related: bool
    same_session: bool


class StaleWrite(NamedTuple):
    """State of `row` that was read before a wait decides a write after it. `use` is the decision, else the write; `how`
    much is known of that: error, warning or hint."""

    use: Mark
    wait: Mark
    loaded: Mark | None
    write: Mark
    attribute: str
    how: str
    row: Atom


class Unsaved(NamedTuple):
    """Something was written at `written`, and the session closed at `ended`, or the function left (None), without a
    commit. `later`: after a commit of other writes."""

    written: Mark
    ended: Mark | None
    session: Atom
    later: bool


class Outlives(NamedTuple):
    """A session goes at `at` to what runs after its request: `what` is "task" or "stream", which uses it at `used`;
    "idle" for a stream that only keeps it open."""

    at: Mark
    what: str
    session: Atom
    used: Mark | None


class Held(NamedTuple):
    """A transaction that began at `since` is open while something slow, of which `kind` says what, is waited for."""

    at: Mark
    kind: str
    session: Atom
    since: Mark | None


class Concurrent(NamedTuple):
    """One session is used by several tasks or threads, or by one beside its owner."""

    at: Mark
    session: Atom
    created: Mark | None
    how: str


class OptionMisused(NamedTuple):
    """A session or factory gets an option that cannot work."""

    at: Mark
    option: str
    why: str


class EngineMade(NamedTuple):
    """An engine is made in a function, at `made`, or by a callee that it calls at `at`.

    `fate`: dropped, disposed, returned, stored, stored in an object, yielded.
    """

    made: Mark
    at: Mark
    fate: str
    pool: str
