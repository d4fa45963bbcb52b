"""Reading for a run, with a record of all that it saw."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from hermetic import files
from hermetic.cache.inputs import UNSETTLED, Directories, Files, State, digest_of, state_of
from hermetic.engine import scan


class Looked:
    """Reads files and lists directories. `unsaved` holds texts that stand for the files at those paths."""

    def __init__(self, unsaved: Mapping[str, bytes] | None = None) -> None:
        self.directories: Directories = {}
        self.files: Files = {}
        self.unsaved = unsaved or {}

    def read(self, path: str, largest: int) -> bytes:
        """What `files.read` reads, or raises."""
        if path in self.unsaved:
            return self.unsaved[path]
        state: State = UNSETTLED
        try:
            state = state_of(path, time.time_ns())
            content = files.read(path, largest)
        except OSError:
            self._note(path, state, b"")
            raise
        self._note(path, state, digest_of(content))
        return content

    def digest(self, path: str) -> bytes:
        """The digest of a file that was read."""
        return digest_of(self.unsaved[path]) if path in self.unsaved else self.files[path][1]

    def listing(self, path: str) -> tuple[str, ...]:
        """What `scan.listing` lists, or raises."""
        self.directories[path] = None
        found = self.directories[path] = scan.listing(path)
        return found

    def _note(self, path: str, state: State, digest: bytes) -> None:
        """What was seen first; nothing holds of a file that was seen in two states."""
        directory, _, name = path.rpartition(os.sep)
        if state is None and name in scan.TELLING and self.directories.get(directory) is not None:
            return  # the directory's listing says so, for less
        before = self.files.setdefault(path, (state, digest))
        if before[1] != digest:
            self.files[path] = (UNSETTLED, b"")
