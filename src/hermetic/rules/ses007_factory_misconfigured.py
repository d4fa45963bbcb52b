"""An engine is made for every call, or a factory has options that cannot work.

## Why it hurts

An engine is a connection pool. One for every request means a new connection, TLS handshake and login each time, none
of the pool's limits, and connections that stay open until the garbage collector closes them: the database runs out
of connections while every pool thinks it holds one. An engine that goes into a new process takes its connections
along: both processes would talk over them. `autocommit=True` was removed in SQLAlchemy 2.0.

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
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import EngineMade
    from hermetic.engine.program import Place, Program

# https://docs.sqlalchemy.org/en/20/core/pooling.html#switching-pool-implementations
NO_POOL = "NullPool"

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


FIX = Fix("unsafe", "make the engine once, at module level or in a cached function")

LONGEST_LIST = 3


def check(program: Program) -> Iterator[Finding]:
    yield from _engines(program)
    for _, option in program.misused_options():
        at = program.position(option.at)
        fix = Fix("unsafe", f"remove `{option.option}` and begin transactions with `session.begin()`")
        yield Finding(at, Severity.ERROR, option.why, (Step(at, "given here"),), fix)
    yield from _expiring(program)
    yield from _in_processes(program)


def _engines(program: Program) -> Iterator[Finding]:
    """One finding a function that makes an engine for each call; of a builder that several such functions use, and
    nothing keeps an engine of, the builder's."""
    found: dict[tuple[object, ...], list[tuple[Place, EngineMade]]] = {}
    kept = set()
    for place, engine in program.engines():
        per_object = engine.fate == "stored in an object" and program.lifetime(place) != "call"
        if engine.fate == "stored" or per_object or program.is_cached(place) or program.runs_at_import(place):
            kept.add(engine.made[:2])
        elif engine.pool == NO_POOL:
            continue  # each of its connections is closed when it is given back
        elif not place.once and engine.fate not in ("returned", "disposed", "yielded"):
            found.setdefault(engine.made[:2], []).append((place, engine))
    for made, uses in found.items():
        if len(uses) > 1 and made not in kept and all(engine.at[:2] != made for _, engine in uses):
            yield _of_a_builder(program, uses)
        else:
            yield from (_of_a_call(program, place, engine) for place, engine in uses)


def _of_a_call(program: Program, place: Place, engine: EngineMade) -> Finding:
    at = program.position(engine.at)
    trace = [Step(at, f"for each call of `{place.function.qualname}`")]
    if engine.at[:2] != engine.made[:2]:
        trace.append(Step(program.position(engine.made), "the engine is made here"))
    if engine.fate == "stored in an object":
        message = "each of these objects makes an engine with a connection pool of its own, and one is made per request"
    else:
        message = f"`{place.function.name}` makes a new engine, with a connection pool of its own, each time it runs"
    severity = Severity.ERROR if place.serves else Severity.WARNING
    return Finding(at, severity, message, tuple(trace), FIX)


def _of_a_builder(program: Program, uses: list[tuple[Place, EngineMade]]) -> Finding:
    at = program.position(uses[0][1].made)
    trace = [Step(at, "a new engine for each call")]
    for place, engine in uses[:LONGEST_LIST]:
        trace.append(Step(program.position(engine.at), f"for each call of `{place.function.qualname}`"))
    message = f"{len(uses)} functions get a new engine from here, with a connection pool of its own, each time they run"
    severity = Severity.ERROR if any(place.serves for place, _ in uses) else Severity.WARNING
    return Finding(at, severity, message, tuple(trace), FIX)


def _expiring(program: Program) -> Iterator[Finding]:
    """Sessions for asyncio that expire what is then read."""
    for _, use in program.ended_uses():
        if use.options_at is None or not use.certain:
            continue
        at = program.position(program.made_at(use.options_at))
        trace = (
            Step(at, "expire_on_commit is left on"),
            Step(program.position(use.at), f"`{use.attribute}` is read after the commit: MissingGreenlet"),
        )
        fix = Fix("safe", "pass `expire_on_commit=False`")
        message = "sessions for asyncio need `expire_on_commit=False`: instances of these are read after a commit"
        yield Finding(at, Severity.ERROR, message, trace, fix)


def _in_processes(program: Program) -> Iterator[Finding]:
    for _, shared in program.engines_in_processes():
        at = program.position(shared.at)
        trace = [Step(program.position(shared.made), "the engine is made here")] if shared.made is not None else []
        trace.append(Step(at, "another process gets it here"))
        fix = Fix(
            "unsafe", "make an engine in the new process, or call `engine.dispose(close=False)` first thing in it"
        )
        message = "the new process gets this engine with its pool: two processes would talk over one connection"
        yield Finding(at, Severity.WARNING, message, tuple(trace), fix)


RULE = Rule(
    "SES007",
    "factory-misconfigured",
    "an engine is made for every call, or options cannot work",
    check,
    bad=(PER_CALL,),
    good=(ONCE,),
)
