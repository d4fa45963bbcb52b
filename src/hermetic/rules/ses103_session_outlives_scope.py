"""The session of a request goes to work that begins when the request is over.

## Why it hurts

What becomes of it depends on FastAPI's version. From 0.106 to 0.117 the dependency has closed the session before a
background task or the body of a streaming response runs: using it opens a new connection that nobody gives back.
Before, and again from 0.118 on, the session stays open until the last task is done and the last byte is sent: one
connection, and mostly a transaction, for each stream and each slow client.

## What to do

Hand over ids or plain values, and open a session of its own in the task or generator. What the endpoint itself asks
before it streams belongs into a short `with` that ends before the response is returned.

## When it stays silent

The task gets ids, copies or a factory, or never touches the session of the object that it gets. The session is opened
inside of the task.

## References

https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#dependencies-with-yield-and-httpexception
https://fastapi.tiangolo.com/advanced/advanced-dependencies/#dependencies-with-yield-httpexception-except-and-background-tasks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.program import Program

SETUP = """\
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from models import Invoice

app = FastAPI()
factory = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


def get_db():
    with factory() as session:
        yield session

"""

BACKGROUND = Example(
    "a background task gets the session of the request",
    SETUP
    + """
def archive(db: Session, number: int) -> None:
    db.get_one(Invoice, number).archived = True
    db.commit()


@app.post("/invoices/{number}/archive")
def start(number: int, tasks: BackgroundTasks, db: Session = Depends(get_db)) -> None:
    tasks.add_task(archive, db, number)  # expect: SES103
""",
)

STREAM = Example(
    "the body of a streaming response reads with it",
    SETUP
    + """
def lines(db: Session):
    for invoice in db.scalars(select(Invoice)):
        yield f"{invoice.number}\\n"


@app.get("/invoices")
def export(db: Session = Depends(get_db)) -> StreamingResponse:
    return StreamingResponse(lines(db))  # expect: SES103
""",
)

OWN_SESSION = Example(
    "what runs afterwards opens a session of its own",
    SETUP
    + """
def archive(number: int) -> None:
    with factory.begin() as session:
        session.get_one(Invoice, number).archived = True


def lines():
    with factory() as session:
        for invoice in session.scalars(select(Invoice)):
            yield f"{invoice.number}\\n"


@app.post("/invoices/{number}/archive")
def start(number: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(archive, number)


@app.get("/invoices")
def export() -> StreamingResponse:
    return StreamingResponse(lines())
""",
)

CLOSED_FROM, OPEN_FROM = (0, 106), (0, 118)  # tried with 0.105, 0.106, 0.115, 0.118 and 0.165


def check(program: Program) -> Iterator[Finding]:
    for place, outlives in program.outliving_sessions():
        at = program.position(outlives.at)
        known = program.versions("fastapi", at.path)
        closed = known is not None and known[0] >= CLOSED_FROM and known[1] <= OPEN_FROM
        held = known is not None and (known[0] >= OPEN_FROM or known[1] <= CLOSED_FROM)
        work = "a background task" if outlives.what == "task" else "a streaming body"
        trace = [Step(at, f"{work} gets the session, and runs when `{place.function.name}` has returned")]
        if outlives.what == "idle":
            if closed or known is None:
                continue  # a session that is closed before the body is sent keeps nothing open
            held = True  # with the newest version that the project allows, which is what a new installation gets
            trace = list(program.steps(outlives.used, "the transaction begins")) if outlives.used else []
            trace.append(Step(at, "and stays open until the whole body is sent"))
            message = f"the session of `{place.function.name}` keeps its transaction open while the body is streamed"
        else:
            if outlives.used is not None:
                trace.extend(program.steps(outlives.used, "the session is used"))
            message = f"the request's session is used by {work}, {_when(closed, held)}"
        severity = Severity.WARNING if held else Severity.ERROR
        fix = Fix("unsafe", "hand over ids, and open a session of its own in what runs afterwards")
        yield Finding(at, severity, message, tuple(trace), fix)


def _when(closed: bool, held: bool) -> str:
    if closed:
        return "when this FastAPI has closed it"
    if held:
        return "and its connection is held until that is done"
    return "when it is closed (FastAPI 0.106 to 0.117), or with its connection held until that is done (others)"


RULE = Rule(
    "SES103",
    "session-outlives-scope",
    "a request's session is used when the request is over",
    check,
    bad=(BACKGROUND, STREAM),
    good=(OWN_SESSION,),
)
