"""The table of what operations do to a session, beside a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import Engine, QueuePool, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from hermetic.engine import typestate as ts


class Base(DeclarativeBase):
    pass


class Crate(Base):
    __tablename__ = "crate"
    id: Mapped[int] = mapped_column(primary_key=True)


OPERATIONS = ("add", "flush", "commit", "rollback", "close", "scalar", "get", "connection", "expunge_all")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path: Path = tmp_path_factory.mktemp("typestate") / "crates.db"
    made = create_engine(f"sqlite:///{path}", poolclass=QueuePool)
    Base.metadata.create_all(made)
    return made


def perform(session: Session, name: str) -> None:
    if name == "add":
        session.add(Crate())
    elif name == "scalar":
        session.scalar(select(func.count()).select_from(Crate))
    elif name == "get":
        session.get(Crate, -1)
    else:
        getattr(session, name)()


def is_dirty(session: Session, engine: Engine) -> bool:
    """Is there something that a commit would keep, and a close would lose?"""
    if session.new:
        return True
    if not session.in_transaction():
        return False
    ours = session.connection().scalar(select(func.count()).select_from(Crate))
    with Session(engine) as other:
        return ours != other.scalar(select(func.count()).select_from(Crate))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(st.sampled_from(OPERATIONS), max_size=12))
def test_the_table_says_what_a_session_does(names: list[str], engine: Engine) -> None:
    word = ts.FRESH
    with Session(engine) as session:
        for name in names:
            if name == "flush" and not session.new:
                continue  # with nothing to send, a flush does nothing; the table cannot know
            if name == "expunge_all" and session.new:
                continue  # it forgets what was added, which the table does not count on
            perform(session, name)
            word = ts.SESSION_OPERATIONS[name].apply(word)

            assert ts.must(word, ts.TRANSACTION) == ts.may(word, ts.TRANSACTION)
            assert ts.may(word, ts.TRANSACTION) == (engine.pool.checkedout() == 1)  # type: ignore[attr-defined]
        assert ts.may(word, ts.DIRTY) == is_dirty(session, engine)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
