"""What a run takes from earlier ones, and leaves for later ones: facts by content, reports by what they depend on."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hermetic.cache import place, stored
from hermetic.cache.clean import sweep
from hermetic.cache.inputs import Directories, Files
from hermetic.cache.looked import Looked
from hermetic.cache.place import Distrusted
from hermetic.cache.stored import Front, Index, Key, Report

MOST_REPORTS = 8  # of a root: with other arguments, from another directory
MOST_RUNS_UNUSED = 8  # facts are kept that long: a branch is switched to and fro


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

    def save(self, looked: Looked, key: Key | None = None, report: Report | None = None) -> None:
        """Write what this run found, with its report if later runs may print it."""
        front = self._front or ({}, {}, {})
        if key is not None and report is not None:
            front = _with_report(front, looked, key, report)
        elif not self._made:
            return
        self._write(front, 1)

    def _write(self, front: Front, runs: int) -> None:
        """Write the file anew. `runs` is how many have passed without a use for the facts that were not used."""
        if self.notice:
            return
        index: Index = {}
        blobs: list[bytes] = []
        offset = 0
        for digest, facts, unused in self._all_facts(runs):
            index[digest] = (offset, len(facts), stored.checksum(facts), unused)
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
            directories, files, reports = self._front
            if all(files.get(path, (None, b""))[1] == digest for path, (_, digest) in again.items()):
                self._write((directories, {**files, **again}, reports), 0)

    def _all_facts(self, runs: int) -> Iterator[tuple[bytes, bytes, int]]:
        for digest, facts in self._used.items():
            yield digest, facts, 0
        for digest, (_, _, _, unused) in self._facts.index.items():
            if digest not in self._used and unused < MOST_RUNS_UNUSED:
                kept = self._facts.get(digest)
                if kept is not None:
                    yield digest, kept, unused + runs


def _with_report(front: Front, looked: Looked, key: Key, report: Report) -> Front:
    """The report beside those that depend on nothing that this run saw otherwise."""
    directories, files, reports = front
    if _agree(directories, files, looked):
        directories, files = directories | looked.directories, files | looked.files
        reports = {other: kept for other, kept in reports.items() if other != key}
        for oldest in list(reports)[: len(reports) + 1 - MOST_REPORTS]:
            del reports[oldest]
    else:
        directories, files, reports = looked.directories, looked.files, {}
    return directories, files, {**reports, key: report}


def _agree(directories: Directories, files: Files, looked: Looked) -> bool:
    """Did the run see whatever it has in common with earlier ones as they saw it?"""
    if any(directories.get(path, names) != names for path, names in looked.directories.items()):
        return False
    for path, now in looked.files.items():
        before = files.get(path, now)
        if before[1] != now[1] or (not now[1] and before[0] != now[0]):
            return False
    return True
