"""Money is never lost: transfers between accounts while everything that can go wrong does.

Each transfer writes a row with an id that its client chose. Afterwards, of what clients were told: success is applied
exactly once, failure never, unknown once or not at all; the balances are what the rows say, and their sum is the same.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, func, insert, make_url, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import committed
from hermetic.toolkit.session import Session
from runtime.toolkit.lossy import LossyProxy
from runtime.toolkit.servers import outside

START = 1000


class Base(DeclarativeBase):
    pass


class Purse(Base):
    __tablename__ = "purses"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Transfer(Base):
    __tablename__ = "transfers"

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[int] = mapped_column(ForeignKey(Purse.id))
    target: Mapped[int] = mapped_column(ForeignKey(Purse.id))
    amount: Mapped[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much happens, and how often what goes wrong. Durations in seconds."""

    workers: int
    transfers: int  # of each worker
    purses: int = 40
    pool: int = 12  # connections for all workers
    pool_timeout: float = 2.0
    retry: int = 8
    kill_every: float = 0.05
    most_killed: int | None = None
    cancelled: float = 0.1  # of the transfers; asyncio only
    cancel_within: float = 0.2
    lost_answers: float = 0.03  # of the COMMITs
    lost_commits: float = 0.02
    seed: int = 7


@dataclass(slots=True)
class Outcome:
    told: dict[str, bool | None] = field(default_factory=dict)  # by transfer: success, failure, or nobody knows
    errors: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    answers_lost: int = 0
    commits_lost: int = 0
    leaked: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def tell(self, transfer: str, error: BaseException | None) -> None:
        self.told[transfer] = True if error is None else committed(error)
        self.errors["success" if error is None else type(error).__name__] += 1


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    source: int
    target: int
    amount: int
    cancel_after: float | None


def orders(plan: Plan, worker: int) -> list[Order]:
    dice = random.Random(plan.seed * 10_000 + worker)
    found = []
    for number in range(plan.transfers):
        source, target = dice.sample(range(1, plan.purses + 1), 2)
        cancel = dice.uniform(0, plan.cancel_within) if dice.random() < plan.cancelled else None
        found.append(Order(f"{worker}-{number}", source, target, dice.randint(1, 20), cancel))
    return found


@contextmanager
def trouble(url: str, plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Fills the tables; gives the URL that goes through the proxy, while backends are killed at random."""
    with outside(url).begin() as connection:
        Base.metadata.create_all(connection)
        connection.execute(insert(Purse), [{"id": n + 1, "balance": START} for n in range(plan.purses)])
    parsed = make_url(url)
    socket = Path(str(parsed.query["host"])) / ".s.PGSQL.5432"
    stop = threading.Event()
    killer = threading.Thread(target=_kill, args=(url, plan, outcome, stop))
    with LossyProxy(socket, lost_answers=plan.lost_answers, lost_commits=plan.lost_commits, seed=plan.seed) as proxy:
        killer.start()
        began = time.monotonic()
        try:
            through = parsed.set(host="127.0.0.1", port=proxy.port, query={})
            yield through.render_as_string(hide_password=False)
        finally:
            outcome.seconds = time.monotonic() - began
            stop.set()
            killer.join()
        outcome.answers_lost, outcome.commits_lost = proxy.answers_lost, proxy.commits_lost


def _kill(url: str, plan: Plan, outcome: Outcome, stop: threading.Event) -> None:
    others = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND state <> 'idle' ORDER BY random() LIMIT 1"
    )
    most = plan.most_killed or sys.maxsize
    with outside(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while outcome.killed < most and not stop.wait(plan.kill_every):
            outcome.killed += len(connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({others}) o")).all())


def _options(plan: Plan) -> dict[str, Any]:
    return {
        "pool_size": plan.pool,
        "max_overflow": 0,
        "pool_timeout": plan.pool_timeout,
        "isolation_level": "SERIALIZABLE",
    }


async def run_async(url: str, plan: Plan) -> Outcome:
    outcome = Outcome()
    with trouble(url, plan, outcome) as through:
        async with AsyncDatabase(through, **_options(plan)) as db:

            @db.transactional(retry=plan.retry)
            async def transfer(session: AsyncSession, order: Order) -> None:
                source = await session.lock(Purse, order.source)
                target = await session.lock(Purse, order.target)
                source.balance -= order.amount
                target.balance += order.amount
                session.add(Transfer(id=order.id, source=order.source, target=order.target, amount=order.amount))

            async def work(worker: int) -> None:
                for order in orders(plan, worker):
                    task = asyncio.ensure_future(transfer(order))
                    if order.cancel_after is not None:
                        asyncio.get_running_loop().call_later(order.cancel_after, task.cancel)
                    await asyncio.wait((task,))
                    outcome.tell(order.id, _error(task))

            await asyncio.gather(*(work(worker) for worker in range(plan.workers)))
            outcome.leaked = db.engine.pool.checkedout()  # type: ignore[attr-defined]
    return _checked(url, plan, outcome)


def _error(task: asyncio.Future[None]) -> BaseException | None:
    try:
        task.result()
    except BaseException as error:
        return error
    return None


def run_threads(url: str, plan: Plan) -> Outcome:
    outcome = Outcome()
    with trouble(url, plan, outcome) as through, Database(through, **_options(plan)) as db:

        @db.transactional(retry=plan.retry)
        def transfer(session: Session, order: Order) -> None:
            source, target = session.lock(Purse, order.source), session.lock(Purse, order.target)
            source.balance -= order.amount
            target.balance += order.amount
            session.add(Transfer(id=order.id, source=order.source, target=order.target, amount=order.amount))

        def work(worker: int) -> None:
            for order in orders(plan, worker):
                error: BaseException | None = None
                try:
                    transfer(order)
                except Exception as raised:
                    error = raised
                outcome.tell(order.id, error)

        with ThreadPoolExecutor(plan.workers) as pool:
            list(pool.map(work, range(plan.workers)))
        outcome.leaked = db.engine.pool.checkedout()  # type: ignore[attr-defined]
    return _checked(url, plan, outcome)


def _checked(url: str, plan: Plan, outcome: Outcome) -> Outcome:
    """Compares what the clients were told with what the database holds."""
    with outside(url).connect() as connection:
        rows = connection.execute(select(Transfer.id, Transfer.source, Transfer.target, Transfer.amount)).all()
        balances = {row.id: row.balance for row in connection.execute(select(Purse.id, Purse.balance))}
        applied = {row.id for row in rows}
        total = connection.scalar(select(func.sum(Purse.balance)))
    for transfer, told in outcome.told.items():
        if told is not None and told != (transfer in applied):
            outcome.wrong.append(f"{transfer}: told {told}, applied {transfer in applied}")
    expected = dict.fromkeys(balances, START)
    for row in rows:
        expected[row.source] -= row.amount
        expected[row.target] += row.amount
    if expected != balances:
        outcome.wrong.append("the balances are not what the transfers say")
    if total != START * plan.purses:
        outcome.wrong.append(f"the sum is {total}")
    if outcome.leaked:
        outcome.wrong.append(f"{outcome.leaked} connections leaked")
    if len(outcome.told) != plan.workers * plan.transfers:
        outcome.wrong.append("a transfer without an answer")
    return outcome
