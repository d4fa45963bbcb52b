"""What somebody else is doing: threads and tasks, looked at from a thread that only watches."""

from __future__ import annotations

import sys
import threading
from asyncio import current_task
from types import FrameType

from hermetic.sanitizer.stacks import Actor, is_library, stack_now

DEBUGGERS = ("/bdb.py", "/pdb.py")
DEBUGGER_PACKAGES = (
    "/pydevd",
    "/_pydevd_",
    "/debugpy/",
)  # what PyCharm and VS Code use; they have threads of their own


def in_database(who: Actor) -> bool:
    """Is it inside of SQLAlchemy, as in a statement, streaming rows, or waiting for another connection?"""
    for frame in stack_now(who):
        name = frame.f_code.co_filename
        if "/sqlalchemy/" in name.replace("\\", "/"):
            return True
        if not is_library(name):
            return False
    return False


def is_kept_waiting(who: Actor) -> bool:
    """Is it a task that cannot go on because another one occupies the event loop?"""
    task = who[1]() if who[1] is not None else None
    if task is None:
        return False
    running = current_task(task.get_loop())
    return running is not None and running is not task


def being_debugged() -> bool:
    """Does a debugger run in this process? Its files are on the stack of some thread."""
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            name = frame.f_code.co_filename.replace("\\", "/")
            if name.endswith(DEBUGGERS) or any(part in name for part in DEBUGGER_PACKAGES):
                return True
            frame = frame.f_back
    return False


def processor_seconds(ident: int) -> float:
    """How long a thread of this process has had a processor or has waited for one; 0.0 once it has ended.

    Only Linux tells this of another thread. (`time.pthread_getcpuclockid` crashes for one that has ended meanwhile.)
    Source: Linux, Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat", in nanoseconds.
    """
    native = next((thread.native_id for thread in threading.enumerate() if thread.ident == ident), None)
    try:
        with open(f"/proc/self/task/{native}/schedstat", "rb") as file:
            running, queued, *_ = file.read().split()
    except (OSError, ValueError):
        return 0.0
    return (int(running) + int(queued)) / 1e9
