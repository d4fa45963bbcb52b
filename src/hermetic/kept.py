"""The results of an earlier run: as they were, or, after edits that cannot change more, with lines that have moved."""

from __future__ import annotations

import contextlib
import marshal
import os
from collections.abc import Mapping
from dataclasses import replace

from hermetic.cache.caches import Caches
from hermetic.cache.memory import Edited
from hermetic.cache.stored import Key, Text
from hermetic.engine.neutral import Moved, moved_lines
from hermetic.engine.source import facts_of
from hermetic.files import lines
from hermetic.finding import Finding, Position, Step
from hermetic.report import packed
from hermetic.report.results import Results
from hermetic.settings import SUPPRESSION


def results(caches: Caches, root: str, key: Key, unsaved: Mapping[str, bytes]) -> Results | None:
    """The results of that key, if they still hold. `caches` will keep them for the files as they are now, but not for
    texts that stand for files."""
    found = None if unsaved else caches.results(root, key)
    if found is not None:
        return packed.unpack(found)
    edited = caches.edited(root, key, unsaved)
    moved = None if edited is None else _moved_lines(edited)
    if edited is None or moved is None:
        return None
    if not unsaved:
        _keep(caches, root, edited, moved)
    found_then = packed.unpack(edited.packed[1])
    return replace(found_then, findings=tuple([_moved(finding, moved) for finding in found_then.findings]))


def _moved_lines(edited: Edited) -> dict[str, Moved] | None:
    """Where lines are now, of each file that was edited; None if an edit may matter."""
    texts = edited.packed[2]
    moved: dict[str, Moved] = {}
    for path, (facts, content) in edited.files.items():
        to = None if SUPPRESSION in content else moved_lines(facts, content)
        if to is None or not _still_there(texts.get(path, {}), to, lines(content)):
            return None
        moved[path] = to
    return moved


def _keep(caches: Caches, root: str, edited: Edited, moved: dict[str, Moved]) -> None:
    places, _, texts, _ = edited.packed
    memory = caches.of(root, edited.looked, places)
    memory.hangs_on({path: _moved_text(text, moved.get(path)) for path, text in texts.items()})
    for path, (_, content) in edited.files.items():
        with contextlib.suppress(ValueError):  # blocks nested beyond what marshal can do
            memory.keep(edited.looked.digest(path), marshal.dumps(facts_of(content)))


def _still_there(named: Text, moved: Moved, now: list[str]) -> bool:
    """Do the lines that the results name read as they did?"""
    return named is not None and all(line in moved and now[moved[line] - 1] == text for line, text in named.items())


def _moved_text(named: Text, moved: Moved | None) -> Text:
    return named if named is None or moved is None else {moved[line]: text for line, text in named.items()}


def _moved(finding: Finding, moved: dict[str, Moved]) -> Finding:
    """A finding with its places where they are now; its paths are relative to the working directory."""

    def now(at: Position) -> Position:
        to = moved.get(os.path.abspath(at.path))
        return at if to is None else replace(at, line=to[at.line], end_line=to[at.end_line])

    trace = tuple([Step(now(step.at), step.text) for step in finding.trace])
    return replace(finding, at=now(finding.at), trace=trace)
