"""A dependency is a context manager function, so the endpoint never gets its session.

## Why it hurts

FastAPI runs a generator function as a dependency by itself, and enters no context manager: up to 0.122 the endpoint
gets the manager object instead of the session, from 0.123 on every request fails with TypeError. As a dependency of a
route, router or application, whose value nobody looks at, it opens nothing in older versions and fails in newer ones.

## What to do

Give `Depends` the plain generator: take `@contextmanager` or `@asynccontextmanager` off, and keep `yield` inside of
the `with` or `try` that closes the session. Where other code enters the manager in a `with`, keep it for that, and
write a second function for FastAPI that enters it and yields the session.

## When it stays silent

Generators without decorator, classes, and managers of anything that is not a session. Frameworks that enter managers,
such as taskiq. A manager function under another decorator, which may make anything of it.

## References

https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/
https://docs.python.org/3/library/contextlib.html#contextlib.asynccontextmanager
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.program import Program

DECORATED = Example(
    "a session dependency with `@asynccontextmanager`",
    """\
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from models import Invoice

app = FastAPI()
Session = async_sessionmaker(create_async_engine("postgresql+asyncpg://localhost/shop"), expire_on_commit=False)


@asynccontextmanager
async def get_db():
    async with Session() as session:
        yield session


@app.get("/invoices/{number}")
async def invoice(number: int, db: AsyncSession = Depends(get_db)):  # expect: SES104
    return await db.get(Invoice, number)
""",
)

ALIAS = Example(
    "an alias that several endpoints use",
    """\
# file: database.py
from contextlib import contextmanager

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


@contextmanager
def session_scope():
    with Session.begin() as session:
        yield session
# file: dependencies.py
from typing import Annotated

from fastapi import Depends
from sqlalchemy.orm import Session

from database import session_scope

Db = Annotated[Session, Depends(session_scope)]  # expect: SES104
""",
)

PLAIN = Example(
    "a plain generator for FastAPI, a manager for everybody else",
    """\
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends
from sqlalchemy import create_engine, orm

Session = orm.sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


def get_db():
    with Session() as session:
        yield session


session_scope = contextmanager(get_db)
Db = Annotated[orm.Session, Depends(get_db)]
""",
)


def check(program: Program) -> Iterator[Finding]:
    for _, injected in program.injected_managers():
        manager = injected.manager
        at = program.position(injected.at)
        trace = (
            Step(program.position((manager.module, manager.position, None)), "calling this gives a context manager"),
            Step(at, "FastAPI calls it, and does not enter the manager"),
        )
        message = f"`{manager.name}` is a context manager function: as a dependency it never gives its session"
        if injected.entered:
            advice = f"give `Depends` a generator function that enters `{manager.name}` and yields the session"
        else:
            advice = f"make `{manager.name}` a plain generator: FastAPI closes it after the request"
        yield Finding(at, Severity.ERROR, message, trace, Fix("unsafe", advice))


RULE = Rule(
    "SES104",
    "dependency-not-a-session",
    "a dependency is a context manager function, and never gives its session",
    check,
    bad=(DECORATED, ALIAS),
    good=(PLAIN,),
)
