"""One operation writes and commits, then writes and commits again.

## Why it hurts

A crash, a time-out or a failing second part leaves the first part done: money gone from one account and not on the
other, an account without its owner, a token that can be used twice. No rollback undoes a commit.

## What to do

Write everything, then commit once: `with session.begin():`. `flush()` gives ids without ending the transaction. Let
helpers write and flush, and whoever owns the operation commit. If the steps have to be separate (a slow call stands
between them), make each of them repeatable and record how far you came.

## When it stays silent

One commit for each item of a loop, exclusive branches, two pieces of writing that have nothing in common, a second
commit with nothing to write, the steps of a test, a database in memory. An audit or progress record that has to survive
a failure is a reason to write `# hermetic: ignore[SES006]` with that reason.

## References

https://docs.sqlalchemy.org/en/20/orm/session_transaction.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import Split
    from hermetic.engine.program import Place, Program

SETUP = """\
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "customer_order"
    id: Mapped[int] = mapped_column(primary_key=True)


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]

"""

TWO_COMMITS = Example(
    "an order without an invoice, when the second part fails",
    SETUP
    + """
def place(number: int) -> None:
    with Session() as session:
        order = Order(id=number)
        session.add(order)
        session.commit()
        session.add(Invoice(order_id=order.id))
        session.commit()  # expect: SES006
""",
)

HELPERS = Example(
    "helpers that each commit",
    SETUP
    + """
def save(session, row):
    session.add(row)
    session.commit()


def place(number: int) -> None:
    with Session() as session:
        order = Order(id=number)
        save(session, order)
        save(session, Invoice(order_id=order.id))  # expect: SES006
""",
)

ONE_COMMIT = Example(
    "flush gives the id, one commit ends the operation",
    SETUP
    + """
def place(number: int) -> None:
    with Session.begin() as session:
        order = Order(id=number)
        session.add(order)
        session.flush()
        session.add(Invoice(order_id=order.id))


def import_all(numbers) -> None:
    with Session() as session:
        for number in numbers:
            session.add(Order(id=number))
            session.commit()
""",
)


def check(program: Program) -> Iterator[Finding]:
    operations: dict[tuple[int, object], list[Split]] = {}
    for place, split in program.split_transactions():
        if not place.is_test and (split.related or split.same_session):
            operations.setdefault((place.function.id, split.second.session), []).append(split)
    for (function, _), splits in operations.items():
        yield _finding(program, program.place(function), splits)


def _finding(program: Program, place: Place, splits: list[Split]) -> Finding:
    """One finding an operation: the first commit that comes after another, further ones as steps."""
    first = next((split for split in splits if split.second.certain), splits[0])
    trace = [*program.steps(first.first.committed, "the first part is committed")]
    trace += program.steps(first.second.committed, "the second part is committed; if it fails, the first stays")
    for further in (split for split in splits if split is not first):
        trace.append(Step(program.position(further.second.committed), "a further part is committed"))
    message = f"`{place.function.name}` commits one operation in {'two' if len(splits) == 1 else 'several'} parts"
    proven = first.related and first.second.certain and not program.may_join_a_scope(place, first.second)
    severity = Severity.ERROR if proven else Severity.WARNING
    fix = Fix("unsafe", "write all parts, `flush()` where an id is needed, and commit once at the end")
    return Finding(program.position(first.second.committed), severity, message, tuple(trace), fix)


RULE = Rule(
    "SES006",
    "split-transaction",
    "one operation is committed in several parts",
    check,
    bad=(TWO_COMMITS, HELPERS),
    good=(ONE_COMMIT,),
)
