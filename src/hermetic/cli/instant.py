"""The report of an earlier run, printed again where nothing that it depends on has changed.

All this takes little more than starting Python, because next to nothing is imported: the arguments are not parsed, they
are compared. What is not certain here is left to a whole run.
"""

from __future__ import annotations

import os
import sys
import time

from hermetic.cache import inputs, place, stored
from hermetic.cli import terminal
from hermetic.engine.scan import find_root

# Flags that are followed by a value, where this is not a part of them. A wrong guess of what the first path is leads to
# a cache that has no report for these arguments.
WITH_VALUE = frozenset(
    ("--select", "--ignore", "--exclude", "--output-format", "--jobs", "--runtime", "--stdin-filename")
)


def answer(arguments: list[str]) -> int | None:
    """Print the report for these arguments and return its exit code; None if there is none, or it may be outdated."""
    began = time.perf_counter()
    if arguments[:1] != ["check"] or "--no-cache" in arguments or any(map(_is_for_a_text, arguments)):
        return None
    try:
        key = key_of(arguments)
        root = find_root(os.path.abspath(_first_path(arguments)))
        front = stored.read_front(place.file_of(root), stored.owner_of(root))
    except (OSError, place.Distrusted):
        return None
    if front is None or key not in front[2]:
        return None
    places, exit_code, before, after, results_key = front[2][key]
    if not inputs.same_places(places, root) or not inputs.same_directories(front[0]):
        return None
    moved = inputs.moved(front[1])
    again = inputs.same_content(moved, front[1])
    if again is None:
        if results_key is None or not _still_holds(root, key, front, moved):
            return None
    elif any(state != inputs.UNSETTLED for state, _ in again.values()):
        from hermetic.cache.memory import Memory

        Memory(root).refresh(again)
    report = before if after is None else f"{before}{seconds(time.perf_counter() - began)}{after}"
    if report:
        terminal.write(report)
    return exit_code


def _is_for_a_text(argument: str) -> bool:
    """What comes on standard input is not compared here."""
    return argument.startswith("--stdin")


def _still_holds(root: str, key: stored.Key, front: stored.Front, moved: list[str]) -> bool:
    from hermetic.cache import edits

    return edits.still_holds(root, key, front, moved)


def key_of(arguments: list[str]) -> stored.Key:
    """What a report is kept by: all that shows in it but the files. Raises OSError without a working directory."""
    stdout = sys.stdout
    shown = (terminal.is_coloured(stdout), terminal.width(), stdout.encoding)
    return (os.getcwd(), tuple(arguments), *shown)


def seconds(duration: float) -> str:
    """A duration as reports name it."""
    return repr(round(duration, 2))


def _first_path(arguments: list[str]) -> str:
    before = ""
    for argument in arguments[1:]:
        if not argument.startswith("-") and before not in WITH_VALUE:
            return argument
        before = argument
    return "."
