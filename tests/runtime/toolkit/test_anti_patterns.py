"""The eight anti-patterns, written with a Database as far as it lets one, and what comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event, exc as sa_exc, select, update

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, User
from runtime.toolkit.test_sharing import in_thread


def balance(db: Database, number: int = 1) -> int:
    with db.read() as session:
        return session.get_one(Account, number).balance


def told(raised: pytest.ExceptionInfo[errors.ToolkitError], rule: str, places: int) -> None:
    """The error names the rule, the lines of this file, and what to write instead."""
    text = str(raised.value)
    assert raised.value.rule == rule
    assert text.count("test_anti_patterns.py") == places
    assert "instead: " in text


def test_ses001_a_session_that_nobody_closes(filled: Database) -> None:
    def get_session() -> Session:
        with filled.transaction() as session:
            return session

    session = get_session()
    with pytest.raises(errors.BlockEnded) as raised:
        session.get(User, 1)
    told(raised, "SES001", 3)
    assert filled.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_ses001_a_block_that_is_not_entered(filled: Database) -> None:
    session = filled.transaction()
    with pytest.raises(AttributeError, match=r"with db.transaction\(\) as session: session.execute"):
        session.execute(select(User))  # type: ignore[attr-defined]


def test_ses001_a_session_made_by_hand(filled: Database) -> None:
    with pytest.raises(errors.BlockRules, match="outside of a block"):
        Session(filled.engine)


def test_ses002_a_session_of_two_threads(filled: Database) -> None:
    found: list[object] = []
    with filled.transaction() as session:

        def another_request(*_: object) -> None:
            found.append(in_thread(lambda: session.get(User, 1)))

        event.listen(filled.engine, "before_cursor_execute", another_request)
        session.execute(select(Account))
        event.remove(filled.engine, "before_cursor_execute", another_request)

    assert isinstance(found[0], errors.Overlap)
    assert found[0].rule == "SES002"


def test_ses002_a_session_for_the_whole_process(filled: Database) -> None:
    kept: list[Session] = []
    with filled.transaction() as session:
        kept.append(session)

    assert isinstance(in_thread(lambda: kept[0].get(User, 1)), errors.BlockEnded)


def test_ses003_a_commit_by_hand(filled: Database) -> None:
    with pytest.raises(errors.BlockRules, match=r"`session.commit\(\)` inside of `db.transaction\(\)`"):
        with filled.transaction() as session:
            session.add(User(name="Eve"))
            session.commit()


def test_ses003_a_failure_that_is_swallowed(filled: Database) -> None:
    with pytest.raises(errors.SwallowedFailure) as raised, filled.transaction() as session:
        session.execute(update(Account).values(balance=0))
        session.add(User(name="Ada"))
        with contextlib.suppress(sa_exc.IntegrityError):
            session.flush()
    told(raised, "SES003", 2)
    assert balance(filled) == 100


async def test_ses004_a_synchronous_session_on_the_loop(filled: Database) -> None:
    with pytest.raises(errors.OnEventLoop) as raised, filled.read() as session:
        session.get(User, 1)
    told(raised, "SES004", 1)


def test_ses005_a_relationship_after_the_end(filled: Database) -> None:
    with filled.read() as session:
        ada = session.get_one(User, 1)
    assert ada.name == "Ada"
    with pytest.raises(errors.NotLoaded) as raised:
        _ = ada.posts
    told(raised, "SES005", 3)


def test_ses006_two_commits_for_one_transfer(filled: Database) -> None:
    with pytest.raises(errors.BlockRules) as raised, filled.transaction() as session:
        session.get_one(Account, 1).balance -= 10
        session.commit()
        session.get_one(Account, 2).balance += 10
        session.commit()
    told(raised, "SES006", 2)
    assert (balance(filled, 1), balance(filled, 2)) == (100, 100)


def test_ses006_a_helper_that_commits(filled: Database) -> None:
    def deposit() -> None:
        with filled.transaction() as session:
            session.get_one(Account, 2).balance += 10

    with pytest.raises(errors.NestedBlock) as raised, filled.transaction() as session:
        session.get_one(Account, 1).balance -= 10
        deposit()
    told(raised, "SES006", 2)
    assert (balance(filled, 1), balance(filled, 2)) == (100, 100)


def test_ses007_an_engine_for_each_call(sync_url: str) -> None:
    def get_user() -> User | None:
        with Database(sync_url).read() as session:
            return session.get(User, 1)

    first = Database(sync_url)
    with pytest.raises(errors.DatabaseExists) as raised:
        get_user()
    told(raised, "SES007", 2)
    first.dispose()


@pytest.fixture
def pay() -> Callable[[Database], None]:
    """A payment, during which somebody else takes the account's money."""

    def pay(db: Database) -> None:
        time.sleep(0.3)
        with db.transaction(independent=True) as session:
            session.get_one(Account, 1).balance = 0

    return pay


def test_ses008_a_row_from_before_the_wait(filled: Database, pay: Callable[[Database], None]) -> None:
    with filled.read() as session:
        account = session.get_one(Account, 1)
    pay(filled)
    with pytest.raises(errors.InstanceEnded) as raised, filled.transaction() as session:
        account.balance -= 10
    told(raised, "SES008", 3)
    assert balance(filled) == 0


def test_ses008_the_connection_released_reads_anew(filled: Database, pay: Callable[[Database], None]) -> None:
    with filled.transaction() as session:
        account = session.get_one(Account, 1)
        with filled.released(session):
            pay(filled)
        if account.balance >= 10:
            account.balance -= 10

    assert balance(filled) == 0


def test_ses008_a_transaction_kept_open_over_the_wait(postgres_url: str, pay: Callable[[Database], None]) -> None:
    with Database(postgres_url, idle_in_transaction_timeout=0.1) as db:
        with db.transaction() as session:
            session.add(Account(balance=100))
        with pytest.raises(sa_exc.DBAPIError, match="idle-in-transaction"), db.transaction() as session:
            account = session.get_one(Account, 1)
            pay(db)
            account.balance -= 10

        assert balance(db) == 0
