"""SES008 at run time: rows that are written as they were before a wait."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, Session, mapped_column

from hermetic.finding import Severity
from runtime.models import Account, Base, User
from runtime.sanitizer.found import Found, watched

IDLE = 0.2
WAIT = 0.6

Act = Callable[[Session, Account], object]


class Versioned(Base):
    __tablename__ = "versioned"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy's documentation has it


@pytest.fixture
def found() -> Iterator[Found]:
    """A watch for which a fifth of a second is a wait; SES102 would see most of them too."""
    with watched(idle_ms=IDLE * 1000, ignore=["SES102"]) as found:
        yield found


@pytest.fixture
def engine(sync_engine: Engine) -> Engine:
    Base.metadata.create_all(sync_engine)
    with Session(sync_engine) as session:
        session.add_all([Account(id=1, balance=50), User(id=1, name="Ada"), Versioned(id=1)])
        session.commit()
    return sync_engine


def wait() -> None:
    time.sleep(WAIT)


def test_read_then_wait_then_write(engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(engine) as session:
            account = session.get_one(Account, 1)  # mark: read
            wait()
            account.balance -= 10  # mark: written
            session.commit()

    pay()

    assert found.places("SES008", pay) == ("written", {"read", "written"})
    assert found.findings[0].severity is Severity.WARNING


async def test_an_async_session(async_engine: AsyncEngine, found: Found) -> None:
    async def pay() -> None:
        async with AsyncSession(async_engine) as session:
            account = (await session.scalars(select(Account))).one()  # mark: read
            await asyncio.sleep(WAIT)
            account.balance -= 10  # mark: written
            await session.commit()

    async with AsyncSession(async_engine) as session:
        session.add(Account(balance=50))
        await session.commit()
    await pay()

    assert found.places("SES008", pay) == ("written", {"read", "written"})


def test_decided_before_the_wait_and_written_after_it(engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(engine) as session:
            account = session.get_one(Account, 1)  # mark: read
            account.balance -= 10
            wait()
            session.commit()  # mark: written

    pay()

    assert found.places("SES008", pay) == ("written", {"read", "written"})


def test_a_wait_between_two_transactions(engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(engine, expire_on_commit=False) as session:
            account = session.get_one(Account, 1)  # mark: read
            session.commit()
            wait()
            account.balance -= 10  # mark: written
            session.commit()

    pay()

    assert found.places("SES008", pay) == ("written", {"read", "written"})


def test_a_pool_and_a_commit_that_take_their_time(engine: Engine, found: Found) -> None:
    @event.listens_for(engine, "checkout")
    def connect_slowly(*_: object) -> None:
        wait()

    @event.listens_for(engine, "commit")
    def commit_slowly(_: object) -> None:
        wait()

    with Session(engine, expire_on_commit=False) as session:
        account = session.get_one(Account, 1)
        session.commit()
        account.balance -= 10
        session.commit()

    assert found.codes == []


def test_reading_it_again_gives_the_old_values(engine: Engine, found: Found) -> None:
    def pay() -> None:
        with Session(engine) as session:
            account = session.scalars(select(Account)).one()  # mark: read
            wait()
            account = session.scalars(select(Account)).one()
            account.balance -= 10  # mark: written
            session.commit()

    pay()

    assert found.places("SES008", pay) == ("written", {"read", "written"})


def test_locked_too_late(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.scalars(select(Account)).one()
        wait()
        session.scalars(select(Account).with_for_update()).one()
        account.balance -= 10
        session.commit()

    assert found.codes == ["SES008"]


@pytest.mark.parametrize(
    "again",
    [
        lambda session, account: session.refresh(account),
        lambda session, account: session.refresh(account, ["balance"]),
        lambda session, account: session.refresh(account, with_for_update=True),
        lambda session, account: session.expire_all(),
        lambda session, account: session.expire(account, ["balance"]),
        lambda session, account: session.commit(),
        lambda session, account: session.get(Account, 1, populate_existing=True),
        lambda session, account: session.scalars(select(Account).execution_options(populate_existing=True)).one(),
    ],
    ids=["refresh", "attribute", "lock", "expire all", "expire", "commit", "get", "select"],
)
def test_read_again_after_the_wait(engine: Engine, found: Found, again: Act) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        wait()
        again(session, account)
        account.balance -= 10
        session.commit()

    assert found.codes == []


def test_another_attribute_was_read_again(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        wait()
        session.refresh(account, ["id"])
        account.balance -= 10
        session.commit()

    assert found.codes == ["SES008"]


@pytest.mark.parametrize(
    "lock",
    [
        lambda session: session.get(Account, 1, with_for_update=True),
        lambda session: session.scalars(select(Account).with_for_update()).one(),
        lambda session: session.scalars(select(Account.id).with_for_update()).one(),
    ],
    ids=["get", "select", "column"],
)
def test_locked_before_the_wait(engine: Engine, found: Found, lock: Callable[[Session], object]) -> None:
    with Session(engine) as session:
        lock(session)
        account = session.get_one(Account, 1)
        wait()
        account.balance -= 10
        session.commit()

    assert found.codes == []


def test_the_lock_of_a_transaction_that_is_over(engine: Engine, found: Found) -> None:
    with Session(engine, expire_on_commit=False) as session:
        account = session.get_one(Account, 1, with_for_update=True)
        session.commit()
        wait()
        account.balance -= 10
        session.commit()

    assert found.codes == ["SES008"]


def test_a_lock_by_text(postgres_url: str, found: Found) -> None:
    engine = create_engine(postgres_url)
    with Session(engine) as session:
        session.add(Account(id=1))
        session.commit()
        session.execute(text("LOCK TABLE accounts"))
        account = session.get_one(Account, 1, populate_existing=True)
        wait()
        account.balance -= 10
        session.commit()
    engine.dispose()

    assert found.codes == []


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ"])
def test_a_database_that_refuses(postgres_url: str, found: Found, level: str) -> None:
    engine = create_engine(postgres_url, isolation_level=level)
    with Session(engine) as session:
        session.add(Account(id=1))
        session.commit()
        account = session.get_one(Account, 1)
        wait()
        account.balance -= 10
        session.commit()
    engine.dispose()

    assert found.codes == []


def test_a_version_counter(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        row = session.get_one(Versioned, 1)
        wait()
        row.balance += 1
        session.commit()

    assert found.codes == []


def test_the_database_evaluates(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        wait()
        account.balance = Account.balance - 10
        session.commit()

    assert found.codes == []


def test_written_without_having_been_read(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        session.expire(account)
        wait()
        account.balance = 0
        session.commit()

    assert found.codes == []


def test_our_own_write_locks_the_row(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        account.balance -= 10
        session.flush()
        wait()
        account.balance -= 10
        session.commit()

    assert found.codes == []


def test_what_was_flushed_without_a_change_is_not_locked(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        account.balance = account.balance + 0
        session.flush()
        wait()
        account.balance -= 10
        session.commit()

    assert found.codes == ["SES008"]


@pytest.mark.usefixtures("found")
def test_instances_can_be_pickled(engine: Engine) -> None:
    with Session(engine) as session:
        copy = pickle.loads(pickle.dumps(session.get_one(Account, 1)))

    assert copy.balance == 50


def test_a_new_row(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        session.get_one(Account, 1)
        wait()
        session.add(Account(id=2))
        session.commit()

    assert found.codes == []


def test_the_same_value(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        wait()
        account.balance = account.balance + 0
        session.commit()

    assert found.codes == []


def test_read_after_the_wait(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        session.get_one(User, 1)
        wait()
        session.get_one(Account, 1).balance -= 10
        session.commit()

    assert found.codes == []


def test_no_wait(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        session.get_one(Account, 1).balance -= 10
        session.commit()

    assert found.codes == []
