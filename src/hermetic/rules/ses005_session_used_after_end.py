"""An instance is read, or a session used, after the session ended.

## Why it hurts

Closing a session detaches its instances. What was loaded stays readable, but an attribute that a commit expired, or
a relationship that was never loaded, needs the session to fetch it: DetachedInstanceError. In asyncio even an open
session cannot fetch on attribute access: MissingGreenlet. So it is when FastAPI reads a returned row, field by field,
for the response. An UPDATE expires what the database sets by itself, a column with `onupdate=func.now()` say, whatever
`expire_on_commit` says. A plain column that is read after the close works today, and stops working when somebody adds a
commit before it. So does a row that was deleted and committed. What has `lazy="raise"` is only loaded by its query.

## What to do

Read what you need before the block ends, return values or DTOs instead of instances, load relationships in the query
(`selectinload`), and make factories for asyncio with `expire_on_commit=False`.

## When it stays silent

The session is synchronous and still open (it reloads); the factory has `expire_on_commit=False` and the attribute
was loaded; the relationship was loaded eagerly; the instance was expunged before anything expired it; the value was
copied before the end.

## References

https://docs.sqlalchemy.org/en/20/errors.html#error-bhk3
https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html#preventing-implicit-io-when-using-asyncsession
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.finding import Finding, Fix, Severity, Step
from hermetic.rule import Example, Rule

if TYPE_CHECKING:
    from hermetic.engine.observations import EndedUse
    from hermetic.engine.program import Program
    from hermetic.engine.state import Mark

SETUP = """\
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

Session = sessionmaker(create_engine("postgresql+psycopg://localhost/shop"))


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]

"""

AFTER_COMMIT = Example(
    "the commit expired it, the close detached it",
    SETUP
    + """
def create(number: str) -> int:
    with Session() as session:
        invoice = Invoice(number=number)
        session.add(invoice)
        session.commit()
    return invoice.id  # expect: SES005
""",
)

AFTER_CLOSE = Example(
    "works until somebody adds a commit",
    SETUP
    + """
def number_of(key: int) -> str:
    with Session() as session:
        invoice = session.get(Invoice, key)
    return invoice.number  # expect: SES005
""",
)

INSIDE = Example(
    "read while the session is open",
    SETUP
    + """
def create(number: str) -> int:
    with Session() as session:
        invoice = Invoice(number=number)
        session.add(invoice)
        session.commit()
        return invoice.id
""",
)

MESSAGES = {
    "expired": "`{name}` was expired by a commit and its session is closed: reading it raises DetachedInstanceError",
    "unloaded": "`{name}` was not loaded and its session is closed: reading it raises DetachedInstanceError",
    "loaded": "`{name}` is read after its session was closed; this works only as long as nothing expires it",
    "deleted": "`{name}` is read after its row was deleted; this works only as long as nothing has expired the row",
    "expired_async": "`{name}` is expired, and an AsyncSession cannot reload it on reading: it raises MissingGreenlet",
    "unloaded_async": "`{name}` is loaded lazily, which an AsyncSession cannot do: reading it raises MissingGreenlet",
    "outdated": "the database sets `{name}` on UPDATE, and its session is closed: DetachedInstanceError",
    "outdated_async": "the database sets `{name}` on UPDATE, and an AsyncSession cannot reload it: MissingGreenlet",
    "deferred": "`{name}` is a deferred column and its session is closed: reading it raises DetachedInstanceError",
    "deferred_async": "`{name}` is a deferred column, which an AsyncSession cannot load on reading: MissingGreenlet",
    "raises": '`{name}` has `lazy="raise"`, and the query did not load it: reading it raises InvalidRequestError',
    "rolled_back": "its `with` rolled back and closed the session: this `rollback()` does nothing or hides an error",
    "result": "instances are fetched from a result whose session is closed: that raises InvalidRequestError",
    "kept_session": "`{name}` keeps a session that its `with` closes: the next use begins anew, and nobody closes it",
    "kept_holder": "`{name}` is made once and kept, but the session in it is closed when this block ends",
    "handed_out": "the session that is returned is closed by its `with`: used, it begins anew, and nobody closes it",
    "session": "the session is used after the `with` that closed it: it silently begins anew, and nobody closes it",
}


SENT = {"expired_async": "expired here", "outdated_async": "updated here"}
WORKS_TODAY = frozenset(("loaded", "deleted", "rolled_back", "kept_holder"))


def check(program: Program) -> Iterator[Finding]:
    ended: dict[tuple[object, ...], list[EndedUse]] = {}
    for place, use in program.ended_uses():
        ended.setdefault((place.function.id, use.instance, use.why), []).append(use)
    reported = set()
    for uses in ended.values():
        uses.sort(key=lambda use: use.at[1])
        first = uses[0]
        place_of_read = _inside(first)
        if place_of_read != first.at and place_of_read in reported:
            continue  # several callers of one function that does both
        reported.add(place_of_read)
        severity = Severity.WARNING if first.why in WORKS_TODAY else Severity.ERROR
        if not first.certain:
            severity = Severity.HINT
        message = MESSAGES[first.why].format(name=first.attribute)
        trace = [*_trace(program, first)]
        trace += [Step(program.position(use.read_for or use.at), f"and `{use.attribute}` here") for use in uses[1:]]
        yield Finding(program.position(place_of_read), severity, message, tuple(trace), Fix("unsafe", _advice(first)))


def _inside(use: EndedUse) -> Mark:
    """Where the read is reported: if one call both ends and reads, in the function that is called."""
    at, ended = use.at, use.ended
    while ended is not None and at[2] is not None and ended[2] is not None and at[:2] == ended[:2]:
        at, ended = at[2], ended[2]
    return at


def _advice(use: EndedUse) -> str:
    if use.why == "expired" and use.read_for is not None:
        return "return a schema that is filled while the session is open"
    if use.why in ("unloaded_async", "unloaded", "raises"):
        return f"load it in the query, with `selectinload({use.attribute})`"
    if use.why == "deferred" or use.why == "deferred_async":
        return f"load it in the query, with `undefer({use.attribute})`"
    if use.why == "expired_async":
        return "make the factory with `expire_on_commit=False`, or `await session.refresh(...)` first"
    if use.why == "outdated" or use.why == "outdated_async":
        return "`await session.refresh(...)` after the flush, or set `eager_defaults` in `__mapper_args__`"
    if use.why == "rolled_back":
        return "leave it out: a `with Session()` block rolls back what it did not commit"
    if use.why == "kept_session" or use.why == "kept_holder":
        return "set it to None when the block ends, or close the session where the object is closed"
    if use.why == "result":
        return "fetch in the block, with `all()`"
    if use.why == "handed_out":
        return "yield it from a `contextmanager` function, or give it to a function that is passed in"
    if use.why == "session":
        return "move the use into the block, or open a new session"
    return "read it before the session ends"


def _trace(program: Program, use: EndedUse) -> Iterator[Step]:
    if use.loaded is not None:
        yield from program.steps(use.loaded, "loaded here")
    if use.ended is not None:
        text = SENT.get(use.why, "the session ends here")
        yield from program.steps(use.ended, text)
    yield from program.steps(use.at, "used here" if use.read_for is None else "returned here, for the response to read")
    if use.read_for is not None:
        yield Step(program.position(use.read_for), f"`{use.attribute}` is read for this field of the response")


RULE = Rule(
    "SES005",
    "session-used-after-end",
    "an instance or session is used after the session ended",
    check,
    bad=(AFTER_COMMIT, AFTER_CLOSE),
    good=(INSIDE,),
)
