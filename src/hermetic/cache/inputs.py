"""Everything that a run looked at, and whether it is still as it was.

Directories are compared by what the scan would see of them. Files are compared by size, times and inode; where those
differ, or say too little, by content.
"""

from __future__ import annotations

import os

from hermetic.engine.scan import find_root, listing, without_links

# Times of files are as coarse as two seconds (FAT); a file that changed so shortly before it was read can change again
# and look the same.
COARSEST_NS = 2_000_000_000
DIGEST_SIZE = 16

LARGEST_FILE = 16 * 1024 * 1024  # nothing larger is read anywhere
UNSETTLED = 0  # the state of a file that is compared by content

State = tuple[int, int, int, int] | int | None  # of a file: size, times and inode; None if it is not there
Places = tuple[tuple[str, str], ...]  # each path that was given, and where the scan meets it
Directories = dict[str, tuple[str, ...] | None]  # what is listed there; None: it could not be listed
Files = dict[str, tuple[State, bytes]]  # its state, and a digest of its content, empty if it could not be read


def state_of(path: str, now_ns: int) -> State:
    """The state of a file that is about to be read. Raises OSError, but not for one that is not there."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if now_ns - max(status.st_mtime_ns, status.st_ctime_ns) < COARSEST_NS:
        return UNSETTLED
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def digest_of(content: bytes) -> bytes:
    """What a file's content is known by."""
    from _blake2 import blake2b  # what hashlib.blake2b is; importing that loads OpenSSL, 8 ms

    return blake2b(content, digest_size=DIGEST_SIZE).digest()


def still(directories: Directories, files: Files) -> Files | None:
    """Is everything as it was? Then what is known now of files that only seem to have changed, else None."""
    if not same_directories(directories):
        return None
    return same_content(moved(files), files)


def same_places(places: Places, root: str) -> bool:
    """Do the paths that were given still belong to the root, and lead to the same places?"""
    return all(find_root(given) == root and without_links(given, root) == met for given, met in places)


def same_directories(directories: Directories) -> bool:
    """Would the scan see the same directories and files?"""
    for path, before in directories.items():
        try:
            now: tuple[str, ...] | None = listing(path)
        except OSError:
            now = None
        if now != before:
            return False
    return True


def moved(files: Files) -> list[str]:
    """The files that may have changed, by their state."""
    stat = os.stat
    found = []
    for path, (before, _) in files.items():
        try:
            status = stat(path)
        except (FileNotFoundError, NotADirectoryError):
            if before is not None:
                found.append(path)
        except OSError:
            found.append(path)
        else:
            if before != (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino):
                found.append(path)
    return found


def same_content(paths: list[str], files: Files) -> Files | None:
    """Have these files the content that they had? Then what is known of them now, else None."""
    if not paths:
        return {}
    import time

    from hermetic.files import read

    again: Files = {}
    for path in paths:
        before, digest = files[path]
        if before is None or not digest:
            return None
        try:
            state = state_of(path, time.time_ns())
            content = read(path, LARGEST_FILE)
        except OSError:
            return None
        if state is None or digest_of(content) != digest:
            return None
        again[path] = (state, digest)
    return again
