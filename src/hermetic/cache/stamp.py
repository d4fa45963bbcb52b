"""What made a cache: this very hermetic, with this very Python. What others made is not read."""

from __future__ import annotations

import marshal
import os
import sys
from _imp import source_hash

from hermetic import __version__

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def stamp() -> str:
    """Versions, and the state of hermetic's own files: in a work tree they change without the version.

    A hermetic that is not installed as files (an archive) is known by its version alone.
    """
    state = marshal.dumps(_own_files(PACKAGE))
    return f"{__version__} {source_hash(0, state).hex()} {sys.implementation.cache_tag} {sys.version}"


def _own_files(directory: str) -> list[tuple[str, int, int]]:
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append((entry.name, status.st_size, status.st_mtime_ns))
                elif entry.name != "__pycache__" and entry.is_dir():
                    found += [(f"{entry.name}/{name}", size, when) for name, size, when in _own_files(entry.path)]
    except OSError:
        return []
    found.sort()
    return found
