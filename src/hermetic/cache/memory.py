"""What a run takes from earlier ones, and leaves for later ones: facts by content, reports by what they depend on."""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from hermetic.cache import inputs, place, stored
from hermetic.cache.clean import sweep
from hermetic.cache.inputs import Files, Places, State
from hermetic.cache.looked import Looked
from hermetic.cache.place import Distrusted
from hermetic.cache.stored import Front, Index, Key, Packed, Texts
from hermetic.engine.ir import Node

T = TypeVar("T")

MOST_REPORTS = 8  # of a root: with other arguments, from another directory
MOST_RUNS_UNUSED = 8  # facts are kept that long: a branch is switched to and fro
MOST_EDITED = 16  # files; after larger changes hardly anything is as it was

NOTHING: Front = ({}, {}, {}, {})


class Printed(NamedTuple):
    """What a run has printed, around the number of seconds, and the packed results behind it; each with its key.
    Without one the report is not to be printed again."""

    key: Key | None
    exit_code: int
    before: str
    after: str | None
    results_key: Key
    results: bytes
    shows_code: bool


class Edited(NamedTuple):
    """Results of an earlier run, and the files that have changed since: the facts that each had, and its content now.
    `looked` has everything as it is now."""

    packed: Packed
    files: dict[str, tuple[Node, bytes]]
    looked: Looked


class Memory:
    """The cache of one project root. One that cannot be trusted is not used, and `notice` says why."""

    def __init__(self, root: str) -> None:
        self.path = place.file_of(root)
        self.notice = ""
        self._owner = stored.owner_of(root)
        self._front: Front | None = None
        self._facts = stored.Facts({}, b"")
        self._used: dict[bytes, bytes] = {}
        self._made = False
        self._texts: Texts = {}
        try:
            self._front, self._facts = stored.read(self.path, self._owner)
        except Distrusted as error:
            self.notice = f"the cache is not used: {error}"

    def facts(self, digest: bytes) -> bytes | None:
        """The facts, marshalled, of a file whose content has that digest."""
        found = self._facts.get(digest)
        if found is not None:
            self._used[digest] = found
        return found

    def keep(self, digest: bytes, facts: bytes) -> None:
        """Keep facts for later runs."""
        self._used[digest] = facts
        self._made = True

    def hangs_on(self, texts: Texts) -> None:
        """Note what the results of this run hang on beside facts."""
        self._texts = {**self._texts, **texts}

    def results(self, root: str, key: Key) -> Packed | None:
        """The results of that key, if nothing has changed that they depend on."""
        directories, files, _, _ = self._front or NOTHING
        found = self._results(root, key)
        return found if found is not None and inputs.still(directories, files) is not None else None

    def edited(
        self, root: str, key: Key, unsaved: Mapping[str, bytes], seen: tuple[Front, list[str]] | None = None
    ) -> Edited | None:
        """The results of that key, and the files that have changed since, or the texts that stand for them; None if
        there are many, or one is no source, or anything else has changed. `seen`: which files may have changed since a
        front was written, and nothing else has."""
        directories, files, _, _ = self._front or NOTHING
        found = self._results(root, key)
        if found is None or found[3].keys() != unsaved.keys():
            return None
        has_looked = seen is not None and seen[0] == self._front  # no other run has written meanwhile
        if not has_looked and not inputs.same_directories(directories):
            return None
        moved = seen[1] if seen is not None and has_looked else inputs.moved(files)
        moved = [path for path in moved if path not in unsaved]
        looked = Looked(unsaved)
        looked.directories |= directories
        looked.files |= {path: known for path, known in files.items() if path not in moved}
        edited: dict[str, tuple[Node, bytes]] = {}
        for path in (*moved, *unsaved):
            try:
                content = looked.read(path, inputs.LARGEST_FILE)
            except OSError:
                return None
            before = found[3][path] if path in unsaved else files[path][1]
            if before != looked.digest(path):
                facts = self._facts.get(before)
                if facts is None or len(edited) == MOST_EDITED:
                    return None
                edited[path] = (marshal.loads(facts), content)
        return Edited(found, edited, looked)

    def _results(self, root: str, key: Key) -> Packed | None:
        found = (self._front or NOTHING)[3].get(key)
        return found if found is not None and inputs.same_places(found[0], root) else None

    def save(self, looked: Looked, places: Places, printed: Printed | None) -> None:
        """Write what this run found, with what later runs may print."""
        front = self._front or NOTHING
        if printed is not None:
            front = _what_holds_beside(front, looked)
            directories, files = front[0] | looked.directories, front[1] | looked.files
            stood = {path: looked.digest(path) for path in looked.unsaved}
            self._write(_with((directories, files, *front[2:]), places, printed, self._texts, stood), 1)
        elif self._made:
            self._write(front, 1)

    def add(self, places: Places, printed: Printed) -> None:
        """Write another report on results that are here already."""
        if self._front is not None:
            _, _, texts, stood = self._front[3][printed.results_key]
            self._write(_with(self._front, places, printed, texts, stood), 0)

    def _write(self, front: Front, runs: int) -> None:
        """Write the file anew. `runs` is how many have passed without a use for the facts that were not used."""
        if self.notice:
            return
        index: Index = {}
        blobs: list[bytes] = []
        offset = 0
        for digest, facts, expected, unused in self._all_facts(runs):
            index[digest] = (offset, len(facts), expected, unused)
            blobs.append(facts)
            offset += len(facts)
        try:
            stored.write(self.path, self._owner, front, index, blobs)
            sweep(os.path.dirname(self.path))
        except Distrusted as error:
            self.notice = f"the cache is not written: {error}"
        except OSError:
            pass  # no room, or a home that is read only: the next run is a cold one too

    def refresh(self, again: Files) -> None:
        """Keep newer states of files whose content has not changed."""
        if self._front is not None:
            directories, files, reports, results = self._front
            if all(files.get(path, (None, b""))[1] == digest for path, (_, digest) in again.items()):
                self._write((directories, {**files, **again}, reports, results), 0)

    def _all_facts(self, runs: int) -> Iterator[tuple[bytes, bytes, bytes, int]]:
        """Digest, facts, checksum and age of all that is to be kept. What was not used has not been compared with its
        checksum, and is handed on with it."""
        for digest, facts in self._used.items():
            yield digest, facts, stored.checksum(facts), 0
        for digest, (_, _, expected, unused) in self._facts.index.items():
            if digest not in self._used and unused < MOST_RUNS_UNUSED:
                yield digest, self._facts.unchecked(digest), expected, unused + runs


def _with(front: Front, places: Places, printed: Printed, texts: Texts, stood: dict[str, bytes]) -> Front:
    """With a report and its results in it, as the newest ones."""
    directories, files, reports, results = front
    key, exit_code, before, after, results_key, packed, shows_code = printed
    if key is not None:
        reports = _newest(reports, key, (places, exit_code, before, after, None if shows_code else results_key))
    return directories, files, reports, _newest(results, results_key, (places, packed, texts, stood))


def _newest(kept: dict[Key, T], key: Key, value: T) -> dict[Key, T]:
    kept = {other: old for other, old in kept.items() if other != key}
    for oldest in list(kept)[: len(kept) + 1 - MOST_REPORTS]:
        del kept[oldest]
    return {**kept, key: value}


def _what_holds_beside(front: Front, looked: Looked) -> Front:
    """What of earlier runs still holds, as this one has seen the project. Results hold without the files for which
    texts stood; apart from that all hold together, or none."""
    directories, files, _, results = front
    if any(directories.get(path, names) != names for path, names in looked.directories.items()):
        return NOTHING
    changed = {path for path, now in looked.files.items() if _differ(files.get(path, now), now)}
    other_directories = {path: names for path, names in directories.items() if path not in looked.directories}
    other_files = {path: known for path, known in files.items() if path not in looked.files}
    if inputs.still(other_directories, other_files) is None:
        return NOTHING
    return (
        front if not changed else (directories, files, {}, {k: r for k, r in results.items() if r[3].keys() >= changed})
    )


def _differ(before: tuple[State, bytes], now: tuple[State, bytes]) -> bool:
    return before[1] != now[1] or (not now[1] and before[0] != now[0])
