"""The connection given back in the middle of a block."""

from __future__ import annotations

import pytest
from sqlalchemy import exc as sa_exc, orm, select, text

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from runtime.models import Account, Post, User


def checked_out(db: Database) -> int:
    return db.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]


def test_the_connection_is_given_back(filled: Database) -> None:
    with filled.transaction() as session:
        session.get_one(Account, 1)
        assert checked_out(filled) == 1
        with filled.released(session):
            assert checked_out(filled) == 0


def test_what_is_referenced_is_read_anew(filled: Database) -> None:
    with filled.transaction() as session:
        account = session.get_one(Account, 1)
        with filled.released(session), filled.transaction(independent=True) as other:
            other.lock(Account, 1).balance = 1

        assert orm.attributes.instance_dict(account)["balance"] == 1


def test_relationships_are_read_anew(filled: Database) -> None:
    with filled.transaction() as session:
        ada = session.get_one(User, 1)
        assert len(ada.posts) == 2
        with filled.released(session), filled.transaction(independent=True) as other:
            other.add(Post(title="News", author_id=1))

        assert len(orm.attributes.instance_dict(ada)["posts"]) == 3


def test_more_rows_than_one_statement_asks_for(filled: Database) -> None:
    with filled.transaction() as session:
        session.add_all([Account(balance=1) for _ in range(1100)])
    with filled.transaction() as session:
        accounts = session.scalars(select(Account)).all()
        with filled.released(session), filled.transaction(independent=True) as other:
            other.execute(text("UPDATE accounts SET balance = 7"))

        assert {account.balance for account in accounts} == {7}


def test_a_row_that_is_gone(filled: Database) -> None:
    with pytest.raises(errors.RowGone, match=r"Account .1.*deleted by somebody else"), filled.transaction() as session:
        _account = session.get_one(Account, 1)
        with filled.released(session), filled.transaction(independent=True) as other:
            other.delete(other.get_one(Account, 1))


@pytest.mark.parametrize("write", ["flushed", "pending", "dirty", "core"])
def test_release_after_a_write_is_refused(filled: Database, write: str) -> None:
    with pytest.raises(errors.CannotRelease, match="split the operation"), filled.transaction() as session:
        if write == "dirty":
            session.get_one(Account, 1).balance = 7
        elif write == "core":
            session.execute(text("UPDATE accounts SET balance = 7"))
        else:
            session.add(User(name="Eve"))
        if write == "flushed":
            session.flush()
        with filled.released(session):
            pass


def test_release_inside_of_a_joined_block_is_refused(filled: Database) -> None:
    with pytest.raises(errors.CannotRelease, match="joined"), filled.transaction() as session:
        with filled.transaction(join=session) as joined, filled.released(joined):
            pass


def test_release_inside_of_a_savepoint_is_refused(filled: Database) -> None:
    with pytest.raises(errors.CannotRelease, match="savepoint"), filled.transaction() as session:
        with filled.savepoint(session), filled.released(session):
            pass


def test_no_statement_while_the_connection_is_released(filled: Database) -> None:
    with filled.transaction() as session, filled.released(session):
        with pytest.raises(errors.Released, match="released at"):
            session.execute(select(User))
        with pytest.raises(errors.Released):
            session.add(User(name="Eve"))


def test_no_attribute_is_written_while_the_connection_is_released(filled: Database) -> None:
    with pytest.raises(sa_exc.InvalidRequestError, match="Autobegin"), filled.transaction() as session:
        account = session.get_one(Account, 1)
        with filled.released(session):
            account.balance = 7


def test_an_error_in_the_slow_work_leaves_the_block_usable(filled: Database) -> None:
    with filled.transaction() as session:
        account = session.get_one(Account, 1)
        with pytest.raises(LookupError), filled.released(session):
            with filled.transaction(independent=True) as other:
                other.lock(Account, 1).balance = 1
            raise LookupError

        assert account.balance == 1
        account.balance = 2
    with filled.read() as session:
        assert session.get_one(Account, 1).balance == 2


def test_a_read_gives_its_connection_back_as_well(filled: Database) -> None:
    with filled.read() as session:
        account = session.get_one(Account, 1)
        with filled.released(session), filled.transaction(independent=True) as other:
            other.lock(Account, 1).balance = 1

        assert account.balance == 1
