"""From acts to a finding: the places of two stacks, in the words and the format of `hermetic check`."""

from __future__ import annotations

import functools
import linecache
import os
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from hermetic import rules
from hermetic.finding import Finding, Fix, Position, Severity, Step
from hermetic.sanitizer.stacks import Frame, Frames

CALLERS = 4  # frames shown of each stack besides its innermost


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done: by which frames, in words."""

    text: str
    frames: Frames


def finding(
    rule: str, severity: Severity, message: str, acts: Sequence[Act], at: int, help_text: str, root: str
) -> Finding | None:
    """A finding at the act with the index `at`; None if that act was not the application's own.

    `root` is the directory that paths are shown relative to.
    """
    frames = acts[at].frames
    if not frames:
        return None
    position = place(frames[0], root)
    trace = tuple(step for act in acts for step in _steps(act, root))
    found = Finding(
        position, severity, message, trace, Fix("manual", help_text), function(frames[0]), rule, names()[rule]
    )
    return replace(found, fingerprint=_fingerprint(found, frames[0]))


def note(rule: str, message: str, acts: Sequence[Act], root: str) -> str:
    """The same for the exception that the application is about to see."""
    lines = [f"hermetic {rule}: {message}"]
    lines += [f"  {act.text}: {where(act.frames[0], root)}" for act in acts if act.frames]
    return "\n".join(lines)


def _steps(act: Act, root: str) -> list[Step]:
    if not act.frames:
        return []
    first, *callers = act.frames
    steps = [Step(place(first, root), f"{act.text} in `{function(first)}`")]
    for frame in callers[:CALLERS]:
        steps.append(Step(place(frame, root), f"called by `{function(frame)}`"))
    return steps


def place(frame: Frame, root: str) -> Position:
    """Where a frame stands; columns in characters, from 1, as far as the interpreter knows them."""
    code, offset = frame
    line, end_line, column, end_column = _position(code, offset)
    path = _shown(code.co_filename, root)
    if line is None:
        return Position(path, code.co_firstlineno)
    if column is None or end_column is None:
        return Position(path, line)
    return Position(path, line, column + 1, end_line or line, end_column + 1)


def _position(code: object, offset: int) -> tuple[int | None, int | None, int | None, int | None]:
    positions = list(code.co_positions())  # type: ignore[attr-defined]
    index = max(offset, 0) // 2
    return positions[index] if index < len(positions) else (None, None, None, None)


@functools.lru_cache(1024)
def _shown(filename: str, root: str) -> str:
    path = os.path.abspath(filename)
    relative = os.path.relpath(path, root)
    return (path if relative.startswith(os.pardir) else relative).replace(os.sep, "/")


def function(frame: Frame) -> str:
    """The dotted name of a frame's function inside its module, as `hermetic check` writes it."""
    name = frame[0].co_qualname.replace("<locals>.", "")
    return "<module>" if name == "<module>" else name


def where(frame: Frame, root: str) -> str:
    """One line for logs and traces: `app/users.py:31 in UserService.load`."""
    position = place(frame, root)
    return f"{position.path}:{position.line} in {function(frame)}"


def mistake(error: BaseException) -> str:
    """An exception of hermetic's own by its class and place. Its text is left out: it may quote values."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" in {os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{at}"


def _fingerprint(found: Finding, frame: Frame) -> str:
    text = " ".join(linecache.getline(frame[0].co_filename, found.at.line).split())
    key = "\0".join((found.rule, found.at.path, found.function, text))
    return blake2b(f"{key}\0001".encode("utf-8", "replace"), digest_size=8).hexdigest()


@functools.cache
def names() -> dict[str, str]:
    """The names of rules by their codes, as their files have them: to import these takes as long as a slow query, and
    may fail deep in a greenlet (Python 3.11 refuses to parse there, which pytest does as it imports)."""
    files = [info.name.partition("_") for info in pkgutil.iter_modules(rules.__path__)]
    return {code.upper(): name.replace("_", "-") for code, _, name in files}
