"""Of which connections the stack is taken, in production.

A stack is most of what watching a connection costs: some 10 µs while it is taken, and as much again in frames that the
interpreter would not have made objects of. So there is a limit to how many are taken a second, as profilers have one: a
quiet service has the stack of every connection, a busy one of a share of them.
"""

from __future__ import annotations

from random import random

MOST = 100  # stacks a second; at 20 µs each they are 0.2 % of a CPU


class Sampling:
    """Decides for one connection after the other. Threads may race in it: the share is then a little off."""

    def __init__(self, share: float | None) -> None:
        """`share` is what the user has asked for: of the connections, above 0 and at most 1; None for as many as
        `MOST` allows."""
        self.share = share
        self._began = 0.0  # the second that is being counted, of `time.perf_counter`
        self._seen = 0  # connections in it
        self._before = 0.0  # connections a second in the one before

    def takes(self, now: float) -> bool:
        """Is the stack of the connection that is taken now, by `time.perf_counter`, wanted?"""
        if self.share is not None:
            return self.share >= 1.0 or random() < self.share
        elapsed = now - self._began
        if elapsed >= 1.0:
            self._before, self._seen, self._began = self._seen / elapsed, 0, now
        self._seen += 1
        busy = max(self._seen, self._before)
        return busy <= MOST or random() * busy < MOST
