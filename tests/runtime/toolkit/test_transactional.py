"""`@db.transactional`: functions that are transactions, and when they run again."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import exc as sa_exc, select, text

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, User
from runtime.toolkit.servers import backend, kill, killed_at_commit


@pytest.fixture
def strict(postgres_url: str) -> Iterator[Database]:
    """A serializable PostgreSQL, with two accounts of 100."""
    with Database(postgres_url, isolation_level="SERIALIZABLE") as database:
        with database.transaction() as session:
            session.add_all([Account(balance=100), Account(balance=100)])
        yield database


def balances(db: Database) -> list[int]:
    with db.read() as session:
        return list(session.scalars(select(Account.balance).order_by(Account.id)))


def test_the_session_comes_first(db: Database) -> None:
    @db.transactional
    def add(session: Session, name: str, *, times: int = 1) -> str:
        session.add(User(name=name * times))
        return name

    assert add("Ada", times=2) == "Ada"
    with db.read() as session:
        assert session.scalar(select(User.name)) == "AdaAda"


def test_the_session_comes_after_self(db: Database) -> None:
    class Service:
        prefix = "Dr "

        @db.transactional(retry=1)
        def add(self, session: Session, name: str) -> None:
            session.add(User(name=self.prefix + name))

    Service().add("Ada")
    with db.read() as session:
        assert session.scalar(select(User.name)) == "Dr Ada"


def test_the_session_is_no_parameter_of_the_function(db: Database) -> None:
    @db.transactional
    def add(session: Session, name: str) -> None:
        """Adds a user."""

    assert list(inspect.signature(add).parameters) == ["name"]
    assert (add.__name__, add.__doc__) == ("add", "Adds a user.")


def test_an_error_rolls_back(db: Database) -> None:
    @db.transactional
    def add(session: Session) -> None:
        session.add(User(name="Ada"))
        raise LookupError

    with pytest.raises(LookupError):
        add()
    with db.read() as session:
        assert session.scalar(select(User.name)) is None


def test_a_coroutine_function_would_run_too_late(db: Database) -> None:
    async def add(session: Session) -> None: ...

    with pytest.raises(TypeError, match="would run after its transaction"):
        db.transactional(add)


def test_a_function_without_a_session(db: Database) -> None:
    def add() -> None: ...

    with pytest.raises(TypeError, match="no parameter for the session"):
        db.transactional(add)  # type: ignore[arg-type]


def test_a_call_inside_of_a_block_is_nested(db: Database) -> None:
    @db.transactional
    def add(session: Session) -> None: ...

    with db.transaction(), pytest.raises(errors.NestedBlock):
        add()


def test_a_call_inside_of_a_block_joins_it(db: Database) -> None:
    @db.transactional(join=True)
    def add(session: Session) -> Session:
        return session

    with db.transaction() as session:
        assert add() is session
    assert add() is not session


def test_a_serialization_failure_runs_again(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=2)
    def take(session: Session) -> None:
        attempts.append(1)
        account = session.get_one(Account, 1)
        if len(attempts) == 1:
            with strict.transaction(independent=True) as other:
                other.get_one(Account, 1).balance -= 10
        account.balance -= 1

    take()

    assert (len(attempts), balances(strict)[0]) == (2, 89)


def test_what_the_server_refuses_at_commit_runs_again(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=2)
    def take(session: Session) -> None:
        attempts.append(1)
        total = sum(session.scalars(select(Account.balance)))
        session.get_one(Account, 1).balance = 200 - total
        session.flush()
        if len(attempts) == 1:
            with strict.transaction(independent=True) as other:
                other.get_one(Account, 2).balance = 200 - sum(other.scalars(select(Account.balance)))

    take()

    assert len(attempts) == 2
    assert sorted(balances(strict)) == [0, 100]


def test_attempts_have_an_end(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=1)
    def take(session: Session) -> None:
        attempts.append(1)
        account = session.get_one(Account, 1)
        with strict.transaction(independent=True) as other:
            other.get_one(Account, 1).balance -= 10
        account.balance -= 1

    with pytest.raises(sa_exc.OperationalError, match="could not serialize"):
        take()
    assert (len(attempts), balances(strict)[0]) == (2, 80)


def test_a_lost_connection_runs_again(strict: Database, postgres_url: str) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=1)
    def take(session: Session) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            kill(postgres_url, backend(session.connection()))
        session.lock(Account, 1).balance -= 1

    take()

    assert (len(attempts), balances(strict)[0]) == (2, 99)


def test_a_connection_lost_during_commit_is_never_retried(strict: Database, postgres_url: str) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3)
    def take(session: Session) -> None:
        attempts.append(1)
        session.lock(Account, 1).balance -= 1

    with killed_at_commit(strict.engine, postgres_url) as killed:
        with pytest.raises(errors.CommitUnknown, match="applied once or not at all") as raised:
            take()

    assert (len(attempts), len(killed)) == (1, 1)
    assert isinstance(raised.value.__cause__, sa_exc.DBAPIError)


def test_nothing_runs_again_after_slow_work(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3)
    def take(session: Session) -> None:
        attempts.append(1)
        with strict.released(session):
            pass
        account = session.get_one(Account, 1)
        with strict.transaction(independent=True) as other:
            other.get_one(Account, 1).balance -= 10
        account.balance -= 1

    with pytest.raises(sa_exc.OperationalError, match="could not serialize"):
        take()
    assert len(attempts) == 1


def test_a_joined_function_does_not_run_again(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3, join=True)
    def take(session: Session) -> None:
        attempts.append(1)
        account = session.get_one(Account, 1)
        with strict.transaction(independent=True) as other:
            other.get_one(Account, 1).balance -= 10
        account.balance -= 1
        session.flush()

    with pytest.raises(sa_exc.OperationalError, match="could not serialize"), strict.transaction():
        take()
    assert len(attempts) == 1


def test_an_error_of_the_functions_own_does_not_run_again(strict: Database) -> None:
    attempts: list[int] = []

    @strict.transactional(retry=3)
    def take(session: Session) -> None:
        attempts.append(1)
        raise sa_exc.OperationalError("of another database", None, Exception(), connection_invalidated=True)

    with pytest.raises(sa_exc.OperationalError):
        take()
    assert len(attempts) == 1


def test_callbacks_of_failed_attempts_are_dropped(strict: Database) -> None:
    heard: list[int] = []
    attempts: list[int] = []

    @strict.transactional(retry=2)
    def take(session: Session) -> None:
        attempts.append(1)
        number = len(attempts)
        session.on_commit(lambda: heard.append(number))
        account = session.get_one(Account, 1)
        if number == 1:
            with strict.transaction(independent=True) as other:
                other.get_one(Account, 1).balance -= 10
        account.balance -= 1

    take()

    assert heard == [2]


def test_an_error_of_a_callback_does_not_run_again(strict: Database) -> None:
    attempts: list[int] = []

    def fail() -> None:
        raise sa_exc.OperationalError("SELECT 1", None, Exception(), connection_invalidated=True)

    @strict.transactional(retry=2)
    def take(session: Session) -> None:
        attempts.append(1)
        session.lock(Account, 1).balance -= 1
        session.on_commit(fail)

    with pytest.raises(errors.CallbackFailed):
        take()
    assert (len(attempts), balances(strict)[0]) == (1, 99)


def test_a_locked_sqlite_runs_again(sqlite_url: str, tmp_path: Path) -> None:
    attempts: list[int] = []
    writer = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with Database(sqlite_url, connect_args={"timeout": 0.05}) as db:

        @db.transactional(retry=1)
        def add(session: Session) -> None:
            attempts.append(1)
            try:
                session.execute(text("SELECT 1"))
            finally:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")

        add()
    writer.close()

    assert len(attempts) == 2
