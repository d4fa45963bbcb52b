"""A transaction stays open while something slow is waited for.

## Why it hurts

From its first statement on, a session holds a connection of the pool and a transaction of the server. During an HTTP
request, a mail or a language model nothing is done with either: thirty such requests at once and the pool has run
dry, so that every other request waits for `pool_timeout`. On the server it is a session "idle in transaction", which
keeps its row locks and stops vacuum from cleaning up.

## What to do

Read what is needed, end the transaction (`commit()`, `rollback()` or the end of the `with`), do the slow step, and
write the result in a transaction of its own. What was read before may have changed meanwhile: see SES008.

## When it stays silent

Nothing was asked of the database yet, or the transaction has ended before the step. Calls that nobody can recognise
as slow: name your own in `slow-calls` of `[tool.hermetic]`, by their full names, as in `["shop.mail.send"]`. In
start-up code, migrations and tests it is a hint, unless they wait for a person.

## References

https://docs.sqlalchemy.org/en/20/orm/session_basics.html#when-do-i-construct-a-session-when-do-i-commit-it-and-when-do-i-close-it
https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.models.waiting import PERSON
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.program import Place, Program

SETUP = """\
import httpx
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from models import Invoice

Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))

"""

REQUEST_INSIDE = Example(
    "the connection waits for a payment provider",
    SETUP
    + """
def charge(number: int) -> None:
    with Session() as session:
        invoice = session.get(Invoice, number)
        answer = httpx.post("https://pay.example/charges", json={"amount": invoice.amount})  # expect: SES102
        invoice.charge = answer.json()["id"]
        session.commit()
""",
)

THROUGH_HELPER = Example(
    "a helper in another file sends the mail",
    """\
# file: mail.py
import smtplib


def send(address: str, text: str) -> None:
    with smtplib.SMTP("mail.example") as server:
        server.sendmail("shop@example.org", address, text)


# file: reminders.py
from sqlalchemy import select
from sqlalchemy.orm import Session

from mail import send
from models import Invoice


def remind(session: Session) -> None:
    for invoice in session.scalars(select(Invoice).where(Invoice.paid.is_(False))):
        send(invoice.customer, "Please pay.")  # expect: SES102
""",
)

TWO_TRANSACTIONS = Example(
    "one transaction before the slow step, and one after it",
    SETUP
    + """
def charge(number: int) -> None:
    with Session() as session:
        amount = session.get(Invoice, number).amount
    answer = httpx.post("https://pay.example/charges", json={"amount": amount})
    with Session.begin() as session:
        session.get(Invoice, number).charge = answer.json()["id"]
""",
)


def check(program: Program) -> Iterator[Finding]:
    for place, held in program.held_transactions():
        trace: list[Step] = []
        if held.since is not None:
            trace.extend(program.steps(held.since, "the transaction begins"))
        trace.extend(program.steps(held.at, f"waits for {held.kind}, with the transaction open"))
        message = f"the transaction stays open while `{place.function.name}` waits for {held.kind}"
        fix = Fix("unsafe", "end the transaction before the slow step, and write its result in another one")
        yield Finding(program.position(held.at), _severity(place, held.kind), message, tuple(trace), fix)


def _severity(place: Place, kind: str) -> Severity:
    """A web process shares its pool among all requests. A worker or a command mostly has one to itself, but its locks
    are everybody's. What starts a process, or tests it, is alone, unless it goes on polling."""
    if place.in_request:
        return Severity.ERROR
    if place.once and not place.from_cli and kind != PERSON and not place.runs_on:
        return Severity.HINT
    return Severity.WARNING


RULE = Rule(
    "SES102",
    "transaction-held-across-slow-work",
    "a transaction stays open across a slow step",
    check,
    bad=(REQUEST_INSIDE, THROUGH_HELPER),
    good=(TWO_TRANSACTIONS,),
)
