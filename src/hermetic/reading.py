"""Reading a project: its files, and the facts of each, from the cache or made anew."""

from __future__ import annotations

import io
import marshal
import os
import tokenize
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hermetic.cache.memory import Memory
from hermetic.engine.ir import Node
from hermetic.engine.source import LARGEST_FILE, NotAnalysed, facts_of
from hermetic.files import is_migration, is_test
from hermetic.report.results import NotAnalysed as Unread
from hermetic.tree import Tree, files_of, wanted_of

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Reading:
    """What was read: `wanted` are the files to report on, `sources` the bytes of files with facts. `facts` are in path
    order, None for files that are not lowered."""

    wanted: frozenset[str]
    facts: list[tuple[str, Node | None]] = field(default_factory=list)
    sources: dict[str, bytes] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)


def read(tree: Tree, progress: Progress, memory: Memory | None = None) -> Reading:
    """Read a project, with what the memory has of it."""
    closed: list[tuple[str, OSError]] = []
    files = files_of(tree, lambda path, error: closed.append((path, error)))
    reading = Reading(wanted_of(tree, files))
    selected = [tree.relative(path) for path in tree.selected]
    for path, error in closed:
        if any(path == named or named == "." or path.startswith(f"{named}/") for named in selected):
            reading.unread.append(Unread(tree.display(path), error.strerror or str(error)))
    for number, path in enumerate(files):
        progress(number, len(files))
        reading.facts.append((path, _facts(tree, path, reading, memory)))
    return reading


def _facts(tree: Tree, path: str, reading: Reading, memory: Memory | None) -> Node | None:
    """The facts of a file; None, with a reason if it is wanted, if there are none."""
    wanted = path in reading.wanted
    if not wanted and (is_test(path) or is_migration(path)):
        return None
    try:
        data = tree.looked.read(os.path.join(tree.root, path), LARGEST_FILE)
    except OSError as error:
        found: Node | str = error.strerror or str(error)
    else:
        found = _remembered(data, tree.looked.digest(os.path.join(tree.root, path)), memory)
    if isinstance(found, str):
        if wanted:
            reading.unread.append(Unread(tree.display(path), found))
        return None  # nothing more can be said about it, not of its comments either
    reading.sources[path] = data
    return found


def _remembered(data: bytes, digest: bytes, memory: Memory | None) -> Node | str:
    """The facts of a file's bytes, or why there are none."""
    if memory is None:
        return _facts_or_reason(data)
    known = memory.facts(digest)
    if known is not None:
        kept: Node | str = marshal.loads(known)
        return kept
    found = _facts_or_reason(data)
    with suppress(ValueError):  # blocks nested beyond what marshal can do
        memory.keep(digest, marshal.dumps(found))
    return found


def _facts_or_reason(data: bytes) -> Node | str:
    try:
        return facts_of(data)
    except NotAnalysed as error:
        return str(error)


def lines(data: bytes) -> list[str]:
    """The lines of a file as Python counts them; str.splitlines knows more."""
    return decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def decode(data: bytes) -> str:
    """Source text for display, by its encoding cookie, whatever is wrong with it."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding, "replace").removeprefix("\ufeff")
    except (SyntaxError, LookupError):
        return data.decode("utf-8", "replace")
