"""What Database and AsyncDatabase have in common: their engines, and which block is open where."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block, Kind
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import Owner, Place, here, owner

if TYPE_CHECKING:
    from sqlalchemy import Engine, Pool

# The innermost block of this context, of whatever database. A block that has ended may still stand here: exit and entry
# can happen in different contexts (generator dependencies run in threads), where a token cannot be reset.
_innermost: ContextVar[Block | None] = ContextVar("hermetic_block", default=None)


@dataclass(eq=False, slots=True, weakref_slot=True)
class Core:
    """One database: `engine` writes, `read()` takes turns on the replicas if there are any."""

    word: str  # "Database" or "AsyncDatabase"
    is_async: bool
    engine: Engine
    replicas: tuple[Engine, ...]
    made: Place
    owned: tuple[Engine, ...]  # what was made here, and ends with `dispose()`
    allow_on_loop: bool = False
    loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
    loop_used: Place | None = None
    disposed: Place | None = None
    old_pools: tuple[Pool, ...] = ()  # what blocks that were open then have their connections from
    in_one_transaction: bool = False  # of a test, which rolls everything back
    open_blocks: set[Block] = field(default_factory=set)
    turn: count[int] = field(default_factory=count)

    @property
    def engines(self) -> tuple[Engine, ...]:
        return (self.engine, *self.replicas)

    def reader(self, *, primary: bool) -> Engine:
        if primary or not self.replicas:
            return self.engine
        return self.replicas[next(self.turn) % len(self.replicas)]

    def fits(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether it has been, or may be, used where this task runs; `check_loop` says more."""
        if task is None:
            return True  # of an asynchronous one, SQLAlchemy refuses what needs a loop
        if self.is_async:
            return self.loop is not None and self.loop() is task.get_loop()
        return self.allow_on_loop

    def check_loop(self, what: str, task: asyncio.Task[Any]) -> None:
        """Where it does not fit: raises OnEventLoop for a synchronous database, OtherLoop on a second event loop."""
        if not self.is_async:
            text = f"{what} of a synchronous Database in task {task.get_name()!r} would block its event loop"
            instead = (
                "AsyncDatabase and `async with`; or `await asyncio.to_thread(...)`; in a notebook "
                "`Database(..., allow_on_loop=True)`"
            )
            raise errors.OnEventLoop(explain(text, called_at=here(), database_made_at=self.made, instead=instead))
        if self.loop is None:
            self.loop, self.loop_used = weakref.ref(task.get_loop()), here()
            return
        text = f"{what} of an AsyncDatabase on a second event loop: its connections belong to the first"
        instead = "one AsyncDatabase for each loop: make it in the coroutine that owns it, and `await db.dispose()`"
        places = {"called_at": here(), "first_used_at": self.loop_used, "database_made_at": self.made}
        raise errors.OtherLoop(explain(text, instead=instead, **places))

    def check_open(self, what: str) -> None:
        if self.disposed is not None:
            text = f"{what} of a database after `dispose()`"
            instead = "dispose when the process or its last user ends; make another Database to go on"
            raise errors.DatabaseDisposed(
                explain(text, called_at=here(), disposed_at=self.disposed, database_made_at=self.made, instead=instead)
            )


def ambient(core: Core) -> Block | None:
    """The innermost block of this database that is open around the code that runs."""
    block = _innermost.get()
    while block is not None and (block.ended is not None or block.core is not core):
        block = block.outer
    return block


def open_block(core: Core, kind: Kind) -> Block:
    """A new block, which is the innermost one from now on. Nothing is sent to the database yet.

    Raises NestedBlock or InheritedBlock where one is open around it, unless it is `independent`.
    """
    serves, me = kind.serves, owner()
    if core.disposed is not None:
        core.check_open(kind.words)
    if not core.fits(me.task) and me.task is not None and (serves is None or not serves.threads):
        core.check_loop(kind.words, me.task)
    outer = _innermost.get()
    if outer is not None:
        if not kind.independent and (around := ambient(core)) is not None:
            raise _nested(kind.words, around)
        while outer is not None and outer.ended is not None:
            outer = outer.outer
    block = Block(core, kind.reads, here() if serves is None or serves.at is None else serves.at, me, outer, serves)
    core.open_blocks.add(block)
    _innermost.set(block)
    return block


def leave_block(block: Block) -> None:
    """Marks the block as ended; what it held that nobody needs any more is let go."""
    block.ended = block.opened if block.serves is not None else block.leaving or here()
    block.core.open_blocks.discard(block)
    forget(block)
    block.by = Owner(block.by.thread, None)
    block.connection = block.seen = block.session = None
    block.failures = block.callbacks = ()


def forget(block: Block) -> None:
    """In the context that opened it, which is another one where the block's end ran in a task of its own."""
    if _innermost.get() is block:
        _innermost.set(block.outer)


def current_block(core: Core, what: str) -> Block:
    """The block around the code that runs. Raises NoBlock, or InheritedBlock where it belongs to another task."""
    block = ambient(core)
    if block is None:
        instead = "call it inside of `with db.transaction() as session:`"
        raise errors.NoBlock(explain(f"{what} outside of a block", called_at=here(), instead=instead))
    if not block.is_of(owner()):
        raise _inherited(what, block)
    return block


def current_session(core: Core, what: str) -> Any:
    """The session of the block around the code that runs, None outside of any. Raises as `current_block`."""
    return None if ambient(core) is None else current_block(core, what).session


def _nested(word: str, around: Block) -> errors.NestedBlock:
    if not around.is_of(owner()):
        return _inherited(word, around)
    instead = (
        f"pass the session on and use it; or say how the two belong together: `{word[1:-3]}(join=session)` works in "
        "the open block, `db.savepoint(session)` in a part that can be undone alone, `independent=True` apart from it"
    )
    text = f"{word} inside of an open `db.{around.word}` of the same database"
    return errors.NestedBlock(explain(text, called_at=here(), outer_block_opened_at=around.opened, instead=instead))


def _inherited(what: str, around: Block) -> errors.InheritedBlock:
    text = f"{what} in {owner()}, which inherited an open block of {around.by}"
    instead = (
        "`db.transaction(independent=True)` for a transaction of its own, or start the task after the block; "
        "`db.allow(session)` where one task at a time is sure to use it"
    )
    return errors.InheritedBlock(explain(text, called_at=here(), block_opened_at=around.opened, instead=instead))
