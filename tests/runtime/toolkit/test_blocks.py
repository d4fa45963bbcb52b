"""Blocks of a synchronous Database: how they begin and end, and what their sessions refuse."""

from __future__ import annotations

import contextlib
import gc

import pytest
from sqlalchemy import exc as sa_exc, insert, orm, select, text, update

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, User


def names(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(User.name).order_by(User.name)))


def test_a_block_commits_at_its_end(db: Database) -> None:
    with db.transaction() as session:
        session.add(User(name="Ada"))

    assert names(db) == ["Ada"]


def test_a_block_gives_its_connection_back(db: Database) -> None:
    with db.transaction() as session:
        session.add(User(name="Ada"))

    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_error_rolls_back_and_leaves_the_block(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as session:
        session.add(User(name="Ada"))
        session.flush()
        _ = 1 / 0

    assert names(db) == []


def test_what_was_loaded_stays_readable(filled: Database) -> None:
    with filled.read() as session:
        ada = session.get_one(User, 1)

    assert ada.name == "Ada"


def test_what_was_written_stays_readable(db: Database) -> None:
    with db.transaction() as session:
        ada = User(name="Ada")
        session.add(ada)

    assert (ada.id, ada.name) == (1, "Ada")


def test_the_session_is_closed_for_good(db: Database) -> None:
    with db.transaction() as session:
        pass

    with pytest.raises(errors.BlockEnded, match=r"`session.execute\(\)` after the end of its block"):
        session.execute(select(User))
    with pytest.raises(errors.BlockEnded, match=r"`session.add\(\)`"):
        session.add(User(name="Ada"))


@pytest.mark.parametrize("method", ["commit", "close", "begin", "reset", "invalidate"])
def test_the_session_does_not_do_what_its_block_does(db: Database, method: str) -> None:
    with pytest.raises(errors.BlockRules, match=r"leave the block|savepoint") as raised, db.transaction() as session:
        getattr(session, method)()

    assert "test_blocks.py" in str(raised.value)


def test_rollback_undoes_the_block(db: Database) -> None:
    with db.transaction() as session:
        session.add(User(name="Ada"))
        session.flush()
        session.rollback()

    assert names(db) == []


def test_nothing_goes_on_after_rollback(db: Database) -> None:
    with pytest.raises(errors.BlockEnded, match=r"after `session.rollback\(\)`"), db.transaction() as session:
        session.rollback()
        session.add(User(name="Ada"))


def test_a_session_is_made_by_a_block_alone() -> None:
    with pytest.raises(errors.BlockRules, match=r"with db.transaction\(\) as session"):
        Session()


def test_the_block_is_no_session(db: Database) -> None:
    with pytest.raises(AttributeError, match=r"is a block and no session, it has no 'get'"):
        db.transaction().get(User, 1)  # type: ignore[attr-defined]


def test_a_block_entered_by_hand_is_rolled_back_when_it_is_collected(db: Database) -> None:
    scope = db.transaction()
    scope.__enter__().add(User(name="Ada"))

    with pytest.warns(ResourceWarning, match="never left"):
        del scope
        gc.collect()
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_swallowed_failure_is_raised_at_the_end(filled: Database) -> None:
    with pytest.raises(errors.SwallowedFailure, match=r"ProgrammingError|OperationalError") as raised:
        with filled.transaction() as session:
            session.execute(update(Account).values(balance=0))
            with contextlib.suppress(sa_exc.DBAPIError):
                session.execute(text("SELECT nothing FROM nowhere"))

    assert isinstance(raised.value.__cause__, sa_exc.DBAPIError)
    with filled.read() as session:
        assert session.get_one(Account, 1).balance == 100


def test_a_swallowed_flush_is_raised_at_the_end(filled: Database) -> None:
    with pytest.raises(errors.SwallowedFailure, match="IntegrityError"), filled.transaction() as session:
        session.add(User(name="Ada"))
        with contextlib.suppress(sa_exc.IntegrityError):
            session.flush()


def test_a_swallowed_conflict_without_a_database_error_is_raised_at_the_end(filled: Database) -> None:
    with pytest.raises(errors.SwallowedFailure, match="a flush failed"), filled.transaction() as session:
        ada = session.get_one(Account, 1)
        session.connection().execute(text("DELETE FROM accounts"))
        ada.balance = 7
        with contextlib.suppress(orm.exc.StaleDataError):
            session.flush()


def test_a_savepoint_undoes_a_failure(filled: Database) -> None:
    with filled.transaction() as session:
        session.add(User(name="Bob"))
        try:
            with filled.savepoint(session):
                session.add(User(name="Ada"))
        except sa_exc.IntegrityError:
            session.add(User(name="Eve"))

    assert names(filled) == ["Ada", "Bob", "Eve"]


def test_a_savepoint_of_sqlalchemy_undoes_a_failure(filled: Database) -> None:
    with filled.transaction() as session:
        try:
            with session.begin_nested():
                session.add(User(name="Ada"))
        except sa_exc.IntegrityError:
            session.add(User(name="Eve"))

    assert names(filled) == ["Ada", "Eve"]


def test_a_savepoint_does_not_undo_what_failed_before_it(filled: Database) -> None:
    with pytest.raises((errors.SwallowedFailure, sa_exc.DBAPIError)), filled.transaction() as session:
        with contextlib.suppress(sa_exc.DBAPIError):
            session.execute(text("SELECT nothing FROM nowhere"))
        with filled.savepoint(session):
            session.execute(update(Account).values(balance=0))

    with filled.read() as session:
        assert session.get_one(Account, 1).balance == 100


def test_a_failure_swallowed_in_a_savepoint_is_raised_at_its_end(filled: Database) -> None:
    with filled.transaction() as session:
        session.add(User(name="Eve"))
        with pytest.raises(errors.SwallowedFailure), filled.savepoint(session):
            session.execute(update(Account).values(balance=0))
            with contextlib.suppress(sa_exc.DBAPIError):
                session.execute(text("SELECT nothing FROM nowhere"))

    assert names(filled) == ["Ada", "Eve"]
    with filled.read() as session:
        assert session.get_one(Account, 1).balance == 100


def test_a_savepoint_that_cannot_be_released_is_undone(filled: Database) -> None:
    with filled.transaction() as session:
        session.add(User(name="Eve"))
        try:
            with session.begin_nested():
                session.execute(update(Account).values(balance=0))
                with contextlib.suppress(sa_exc.DBAPIError):
                    session.execute(text("SELECT nothing FROM nowhere"))
                raise LookupError
        except LookupError:
            pass

    assert names(filled) == ["Ada", "Eve"]


def test_nested_blocks_need_to_say_how_they_belong_together(db: Database) -> None:
    with db.transaction(), pytest.raises(errors.NestedBlock, match=r"transaction\(join=session\)") as raised:
        with db.transaction():
            pass

    assert str(raised.value).count("test_blocks.py") == 2


def test_a_read_inside_of_a_transaction_is_nested(db: Database) -> None:
    with db.transaction(), pytest.raises(errors.NestedBlock), db.read():
        pass


def test_a_joined_block_works_in_the_open_transaction(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as session:
        with db.transaction(join=session) as joined:
            joined.add(User(name="Ada"))
        _ = 1 / 0

    assert joined is session
    assert names(db) == []


def test_an_error_out_of_a_joined_block_cannot_be_swallowed(db: Database) -> None:
    with pytest.raises(errors.SwallowedFailure, match="LookupError"), db.transaction() as session:
        try:
            with db.transaction(join=session):
                session.add(User(name="Ada"))
                raise LookupError
        except LookupError:
            pass

    assert names(db) == []


def test_a_transaction_does_not_join_a_read(db: Database) -> None:
    with db.read() as session, pytest.raises(errors.ReadOnly), db.transaction(join=session):
        pass


def test_a_read_joins_a_transaction(db: Database) -> None:
    with db.transaction() as session:
        session.add(User(name="Ada"))
        with db.read(join=session):
            assert session.scalar(select(User.name)) == "Ada"


def test_an_independent_block_commits_alone(filled: Database, sync_url: str) -> None:
    if sync_url.startswith("sqlite"):
        return  # it has one write lock, which the outer block holds
    with pytest.raises(ZeroDivisionError), filled.transaction():
        with filled.transaction(independent=True) as session:
            session.add(User(name="Eve"))
        _ = 1 / 0

    assert names(filled) == ["Ada", "Eve"]


def test_a_read_writes_nothing_through_the_orm(db: Database) -> None:
    with pytest.raises(errors.ReadOnly, match="would write User"), db.read() as session:
        session.add(User(name="Ada"))
        session.flush()


def test_a_read_writes_nothing_through_core(db: Database) -> None:
    with pytest.raises(errors.ReadOnly, match="INSERT"), db.read() as session:
        session.execute(insert(User).values(name="Ada"))


def test_a_read_writes_nothing_behind_our_back(db: Database) -> None:
    hidden = "WITH old AS (SELECT 1) INSERT INTO users (name) VALUES ('Ada')"
    with pytest.raises(Exception, match=r"read-?only"), db.read() as session:
        session.connection().connection.cursor().execute(hidden)
        session.execute(select(User))

    assert names(db) == []


def test_dirty_state_at_the_end_of_a_read_is_an_error(filled: Database) -> None:
    with pytest.raises(errors.ChangesDropped, match="unwritten changes of User"), filled.read() as session:
        session.get_one(User, 1).name = "Eve"


def test_pending_state_at_the_end_of_a_read_is_an_error(db: Database) -> None:
    with pytest.raises(errors.ChangesDropped), db.read() as session:
        session.add(User(name="Ada"))


def test_a_write_is_possible_after_a_read(db: Database) -> None:
    for name in ("Ada", "Bob", "Eve"):
        assert name not in names(db)
        with db.transaction() as session:
            session.add(User(name=name))


def test_a_plain_session_of_the_same_engine_writes_after_a_read(db: Database) -> None:
    assert names(db) == []
    with orm.Session(db.engine) as session:
        session.add(User(name="Ada"))
        session.commit()

    assert names(db) == ["Ada"]


def test_a_write_is_possible_after_a_read_that_was_never_left(db: Database) -> None:
    scope = db.read()
    session = scope.__enter__()
    session.execute(select(User))
    with pytest.warns(ResourceWarning, match="never left"):
        del scope, session
    with db.transaction() as session:
        session.add(User(name="Ada"))

    assert names(db) == ["Ada"]


@pytest.mark.parametrize("method", ["expunge", "expire"])
def test_changes_of_an_instance_are_not_dropped(filled: Database, method: str) -> None:
    with pytest.raises(errors.ChangesDropped, match=method), filled.transaction() as session:
        ada = session.get_one(User, 1)
        ada.name = "Eve"
        getattr(session, method)(ada)


@pytest.mark.parametrize("method", ["expunge_all", "expire_all"])
def test_changes_of_the_session_are_not_dropped(filled: Database, method: str) -> None:
    with pytest.raises(errors.ChangesDropped, match=method), filled.transaction() as session:
        session.get_one(User, 1).name = "Eve"
        getattr(session, method)()


def test_lock_reads_afresh(filled: Database) -> None:
    with filled.transaction() as session:
        account = session.get_one(Account, 1)
        session.execute(text("UPDATE accounts SET balance = 7 WHERE id = 1"))

        assert session.lock(Account, 1) is account
        assert account.balance == 7


def test_lock_writes_what_is_pending_first(filled: Database) -> None:
    with filled.transaction() as session:
        session.get_one(Account, 1).balance = 7
        session.lock(Account, 1)

    with filled.read() as session:
        assert session.get_one(Account, 1).balance == 7


def test_lock_of_no_row(filled: Database) -> None:
    with pytest.raises(sa_exc.NoResultFound), filled.transaction() as session:
        session.lock(Account, 99)


def test_lock_in_a_read(filled: Database) -> None:
    with pytest.raises(errors.ReadOnly), filled.read() as session:
        session.lock(Account, 1)


def test_callbacks_run_after_the_commit(db: Database) -> None:
    heard: list[object] = []
    with db.transaction() as session:
        session.add(User(name="Ada"))
        session.on_commit(lambda: heard.append(names(db)))
        db.on_commit(lambda: heard.append("second"))
        assert heard == []

    assert heard == [["Ada"], "second"]


def test_callbacks_are_dropped_on_rollback(db: Database) -> None:
    heard: list[str] = []
    with pytest.raises(ZeroDivisionError), db.transaction() as session:
        session.on_commit(lambda: heard.append("never"))
        _ = 1 / 0
    with db.transaction() as session:
        session.on_commit(lambda: heard.append("never"))
        session.rollback()

    assert heard == []


def test_callbacks_are_dropped_with_their_savepoint(db: Database) -> None:
    heard: list[str] = []
    with db.transaction() as session:
        session.on_commit(lambda: heard.append("first"))
        with pytest.raises(ZeroDivisionError), db.savepoint(session):
            session.add(User(name="Ada"))
            session.flush()
            session.on_commit(lambda: heard.append("never"))
            _ = 1 / 0
        with db.savepoint(session):
            session.on_commit(lambda: heard.append("second"))

    assert heard == ["first", "second"]


def test_an_error_of_a_callback_says_that_the_transaction_is_committed(db: Database) -> None:
    heard: list[str] = []
    with pytest.raises(errors.CallbackFailed, match="is committed, but 1 of its callbacks failed") as raised:
        with db.transaction() as session:
            session.add(User(name="Ada"))
            session.on_commit(lambda: [][0])
            session.on_commit(lambda: heard.append("still"))

    assert isinstance(raised.value.__cause__, IndexError)
    assert (heard, names(db)) == (["still"], ["Ada"])


def test_on_commit_outside_of_a_block(db: Database) -> None:
    with pytest.raises(errors.NoBlock):
        db.on_commit(print)


def test_a_read_has_no_commit_to_wait_for(db: Database) -> None:
    with db.read() as session, pytest.raises(errors.ReadOnly, match="never commits"):
        session.on_commit(print)


def test_an_interrupt_during_commit_leaves_the_outcome_open(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(connection: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised, db.transaction() as session:
        session.add(User(name="Ada"))
        session.flush()
        monkeypatch.setattr(db.engine.dialect, "do_commit", interrupt)
    monkeypatch.undo()

    assert errors.committed(raised.value) is None


def test_a_failure_after_dispose_is_a_failure(sync_url: str) -> None:
    db = Database(sync_url)
    with pytest.raises(errors.SwallowedFailure), db.transaction() as session:
        session.add(User(name="Ada"))
        session.flush()
        db.dispose()
        with contextlib.suppress(sa_exc.DBAPIError):
            session.execute(text("SELECT nothing FROM nowhere"))


def test_a_connection_that_could_not_be_had_is_a_failure(sync_url: str) -> None:
    with Database(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.05) as db:
        with db.read(independent=True) as holder:
            holder.execute(select(User))
            with pytest.raises(errors.SwallowedFailure, match="TimeoutError"):
                with db.transaction(independent=True) as session, contextlib.suppress(sa_exc.TimeoutError):
                    session.execute(select(User))
