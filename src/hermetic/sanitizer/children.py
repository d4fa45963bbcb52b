"""What children leave for the process that started the run: a file each, in a directory of its own.

A forked child goes on with the program, its patches included, and often ends without a word (`os._exit`), so it writes
down at once what the first process is to know. A process that is started anew leaves something only if it is told the
directory, as workers of pytest-xdist are; no other is watched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


class Children:
    """Made by the first process; used by it and by whatever it forks.

    With `directory`, made by a child that was started anew, or by the first process for such children.
    """

    def __init__(self, directory: Path | None = None, is_child: bool = False) -> None:
        self._owner = 0 if is_child else os.getpid()
        self._directory = directory or Path(tempfile.mkdtemp(prefix="hermetic-"))

    @property
    def is_child(self) -> bool:
        """Does a child ask?"""
        return os.getpid() != self._owner

    def leave(self, text: str) -> None:
        """Append to what this child leaves. Raises OSError, also when the first process has ended."""
        descriptor = os.open(self._directory / str(os.getpid()), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def files(self) -> list[Path]:
        """What they have left so far."""
        return sorted(self._directory.iterdir()) if self._directory.is_dir() else []

    def remove(self) -> None:
        """Take no more. Only the first process does this."""
        if not self.is_child:
            shutil.rmtree(self._directory, ignore_errors=True)
