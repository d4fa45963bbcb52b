"""What happens inside of an open block: joining it, savepoints in it, giving its connection back for a while.

The functions work on the synchronous session; `Database` wraps them in `with`, `AsyncDatabase` in `async with`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import orm

from hermetic.toolkit import ending, errors, loading
from hermetic.toolkit.block import Block
from hermetic.toolkit.core import Core
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here
from hermetic.toolkit.session import Session, changed, dropped, of


def own_session(core: Core, session: Any, what: str) -> Session:
    """The toolkit's session. Raises TypeError for one of another database, BlockEnded after its end."""
    inner = of(session)
    if inner._block.core is not core:
        raise TypeError(f"{what} of a session of another database")
    if inner._block.ended is not None:
        raise inner._block.gone(what)
    return inner


@contextmanager
def using(session: Session, what: str) -> Iterator[None]:
    """One operation of the session, with which no other may overlap."""
    begun = session._block.begin_use(what, here())
    try:
        yield
    finally:
        if begun:
            session._block.end_use()


def enter_joined(core: Core, session: Any, *, reads: bool) -> Session:
    inner = own_session(core, session, f"`{'read' if reads else 'transaction'}(join=session)`")
    block = inner._block
    if block.reads and not reads:
        text = "a transaction is to join `db.read()`, which cannot write"
        instead = "open the outer block with `db.transaction()`"
        raise errors.ReadOnly(explain(text, called_at=here(), outer_block_opened_at=block.opened, instead=instead))
    block.joined += 1
    return inner


def leave_joined(session: Session, error: BaseException | None) -> None:
    """An error that leaves a joined block leaves half of its work behind: the whole block has to be rolled back."""
    block = session._block
    block.joined -= 1
    if error is not None:
        block.fail(error)


def check_only_read(session: Session) -> None:
    left = changed(session, (*session.new, *session.dirty, *session.deleted))
    if left:
        raise errors.ReadOnly(dropped("the end of `db.read(join=session)`", left, session._block))


def end_savepoint(session: Session, savepoint: orm.SessionTransaction, error: BaseException | None) -> None:
    """Keeps the work since the savepoint, or undoes it if an error left it or a failure in it was swallowed."""
    depth = len(session._block.savepoints)
    try:
        if error is None:
            ending.check_failures(session, session._block, depth=depth or 1)
            session.flush()
            savepoint.commit()
    except BaseException:
        undo_savepoint(savepoint)
        raise
    if error is not None:
        undo_savepoint(savepoint)


def undo_savepoint(savepoint: orm.SessionTransaction) -> None:
    if savepoint.session.get_transaction() is not None and savepoint._rollback_can_be_called():
        savepoint.rollback()


def release(session: Session) -> list[loading.Kept]:
    """Ends the transaction and gives the connection back; what is referenced and loaded is remembered."""
    block = session._block
    with using(session, "released"):
        block.check_usable("released")
        _check_release(session, block)
        kept = loading.remember(session)
        transaction = session.get_transaction()
        if transaction is not None:
            transaction.close()
        block.connection = None
        block.released = here()
        block.was_released = True
    return kept


def _check_release(session: Session, block: Block) -> None:
    ending.check_failures(session, block)
    unwritten = changed(session, (*session.new, *session.dirty, *session.deleted))
    if block.joined or session.in_nested_transaction():
        text = "`db.released()` inside of a joined block or a savepoint would end the transaction of somebody else"
        instead = "release in the function that opened the block"
    elif block.wrote or unwritten:
        text = "`db.released()` after a write would split the operation: half of it would be committed, or lost"
        instead = "do the slow work before the first write; or two blocks, each of which can be repeated"
    else:
        return
    raise errors.CannotRelease(explain(text, called_at=here(), block_opened_at=block.opened, instead=instead))


def resume(session: Session, kept: list[loading.Kept], error: BaseException | None) -> None:
    """Begins again. What is still referenced is read anew; after an error, when it is next read."""
    block = session._block
    with using(session, "released"):
        block.released = None
        orm.Session.begin(session)
        if error is not None:
            orm.Session.expire_all(session)
            return
        written = changed(session, (*session.new, *session.dirty, *session.deleted))
        if written:
            raise errors.ChangesDropped(dropped("the end of `db.released()`", written, block))
        loading.read_anew(session, kept)


def no_session(name: str, keyword: str, *, reads: bool) -> AttributeError:
    word = "read" if reads else "transaction"
    text = f"`db.{word}()` is a block and no session, it has no {name!r}"
    return AttributeError(
        explain(text, called_at=here(), instead=f"`{keyword} db.{word}() as session: session.{name}`")
    )


def leaked(block: Block) -> str:
    return explain(
        "a block was entered by hand and never left; it is rolled back",
        block_opened_at=block.opened,
        instead=f"`with db.{block.word} as session:`",
    )
