"""A session made here is not closed on every path.

## Why it hurts

An open session keeps a connection checked out of the pool. It returns when the garbage collector finds the
session, which may be late or never; under load the pool runs dry and every request waits for `pool_timeout`. The
path that forgets to close is usually the one that nobody tests: an early return, or an exception between the
creation and a `close()` that does not stand in `finally`.

## What to do

Open the session in a `with` block (`async with` for an `AsyncSession`), or close it in `finally`. In a generator
dependency or a `@contextmanager` function, put the `yield` inside of that block: the caller's exception is thrown in
at the `yield`.

## When it stays silent

The session is returned to code that may close it (a framework does not, unless every function that gets it does), or
yielded under a `with` or `finally`, stored on an object that closes it, passed to a callee that closes it, entered on
an `ExitStack`, or closed by a flag (`own = session is None ... if own: session.close()`). Registries
(`scoped_session`, Flask-SQLAlchemy) and sessions over a borrowed connection have another owner; only in a thread or a
task of Celery or Dramatiq nobody but its own code removes what a registry has made there. A session that is
passed to code which hermetic cannot see stays ours.

## References

https://docs.sqlalchemy.org/en/20/orm/session_basics.html#opening-and-closing-a-session
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import Leak
    from hermetic.engine.program import Place, Program

SETUP = """\
from sqlalchemy import create_engine, select
from sqlalchemy.orm import sessionmaker

from app.models import Invoice

Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))

"""

EARLY_RETURN = Example(
    "an early return skips close()",
    SETUP
    + """
def total(number: str) -> int:
    session = Session()  # expect: SES001
    invoice = session.scalars(select(Invoice).where(Invoice.number == number)).first()
    if invoice is None:
        return 0
    amount = invoice.amount
    session.close()
    return amount
""",
)

RETURNED = Example(
    "a dependency that returns its session instead of yielding it",
    SETUP
    + """
from fastapi import Depends, FastAPI
from sqlalchemy import orm

app = FastAPI()


def get_session() -> orm.Session:
    return Session()  # expect: SES001


@app.get("/invoices/{number}")
def invoice(number: str, session: orm.Session = Depends(get_session)):
    return session.get(Invoice, number)
""",
)

DEPENDENCY = Example(
    "an exception in the endpoint is thrown in at the yield",
    SETUP
    + """
def get_session():
    session = Session()  # expect: SES001
    yield session
    session.close()
""",
)

WITH = Example(
    "the block closes it, whatever happens",
    SETUP
    + """
def total(number: str) -> int:
    with Session() as session:
        invoice = session.scalars(select(Invoice).where(Invoice.number == number)).first()
        return 0 if invoice is None else invoice.amount


def get_session():
    with Session() as session:
        yield session
""",
)

# The worst of several exits is the one to show.
ORDER = ("normal", "injected", "yield", "exception", "left", "stored", "unattended")


def check(program: Program) -> Iterator[Finding]:
    worst: dict[tuple[object, ...], tuple[Place, Leak]] = {}
    for place, leak in program.leaks():
        if leak.how != "injected" and program.is_for_the_class(leak):
            key: tuple[object, ...] = (leak.session[2].made,)
        else:
            key = (place.function.id, leak.session)
        known = worst.get(key)
        if known is None or ORDER.index(leak.how) < ORDER.index(known[1].how):
            worst[key] = (place, leak)
    for key, (place, leak) in worst.items():
        yield finding(program, place, leak) if len(key) > 1 else _of_an_object(program, place, leak)


def _of_an_object(program: Program, place: Place, leak: Leak) -> Finding:
    at = program.position(program.innermost(leak.created))
    trace = (Step(at, "opened here"), *program.steps(leak.created, "for an object that is made here")[:1])
    message = f"this session is kept on an object that leaves it open: `{place.function.name}` makes one"
    fix = Fix("unsafe", "close it where the object ends, as in `__exit__`, or let whoever makes the object pass one in")
    severity = Severity.WARNING if place.is_command else Severity.ERROR
    return Finding(at, severity, message, trace, fix)


def finding(program: Program, place: Place, leak: Leak) -> Finding:
    function = place.function
    at = program.position(leak.created)
    trace = list(program.steps(leak.created, "used here" if leak.how == "unattended" else "opened here"))
    fix = Fix("unsafe", "open it in a `with` block, or close it in `finally`")
    if leak.how == "normal":
        message = f"the session opened here is still open when `{function.name}` returns"
    elif leak.how == "yield":
        message = f"the session opened here stays open when an exception is thrown into `{function.name}` at its yield"
    elif leak.how == "injected":
        whose = "that the framework opens here" if leak.at is None else f"that {_quoted(function.name)} returns"
        message = f"nobody closes the session {whose}: a framework ends only the dependencies that yield"
    elif leak.how == "stored":
        message = f"each call of `{function.name}` keeps another session in an attribute, and nobody ever closes one"
    elif leak.how == "unattended":
        message = f"nothing removes the registry's session from the thread or worker that runs {_quoted(function.name)}"
        fix = Fix(
            "unsafe", "call `remove()` of the registry in `finally`, or open a session of its own in a `with` block"
        )
    elif leak.how == "left":
        message = f"`{function.name}` leaves this loop early: the event loop closes the session when it comes to it"
        fix = Fix("unsafe", "make the generator function an `asynccontextmanager`, and open it with `async with`")
    else:
        message = f"the session opened here stays open when an exception leaves `{function.name}`"
    if leak.how == "injected":
        if leak.at is not None:
            trace.append(Step(program.position(leak.at), f"what {_quoted(function.name)} returns is handed out here"))
        fix = Fix("unsafe", "write a generator function that yields the session from inside of a `with` block")
    elif leak.at is not None:
        place_of_exit = program.position(leak.at)
        where = "may raise here" if leak.how != "yield" else "the caller's exception comes out of this yield"
        trace.append(Step(place_of_exit, where))
    minor = leak.how in ("left", "stored", "unattended") or (place.is_command and leak.how != "injected")
    severity = Severity.WARNING if minor else Severity.ERROR
    return Finding(at, severity, message, tuple(trace), fix)


def _quoted(name: str) -> str:
    return "the lambda" if name == "<lambda>" else f"`{name}`"


RULE = Rule(
    "SES001",
    "session-not-closed",
    "a session made here can be left open",
    check,
    bad=(EARLY_RETURN, DEPENDENCY, RETURNED),
    good=(WITH,),
)
