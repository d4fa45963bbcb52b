"""Where the time of a run went, and how much there was to do."""

from __future__ import annotations

import time


class Measures:
    """Seconds of each stage, in the order of the stages, and counts by what is counted."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self._last = time.perf_counter()

    def ended(self, stage: str) -> None:
        """A stage has ended, and the next one begins."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def count(self, what: str, number: int) -> None:
        """There were so many more of something."""
        self.counts[what] = self.counts.get(what, 0) + number
