"""Stacks of application frames: cheap to take at every act, turned into places only when something is reported.

A frame is kept as its code object and the offset of its instruction, never as a frame object: frames keep local
variables alive, and a session that lives longer because it is watched would be a different program.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import sysconfig
from _thread import get_ident
from asyncio import current_task
from asyncio.events import _get_running_loop
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE
from threading import current_thread
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary, ref

Frame = tuple[CodeType, int]
Frames = tuple[Frame, ...]
# Who does something: a thread and, under a running loop, its task. Weakly, because a task that failed keeps the frames
# of its exception, and their sessions, alive.
Actor = tuple[int, "ref[asyncio.Task[Any]] | None"]

# What stands between the application and the database, wherever it is installed; an editable install is no exception.
LIBRARIES = ("sqlalchemy", "sqlmodel", "greenlet", "pytest", "_pytest", "pluggy")

# Where an event loop runs a task or a callback. Whoever runs the loop stands below it on the stack, and did not do it.
LOOPS = ("asyncio/events.py", "asyncio/runners.py")

# What stands between whoever awaits and what runs: in `async for`, at the end of a dependency with `yield`, behind an
# `__await__` method. Only the collector knows what it is of.
STEPS = frozenset("async_generator_asend async_generator_athrow anext_awaitable coroutine_wrapper".split())
RUNNING = frozenset("coroutine async_generator".split())

ASYNC = CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR

# What calls a test: nothing below it on the stack is the application's.
RUNNERS = ("_pytest/python.py",)

APPLICATION, LIBRARY, LOOP, RUNNER = 0, 1, 2, 3
_kinds: dict[str, int] = {}  # of files, by name; another dict once other files are the application's
_applications: tuple[str, ...] = ()  # beginnings of paths
_spawned: WeakKeyDictionary[Any, Frames] = WeakKeyDictionary()  # where coroutines of libraries became tasks


def grab(limit: int = 8, skip: int = 1, patience: int = 1000) -> Frames:
    """The innermost `limit` application frames of who is running, the innermost first. Once there is one, the search
    ends at so many library frames in a row: whoever called through a framework is farther away than is worth the time.

    SQLAlchemy's asyncio half runs its synchronous half in a greenlet, whose stack ends there; the frames that wait for
    it are those of the parent greenlet. In a hook, the greenlet's own frames may all be library code, or none at all.
    A task that runs library code alone has no frames, whoever runs its loop; `origin` finds who made it.
    """
    return grab_from(sys._getframe(skip), limit, patience)


def grab_from(frame: FrameType | None, limit: int, patience: int) -> Frames:
    """As `grab`, of the stack whose innermost frame is this one."""
    taken: list[Frame] = []
    greenlets: Any = None
    while True:
        if not _collect(frame, taken, limit, patience):
            return tuple(taken)
        module = sys.modules.get("greenlet")
        if module is None:
            return tuple(taken)
        greenlets = (greenlets or module.getcurrent()).parent
        if greenlets is None:
            return tuple(taken)
        frame = greenlets.gr_frame


def _collect(frame: FrameType | None, taken: list[Frame], limit: int, patience: int) -> bool:
    """Add the application frames of a stack. Is it worth going on with the greenlet that waits for this one?"""
    known = _kinds
    left = patience
    inner: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        kind = known.get(code.co_filename)
        if kind is None:
            kind = _kind(code.co_filename)
        if kind == APPLICATION:
            if not taken and inner is not None and inner.f_code.co_flags & ASYNC and not code.co_flags & ASYNC:
                return False  # it runs the loop, as uvloop's, which has no frames of its own
            taken.append((code, frame.f_lasti))
            if len(taken) >= limit:
                return False
            left = patience
        elif kind == LIBRARY:
            if taken:
                left -= 1
                if not left:
                    return False
        elif kind == RUNNER or not taken:
            return False
        inner, frame = frame, frame.f_back
    return True


def origin(limit: int = 8) -> Frames:
    """As `grab`, and where no application frame is running, what `task_origin` says of the running task."""
    frames = grab(limit, skip=2)
    if frames or _get_running_loop() is None:
        return frames
    task = current_task()
    return () if task is None else task_origin(task, limit)


def spawned(coroutine: Any) -> None:
    """Note where a library's coroutine becomes a task: no frame of the task will be the application's."""
    code = getattr(coroutine, "cr_code", None)
    if code is not None and is_library(code.co_filename):
        task = current_task() if _get_running_loop() is not None else None
        _spawned[coroutine] = grab(skip=4) or (_spawning(task) if task is not None else ())


def _spawning(task: asyncio.Task[Any]) -> Frames:
    coroutine = task.get_coro()
    return () if coroutine is None else _spawned.get(coroutine, ())  # None once an eager task is done


def task_origin(task: asyncio.Task[Any], limit: int = 8) -> Frames:
    """Which application frames made a task that runs library code alone; else those of the task that waits for it.

    `gather(session.execute(a), session.execute(b))` makes two such tasks. Loops that are neither a `BaseEventLoop` nor
    uvloop's do not tell where they make a task. Slow: all tasks may be looked at, so this is for acts that are to be
    reported.
    """
    waiter: asyncio.Task[Any] | None = task
    for _ in range(8):  # a chain of waiting tasks; gather() in gather() is rare, and a ring must not hang us
        if waiter is None:
            return ()
        if frames := task_frames(waiter, limit) or _spawning(waiter)[:limit]:
            return frames
        waiter = _waiter(waiter)
    return ()


def around(who: Actor, own: Frames, limit: int = 8) -> Frames:
    """The application frames around a task that runs these: of the tasks that wait for it, as for the parts of a
    `gather`; or of who made it if it runs none itself. () for a thread. Slow as `task_origin` is."""
    task = who[1]() if who[1] is not None else None
    beyond = task if task is None or not own else _waiter(task)
    return task_origin(beyond, limit) if beyond is not None else ()


def _waiter(task: asyncio.Task[Any]) -> asyncio.Task[Any] | None:
    """The task that waits for this one: in `await task`, `gather`, `shield`, `wait_for` or a TaskGroup."""
    for callback, _ in getattr(task, "_callbacks", None) or ():
        group = getattr(getattr(callback, "__self__", None), "_parent_task", None)
        if group is not None:
            return group  # type: ignore[no-any-return]
    outer = [task, *_outer_futures(task)]
    for other in asyncio.all_tasks():
        awaited = getattr(other, "_fut_waiter", None)
        if awaited is not None and any(awaited is future for future in outer):
            return other
        if any(child is task for child in getattr(awaited, "_children", ())):
            return other
    return None


def _outer_futures(task: asyncio.Task[Any]) -> Iterator[Any]:
    """What `shield` and `gather` gave their caller to wait for; it is a variable of their callback."""
    for callback, _ in getattr(task, "_callbacks", None) or ():
        for cell in getattr(callback, "__closure__", None) or ():
            if asyncio.isfuture(cell.cell_contents):
                yield cell.cell_contents


def task_frames(task: asyncio.Task[Any], limit: int = 8) -> Frames:
    """Where a suspended task stands: the application frames of its chain of awaited coroutines, the innermost first."""
    return _application(_task_stack(task), limit)


def _application(stack: Iterable[FrameType], limit: int) -> Frames:
    frames = [(frame.f_code, frame.f_lasti) for frame in stack if not is_library(frame.f_code.co_filename)]
    return tuple(frames[:limit])


def _task_stack(task: asyncio.Task[Any]) -> list[FrameType]:
    frames: list[FrameType] = []
    awaitable: Any = task.get_coro()
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
        awaitable = _awaited(awaitable)
    return frames[::-1]


def _awaited(awaitable: Any) -> Any:
    """What a coroutine or an asynchronous generator waits for; a step of a generator leads to the generator itself."""
    if type(awaitable).__name__ in STEPS:
        inside = (each for each in gc.get_referents(awaitable) if type(each).__name__ in STEPS | RUNNING)
        return next(inside, None)
    return getattr(awaitable, "cr_await", None) or getattr(awaitable, "ag_await", None)


def _thread_stack(ident: int) -> list[FrameType]:
    frames: list[FrameType] = []
    frame = sys._current_frames().get(ident)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def actor() -> Actor:
    """Who is running: a thread, or a task of the loop that the thread runs. Equal for the same one."""
    loop = _get_running_loop()
    if loop is None or (task := current_task(loop)) is None:
        return get_ident(), None
    return get_ident(), ref(task)


def has_ended(who: Actor) -> bool:
    """Is this thread or task over? A thread that Python does not know counts as over."""
    ident, reference = who
    if reference is None:
        return ident not in sys._current_frames()
    task = reference()
    return task is None or task.done()


def frames_now(who: Actor, limit: int = 8) -> Frames:
    """Where somebody stands just now, seen from any thread; () for whoever has ended."""
    return _application(stack_now(who), limit)


def stack_now(who: Actor) -> list[FrameType]:
    """The whole stack of somebody, library code too, the innermost frame first; not to be kept.

    Nobody is stopped meanwhile, so a stack that changes while it is read may mix two moments.
    """
    ident, reference = who
    if reference is None:
        return _thread_stack(ident)
    task = reference()
    if task is None or task.done():
        return []
    return _thread_stack(ident) if current_task(task.get_loop()) is task else _task_stack(task)


def actor_name(who: Actor) -> str:
    """For people: `task "Task-3"` or `thread "MainThread"`; who has ended may have lost the name."""
    ident, reference = who
    if reference is not None:
        task = reference()
        return f'task "{task.get_name()}"' if task is not None else "a task that is over"
    thread = current_thread()
    if thread.ident != ident:
        import threading

        named = next((each.name for each in threading.enumerate() if each.ident == ident), None)
        return f'thread "{named}"' if named else f"thread {ident}"
    return f'thread "{thread.name}"'


def is_library(filename: str) -> bool:
    """Is this file no part of the application? Installed code, the standard library, generated code, ourselves."""
    return _kind(filename) != APPLICATION


def _kind(filename: str) -> int:
    known = _kinds.get(filename)
    if known is None:
        path = filename if filename.startswith("<") else os.path.abspath(filename)  # of scripts it may be relative
        # What Cython has compiled, as asyncpg's protocol, names its source, which was not installed.
        library = path.startswith(("<", *_installed())) or path.endswith(".pyx") or in_packages(path)
        library = library and not path.startswith(_applications)
        known = _kinds[filename] = _library_kind(filename.replace(os.sep, "/")) if library else APPLICATION
    return known


def _library_kind(filename: str) -> int:
    return LOOP if filename.endswith(LOOPS) else RUNNER if filename.endswith(RUNNERS) else LIBRARY


def library_caller(frame: FrameType) -> FrameType | None:
    """The frame that has called this one, if it is a library's, and no loop's."""
    caller = frame.f_back
    return caller if caller is not None and _kind(caller.f_code.co_filename) == LIBRARY else None


def kinds() -> dict[str, int]:
    """What is known of files; another object once that is no longer true."""
    return _kinds


def add_applications(places: Iterable[str]) -> None:
    """Directories, with a separator at their end, and files are the application's, although they are where libraries
    are."""
    global _applications, _kinds
    _applications += tuple(places)
    _kinds = {}


def in_packages(filename: str) -> bool:
    """Is this where an installer puts files?"""
    parts = filename.replace(os.sep, "/")
    return "/site-packages/" in parts or "/dist-packages/" in parts


_prefixes: tuple[str, ...] = ()


def _installed() -> tuple[str, ...]:
    global _prefixes
    if not _prefixes:
        paths = sysconfig.get_paths()
        homes = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
        homes += [os.path.dirname(os.path.dirname(__file__)), *_libraries(LIBRARIES)]
        _prefixes = tuple({os.path.join(home, "") for home in homes})
    return _prefixes


def _libraries(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        spec = find_spec(name)
        yield from (spec and spec.submodule_search_locations) or ()
