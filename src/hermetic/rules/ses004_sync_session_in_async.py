"""Synchronous database work runs on the event loop.

## Why it hurts

The loop runs one thing at a time. While a synchronous driver waits for the database, no other request, timer,
health check or websocket of the process moves; one slow query stops the whole service, and a pool that has run dry
stops it for `pool_timeout`, because the coroutines that would return connections cannot run either.

## What to do

Use `AsyncSession` in `async def`. Where the synchronous code has to stay, run it in a thread
(`asyncio.to_thread`, `run_in_threadpool`) with a session that is opened there, or make the endpoint a plain `def`:
FastAPI and Starlette run those in a thread pool. Litestar does so only with `sync_to_thread=True`.

## When it stays silent

The work is handed to a thread or an executor, runs under `AsyncSession.run_sync`, in an event listener, or in a
lifespan or start-up hook, before the loop serves anybody.

## References

https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html
https://fastapi.tiangolo.com/async/#path-operation-functions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.program import Program

DIRECT = Example(
    "a synchronous session in a coroutine",
    """\
from fastapi import Depends, FastAPI
from sqlalchemy.orm import Session

from db import get_session
from models import Invoice

app = FastAPI()


@app.get("/invoices/{number}")
async def invoice(number: int, session: Session = Depends(get_session)):
    return session.get(Invoice, number)  # expect: SES004
""",
)

THROUGH_HELPER = Example(
    "a helper in another file does it",
    """\
# file: store.py
from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Invoice


class Invoices:
    def __init__(self, session: Session) -> None:
        self.session = session

    def unpaid(self):
        return self.session.scalars(select(Invoice).where(Invoice.paid.is_(False))).all()


# file: jobs.py
from sqlalchemy.orm import Session

from store import Invoices


async def remind(session: Session, mailer) -> None:
    for invoice in Invoices(session).unpaid():  # expect: SES004
        await mailer.send(invoice.customer)
""",
)

THREAD = Example(
    "the work runs in a thread, or the endpoint does",
    """\
import asyncio

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from db import get_session
from models import Invoice

app = FastAPI()
factory = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


def load(number: int):
    with factory() as session:
        return session.get(Invoice, number)


async def show(number: int):
    return await asyncio.to_thread(load, number)


@app.get("/invoices/{number}")
def invoice(number: int, session: Session = Depends(get_session)):
    return session.get(Invoice, number)
""",
)


FIX = "use an AsyncSession, run it with `asyncio.to_thread`, or make the endpoint a plain `def`"


def check(program: Program) -> Iterator[Finding]:
    for place, work in program.blocking_work():
        if place.starts_up:
            continue
        name = place.function.name
        trace = program.steps(work.at, "waits for the database, and the event loop with it")
        where = f"`async def {name}`" if place.function.is_async else f"`{name}`, which Litestar runs on it"
        if len(trace) == 1:
            message = f"synchronous database work blocks the event loop in {where}"
        else:
            callee = program.function_at(work.at[2]).qualname
            message = f"`{callee}` does synchronous database work, which blocks the event loop in {where}"
        fix = Fix("unsafe", FIX if place.function.is_async else "pass `sync_to_thread=True`, or use an AsyncSession")
        severity = Severity.WARNING if place.is_command else Severity.ERROR
        yield Finding(program.position(work.at), severity, message, trace, fix)


RULE = Rule(
    "SES004",
    "sync-session-in-async",
    "synchronous database work blocks the event loop",
    check,
    bad=(DIRECT, THROUGH_HELPER),
    good=(THREAD,),
)
