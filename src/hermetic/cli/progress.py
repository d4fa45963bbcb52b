"""A progress bar on stderr, for people who wait more than half a second."""

from __future__ import annotations

import time
from typing import TextIO

PATIENCE = 0.5  # seconds
INTERVAL = 0.1
WIDTH = 28


class Bar:
    """Draws itself over one line of a terminal; on anything else it stays silent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._enabled = stream.isatty()
        self._began = time.monotonic()
        self._drawn = 0.0

    def update(self, done: int, total: int) -> None:
        """`done` of `total` files are read."""
        if not self._enabled or not total:
            return
        now = time.monotonic()
        if now - self._began < PATIENCE or now - self._drawn < INTERVAL:
            return
        self._drawn = now
        filled = WIDTH * done // total
        bar = "━" * filled + "─" * (WIDTH - filled)
        self._stream.write(f"\r  {bar} {done}/{total} files ")
        self._stream.flush()

    def clear(self) -> None:
        """Leave the line as it was."""
        if self._drawn:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._drawn = 0.0
