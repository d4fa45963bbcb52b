"""One logical operation: a request, a task, a block that says so, or the function that a test calls.

The first three are kept in a context variable, so that they follow tasks, `to_thread` and thread pools. The last one is
read off the stack: the outermost application function below the test that is no test code itself. Two calls from one
line of a loop in a test look like one; a task or thread that the called function starts belongs to nobody.
"""

from __future__ import annotations

import functools
import os
from _thread import get_ident
from collections import OrderedDict
from collections.abc import Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hermetic.files import is_test
from hermetic.sanitizer.stacks import Actor, Frame, Frames, actor, grab

DEEPEST = 64  # application frames looked at, from the act to the test
MOST_CALLS = 256  # threads whose latest call from a test is remembered

_known_tests: set[str] = set()
_root_directory = os.getcwd()


def set_root(directory: str) -> None:
    """The directory of the project, below which names of directories tell what is test code."""
    global _root_directory
    _root_directory = directory
    is_test_file.cache_clear()


def add_test_files(paths: Iterable[str]) -> None:
    """Files that are test code whatever their names: what a test runner has collected."""
    _known_tests.update(os.path.abspath(path) for path in paths)
    is_test_file.cache_clear()


@functools.lru_cache(4096)
def is_test_file(filename: str) -> bool:
    """Is this file test code? As `hermetic check` sees it: by its name, or by a directory of the project such as
    `tests/`; a directory around the project tells nothing about what lies in it."""
    path = os.path.abspath(filename)
    relative = os.path.relpath(path, _root_directory)
    if relative.startswith(os.pardir):
        relative = os.path.basename(path)
    return path in _known_tests or is_test(relative.replace(os.sep, "/"))


class Kind(StrEnum):
    """What makes acts one operation."""

    REQUEST = "request"
    TASK = "task"
    BLOCK = "operation"
    CALL = "call"


@dataclass(slots=True, eq=False)
class Operation:
    """`outside` are the application frames that stood around it when it began, the innermost first."""

    kind: Kind
    name: str = ""  # of the task, the block or the function
    outside: Frames = ()
    around: Operation | None = None  # the one that goes on when this one is over
    status: int = 0  # of the response to a request, once it has begun
    extra: dict[str, Any] = field(default_factory=dict)  # a detector's own memory, by its rule's code

    def inside(self, frames: Frames) -> Frames:
        """Those of the frames that belong to the operation."""
        end, outer = len(frames), len(self.outside)
        while end and outer and frames[end - 1] == self.outside[outer - 1]:
            end, outer = end - 1, outer - 1
        return frames[:end]


_current: ContextVar[Operation | None] = ContextVar("hermetic_operation", default=None)


def declared() -> Operation | None:
    """The request, task or block that is running."""
    return _current.get()


def enter(kind: Kind, name: str = "") -> Operation:
    """Begin an operation in the present context. `leave` ends it."""
    begun = Operation(kind, name, grab(DEEPEST, skip=2), _current.get())
    _current.set(begun)
    return begun


def leave(operation: Operation) -> None:
    """End an operation; does nothing where it does not run, as when another task closes a generator."""
    if _current.get() is operation:
        _current.set(operation.around)


_lifespan: ContextVar[Actor | None] = ContextVar("hermetic_lifespan", default=None)


def enter_lifespan() -> Token[Actor | None]:
    """The present task starts an application, and stops it at its end. `leave_lifespan` ends that."""
    return _lifespan.set(actor())


def leave_lifespan(token: Token[Actor | None]) -> None:
    _lifespan.reset(token)


def in_lifespan() -> bool:
    """Is the running code what starts or stops an application, while nobody is served? Tasks that it leaves running
    inherit its context, and are none of it."""
    return _lifespan.get() == actor()


class operation:
    """`with hermetic.operation("import orders"):` says that all writes of the block belong together.

    SES006 then reports transactions of it that are committed apart, also where no request, task or test call is seen.
    It may stand in coroutines, and costs next to nothing where nothing is watched.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._begun: list[Operation] = []

    def __enter__(self) -> None:
        self._begun.append(enter(Kind.BLOCK, self.name))

    def __exit__(self, *_: object) -> None:
        leave(self._begun.pop())


class Calls:
    """What tests call: the latest operation of each thread. A block of an AsyncSession may commit in a task of its own,
    so tasks are not told apart; those that a test does not wait for are not below it."""

    def __init__(self) -> None:
        self._latest: OrderedDict[int, tuple[object, Operation]] = OrderedDict()

    def of(self, frames: Frames, scope: str) -> Operation | None:
        """The operation that these frames, up to the test, belong to; None for what a test or a fixture does itself,
        which ends the call before it."""
        index, thread = _root(frames), get_ident()
        if index is None:
            self._latest.pop(thread, None)
            return None
        key = (scope, frames[index][0], frames[index + 1 :])
        known = self._latest.get(thread)
        if known is not None and known[0] == key:
            return known[1]
        begun = Operation(Kind.CALL, frames[index][0].co_qualname, frames[index + 1 :])
        self._latest[thread] = key, begun
        if len(self._latest) > MOST_CALLS:
            self._latest.popitem(last=False)
        return begun


def are_apart(first: Frames, second: Frames) -> bool:
    """Has a test gone on by itself between two acts, of which it has not done both itself, or has a fixture gone on for
    it?"""
    if not first or not second or (_of_test(first[0]) and _of_test(second[0])):
        return False
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            return _of_test(one) and _of_test(other)
    return False


def _root(frames: Frames) -> int | None:
    """The index of the outermost frame below the test which is not test code."""
    outermost = next((n for n in reversed(range(len(frames))) if _of_test(frames[n])), None)
    if outermost is None:
        return None
    return next((n for n in reversed(range(outermost)) if not _of_test(frames[n])), None)


def _of_test(frame: Frame) -> bool:
    return is_test_file(frame[0].co_filename)
