"""How long a session has waited: the time since its last act, less what was computed meanwhile.

On a busy machine a thread that computes waits for a CPU as well. Linux tells how long; elsewhere it counts as waiting.
"""

from __future__ import annotations

import sys
from _thread import get_ident, get_native_id
from collections.abc import Callable
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hermetic.sanitizer.ledger import SessionRecord
    from hermetic.sanitizer.probes import Probes

# Trace functions that measure and never stop a program.
MEASURING = frozenset({"coverage", "trace", "slipcover", "viztracer", "hunter"})
DEBUGGER = 0  # of `sys.monitoring`: https://docs.python.org/3/library/sys.monitoring.html#tool-identifiers

SCHEDULER = "/proc/thread-self/schedstat"  # https://docs.kernel.org/scheduler/sched-stats.html
SAMPLED = 0.05  # seconds for which one look into it is good: it costs more than all else here
MOST_THREADS = 1024

_samples: dict[int, tuple[float, float]] = {}  # by native thread: when it was looked at, and its delay then
_last_stop = 0.0  # when pdb, or what is built on it, stopped last; of `time.perf_counter`


def stamp(record: SessionRecord) -> None:
    """A session has acted just now."""
    now, thread = perf_counter(), get_native_id()
    sample = _samples.get(thread)
    if sample is None or now - sample[0] > SAMPLED:
        if len(_samples) >= MOST_THREADS:
            _samples.clear()
        sample = _samples[thread] = now, _delay()
    record.last_wall, record.last_thread, record.last_delay = now, get_ident(), sample[1]
    record.last_cpu, record.last_process_cpu = thread_time(), process_time()


def waited(record: SessionRecord, idle: float) -> float:
    """The seconds that a session has waited since its last act; 0.0 for less than `idle`, for a debugger, and while
    rows of a statement are still streaming in, of which nobody can say when they came."""
    wall = perf_counter() - record.last_wall
    if wall < idle or not record.last_wall or record.streams or _was_debugged(record.last_wall):
        return 0.0
    if record.last_thread == get_ident() and thread_time() >= record.last_cpu:  # a new thread may get an old number
        busy = thread_time() - record.last_cpu + _delay() - record.last_delay
    else:  # what another thread did here before is only known as a sum over all threads
        sampled, delay = _samples.get(get_native_id(), (0.0, 0.0))
        busy = process_time() - record.last_process_cpu + _delay() - (delay if sampled <= record.last_wall else 0.0)
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
