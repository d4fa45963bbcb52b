"""Who holds a connection now: the live table of sessions, and the note at the time-out of a pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hermetic.sanitizer import evidence, redact
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.ledger import Hold, SessionRecord
from hermetic.sanitizer.stacks import Actor, Frames, actor_name, frames_now, has_ended
from hermetic.sanitizer.watch import current

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch

MOST_HOLDERS = 25  # named in a note; a pool is rarely larger
TITLE = "hermetic: "
COLUMNS = ("number", "kind", "since", "state", "idle", "statements", "who", "taken", "now", "engine")
NOT_WATCHING = "no watch is running in this process: call hermetic.watch() when it starts"


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session with its transaction open, or a connection out of its pool without one. Times are in seconds.

    Places are written `app/users.py:31 in load`, and empty where no application code was, or where only a share of
    the connections is sampled and this one was not.
    """

    number: int
    kind: str  # "Session", "AsyncSession" or "Connection"
    since: float  # since it took its connection
    state: str  # "in a statement" or "idle"; "" where nobody can tell
    idle: float  # since its last statement ended
    statements: int  # of this transaction
    made: str  # where the session was made; in tests only
    taken: str  # where the connection was taken
    who: str  # the thread or task that took it
    now: str  # where that one is now
    engine: str  # its URL, without the password; "" for an engine made before the watch and never used by a session


def sessions() -> list[LiveSession]:
    """What holds a connection in this process now, the oldest first. It stops nobody and asks no database.

    :raises RuntimeError: if no watch is running, because an empty table would look like good news.
    """
    watch = current()
    if watch is None:
        raise RuntimeError(NOT_WATCHING)
    return rows(watch)


def sessions_text() -> str:
    """The table of `sessions()` as text, for a diagnostic page; also when no watch is running."""
    watch = current()
    if watch is None:
        return f"{TITLE}{NOT_WATCHING}\n"
    found = rows(watch)
    lines = [f"{TITLE}{len(found)} out of their pools, mode {watch.mode}, {watch.errors} mistakes of hermetic's own"]
    return "\n".join([*lines, *_table(found)]) + "\n"


def rows(watch: Watch) -> list[LiveSession]:
    """The live table of one watch."""
    engines = _engines(watch)
    of_sessions = [_session(watch, record) for record in list(watch.ledger.open.values())]
    bare = [hold for hold in list(watch.ledger.holds.values()) if not _is_of_session(hold)]
    of_connections = [_connection(watch, hold, engines.get(id(hold.pool()), "")) for hold in bare]
    return sorted([*of_sessions, *of_connections], key=lambda row: -row.since)


def explain(watch: Watch, pool: Any) -> str:
    """Who holds the connections of a pool that has none to give, in the words of a note, the longest first."""
    holds = sorted((hold for hold in list(watch.ledger.holds.values()) if hold.pool() is pool), key=lambda h: h.since)
    url = _engines(watch).get(id(pool), "")
    lines = [f"{TITLE}who holds the connections of {url or 'this pool'}:"]
    lines += [f"  {_holder(watch, hold)}" for hold in holds[:MOST_HOLDERS]]
    if len(holds) > MOST_HOLDERS:
        lines.append(f"  and {len(holds) - MOST_HOLDERS} more")
    if not holds:
        lines.append("  nobody who took one since hermetic watches")
    return "\n".join(lines)


def _holder(watch: Watch, hold: Hold) -> str:
    record = _session_of(hold)
    state = "" if record is None else ", in a statement" if record.in_statement else f", idle for {_idle(record):.1f} s"
    taken = f" at {place}" if (place := _first(watch, hold.frames)) else ""
    return (
        f"{perf_counter() - hold.since:.1f} s{state}: taken{taken} by {actor_name(hold.by)}{_present(watch, hold.by)}"
    )


def _present(watch: Watch, who: Actor) -> str:
    if has_ended(who):
        return ", which is over"
    place = _first(watch, frames_now(who))
    return f", which is now at {place}" if place else ""


def _session(watch: Watch, record: SessionRecord) -> LiveSession:
    now, who = perf_counter(), record.begun_by
    engine = record.engine() if record.engine is not None else None
    return LiveSession(
        number=record.number,
        kind="AsyncSession" if record.is_async else "Session",
        since=now - record.begun_at,
        state="in a statement" if record.in_statement else "idle",
        idle=_idle(record),
        statements=record.statements,
        made=_first(watch, record.made),
        taken=_first(watch, record.begun),
        who=actor_name(who) if who is not None else "",
        now=_now(watch, who) if who is not None else "",
        engine=redact.url(engine.url) if engine is not None else "",
    )


def _connection(watch: Watch, hold: Hold, url: str) -> LiveSession:
    return LiveSession(
        number=hold.number,
        kind="Connection",
        since=perf_counter() - hold.since,
        state="",
        idle=0.0,
        statements=0,
        made="",
        taken=_first(watch, hold.frames),
        who=actor_name(hold.by),
        now=_now(watch, hold.by),
        engine=url,
    )


def _now(watch: Watch, who: Actor) -> str:
    return "over" if has_ended(who) else _first(watch, frames_now(who))


def _idle(record: SessionRecord) -> float:
    return 0.0 if record.in_statement else max(perf_counter() - record.last_wall, 0.0)


def _first(watch: Watch, frames: Frames) -> str:
    return evidence.where(frames[0], watch.root) if frames else ""


def _session_of(hold: Hold) -> SessionRecord | None:
    return hold.session() if hold.session is not None else None


def _is_of_session(hold: Hold) -> bool:
    record = _session_of(hold)
    return record is not None and record.is_open


def _engines(watch: Watch) -> dict[int, str]:
    """The URLs of the engines that are known, by the identity of their pools."""
    found: dict[int, str] = {}
    engines = [each.engine for each in list(watch.ledger.engines.values())]
    engines += [record.engine for record in list(watch.ledger.open.values()) if record.engine is not None]
    for reference in engines:
        engine = reference()
        if engine is not None:
            found[id(engine.pool)] = redact.url(engine.url)
    return found


def _table(found: Sequence[LiveSession]) -> Iterable[str]:
    if not found:
        return
    cells = [COLUMNS, *(tuple(_cell(getattr(row, name)) for name in COLUMNS) for row in found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cell(value: object) -> str:
    return f"{value:.1f} s" if isinstance(value, float) else str(value)
