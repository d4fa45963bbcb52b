"""Reading a project: its files, and the facts of each, from the cache or made anew."""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hermetic.cache.memory import Memory
from hermetic.engine.forked import Outcome, jobs_for, lower_all
from hermetic.engine.ir import Node
from hermetic.engine.source import LARGEST_FILE
from hermetic.files import is_migration, is_test, lines
from hermetic.measures import Measures
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
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, path: str) -> list[str]:
        """The lines of a file with facts; none of any other."""
        if path not in self._lines:
            self._lines[path] = lines(self.sources.get(path, b""))
        return self._lines[path]


def read(
    tree: Tree,
    progress: Progress,
    memory: Memory | None = None,
    jobs: int | None = None,
    measures: Measures | None = None,
) -> Reading:
    """Read a project, with what the memory has of it, and in that many processes; None: as many as pay."""
    measures = measures or Measures()
    closed: list[tuple[str, OSError]] = []
    files = files_of(tree, lambda path, error: closed.append((path, error)))
    reading = Reading(wanted_of(tree, files))
    selected = [tree.relative(path) for path in tree.selected]
    for path, error in closed:
        if any(path == named or named == "." or path.startswith(f"{named}/") for named in selected):
            reading.unread.append(Unread(tree.display(path), error.strerror or str(error)))
    measures.count("files found", len(files))
    measures.ended("list")
    _read_sources(tree, files, reading)
    measures.count("files read", len(reading.sources))
    measures.count("bytes read", sum(map(len, reading.sources.values())))
    measures.ended("read")
    outcomes = _remembered(tree, reading, memory)
    measures.count("files with facts in the cache", len(outcomes))
    measures.ended("load facts")
    _make(tree, reading, outcomes, progress, memory, jobs)
    measures.ended("parse and lower")
    for path in files:
        found = outcomes.get(path)
        if isinstance(found, str):
            del reading.sources[path]  # nothing more can be said about it, not of its comments either
            if path in reading.wanted:
                reading.unread.append(Unread(tree.display(path), found))
            found = None
        reading.facts.append((path, found))
    return reading


def _read_sources(tree: Tree, files: list[str], reading: Reading) -> None:
    """The bytes of all files that matter."""
    for path in files:
        wanted = path in reading.wanted
        if wanted or not (is_test(path) or is_migration(path)):
            try:
                reading.sources[path] = tree.looked.read(os.path.join(tree.root, path), LARGEST_FILE)
            except OSError as error:
                if wanted:
                    reading.unread.append(Unread(tree.display(path), error.strerror or str(error)))


def _remembered(tree: Tree, reading: Reading, memory: Memory | None) -> dict[str, Outcome]:
    """The facts that the memory has, by path."""
    outcomes: dict[str, Outcome] = {}
    if memory is not None:
        for path in reading.sources:
            known = memory.facts(_digest(tree, path))
            if known is not None:
                outcomes[path] = marshal.loads(known)
    return outcomes


def _digest(tree: Tree, path: str) -> bytes:
    return tree.looked.digest(os.path.join(tree.root, path))


def _make(
    tree: Tree,
    reading: Reading,
    outcomes: dict[str, Outcome],
    progress: Progress,
    memory: Memory | None,
    jobs: int | None,
) -> None:
    """Add the facts that are missing."""
    missing = [path for path in reading.sources if path not in outcomes]
    sources = [reading.sources[path] for path in missing]
    jobs = jobs_for(sum(map(len, sources)), jobs)
    for path, outcome in zip(missing, lower_all(sources, jobs, lambda done: progress(done, len(missing))), strict=True):
        outcomes[path] = outcome
        if memory is not None:
            with suppress(ValueError):  # blocks nested beyond what marshal can do
                memory.keep(_digest(tree, path), marshal.dumps(outcome))
