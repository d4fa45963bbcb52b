"""State that was read before a wait decides a write after it.

## Why it hurts

While the code waits for a payment provider, a mail server or a model, other requests change the row. What was read
before is a memory of it; a decision on that memory pays an order twice, or overwrites what somebody else wrote.
Querying the same row again in the same session does not help: the identity map returns the old instance.

## What to do

After the wait, `refresh()` the instance, or load it with `with_for_update=True` or `populate_existing=True`, and
decide then. Better still, end the transaction before the wait and begin a new one after it, or give the table a
version counter (`version_id_col`), so that a stale write fails.

## When it stays silent

The row was refreshed or locked; the class has a version counter; the write does not depend on what was read (a
constant, or an expression that the database evaluates). An answer from outside replaces an old copy: whoever comes
second stores it once more. Decisions on what hardly changes, the settings in a row say, are hints.

## References

https://docs.sqlalchemy.org/en/20/orm/session_state_management.html#refreshing-expiring
https://docs.sqlalchemy.org/en/20/orm/versioning.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import StaleWrite
    from hermetic.engine.program import Program

SETUP = """\
import httpx
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Session = async_sessionmaker(create_async_engine("postgresql+asyncpg://localhost/shop"), expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]

"""

CHECK_WAIT_WRITE = Example(
    "two requests both find it open, and both charge",
    SETUP
    + """
async def charge(client: httpx.AsyncClient, key: int) -> None:
    async with Session() as session:
        invoice = await session.get(Invoice, key)
        if invoice.state != "open":  # expect: SES008
            return
        await client.post("/charges", json={"invoice": key})
        invoice.state = "paid"
        await session.commit()
""",
)

CHECKED_AFTERWARDS = Example(
    "the transaction ends before the wait, and the row is read again after it",
    SETUP
    + """
async def settle(client: httpx.AsyncClient, key: int) -> None:
    async with Session() as session:
        invoice = await session.get(Invoice, key)
        await session.commit()
        await client.get(f"/charges/{key}")
        await session.refresh(invoice, with_for_update=True)
        if invoice.state == "open":
            invoice.state = "paid"
            await session.commit()


async def charge(client: httpx.AsyncClient, key: int) -> None:
    await client.post("/charges", json={"invoice": key}, headers={"Idempotency-Key": f"invoice-{key}"})
    async with Session.begin() as session:
        invoice = await session.get(Invoice, key, with_for_update=True)
        if invoice.state == "open":
            invoice.state = "paid"
""",
)


SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "hint": Severity.HINT}


def check(program: Program) -> Iterator[Finding]:
    found: dict[tuple[object, ...], StaleWrite] = {}
    for place, stale in program.stale_writes():
        best = found.setdefault((place.function.id, stale.row), stale)
        if SEVERITIES[stale.how] > SEVERITIES[best.how]:
            found[(place.function.id, stale.row)] = stale
    for stale in found.values():
        trace: list[Step] = []
        if stale.loaded is not None:
            trace.extend(program.steps(stale.loaded, "loaded here"))
        trace.extend(program.steps(stale.wait, "waits here; the row may change meanwhile"))
        at = program.position(stale.use)
        if stale.attribute:
            trace.append(Step(at, f"`{stale.attribute}` as it was before the wait decides"))
            trace.append(Step(program.position(stale.write), "and this is written"))
            message = f"`{stale.attribute}` was read before a wait and decides a write after it"
        else:
            trace.append(Step(at, "a copy of the row as it was before the wait is written back"))
            message = "a copy of a row that was made before a wait is written back whole"
        fix = Fix("unsafe", "after the wait, `refresh()` the instance or load it with `with_for_update`, then decide")
        yield Finding(at, SEVERITIES[stale.how], message, tuple(trace), fix)


RULE = Rule(
    "SES008",
    "stale-after-wait",
    "a write depends on what was read before a wait",
    check,
    bad=(CHECK_WAIT_WRITE,),
    good=(CHECKED_AFTERWARDS,),
)
