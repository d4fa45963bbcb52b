"""What a trace holds: the Chrome trace events of a recorded run, as lanes of sessions and of pools.

The format is the JSON object form of https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU,
with `otherData.tool` "hermetic". A lane is a process and a thread id. Times in the file are microseconds since any
moment; here they are whole microseconds since the first event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class TraceError(Exception):
    """This is no trace of hermetic; the message says why."""


class Life(NamedTuple):
    """A session from made to closed. `closed` is "" where nothing closed it; `rules` are the codes of its findings."""

    start: int
    duration: int
    opened: str
    closed: str
    task: str
    rules: tuple[str, ...]


class Transaction(NamedTuple):
    """`outcome` is "commit", "rollback" or "close", and `ended` the place of that; "open" is one that nothing ended."""

    start: int
    duration: int
    outcome: str
    ended: str


class Statement(NamedTuple):
    """`failed` is the class of the error, or ""."""

    start: int
    duration: int
    name: str
    sql: str
    at: str
    failed: str


class Wait(NamedTuple):
    """An open transaction that does nothing between the statements at `after` and `before`."""

    start: int
    duration: int
    after: str
    before: str


class Act(NamedTuple):
    """One step of a finding."""

    path: str
    line: int
    text: str


class Mark(NamedTuple):
    """A finding, where it was seen. `name` is code and name: "SES001 session-not-closed"."""

    at: int
    name: str
    message: str
    severity: str
    path: str
    line: int
    acts: tuple[Act, ...]


class Count(NamedTuple):
    """How many connections of a pool are in use from here on. `size` is None where nothing says it."""

    at: int
    in_use: int
    size: int | None


class Hold(NamedTuple):
    """A connection between its checkout and its return. `session` is None for one that serves no session; `ended` is
    False for one that was still held when the recording ended."""

    start: int
    duration: int
    connection: str
    session: int | None
    holder: str
    ended: bool


@dataclass(frozen=True, slots=True)
class SessionLane:
    """Everything of one session. A session that is used again after its end has several lives."""

    process: int
    number: int
    name: str
    lives: tuple[Life, ...]
    transactions: tuple[Transaction, ...]
    statements: tuple[Statement, ...]
    waits: tuple[Wait, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class PoolLane:
    """Everything of the pool of one engine."""

    process: int
    number: int
    name: str
    counts: tuple[Count, ...]
    holds: tuple[Hold, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded run. `left_out` says what the recorder had no room for; `unread` counts events that are none of
    hermetic's, or broken."""

    command: str
    started: str
    version: str
    duration: int
    sessions: tuple[SessionLane, ...]
    pools: tuple[PoolLane, ...]
    left_out: str
    unread: int
