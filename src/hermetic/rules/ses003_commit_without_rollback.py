"""A failed commit, flush or statement is caught, and the session goes on without a rollback.

## Why it hurts

After a failed flush a session refuses everything but `rollback()` (PendingRollbackError); after a failed statement
PostgreSQL refuses everything until the transaction ends, and a later `commit()` "succeeds" and writes nothing. So
one bad row in a loop takes all rows after it down, and the log shows the second error instead of the first.

## What to do

Roll back in the handler, or let the exception leave a `with` block that discards the session. A `finally` that
uses the session comes after a failure as well, and an endpoint after the dependencies that share its session. A part
that may fail on its own belongs into `with session.begin_nested():`, a savepoint that undoes only itself. Sessions
that are not opened in a `with` need `try: ... commit() / except: rollback(); raise / finally: close()`.

## When it stays silent

The handler, or something that it calls, rolls back or closes; it raises again, or ends the request; the session is
discarded right after; the failing part ran in a savepoint. A plain `commit()` on a session that somebody else
opened is that somebody's to guard.

## References

https://docs.sqlalchemy.org/en/20/faq/sessions.html#this-session-s-transaction-has-been-rolled-back-due-to-a-previous-exception-during-flush-or-similar
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import SwallowedFailure, UnguardedCommit
    from hermetic.engine.program import Place, Program

SETUP = """\
import logging

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from models import Invoice

log = logging.getLogger(__name__)
Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))

"""

LOOP = Example(
    "one bad row spoils the session for all that follow",
    SETUP
    + """
def load(rows):
    with Session() as session:
        for row in rows:
            try:
                session.add(Invoice(**row))
                session.commit()
            except Exception:  # expect: SES003
                log.exception("row skipped")
""",
)

BY_HAND = Example(
    "nothing rolls back when the commit fails",
    SETUP
    + """
def store(number):
    session = Session()
    session.add(Invoice(number=number))
    session.commit()  # expect: SES003
    session.close()
""",
)

SAVEPOINT = Example(
    "each row is undone on its own",
    SETUP
    + """
def load(rows):
    with Session() as session:
        for row in rows:
            try:
                with session.begin_nested():
                    session.add(Invoice(**row))
            except Exception:
                log.exception("row skipped")
        session.commit()


def load_each(rows):
    with Session() as session:
        for row in rows:
            try:
                session.add(Invoice(**row))
                session.commit()
            except Exception:
                session.rollback()
                log.exception("row skipped")
""",
)


def check(program: Program) -> Iterator[Finding]:
    yield from _swallowed(program)
    yield from _used_at_the_end(program)
    yield from _unguarded(program)


def _swallowed(program: Program) -> Iterator[Finding]:
    for failure in _worst(program):
        handler = program.innermost(failure.handler)
        trace = [*program.steps(failure.failed, "fails here")]
        trace.append(Step(program.position(handler), "is caught here; nothing rolls back"))
        if failure.used is not None:
            trace.append(Step(program.position(failure.used), "the failed session is used again"))
        message = "a database error is caught here, and the session is used again without `rollback()`"
        fix = Fix("safe", "call `rollback()` in the handler, or run the part that may fail in `begin_nested()`")
        weak = Severity.WARNING if failure.lives_on else Severity.HINT
        severity = Severity.ERROR if failure.certain else weak
        yield Finding(program.position(handler), severity, message, tuple(trace), fix)


def _used_at_the_end(program: Program) -> Iterator[Finding]:
    for _, use in program.uses_at_the_end():
        at = program.position(use.used)
        trace = (*program.steps(use.failed, "fails here"), Step(at, "the `finally` uses the failed session"))
        message = "after a database error this `finally` uses the session without `rollback()`"
        fix = Fix("safe", "roll back in an `except` that raises again")
        yield Finding(at, Severity.WARNING, message, trace, fix)


def _unguarded(program: Program) -> Iterator[Finding]:
    """One finding a session: its first commit, further ones as steps."""
    found: dict[tuple[object, ...], tuple[Place, list[UnguardedCommit]]] = {}
    for place, commit in program.unguarded_commits():
        session = commit.created or commit.commit
        found.setdefault((place.function.id, session), (place, []))[1].append(commit)
    for place, commits in found.values():
        first, *further = sorted(commits, key=lambda commit: commit.commit[:2])
        at = program.position(first.commit)
        trace = [Step(at, "fails here, and leaves")]
        if first.created is not None:
            trace.insert(0, Step(program.position(first.created), "the session is opened here"))
        trace += [Step(program.position(commit.commit), "or this one fails") for commit in further]
        message = f"when this commit fails, `{place.function.name}` neither rolls back nor closes the session"
        fix = Fix("unsafe", "open the session in a `with` block, or roll back and close on the way out")
        yield Finding(at, Severity.WARNING, message, tuple(trace), fix)


def _worst(program: Program) -> Iterator[SwallowedFailure]:
    """One failure a handler, a certain one if there is any."""
    found: dict[object, SwallowedFailure] = {}
    for _, failure in program.swallowed_failures():
        key = program.innermost(failure.handler)
        if key not in found or _weight(failure) > _weight(found[key]):
            found[key] = failure
    yield from found.values()


def _weight(failure: SwallowedFailure) -> tuple[bool, bool]:
    return failure.certain, failure.lives_on


RULE = Rule(
    "SES003",
    "commit-without-rollback",
    "a session lives on after a failure that nobody rolled back",
    check,
    bad=(LOOP, BY_HAND),
    good=(SAVEPOINT,),
)
