"""What lies in the cache's directory, and what of it nobody needs any more."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import NamedTuple

from hermetic.cache.place import SUFFIX, UNFINISHED

LONGEST_WRITE = 60  # seconds, after which a file that is being written is one that was
LONGEST_UNCHANGED = 30 * 24 * 3600  # seconds, after which a project is taken to be gone


class Kept(NamedTuple):
    """A file of the cache. `age` is in seconds, since it was written."""

    path: str
    size: int
    age: float


def kept(directory: str) -> list[Kept]:
    """The files of the cache, sorted; what others have put into the directory is none of ours.

    Raises OSError for a directory that exists and cannot be listed.
    """
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, UNFINISHED)) and entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # another run has replaced it
                        status = entry.stat(follow_symlinks=False)
                        found.append(Kept(entry.path, status.st_size, time.time() - status.st_mtime))
    except FileNotFoundError:
        return []
    return sorted(found)


def sweep(directory: str) -> None:
    """Remove what killed runs left half written, and the files of projects that no run has changed for a month."""
    with suppress(OSError):
        for file in kept(directory):
            longest = LONGEST_WRITE if file.path.endswith(UNFINISHED) else LONGEST_UNCHANGED
            if file.age > longest:
                with suppress(OSError):
                    os.unlink(file.path)
