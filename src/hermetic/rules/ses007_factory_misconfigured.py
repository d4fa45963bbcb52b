"""An engine is made for every call, or a factory has options that cannot work.

## Why it hurts

An engine is a connection pool. One for every request means a new connection, TLS handshake and login each time, none
of the pool's limits, and connections that stay open until the garbage collector closes them: the database runs out
of connections while every pool thinks it holds one. `autocommit=True` was removed in SQLAlchemy 2.0.

## What to do

Make the engine and the session factory once, at module level, in the application's start-up, or in a cached
function, and import them where sessions are needed. Dispose of an engine that really is for one use.

## When it stays silent

A `sessionmaker` for each call over one shared engine, cached builders, engines that are stored, disposed of, or made
in scripts, migrations and start-up code.

## References

https://docs.sqlalchemy.org/en/20/core/connections.html#basic-usage
https://docs.sqlalchemy.org/en/20/orm/session_basics.html#when-do-i-make-a-sessionmaker
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine.program import Program
from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

PER_CALL = Example(
    "a new pool for every call",
    """\
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


def open_session():
    engine = create_engine("postgresql+psycopg://localhost/shop")  # expect: SES007
    return sessionmaker(engine)()
""",
)

ONCE = Example(
    "one engine and one factory for the process",
    """\
from functools import lru_cache

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

engine = create_engine("postgresql+psycopg://localhost/shop", pool_pre_ping=True)
Session = sessionmaker(engine)


@lru_cache
def report_engine():
    return create_engine("postgresql+psycopg://localhost/reports")


def open_session():
    return Session()
""",
)


def check(program: Program) -> Iterator[Finding]:
    for place, made in program.engines():
        if place.once or made.fate in ("disposed", "stored", "yielded", "returned", "stored in an object"):
            continue
        at = program.position(made.at)
        message = f"`{place.function.name}` makes a new engine, with a connection pool of its own, each time it runs"
        trace = (Step(at, "made here, and neither kept nor disposed of"),)
        fix = Fix("unsafe", "make the engine once, at module level or in a cached function")
        yield Finding(at, Severity.ERROR, message, trace, fix)


RULE = Rule(
    "SES007",
    "factory-misconfigured",
    "an engine is made for every call",
    check,
    bad=(PER_CALL,),
    good=(ONCE,),
)
