"""What the toolkit raises. Each text says what happened, where, and what to write instead."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.orm.exc import DetachedInstanceError

from hermetic.toolkit.places import Place


def explain(what: str, *, instead: str, **places: Place | None) -> str:
    """The text of an error: `opened_at=place` becomes a line of its own."""
    lines = [f"  {word.replace('_', ' ')} {place}" for word, place in places.items() if place is not None]
    return "\n".join((what, *lines, f"  instead: {instead}"))


class ToolkitError(Exception):
    """Whatever the toolkit refuses. `rule` is the code of the anti-pattern that it would have been."""

    rule: ClassVar[str | None] = None


class DatabaseExists(ToolkitError):
    """A second engine for one URL in one process."""

    rule = "SES007"


class DatabaseDisposed(ToolkitError):
    """A database is used after `dispose()`."""

    rule = "SES007"


class OtherLoop(ToolkitError):
    """An AsyncDatabase is used on a second event loop: its connections belong to the first."""

    rule = "SES007"


class OnEventLoop(ToolkitError):
    """A synchronous Database is used where an event loop runs: all its other tasks would wait."""

    rule = "SES004"


class NestedBlock(ToolkitError):
    """A block is opened inside of another one of the same database, and nothing says how they belong together."""

    rule = "SES006"


class InheritedBlock(NestedBlock):
    """A task or thread asks for the block of the one that started it."""

    rule = "SES002"


class NoBlock(ToolkitError):
    """What needs an open block is called outside of any."""


class BlockRules(ToolkitError):
    """`commit()`, `close()` or `begin()` on a session whose block does that."""

    rule = "SES006"


class BlockEnded(ToolkitError):
    """A session is used after its block has ended."""

    rule = "SES001"


class Overlap(ToolkitError):
    """Two tasks or threads use one session at the same moment."""

    rule = "SES002"


class SwallowedFailure(ToolkitError):
    """The end of a block in which a statement failed and nothing undid it. The failure is its `__cause__`."""

    rule = "SES003"


class ChangesDropped(ToolkitError):
    """Changes that are not written yet would be lost without a word."""

    rule = "SES101"


class ReadOnly(ToolkitError):
    """A write in `read()`."""


class CannotRelease(ToolkitError):
    """`released()` where it would split the operation, or inside of a joined block."""

    rule = "SES006"


class Released(ToolkitError):
    """A session is used while its connection is given back."""

    rule = "SES102"


class HeldTooLong(ToolkitError):
    """A block is to stay open for as long as a client stays connected."""

    rule = "SES102"


class RollbackLost(ToolkitError):
    """In a test that is to be rolled back: its connection was lost, and what it had written with it."""


class RowGone(ToolkitError):
    """A row that the operation has loaded was deleted by somebody else during `released()`."""

    rule = "SES008"


class InstanceEnded(ToolkitError):
    """An instance is written, or given to another session, after its block has ended."""

    rule = "SES008"


class NotLoaded(ToolkitError, DetachedInstanceError):
    """An attribute that was never loaded is read after the end of the block."""

    rule = "SES005"
    code = ""  # or the text would end with a link to what SQLAlchemy says of its own error


class NotAwaited(ToolkitError, MissingGreenlet):
    """A coroutine reads an attribute that is not loaded, or uses the synchronous session inside of its own."""

    rule = "SES005"
    code = ""


class CommitUnknown(ToolkitError):
    """COMMIT was sent and its answer was lost: the transaction is applied once or not at all. Never retried.

    Look in the database for what the transaction would have written before doing it again: a row with a key that the
    caller chose (an idempotency key) answers that.
    """


class CallbackFailed(ToolkitError):
    """The transaction IS committed; a callback of `on_commit` raised, which is the `__cause__`."""


class CancelledAfterCommit(ToolkitError):
    """The `__cause__` of a CancelledError: the task was cancelled while COMMIT was under way, and it IS committed.

    A CancelledError without it means that nothing was applied. It is no CancelledError itself, because
    `asyncio.timeout()` and AnyIO know their own cancellations by the very error.
    """


def committed(error: BaseException) -> bool | None:
    """Whether the transaction of a block is committed although the block raised this error. None if nobody knows.

    Looks through what it was raised from, so that a TimeoutError of `asyncio.timeout()` tells as well.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (CallbackFailed, CancelledAfterCommit)):
            return True
        if isinstance(cause, CommitUnknown):
            return None
        # The `asyncio.timeout()` of Python 3.11.2 (Debian 12) gives its TimeoutError no cause.
        cause = cause.__cause__ or (cause.__context__ if isinstance(cause, TimeoutError) else None)
    return False
