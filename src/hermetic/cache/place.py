"""Where the cache is: in the user's cache directory, never in the tree under analysis.

`marshal` must not read what a stranger wrote. So the directory and its files have to belong to whoever runs hermetic,
and nobody else may be able to write there.
"""

from __future__ import annotations

import os
import stat
import sys
from _imp import source_hash  # what importlib.util.source_hash is; importing that takes 4 ms

SUFFIX = ".cache"
UNFINISHED = ".new"  # the end of the name of a file that is being written, or was when its writer died
LONGEST_NAME = 40


class Distrusted(Exception):
    """The cache is not used; the message says why."""


def directory() -> str:
    """The directory of the cache, whether it exists or not: XDG_CACHE_HOME counts on every platform."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification: others are to be ignored
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")
        elif sys.platform == "darwin":
            base = os.path.expanduser("~/Library/Caches")
        else:
            base = os.path.expanduser("~/.cache")
    return os.path.join(base, "hermetic")


def file_of(root: str) -> str:
    """The file of a project root."""
    name = "".join([sign if sign.isalnum() and sign.isascii() else "-" for sign in os.path.basename(root)])
    digest = source_hash(0, os.fsencode(root)).hex()
    return os.path.join(directory(), f"{name[:LONGEST_NAME]}-{digest}{SUFFIX}")


def check(path: str) -> None:
    """Raises Distrusted for the cache's directory if somebody else may write to it."""
    try:
        status = os.lstat(path)
    except OSError:
        return  # what cannot be looked at cannot be read either
    distrust(path, status)


def distrust(path: str, status: os.stat_result) -> None:
    """Raises Distrusted, by what `stat` says."""
    if not hasattr(os, "geteuid"):  # Windows: the directory is in the user's profile
        return
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise Distrusted(f"{path} is neither a file nor a directory")
    if status.st_uid != os.geteuid():
        raise Distrusted(f"{path} belongs to somebody else")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Distrusted(f"others may write to {path}")
