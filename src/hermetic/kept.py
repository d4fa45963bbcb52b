"""The results of an earlier run: as they were, or, after edits that cannot change more, with lines that have moved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from hermetic.cache import edits
from hermetic.cache.caches import Caches
from hermetic.cache.stored import Key
from hermetic.engine.neutral import Moved
from hermetic.finding import Finding, Position, Step
from hermetic.report import packed
from hermetic.report.results import Results


def results(caches: Caches, root: str, key: Key, unsaved: Mapping[str, bytes]) -> Results | None:
    """The results of that key, if they still hold. `caches` will keep them for the files as they are now, but not for
    texts that stand for files."""
    found = None if unsaved else caches.results(root, key)
    if found is not None:
        return packed.unpack(found)
    edited = caches.edited(root, key, unsaved)
    moved = None if edited is None else edits.moved(edited)
    if edited is None or moved is None:
        return None
    if not unsaved:
        edits.keep(caches.of(root, edited.looked, edited.packed[0]), edited, moved)
    then = packed.unpack(edited.packed[1])
    return replace(then, findings=tuple([_moved(finding, moved) for finding in then.findings]))


def _moved(finding: Finding, moved: dict[str, Moved]) -> Finding:
    """A finding with its places where they are now; its paths are relative to the working directory."""

    def now(at: Position) -> Position:
        to = moved.get(os.path.abspath(at.path))
        return at if to is None else replace(at, line=to[at.line], end_line=to[at.end_line])

    trace = tuple([Step(now(step.at), step.text) for step in finding.trace])
    return replace(finding, at=now(finding.at), trace=trace)
