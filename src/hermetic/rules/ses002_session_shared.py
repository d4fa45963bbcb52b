"""One session is used by several tasks, threads or requests at once.

## Why it hurts

A session is one conversation with the database: one connection, one transaction, one identity map. Two users at once
see each other's half-done changes, commit or roll back each other's work, and corrupt the session's state; an
asyncpg connection raises "another operation is in progress", but only when the timing is bad.

## What to do

Give every request, task and thread a session of its own: open it inside of the task, or hand in the factory instead
of the session. Keep ids, not sessions, in arguments of tasks. Work that has to share one transaction has to be
awaited one step after the other.

## When it stays silent

`scoped_session`, `async_scoped_session` and Flask-SQLAlchemy's `db.session` hand every context its own session. A
session that goes to one thread and is awaited at once has one user at a time. A module-level session in a script
that only runs once is shared with nobody.

## References

https://docs.sqlalchemy.org/en/20/orm/session_basics.html#is-the-session-thread-safe-is-asyncsession-safe-to-share-in-concurrent-tasks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import Concurrent
    from hermetic.engine.program import Program

MODULE_LEVEL = Example(
    "every request uses the one session of the module",
    """\
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from models import Invoice

app = FastAPI()
Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))
session = Session()  # expect: SES002


@app.get("/invoices/{number}")
def invoice(number: int):
    return session.get(Invoice, number)
""",
)

GATHERED = Example(
    "two tasks talk over one connection",
    """\
import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Customer, Invoice


async def page(session: AsyncSession):
    return await asyncio.gather(  # expect: SES002
        session.scalars(select(Customer)),
        session.scalars(select(Invoice)),
    )
""",
)

ONE_EACH = Example(
    "each task opens its own session",
    """\
import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from models import Customer, Invoice

Session = async_sessionmaker(create_async_engine("postgresql+asyncpg://localhost/shop"), expire_on_commit=False)


async def rows(model):
    async with Session() as session:
        return (await session.scalars(select(model))).all()


async def page():
    return await asyncio.gather(rows(Customer), rows(Invoice))
""",
)

LONGEST_LIST = 3

# The kinds of `made` records of what lives as long as the process.
WHEN = {
    "module": "when the module is imported",
    "cached": "at the first call",
    "kept": "at the first call, and kept in a variable",
    "object": "with an object that is made once",
    "start-up": "at start-up",
    "container": "for the whole application, by what provides it",
}


def check(program: Program) -> Iterator[Finding]:
    for made, users in program.shared_sessions():
        busy = [user for user in users if not user[0].once]
        if not busy and (users or made[0] != "container"):
            continue
        at = program.made_at(made)
        trace = [Step(program.position(at), f"made once, {WHEN[made[0]]}")]
        for place, mark in busy[:LONGEST_LIST]:
            trace.append(Step(program.position(mark), f"used by every caller of `{place.function.qualname}`"))
        message = "this session is made once and shared by every request and thread"
        fix = Fix("unsafe", "keep the factory here, and open a session for each request")
        yield Finding(program.position(at), Severity.ERROR, message, tuple(trace), fix)
    yield from _used_at_once(program)


def _used_at_once(program: Program) -> Iterator[Finding]:
    """One finding for each session of a function."""
    found: dict[tuple[object, ...], list[Concurrent]] = {}
    for place, use in program.concurrent_uses():
        found.setdefault((place.function.id, use.session), []).append(use)
    for use, *further in found.values():
        trace = []
        if use.created is not None:
            trace.append(Step(program.position(use.created), "the session is made here"))
        for each in (use, *further[: LONGEST_LIST - 1]):
            trace.extend(program.steps(each.at, f"used {each.how} from here"))
        message = f"one session is used {use.how}"
        fix = Fix("unsafe", "let each task open a session of its own")
        yield Finding(program.position(use.at), Severity.ERROR, message, tuple(trace), fix)


RULE = Rule(
    "SES002",
    "session-shared",
    "one session serves several tasks, threads or requests",
    check,
    bad=(MODULE_LEVEL, GATHERED),
    good=(ONE_EACH,),
)
