"""Reading the files of a stranger's tree: regular files only, and none that is larger than allowed.

Opening a named pipe waits for a writer, and a device never ends; neither holds source or settings.
"""

from __future__ import annotations

import os
import stat


def read(path: str, largest: int) -> bytes:
    """The bytes of a regular file. Raises OSError, whose `strerror` says why, for everything else."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(None, "is a directory", path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(None, "is no regular file", path)
        if status.st_size > largest:
            raise OSError(None, f"larger than {largest // 1024 // 1024} MB", path)
        return file.read(largest + 1)
