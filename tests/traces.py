"""Recorded traces, written by hand or by chance: the events that a recording run writes, without the run."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POOLS = 1_000_000  # the lanes of pools begin here
MS = 1000  # a millisecond; times in a trace are microseconds


@dataclass
class Recording:
    """Events in the making. Times are milliseconds since the recording began."""

    events: list[dict[str, Any]] = field(default_factory=list)
    begun: float = 9_000_000.0  # the clock of a trace starts anywhere
    command: str = "pytest -q"
    left_out: str = ""

    def session(self, number: int, start: float, end: float, *, pid: int = 100, **about: Any) -> None:
        opened = about.pop("opened", "app/users.py:31 in load")
        kind = about.pop("kind", "AsyncSession")
        name = f"Session {number} ({kind}) {opened.replace(' in ', ' ')}"
        self.name(number, name, pid)
        closed = about.pop("closed", "app/users.py:40 in load")
        args = {"session": number, "opened": opened, "closed": closed, "task": "Task-3", "findings": []}
        self.span("session", "Session", number, start, end, args | about, pid)

    def transaction(self, number: int, start: float, end: float, outcome: str = "commit", *, pid: int = 100) -> None:
        args = {"outcome": outcome, "ended": "app/users.py:39 in load"}
        self.span("transaction", "transaction", number, start, end, args, pid)

    def statement(self, number: int, start: float, end: float, sql: str = "SELECT 1", **about: Any) -> None:
        pid = about.pop("pid", 100)
        args = {"sql": sql, "at": "app/users.py:33 in load", "failed": None} | about
        table = sql.partition(" FROM ")[2] or sql.partition(" INTO ")[2] or sql.partition(" ")[2]
        self.span("statement", f"{sql.split()[0]} {table.split()[0]}", number, start, end, args, pid)

    def idle(self, number: int, start: float, end: float, *, pid: int = 100, **about: Any) -> None:
        args = {"after": "app/users.py:33 in load", "before": "app/users.py:38 in load", "ms": end - start} | about
        self.span("wait", "idle in transaction", number, start, end, args, pid)

    def finding(self, number: int, at: float, name: str = "SES001 session-not-closed", **about: Any) -> None:
        pid = about.pop("pid", 100)
        args = {
            "message": "the session is still open when its task ends",
            "severity": "error",
            "path": "app/users.py",
            "line": 31,
            "trace": [["app/users.py", 31, "opened here"], ["app/api.py", 12, "its task ended here"]],
        } | about
        self.add("i", "finding", name, number, at, args, pid, s="t")

    def pool(self, engine: int, url: str = "postgresql+psycopg://localhost/shop", *, pid: int = 100) -> None:
        self.name(POOLS + engine, f"pool of {url}", pid)

    def in_use(self, engine: int, at: float, count: int, size: int | None = 5, *, pid: int = 100) -> None:
        args = {"in use": count} if size is None else {"in use": count, "size": size}
        self.add("C", "pool", "pool in use", POOLS + engine, at, args, pid)

    def checkout(self, engine: int, connection: int, at: float, session: int | None = None, **about: Any) -> None:
        self._connection("b", engine, connection, at, session, **about)

    def checkin(self, engine: int, connection: int, at: float, session: int | None = None, **about: Any) -> None:
        self._connection("e", engine, connection, at, session, **about)

    def _connection(self, ph: str, engine: int, connection: int, at: float, session: int | None, **about: Any) -> None:
        pid = about.pop("pid", 100)
        args = {"session": session, "holder": "app/users.py:33 in load"} | about
        self.add(ph, "connection", f"connection {connection}", POOLS + engine, at, args, pid, id=connection)

    def name(self, lane: int, name: str, pid: int = 100) -> None:
        self.events.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": lane, "args": {"name": name}})

    def span(
        self, category: str, name: str, lane: int, start: float, end: float, args: dict[str, Any], pid: int
    ) -> None:
        self.add("X", category, name, lane, start, args, pid, dur=(end - start) * MS)

    def add(
        self, ph: str, category: str, name: str, lane: int, at: float, args: dict[str, Any], pid: int, **more: Any
    ) -> None:
        ts = self.begun + at * MS
        self.events.append(
            {"ph": ph, "cat": category, "name": name, "pid": pid, "tid": lane, "ts": ts, "args": args, **more}
        )

    def document(self) -> dict[str, Any]:
        about = {
            "tool": "hermetic",
            "version": "0.1.0",
            "started": "2026-11-27T09:30:00+00:00",
            "command": self.command,
        }
        if self.left_out:
            about["left out"] = self.left_out
        return {"traceEvents": self.events, "displayTimeUnit": "ms", "otherData": about}

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(self.document()), encoding="utf-8")
        return path


PLACES = (
    ("app/orders.py", "place_order"),
    ("app/users.py", "load"),
    ("app/payments.py", "charge"),
    ("app/reports/daily.py", "sales_by_day"),
    ("app/api/v2/endpoints/customers.py", "CustomerService.register"),
    ("app/jobs.py", "import_rows.<locals>.worker"),
)
QUERIES = (
    "SELECT users.id, users.name, users.email FROM users WHERE users.id = ?",
    "SELECT orders.id, orders.total FROM orders JOIN users ON users.id = orders.user_id\nWHERE orders.state = ?",
    "INSERT INTO orders (user_id, total, state) VALUES (?, ?, ?)",
    "UPDATE stock SET amount = (stock.amount - ?) WHERE stock.product_id = ?",
)
RULES = (
    ("SES102 transaction-held-across-slow-work", "warning", "a transaction was idle for {ms:.0f} ms over a wait"),
    ("SES001 session-not-closed", "error", "the session is still open when its task ends"),
    ("SES002 session-shared", "error", "two tasks used one session at the same time"),
)


def by_chance(sessions: int, statements: int = 6, engines: int = 1, seed: int = 1) -> Recording:
    """A service's run: sessions that begin one after the other, some idle in their transaction, some with findings."""
    chance = random.Random(seed)
    made = Recording(command="pytest -q tests/api")
    changes: dict[int, list[tuple[float, int]]] = {engine: [] for engine in range(1, engines + 1)}
    for engine in changes:
        made.pool(engine, f"postgresql+asyncpg://shop@localhost/{'shop' if engine == 1 else f'shop_{engine}'}")
    at = 0.0
    for number in range(1, sessions + 1):
        at += chance.expovariate(1 / 14)
        end = _session(made, number, at, statements, chance)
        engine = chance.choice(list(changes))
        changes[engine] += [(at + 0.4, 1), (end - 0.2, -1)]
        holder = made.events[-1]["args"].get("opened", "app/orders.py:30 in place_order")
        made.checkout(engine, number % 40, at + 0.4, number, holder=holder)
        made.checkin(engine, number % 40, end - 0.2, number, holder=holder)
    for engine, steps in changes.items():
        in_use = 0
        for moment, change in sorted(steps):
            in_use += change
            made.in_use(engine, moment, in_use, 5)
    return made


def _session(made: Recording, number: int, start: float, statements: int, chance: random.Random) -> float:
    path, function = chance.choice(PLACES)
    line = chance.randrange(12, 280)
    moment = start + 0.5
    begun = moment
    outcome = chance.choices(("commit", "rollback", "close"), (80, 8, 12))[0]
    idle = chance.random() < 0.22
    count = max(1, round(chance.gauss(statements, statements / 3)))
    for step in range(count):
        took = chance.lognormvariate(0.6, 0.8)
        failed = "IntegrityError" if outcome == "rollback" and step == count - 1 else None
        place = f"{path}:{line + 3 + step} in {function}"
        made.statement(number, moment, moment + took, chance.choice(QUERIES), at=place, failed=failed)
        moment += took + chance.expovariate(2)
        if idle and step == count // 2:
            gap = chance.lognormvariate(4.2, 0.9) + 10
            made.idle(number, moment, moment + gap, after=place, before=f"{path}:{line + 9} in {function}")
            if gap > 60:
                _finding(made, number, moment + gap, gap, path, line, chance)
            moment += gap
    made.transaction(number, begun, moment, outcome)
    end = moment + chance.expovariate(1) + 0.3
    leaked = chance.random() < 0.04
    made.session(
        number,
        start,
        end,
        opened=f"{path}:{line} in {function}",
        closed=None if leaked else f"{path}:{line + 12} in {function}",
        task=f"Task-{number}" if chance.random() < 0.8 else "AnyIO worker thread",
    )
    return end


def _finding(made: Recording, number: int, at: float, gap: float, path: str, line: int, chance: random.Random) -> None:
    name, severity, message = chance.choices(RULES, (70, 15, 15))[0]
    acts = [[path, line + 4, "the transaction was begun here"], ["app/mails.py", 18, "the wait was here"]]
    made.finding(
        number, at, name, severity=severity, message=message.format(ms=gap), path=path, line=line + 4, trace=acts
    )
