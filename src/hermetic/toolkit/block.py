"""What is known of one `with` block: who opened it and where, what failed in it, what runs after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any

from hermetic.toolkit import errors
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import Owner, Place, current_task, here, owner, place_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hermetic.toolkit.core import Core


@dataclass(slots=True)
class Failure:
    """A statement that failed. `depth` counts the savepoints around it: rolling back to one of them undoes it."""

    error: BaseException
    at: Place
    depth: int
    lost: bool  # the connection is gone, and everything with it: no savepoint undoes that


@dataclass(slots=True)
class Callback:
    function: Callable[[], Any]
    at: Place
    depth: int


@dataclass(slots=True)
class Use:
    """An operation of the session that has begun and not ended."""

    thread: int
    task: asyncio.Task[Any] | None
    at: Place | FrameType  # of an operation that runs, the frame knows its line when it is asked for
    what: str

    @property
    def by(self) -> Owner:
        return Owner(self.thread, self.task)


@dataclass(frozen=True, slots=True)
class Serves:
    """What a framework opens a block for, instead of a `with` of the application."""

    what: str  # "the request"
    instead: str  # of using its session later
    at: Place | None = None  # the function that does the work
    threads: bool = False  # opened on an event loop, then used and ended in threads, one after the other


@dataclass(frozen=True, slots=True)
class Kind:
    """How a block is to be opened."""

    reads: bool = False
    independent: bool = False  # of one that is open around it
    primary: bool = False  # reads there though there are replicas
    serves: Serves | None = None

    @property
    def words(self) -> str:
        return "`db.read()`" if self.reads else "`db.transaction()`"


TRANSACTION, READ = Kind(), Kind(reads=True)


class Block:
    """Made when a block opens. Outlives it only as what later errors tell: where it was opened and ended."""

    # What most blocks never set stands here, and costs them nothing.
    using: Use | None = None
    wrote = False
    shared = False  # `allow()`
    session: Any = None  # the one that the application has
    connection: Connection | None = None
    savepoints: tuple[str, ...] = ()
    releasing: str | None = None
    joined = 0
    failures: tuple[Failure, ...] = ()
    seen: BaseException | None = None  # the latest failure that was recorded, undone or not
    callbacks: tuple[Callback, ...] = ()
    committing = False  # COMMIT may be under way
    commit_sent = False  # it was tried, and failed
    committed = False
    rolled_back: Place | None = None
    released: Place | None = None
    was_released = False
    may_run_again = False  # it has failed with what another attempt may not meet
    leaving: Place | None = None  # where the block is being left
    ended: Place | None = None

    def __init__(
        self, core: Core, reads: bool, opened: Place, by: Owner, outer: Block | None, serves: Serves | None
    ) -> None:
        self.core, self.reads, self.opened, self.by, self.outer, self.serves = core, reads, opened, by, outer, serves
        self.lock = Lock()  # of the operation that runs

    @property
    def word(self) -> str:
        return "read()" if self.reads else "transaction()"

    def fail(self, error: BaseException, *, lost: bool = False) -> None:
        if error is not self.seen:
            self.seen = error
            failure = Failure(error, self.leaving or here(), len(self.savepoints), lost)
            self.failures = (*self.failures, failure)

    def after_commit(self, function: Callable[[], Any]) -> None:
        """Calls `function` after the commit. Raises ReadOnly in a read, which has none."""
        if self.reads:
            text = "`on_commit()` in `db.read()`, which never commits"
            instead = "call the function itself, or open the block with `db.transaction()`"
            raise errors.ReadOnly(explain(text, called_at=here(), block_opened_at=self.opened, instead=instead))
        self.callbacks = (*self.callbacks, Callback(function, here(), len(self.savepoints)))

    def saved(self, name: str) -> None:
        self._settle()
        self.savepoints = (*self.savepoints, name)

    def undone(self, name: str) -> None:
        """The work since this savepoint is undone, its failures and callbacks with it."""
        if self.releasing != name:
            self._settle()
        self.releasing = None
        depth = self._leave(name)
        self.failures = tuple(failure for failure in self.failures if failure.depth <= depth or failure.lost)
        self.callbacks = tuple(callback for callback in self.callbacks if callback.depth <= depth)

    def kept(self, name: str) -> None:
        """The work since this savepoint is to belong to what is around it: RELEASE is sent, and can still fail."""
        self._settle()
        self.releasing = name

    def _settle(self) -> None:
        """The last RELEASE did not fail, or the savepoint would have been rolled back."""
        if self.releasing is not None:
            depth = self._leave(self.releasing)
            self.releasing = None
            for failure in self.failures:
                failure.depth = min(failure.depth, depth)
            for callback in self.callbacks:
                callback.depth = min(callback.depth, depth)

    def _leave(self, name: str) -> int:
        """How many savepoints are left without this one and those inside of it."""
        if name in self.savepoints:
            self.savepoints = self.savepoints[: self.savepoints.index(name)]
        return len(self.savepoints)

    def check_usable(self, what: str) -> None:
        """Raises BlockEnded, Released, OnEventLoop or OtherLoop where the session must not be used."""
        if self.ended is not None or self.rolled_back is not None:
            raise self.gone(f"`session.{what}()`")
        if self.released is not None:
            text = f"`session.{what}()` while the session's connection is released"
            instead = "do this before `released()` or after it, or in a transaction of its own"
            raise errors.Released(explain(text, called_at=here(), released_at=self.released, instead=instead))
        task = current_task() if self.using is None else self.using.task
        if task is not None and not self.core.fits(task):
            self.core.check_loop(f"`session.{what}()`", task)

    def is_of(self, who: Owner) -> bool:
        """Whether code that runs there may treat this block as its own."""
        handed_over = self.serves is not None and self.serves.threads and who.task is None
        return self.by == who or self.shared or handed_over

    def gone(self, what: str) -> errors.BlockEnded:
        if self.rolled_back is not None and self.ended is None:
            text, instead = f"{what} after `session.rollback()`", "raise to leave the block, and begin another one"
        elif self.serves is not None:
            text, instead = f"{what} after the end of {self.serves.what}", self.serves.instead
        else:
            text = f"{what} after the end of its block"
            instead = f"do this inside of the block, or open another one: `with db.{self.word} as session:`"
        text = explain(
            text,
            called_at=here(),
            rolled_back_at=self.rolled_back,
            block_opened_at=self.opened,
            block_ended_at=self.ended,
            instead=instead,
        )
        return errors.BlockEnded(text)

    def is_inner(self) -> bool:
        """Is this code part of an operation that runs?"""
        using = self.using
        return (
            using is not None and using.thread == get_ident() and (using.task is None or using.task is current_task())
        )

    def begin_use(self, what: str, at: Place | FrameType) -> bool:
        """Whether an operation begins here, which `end_use` has to end; not, if it is part of one that runs.

        Raises Overlap if another task or thread is in the middle of one; where `allow()` says so, threads wait for it.
        """
        if not self.lock.acquire(False) and not self._gets_turn(what, at):
            return False
        self.using = Use(get_ident(), current_task(), at, what)
        return True

    def _gets_turn(self, what: str, at: Place | FrameType) -> bool:
        while not self.lock.acquire(False):
            running = self.using
            if running is None:  # it is about to begin or to end
                continue
            me = owner()
            if running.by == me:
                return False
            if not (self.shared and me.task is None):
                raise self.overlap(what, me, running, place_of(at))
            return self.lock.acquire()
        return True

    def overlap(self, what: str, me: Owner, running: Use, at: Place) -> errors.Overlap:
        text = explain(
            f"{_shown(what)} in {me} while {_shown(running.what)} still runs in {running.by}",
            called_at=at,
            still_running=place_of(running.at),
            block_opened_at=self.opened,
            instead="one block for each task or thread, each with its own session; pass ids, not sessions",
        )
        return errors.Overlap(text)

    def end_use(self) -> None:
        self.using = None
        self.lock.release()


def _shown(what: str) -> str:
    return f"`session.{what}()`" if what.isidentifier() else what
