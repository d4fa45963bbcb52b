"""How a block begins and ends, on the synchronous session; asyncio runs the same functions inside of its own.

`finish` commits, `abort` rolls back; after either the session is closed for good.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from sqlalchemy import Connection, event, exc as sa_exc, orm

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block, Callback
from hermetic.toolkit.core import leave_block
from hermetic.toolkit.ended import mark, refuse_ended
from hermetic.toolkit.errors import explain
from hermetic.toolkit.hooks import hold, refuse_writes
from hermetic.toolkit.places import here
from hermetic.toolkit.session import Session, changed, dropped
from hermetic.toolkit.transient import is_connect_trouble, is_transient, sqlstate

# Makes SQLAlchemy itself refuse what happens outside of the block.
STRICT = {"autobegin": False, "close_resets_only": False, "expire_on_commit": False}

# Seconds that the end of a block waits for an operation of another thread.
IN_MIDDLE = 10.0


@event.listens_for(Session, "after_begin")
def _after_begin(session: Session, transaction: orm.SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return
    block = session._block
    hold(connection, block)
    sqlite = connection.dialect.name == "sqlite"
    if block.reads and (sqlite or not block.core.in_one_transaction):
        refuse_writes(connection)
    if sqlite:
        _begin_sqlite(connection, block)


def _begin_sqlite(connection: Connection, block: Block) -> None:
    """BEGIN IMMEDIATE takes SQLite's only write lock at once: taking it later can fail where waiting does not help."""
    driver = connection.connection.driver_connection
    if driver is not None and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN" if block.reads else "BEGIN IMMEDIATE")


@event.listens_for(Session, "before_flush")
def _before_flush(session: Session, context: object, instances: object) -> None:
    block = session._block
    written = changed(session, (*session.new, *session.dirty, *session.deleted)) if block.reads else []
    if written:
        names = ", ".join(sorted({type(instance).__name__ for instance in written}))
        text = f"`db.read()` would write {names}"
        instead = "`with db.transaction() as session:`"
        raise errors.ReadOnly(explain(text, called_at=here(), block_opened_at=block.opened, instead=instead))


@event.listens_for(Session, "before_attach")
def _before_attach(session: Session, instance: object) -> None:
    refuse_ended(orm.attributes.instance_state(instance))


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        session._block.committed = True


def finish(session: Session) -> Sequence[Callback]:
    """Commits, or in `read()` makes sure that nothing is left to write, and closes the session.

    Raises SwallowedFailure, ChangesDropped, Overlap, CommitUnknown, or what the database says; nothing is applied then,
    CommitUnknown excepted. Gives what is to be called now.
    """
    block = session._block
    try:
        block.begin_use("the end of the block", block.leaving or here())
        try:
            if block.reads:
                _check_nothing_left(session, block)
            elif block.rolled_back is None:
                check_failures(session, block)
                orm.Session.flush(session)
                if block.failures:  # of what listens to the flush
                    check_failures(session, block)
                _commit(session, block)
        finally:
            block.end_use()
    except BaseException as error:
        abort(session, error)
        if block.commit_sent and not block.committed and not refused(error):
            unknown = commit_unknown(block)
            if isinstance(error, Exception):
                raise unknown from error
            raise error from unknown  # KeyboardInterrupt has to stay what it is
        raise
    callbacks = block.callbacks if block.committed else ()
    _close(session, block)
    return callbacks


def _commit(session: Session, block: Block) -> None:
    """A COMMIT that was tried leaves the connection's transaction inactive, whatever came of it."""
    connection = block.connection
    transaction = None if connection is None or connection.closed else connection.get_transaction()
    block.committing = True
    try:
        orm.Session.commit(session)
    except BaseException:
        block.commit_sent = transaction is not None and not transaction.is_active
        raise


def abort(session: Session, error: BaseException) -> None:
    """Rolls back and closes. What goes wrong meanwhile is not raised: the reason to abort is.

    An operation that another thread is in the middle of is waited for, or it would keep its connection; after IN_MIDDLE
    seconds, the connection is thrown away under it.
    """
    block = session._block
    if block.ended is not None:
        return
    block.may_run_again = _may_run_again(block, error)
    if block.using is not None and not _waited_for(block):
        with contextlib.suppress(Exception):
            orm.Session.invalidate(session)
    elif not block.reads and not block.committed:
        with contextlib.suppress(Exception):
            orm.Session.rollback(session)
    _close(session, block)


def _waited_for(block: Block) -> bool:
    """Whether the operation ended in time. Tasks wait before they come here, and never with their loop."""
    if block.core.is_async or not block.lock.acquire(timeout=IN_MIDDLE):
        return False
    block.lock.release()
    return True


def _close(session: Session, block: Block) -> None:
    mark(session.identity_map.all_states(), block)
    connection = block.connection
    leave_block(block)
    if block.reads and connection is not None:
        # What a read is sent was read before. Closed like this, the pool need not roll back a second time.
        with contextlib.suppress(Exception):
            connection.close()
    orm.Session.close(session)
    core = block.core
    if core.disposed is not None:
        for pool in (*core.old_pools, *(engine.pool for engine in core.owned)):
            pool.dispose()


def _check_nothing_left(session: Session, block: Block) -> None:
    if not session._is_clean():
        left = changed(session, (*session.new, *session.dirty, *session.deleted))
        if left:
            raise errors.ChangesDropped(dropped("the end of `db.read()`", left, block))
    if block.failures:
        check_failures(session, block)


def check_failures(session: Session, block: Block, *, depth: int = 0) -> None:
    """Raises SwallowedFailure if something failed inside of this many savepoints and was not undone."""
    for failure in block.failures:
        if failure.depth >= depth or failure.lost:
            text = explain(
                f"a block ends as if nothing had happened, but {type(failure.error).__name__} was raised in it",
                failed_at=failure.at,
                block_opened_at=block.opened,
                instead="let the error leave the block; or try what may fail in `with db.savepoint(session):`, and "
                "catch the error outside of that",
            )
            raise errors.SwallowedFailure(text) from failure.error
    transaction = session.get_nested_transaction() or session.get_transaction()
    if transaction is None or not transaction.is_active:
        text = explain(
            "a block ends as if nothing had happened, but a flush failed in it",
            block_opened_at=block.opened,
            instead="let the error leave the block, or flush in `with db.savepoint(session):` and catch around that",
        )
        raise errors.SwallowedFailure(text)


def commit_unknown(block: Block) -> errors.CommitUnknown:
    """COMMIT was sent, and no answer of the server says what became of it."""
    text = explain(
        "COMMIT was sent and its answer never came: the transaction is applied once or not at all",
        block_opened_at=block.opened,
        instead="look in the database for what it would have written, by a key that you chose, before doing it again",
    )
    return errors.CommitUnknown(text)


def _may_run_again(block: Block, error: BaseException) -> bool:
    """Only for a failure of this very block; never if COMMIT may have been applied, or if slow work was done in it."""
    if error is not block.seen or block.was_released:
        return False
    if block.connection is None:
        return is_connect_trouble(error)
    if not is_transient(error):
        return False
    return not block.commit_sent or refused(error)


def refused(error: BaseException) -> bool:
    """Whether the server answered COMMIT with an error, so that nothing was applied."""
    if not isinstance(error, sa_exc.DBAPIError) or error.connection_invalidated:
        return False
    # Class 08 and 57P: the connection ends. The server may say so after it has committed.
    return not (sqlstate(error) or "").startswith(("08", "57P"))
