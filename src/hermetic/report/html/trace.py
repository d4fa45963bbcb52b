"""The page of a trace: a timeline of its sessions and pools, its findings, and a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hermetic.report.html.page import render as render_page
from hermetic.report.trace_events import PoolLane, SessionLane, Trace


def render(trace: Trace, file: str) -> str:
    """The page as HTML. `file` is the name of the trace file, to be shown."""
    texts: dict[str, int] = {}
    sessions = [_session(lane, texts) for lane in trace.sessions]
    pools = [_pool(lane, texts) for lane in trace.pools]
    document = {
        "file": file,
        "command": trace.command,
        "started": trace.started,
        "version": trace.version,
        "duration": trace.duration,
        "leftOut": trace.left_out,
        "unread": trace.unread,
        "texts": list(texts),
        "sessions": sessions,
        "pools": pools,
    }
    return render_page("trace_page", document)


def _session(lane: SessionLane, texts: dict[str, int]) -> dict[str, Any]:
    return {
        "process": lane.process,
        "number": lane.number,
        "name": lane.name,
        "lives": _rows(lane.lives, texts),
        "transactions": _rows(lane.transactions, texts),
        "statements": _rows(lane.statements, texts),
        "waits": _rows(lane.waits, texts),
        "marks": _rows(lane.marks, texts),
    }


def _pool(lane: PoolLane, texts: dict[str, int]) -> dict[str, Any]:
    return {
        "process": lane.process,
        "number": lane.number,
        "name": lane.name,
        "counts": _rows(lane.counts, texts),
        "holds": _rows(lane.holds, texts),
        "marks": _rows(lane.marks, texts),
    }


def _rows(records: Iterable[tuple[Any, ...]], texts: dict[str, int]) -> list[list[Any]]:
    """The records as JSON arrays, each text as its number: the same places and the same SQL come up again and again."""
    return [[_value(value, texts) for value in record] for record in records]


def _value(value: Any, texts: dict[str, int]) -> Any:
    if isinstance(value, str):
        return texts.setdefault(value, len(texts))
    if isinstance(value, tuple):
        return [_value(part, texts) for part in value]
    return value
