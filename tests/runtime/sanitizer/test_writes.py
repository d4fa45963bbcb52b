"""Whether two transactions have written what belongs together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Column, Engine, ForeignKey, StaticPool, Table, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from hermetic.sanitizer import writes
from hermetic.sanitizer.writes import Relation, Row


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str | None]
    orders: Mapped[int] = mapped_column(default=0)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Customer(Person):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
    number: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "customer"}  # noqa: RUF012


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey(Customer.id))
    state: Mapped[str | None]
    phase: Mapped[str] = mapped_column(default="new")
    total: Mapped[int] = mapped_column(default=0)
    note: Mapped[str | None]
    tags: Mapped[list[Tag]] = relationship(secondary="tagged")


class Tag(Base):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class LogEntry(Base):
    __tablename__ = "order_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey(Order.id))


class Blog(Base):
    __tablename__ = "blogs"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey(Order.id))


Table(
    "tagged",
    Base.metadata,
    Column("order_id", ForeignKey(Order.id), primary_key=True),
    Column("tag_id", ForeignKey(Tag.id), primary_key=True),
)

Part = Callable[[Session], object]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Customer(id=1, name="Ada"), Order(id=1, state="open"), Tag(id=1, name="new")])
        session.commit()
    yield engine
    engine.dispose()


def relation(engine: Engine, first: Part, second: Part) -> Relation:
    """The relation of two transactions of one session."""
    rows: list[list[Row]] = []

    with Session(engine) as session:

        @event.listens_for(session, "after_flush")
        def note(session: Session, _: object) -> None:
            rows[-1] += writes.of_flush(session)

        for part in (first, second):
            rows.append([])
            part(session)
            session.commit()
    return writes.related(*rows)


def test_a_row_that_refers_to_a_new_one(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.add(Order(customer_id=7))

    assert relation(engine, lambda session: session.add(Customer(id=7)), second) is Relation.CERTAIN


def test_a_row_that_comes_to_refer_to_a_new_one(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.get_one(Order, 1).customer_id = 7

    assert relation(engine, lambda session: session.add(Customer(id=7)), second) is Relation.CERTAIN


def test_a_row_that_had_referred_to_it_before(engine: Engine) -> None:
    def first(session: Session) -> None:
        session.get_one(Customer, 1).number = "A 1"

    def second(session: Session) -> None:
        session.get_one(Order, 1).note = "in a hurry"

    with Session(engine) as session:
        session.get_one(Order, 1).customer_id = 1
        session.commit()

    assert relation(engine, first, second) is Relation.NONE


def test_a_new_row_that_refers_to_one_that_was_changed(engine: Engine) -> None:
    def first(session: Session) -> None:
        session.get_one(Customer, 1).number = "A 1"

    assert relation(engine, first, lambda session: session.add(Order(customer_id=1))) is Relation.LIKELY


def test_a_count_in_the_row_that_a_new_one_refers_to(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.get_one(Customer, 1).orders += 1

    assert relation(engine, lambda session: session.add(Order(customer_id=1)), second) is Relation.LIKELY


def test_a_new_row_that_is_completed(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.get_one(Customer, 7).number = "A 7"

    assert relation(engine, lambda session: session.add(Customer(id=7)), second) is Relation.CERTAIN


def test_a_state_that_is_moved_on(engine: Engine) -> None:
    def second(session: Session) -> None:
        order = session.get_one(Order, 7)
        order.state, order.note = "paid", "in time"
        session.add(LogEntry(order_id=7))

    assert relation(engine, lambda session: session.add(Order(id=7, state="open")), second) is Relation.NONE


def test_a_state_by_default_that_is_moved_on(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.get_one(Order, 7).phase = "done"

    assert relation(engine, lambda session: session.add(Order(id=7)), second) is Relation.NONE


@pytest.mark.parametrize(
    ("made", "expected"),
    [(Order(id=7), Relation.CERTAIN), (Order(id=7, total=0), Relation.NONE)],
    ids=["default", "given"],
)
def test_a_number_that_is_filled_in(engine: Engine, made: Order, expected: Relation) -> None:
    def second(session: Session) -> None:
        session.get_one(Order, 7).total = 12

    assert relation(engine, lambda session: session.add(made), second) is expected


def test_tags_of_a_new_row(engine: Engine) -> None:
    def second(session: Session) -> None:
        order = session.get_one(Order, 7)
        order.tags.append(session.get_one(Tag, 1))

    assert relation(engine, lambda session: session.add(Order(id=7)), second) is Relation.CERTAIN


def test_records_are_kept_apart(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.add(LogEntry(order_id=7))

    assert relation(engine, lambda session: session.add(Order(id=7)), second) is Relation.NONE


def test_a_word_in_a_name_is_no_record(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.add(Blog(order_id=7))

    assert relation(engine, lambda session: session.add(Order(id=7)), second) is Relation.CERTAIN


def test_two_new_rows_of_a_table(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.add(Order())

    assert relation(engine, lambda session: session.add(Order()), second) is Relation.NONE


def test_two_rows_of_a_table_that_are_changed(engine: Engine) -> None:
    def first(session: Session) -> None:
        session.get_one(Order, 1).note = "first"

    def second(session: Session) -> None:
        session.delete(session.get_one(Order, 2))

    with Session(engine) as session:
        session.add(Order(id=2))
        session.commit()

    assert relation(engine, first, second) is Relation.LIKELY


def test_a_row_that_is_removed_again(engine: Engine) -> None:
    def second(session: Session) -> None:
        session.delete(session.get_one(Order, 7))

    assert relation(engine, lambda session: session.add(Order(id=7)), second) is Relation.NONE
