"""How long a session has waited: the time since its last act, less what was computed meanwhile.

On a busy machine a thread that computes waits for a CPU as well. Linux tells how long; elsewhere it counts as waiting.
"""

from __future__ import annotations

import sys
from _thread import get_ident, get_native_id
from collections.abc import Callable
from threading import local
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hermetic.sanitizer.ledger import SessionRecord
    from hermetic.sanitizer.probes import Probes

# Trace functions that measure and never stop a program.
MEASURING = frozenset({"coverage", "trace", "slipcover", "viztracer", "hunter"})
DEBUGGER = 0  # of `sys.monitoring`: https://docs.python.org/3/library/sys.monitoring.html#tool-identifiers

SCHEDULER = "/proc/thread-self/schedstat"  # https://docs.kernel.org/scheduler/sched-stats.html
SAMPLED = 0.03  # seconds for which one look at the clocks is good: a look costs more than all else that an act does


class Clocks(NamedTuple):
    """What a thread had used of a CPU, and how long it had waited for one, in seconds; `at` is of `perf_counter`."""

    at: float
    thread: int  # its native number, which comes again late; those of Python come again at once
    thread_cpu: float
    process_cpu: float
    delay: float


_local = local()  # `clocks`: the thread's last look
_last_stop = 0.0  # when pdb, or what is built on it, stopped last; of `time.perf_counter`


def stamp(record: SessionRecord) -> None:
    """A session has acted just now."""
    now = perf_counter()
    clocks: Clocks | None = getattr(_local, "clocks", None)
    if clocks is None or now - clocks.at > SAMPLED:
        clocks = _local.clocks = Clocks(now, get_native_id(), thread_time(), process_time(), _delay())
    record.last_wall, record.last_thread, record.last_clocks = now, get_ident(), clocks


def waited(record: SessionRecord, idle: float) -> float:
    """The seconds that a session has waited since its last act; 0.0 for less than `idle`, for a debugger, and while
    rows of a statement are still streaming in, of which nobody can say when they came. What the thread has computed
    shortly before that act is taken off as well."""
    then = record.last_clocks
    wall = perf_counter() - record.last_wall
    if wall < idle or then is None or record.streams or _was_debugged(record.last_wall):
        return 0.0
    if then.thread == get_native_id():
        busy = thread_time() - then.thread_cpu + _delay() - then.delay
    else:  # what another thread did here before is only known as a sum over all threads
        own: Clocks | None = getattr(_local, "clocks", None)
        delay = own.delay if own is not None and own.at <= record.last_wall else 0.0
        busy = process_time() - then.process_cpu + _delay() - delay
    return wall - busy if wall - busy >= idle else 0.0


def _delay() -> float:
    """The seconds for which this thread has ever had to wait for a CPU; 0.0 where no kernel tells."""
    try:
        with open(SCHEDULER, "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def is_debugged() -> bool:
    """May a debugger stop the program at any time?"""
    trace = sys.gettrace()
    if trace is not None:
        home = getattr(trace, "__module__", None) or type(trace).__module__
        return home.partition(".")[0] not in MEASURING
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(DEBUGGER) is not None


def _was_debugged(since: float) -> bool:
    return _last_stop >= since or is_debugged()


def stopping(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    """Around `pdb.Pdb.interaction`: `continue` without a breakpoint leaves no trace function behind."""

    def interaction(self: Any, *args: Any, **kwargs: Any) -> Any:
        global _last_stop
        try:
            return original(self, *args, **kwargs)
        finally:
            _last_stop = perf_counter()

    return interaction
