"""How long a session has waited: the time since its last act, less what was computed meanwhile.

On a busy machine threads that compute wait for a CPU as well. Linux tells how long; elsewhere it counts as waiting.
"""

from __future__ import annotations

import sys
from _thread import get_ident, get_native_id
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from threading import local
from time import process_time, thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.turns import NONE, Turns, believed, crowd, own_sleeps, queued, turns_of, turns_of_all

if TYPE_CHECKING:
    from hermetic.sanitizer.ledger import SessionRecord
    from hermetic.sanitizer.probes import Probes

# Trace functions that measure and never stop a program.
MEASURING = frozenset({"coverage", "trace", "slipcover", "viztracer", "hunter"})
DEBUGGER = 0  # of `sys.monitoring`: https://docs.python.org/3/library/sys.monitoring.html#tool-identifiers

SLOW = 0.05  # seconds that a thread has to wait for a database until that is remembered
MOST_SLOW = 64  # such waits that are
SAMPLED = 0.02  # seconds for which one look at the clocks is good: a look costs more than all else that an act does
# The same of how often the thread has slept. What it has slept meanwhile, a few times, counts for the wait: more of
# what the kernel tells of turns is then believed, and a wait is rather missed than one is seen that was none.
SAMPLED_SLEEPS = 0.002


class Clocks(NamedTuple):
    """What had been used of CPUs, and how long threads had waited for one, in seconds; `at` is of `perf_counter`."""

    at: float
    thread: int  # its native number, which comes again late; those of Python come again at once
    thread_cpu: float
    process_cpu: float
    turns: dict[int, Turns]  # of all threads of the process, by native number


_for_databases: deque[tuple[int, float, float]] = deque(maxlen=MOST_SLOW)  # by thread, from when to when


class Seen(local):
    """By each thread: its last look at the clocks; how often it had slept when that was asked last, and when it was."""

    clocks: Clocks | None = None
    sleeps: int = 0
    asked_at: float = 0.0


_seen = Seen()
_last_stop = 0.0  # when pdb, or what is built on it, stopped last; of `time.perf_counter`


def stamp(record: SessionRecord) -> None:
    """A session has acted just now."""
    now, seen = perf_counter(), _seen
    clocks = seen.clocks
    if clocks is None or now - clocks.at > SAMPLED:
        clocks = seen.clocks = _look(now)
        now = perf_counter()  # the look itself is no wait
    if now - seen.asked_at > SAMPLED_SLEEPS:
        seen.sleeps, seen.asked_at = own_sleeps(), now
    record.last_wall, record.last_thread = now, get_ident()
    record.last_clocks, record.last_sleeps = clocks, seen.sleeps


def _look(now: float) -> Clocks:
    return Clocks(now, get_native_id(), thread_time(), process_time(), turns_of_all())


def asked(since: float) -> None:
    """This thread, or a task of its loop, has just got what it asked a database for: other sessions wait for that, and
    not for something else."""
    now = perf_counter()
    if now - since >= SLOW:
        _for_databases.append((get_ident(), since, now))


def waited(record: SessionRecord, idle: float) -> float:
    """The seconds that a session has waited since its last act.

    0.0 for less than `idle`, for a debugger, while a statement is on its way, and while rows of one are still streaming
    in, of which nobody can say when they came. Not counted is what the thread has computed meanwhile, and shortly
    before that act; of what another thread did here before only a sum over all threads is known. Nor is the time for
    which the thread has waited for a database on behalf of another session.
    """
    then = record.last_clocks
    wall = perf_counter() - record.last_wall
    if wall < idle or then is None or record.is_asking or record.streams or _was_debugged(record.last_wall):
        return 0.0
    if then.thread == get_native_id():
        busy = thread_time() - then.thread_cpu + _own_delay(record, then)
    else:
        busy = process_time() - then.process_cpu + _delay(then)
    seconds = wall - busy
    if seconds >= idle:
        seconds -= _for_other_sessions(record.last_wall)
    return seconds if seconds >= idle else 0.0


def _for_other_sessions(since: float) -> float:
    """The seconds since then in which this thread, or some task of its loop, has waited for a database."""
    thread, seconds, until = get_ident(), 0.0, since
    for other, began, ended in sorted(_for_databases, key=itemgetter(1)):
        if other == thread and ended > until:
            seconds += ended - max(began, until)
            until = ended
    return seconds


def is_for_other_threads(record: SessionRecord, seconds: float, idle: float) -> bool:
    """May a wait of so many seconds have been for other threads of this process, which computed meanwhile?

    How long those have waited for a CPU is not known if they have ended; they had to share it with the machine's load.
    """
    then = record.last_clocks
    if then is None or then.thread != get_native_id():
        return False
    others = (process_time() - then.process_cpu) - (thread_time() - then.thread_cpu)
    return seconds - max(others * max(crowd(), 1.0), others + _delay(then) - _own_delay(record, then)) < idle


def _own_delay(record: SessionRecord, then: Clocks) -> float:
    """The seconds for which this thread has had to wait for a CPU since then; 0.0 where no kernel tells."""
    told = turns_of(then.thread).queued - then.turns.get(then.thread, NONE).queued
    return believed(told, thread_time() - then.thread_cpu, own_sleeps() - record.last_sleeps)


def _delay(then: Clocks) -> float:
    """The same of all threads of the process together, as far as they are still there."""
    return sum(queued(then.turns.get(thread, NONE), now) for thread, now in turns_of_all().items())


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
