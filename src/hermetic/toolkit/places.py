"""Where in the application something happens, and who does it: a line, a thread, a task."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from threading import current_thread, get_ident
from types import CodeType, FrameType
from typing import Any, NamedTuple

import sqlalchemy

# A named tuple's own `__new__` is written in Python.
_new = tuple.__new__
_get_running_loop, _current_task = asyncio._get_running_loop, asyncio.current_task

# Frames of these say nothing about the application.
_LIBRARIES = (
    os.path.dirname(__file__) + os.sep,
    os.path.dirname(sqlalchemy.__file__) + os.sep,
    os.path.dirname(asyncio.__file__) + os.sep,
    contextlib.__file__,
    functools.__file__,
    os.sep + "tenacity" + os.sep,
)


class Place(NamedTuple):
    """A line of the application; its number is looked up only when an error needs it."""

    code: CodeType
    instruction: int  # the offset of an instruction in the code; -1 for where the code begins

    @property
    def line(self) -> int:
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return line
        return self.code.co_firstlineno

    def __str__(self) -> str:
        path = os.path.relpath(self.code.co_filename)
        shown = self.code.co_filename if path.startswith("..") else path
        return f"{shown}:{self.line}, in {self.code.co_qualname}"


class Owner(NamedTuple):
    """The thread, and the task in it if a loop runs there, that does something."""

    thread: int
    task: asyncio.Task[Any] | None

    def __str__(self) -> str:
        if self.task is not None:
            return f"task {self.task.get_name()!r}"
        return f"thread {self.thread}" if self.thread != get_ident() else f"thread {current_thread().name!r}"


def current_task() -> asyncio.Task[Any] | None:
    """The task that runs now, none outside of an event loop."""
    # asyncio.current_task() raises where no loop runs; asking first costs 0.06 µs.
    return None if _get_running_loop() is None else _current_task()


def owner() -> Owner:
    return _new(Owner, (get_ident(), current_task()))


class _IsLibrary(dict[str, bool]):
    """Path of a file -> whether its frames are passed over."""

    def __missing__(self, path: str) -> bool:
        found = path.startswith(("<frozen ", "<sqlalchemy ")) or any(library in path for library in _LIBRARIES)
        self[path] = found
        return found


_is_library = _IsLibrary()


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The callers, those of the greenlets that wait for this one included: SQLAlchemy's asyncio runs in one."""
    greenlets = sys.modules.get("greenlet")
    current = greenlets.getcurrent() if greenlets else None
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        current = current.parent if current else None
        if current is None:
            return
        frame = current.gr_frame


def in_greenlet() -> bool:
    """Whether a driver can be awaited from here: SQLAlchemy runs synchronous code in a greenlet for that."""
    greenlets = sys.modules.get("greenlet")
    return greenlets is not None and greenlets.getcurrent().parent is not None


def here() -> Place:
    """The innermost line of the application, or where nothing is of the application, the outermost line of all."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:  # what it nearly always is, without the cost of looking behind greenlets
        if not _is_library[frame.f_code.co_filename]:
            return _new(Place, (frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return place_of(sys._getframe(1))


def place_of(at: Place | FrameType) -> Place:
    """The innermost line of the application from a frame on."""
    if isinstance(at, Place):
        return at
    frame = at
    for frame in _frames(at):
        if not _is_library[frame.f_code.co_filename]:
            break
    return Place(frame.f_code, frame.f_lasti)
