"""Production: a thread that looks at who holds a connection, and for how long.

It asks nobody and stops nobody: it reads the ledger, and the stacks of those it suspects. It runs from the first
connection that is taken, never keeps the process alive, and rests while the process forks.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.evidence import where
from hermetic.sanitizer.ledger import EXPECTED, Hold, SessionRecord
from hermetic.sanitizer.others import being_debugged, in_database, is_kept_waiting, turns_of_thread
from hermetic.sanitizer.turns import Turns, queued

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch

log = logging.getLogger("hermetic")

SHORTEST, LONGEST = 0.02, 1.0  # seconds between two looks
ENDS_WITHIN = 1.0  # seconds; whoever stops or forks does not wait longer for a look to end


@contextmanager
def long_running() -> Iterator[None]:
    """Connections that are taken in this block may be held for long, and their transactions may wait.

    For what holds one on purpose: an advisory lock, LISTEN, a nightly batch. It follows tasks and `to_thread`.
    """
    before = EXPECTED.set(True)
    try:
        yield
    finally:
        EXPECTED.reset(before)


@dataclass(slots=True)
class Wait:
    """A transaction between two statements, as far as the looks have followed it. `at` is of `time.perf_counter`."""

    record: SessionRecord
    statements: int
    at: float
    turns: Turns | None = None  # of its thread, until then; None before the first look
    seconds: float = 0.0  # waited until then


class Watchdog:
    """The thread of one watch. `ensure` is called whenever a connection is taken."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.interval = min(max(min(watch.idle, watch.held) / 2, SHORTEST), LONGEST)
        self._over = threading.Lock()  # whoever stops the thread releases it
        self._thread: threading.Thread | None = None
        self.is_resting = True  # no thread runs
        self._lock = threading.Lock()
        self._reported: list[Hold] = []  # held for long, and not back yet
        self._waits: dict[int, Wait] = {}  # by the session's number

    def ensure(self) -> None:
        """Run, if it does not yet."""
        with self._lock:
            if not self.is_resting:
                return
            self.is_resting = False
            self._over = threading.Lock()
            self._over.acquire()
            self._thread = threading.Thread(target=self._run, args=(self._over,), name="hermetic", daemon=True)
            self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread; the next connection starts another. Its last look may take a lock that the caller has, who
        then does not wait for it."""
        with self._lock:
            thread, self._thread = self._thread, None
            if not self.is_resting:
                self._over.release()
            self.is_resting = True
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(ENDS_WITHIN)

    def _run(self, over: threading.Lock) -> None:
        """The collector runs in the thread that happens to allocate, and finalises connections there. Those of SQLite
        and of drivers for asyncio may only be touched by their own threads, so it must not be this one."""
        while not over.acquire(timeout=self.interval):  # an Event would allocate
            collects = gc.isenabled()
            gc.disable()
            try:
                self.look()
            except Exception as error:
                self.watch.swallowed(error)
            finally:
                if collects:
                    gc.enable()

    def look(self) -> None:
        """Judge what is open now."""
        self.watch.drain()
        self._tell_returned()
        now = perf_counter()
        self._waits = {record.number: self._known(record) for record in self._waiting(now - self.interval / 2)}
        long = [hold for hold in self._held() if now - hold.since > self.watch.held]
        if (self._waits or long) and being_debugged():
            for wait in self._waits.values():
                wait.at, wait.turns = now, turns_of_thread(wait.record.last_thread)
            for hold in long:
                hold.expected = True
            return
        for wait in self._waits.values():
            self._follow(wait, now)
        for hold in long:
            self._judge(hold, now)

    def _waiting(self, since: float) -> list[SessionRecord]:
        """The sessions whose last act is as old as this, or older."""
        opened = list(self.watch.ledger.open.values())
        idle = (record for record in opened if record.last_wall < since and not record.in_statement)
        return [each for each in idle if not each.expected and each.warned != each.statements and each.session()]

    def _held(self) -> list[Hold]:
        """The connections that may be reported; those whose pool is gone can never come back."""
        holds = self.watch.ledger.holds
        for hold in list(holds.values()):
            if hold.pool() is None:
                holds.pop(hold.number, None)
        return [hold for hold in list(holds.values()) if not hold.reported and not hold.expected]

    def _known(self, record: SessionRecord) -> Wait:
        known = self._waits.get(record.number)
        if known is not None and known.statements == record.statements and known.at >= record.last_wall:
            return known
        return Wait(record, record.statements, record.last_wall)

    def _follow(self, wait: Wait, now: float) -> None:
        """Add the time since the last look, unless the holder was busy then, or is in the database now.

        A late look tells little about the time before, so it counts for one and a half at most. The first one after a
        statement does not know how busy the holder was, and is too short to make a wait of its own. Who was busy for
        half of the time computes, and waits for its turns. The kernel tells late of a turn that was long in coming, so
        what is too much for this look is taken from the earlier ones.
        """
        record, who = wait.record, wait.record.begun_by
        elapsed, wait.at = now - wait.at, now
        before, wait.turns = wait.turns, turns_of_thread(record.last_thread)
        if who is None or is_kept_waiting(who) or in_database(who):
            return
        busy = 0.0 if before is None else max(wait.turns.ran - before.ran, 0.0) + queued(before, wait.turns)
        waited = min(elapsed, 1.5 * self.interval) - busy
        if not 0.0 < waited < elapsed / 2:
            wait.seconds = max(wait.seconds + waited, 0.0)
        if wait.seconds > self.watch.idle and record.is_open and not record.in_statement:
            record.warned = wait.statements
            self.watch.tell("waiting", record, wait.seconds)

    def _judge(self, hold: Hold, now: float) -> None:
        record = hold.session() if hold.session is not None else None
        if record is not None and record.is_open and (record.warned >= 0 or not record.session()):
            return  # its waiting was reported, or it is garbage and the collector tells of it
        if hold.number in self.watch.ledger.holds:
            hold.reported = True
            self._reported.append(hold)
            self.watch.tell("held", hold, now - hold.since)

    def _tell_returned(self) -> None:
        holds = self.watch.ledger.holds
        for hold in [each for each in self._reported if each.number not in holds]:
            self._reported.remove(hold)
            at = where(hold.frames[0], self.watch.root) if hold.frames else "an unknown place"
            log.info("the connection taken at %s was returned after some %.1f s", at, perf_counter() - hold.since)
