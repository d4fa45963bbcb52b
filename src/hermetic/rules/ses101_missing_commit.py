"""Something is written, and nothing commits it.

## Why it hurts

A session writes within a transaction. Without a `commit()` its end is a rollback, whether the session is closed, left
by its `with` or dropped: no error, no warning, and the row was never there. `flush()` sends the statement, so that
ids and defaults appear and everything looks well until the next request.

## What to do

Commit once, at the end of the operation, where it is known that all of it went well: `with Session.begin() as
session:` commits when the block ends, and rolls back when it raises. Helpers flush at most.

## When it stays silent

The caller commits, or the context manager, or the dependency after the request. The session went to a call that
nobody can follow, after the write. Some other path of the function commits what it wrote. The block rolls back on
purpose. A row that was assigned to is looked at afterwards: returned, read or handed on, so it was changed for show.
Sessions over a borrowed connection, whose owner commits.

## References

https://docs.sqlalchemy.org/en/20/orm/session_basics.html#committing
https://docs.sqlalchemy.org/en/20/orm/session_basics.html#framing-out-a-begin-commit-rollback-block
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.program import Program

SETUP = """\
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, orm

from models import Invoice

app = FastAPI()
Session = orm.sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))

"""

CLOSED = Example(
    "the block closes the session, and commits nothing",
    SETUP
    + """
def bill(number: int) -> None:
    with Session() as session:
        session.add(Invoice(number=number))  # expect: SES101
        session.flush()
""",
)

DEPENDENCY = Example(
    "the dependency closes the session of the endpoint",
    SETUP
    + """
def get_db():
    with Session() as session:
        yield session


@app.post("/invoices/{number}")
def bill(number: int, db: orm.Session = Depends(get_db)) -> None:
    db.add(Invoice(number=number))  # expect: SES101
""",
)

COMMITTED = Example(
    "the block commits, or the dependency does",
    SETUP
    + """
def bill(number: int) -> None:
    with Session.begin() as session:
        session.add(Invoice(number=number))


def get_db():
    with Session.begin() as session:
        yield session


@app.post("/invoices/{number}")
def bill_by_request(number: int, db: orm.Session = Depends(get_db)) -> None:
    db.add(Invoice(number=number))
""",
)


def check(program: Program) -> Iterator[Finding]:
    for place, write in program.lost_writes():
        if place.is_test:
            continue
        at = program.position(write.written)
        trace = list(program.steps(write.written, "written here"))
        if write.ended is not None:
            trace.extend(program.steps(write.ended, "the session is closed, and nothing was committed"))
        else:
            trace.append(Step(at, f"and `{place.function.name}` ends without a commit"))
        message = f"`{place.function.name}` writes, and nothing commits it"
        fix = Fix("unsafe", "commit at the end of the operation, or open the session with `Session.begin()`")
        yield Finding(at, Severity.ERROR, message, tuple(trace), fix)


RULE = Rule(
    "SES101",
    "missing-commit",
    "something is written, and nothing commits it",
    check,
    bad=(CLOSED, DEPENDENCY),
    good=(COMMITTED,),
)
