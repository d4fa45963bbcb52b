"""What somebody else is doing: threads and tasks, looked at from a thread that only watches."""

from __future__ import annotations

import sys
import threading
from asyncio import current_task
from types import FrameType

from hermetic.sanitizer.stacks import Actor, is_library, stack_now
from hermetic.sanitizer.turns import NONE, Turns, turns_of

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


def turns_of_thread(ident: int) -> Turns:
    """The turns on a CPU that a thread of this process has had; `NONE` once it has ended."""
    native = next((thread.native_id for thread in threading.enumerate() if thread.ident == ident), None)
    return turns_of(native) if native is not None else NONE
