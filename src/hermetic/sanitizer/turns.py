"""What the kernel says of threads' turns on a CPU: how long they took, and how long the threads have waited for them.

What it says of the waiting is too much at times: since Linux 6.12 a thread that goes to sleep may stay in the queue for
a while, and if it is moved to another CPU meanwhile, its whole sleep counts as waiting for its turn (seen on 6.18:
0.22 s of a sleep of 0.2 s, beside four busy processes). So a thread is believed only what fits to how much it has
computed and how often it has slept; one that has not slept at all is believed everything.
Sources: Linux, Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat"; kernel/sched/fair.c, `set_delayed`.
"""

from __future__ import annotations

import os
from _thread import get_native_id
from typing import NamedTuple

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not on Linux, where nobody tells of turns either
    getrusage = None  # type: ignore[assignment]

TASKS = "/proc/self/task"
MOST_THREADS = 16  # of the process that are looked at; of more, only the own one
QUEUED_TO_RAN = 20.0  # how many times longer than it ran may a thread of usual priority have waited for its turns?
AWAKING = 0.05  # seconds for which such a thread may have to wait after a sleep
CROWD = 4.0  # threads that want a CPU, for each that there is; both figures hold for so many, and grow with more
WEIGHT = 1.25  # by which a thread's share shrinks with each step of `nice`; kernel/sched/core.c, `sched_prio_to_weight`


class Turns(NamedTuple):
    """Of one thread, since it began: seconds on a CPU, seconds in the queue for one, and how many turns it has had."""

    ran: float = 0.0
    queued: float = 0.0
    times: int = 0


NONE = Turns()


def turns_of(thread: int) -> Turns:
    """By the thread's native number; `NONE` for one that has ended, and where no kernel tells.

    (`time.pthread_getcpuclockid` crashes for one that has ended meanwhile.)
    """
    try:
        with open(f"{TASKS}/{thread}/schedstat", "rb") as file:
            ran, queued, count = file.read().split()
    except (OSError, ValueError):
        return NONE
    return Turns(int(ran) / 1e9, int(queued) / 1e9, int(count))


def turns_of_all() -> dict[int, Turns]:
    """Of the threads of this process, by native number."""
    try:
        threads = os.listdir(TASKS)
    except OSError:
        return {}
    if len(threads) > MOST_THREADS:
        return {get_native_id(): turns_of(get_native_id())}
    return {thread: turns_of(thread) for thread in map(int, threads)}


def own_sleeps() -> int:
    """How often this thread has given up its CPU of its own accord; 0 where no kernel tells."""
    return getrusage(RUSAGE_THREAD).ru_nvcsw if getrusage is not None else 0


def queued(then: Turns, now: Turns) -> float:
    """The seconds for which a thread has had to wait for its turns between two looks. Of a thread that is not the
    caller's, nobody knows which of the turns came after a sleep, so each may have."""
    return believed(now.queued - then.queued, now.ran - then.ran, now.times - then.times)


def believed(told: float, ran: float, sleeps: int) -> float:
    """What is true of the seconds in the queue that the kernel tells of."""
    if sleeps == 0:
        return max(told, 0.0)
    most = (QUEUED_TO_RAN * ran + AWAKING * (sleeps + 1)) * WEIGHT ** _niceness() * max(crowd() / CROWD, 1.0)
    return max(min(told, most), 0.0)


def crowd() -> float:
    """How many threads of the machine want each of its CPUs, of late."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 1.0


def _niceness() -> int:
    """Those with more than the usual share may still wait as long."""
    return max(os.nice(0), 0) if hasattr(os, "nice") else 0
