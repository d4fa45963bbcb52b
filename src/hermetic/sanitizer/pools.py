"""Engines and their pools: which there are, and who has taken which connection."""

from __future__ import annotations

from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any
from weakref import ref

from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from hermetic.sanitizer import internals, redact
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.ledger import ATTRIBUTE, EXPECTED, EngineRecord, Hold
from hermetic.sanitizer.operations import declared
from hermetic.sanitizer.quietly import quietly
from hermetic.sanitizer.sampling import Sampling
from hermetic.sanitizer.stacks import actor, grab
from hermetic.sanitizer.ways import Ways

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes

HOLD = "hermetic"  # the key of a hold in a pool entry's `record_info`


class Pools:
    """The hooks of one watch on engines and pools."""

    def __init__(self, probes: Probes) -> None:
        self.probes = probes
        self.watch = probes.watch
        # There is one search for the frames that take a connection with every session.
        self.ways = Ways()
        self.grab = grab if probes.detailed else self.ways.grab
        self.sampling = Sampling(1.0 if probes.detailed else probes.watch.sample)

    @quietly
    def engine_made(self, engine: Engine) -> None:
        self.probes.look_for_frameworks()
        known: EngineRecord | None = engine.__dict__.get(ATTRIBUTE)
        ledger = self.probes.ledger
        if known is not None and known.number in ledger.engines:  # a dialect that stands in for another one
            return
        record = EngineRecord(ref(engine), redact.url(engine.url), grab(skip=3), self.watch.scope)
        record.database, record.keeps = hash(engine.url), internals.keeps_connections(engine)
        record.operation = declared()
        loop = _get_running_loop() if engine.dialect.is_async else None
        record.loop = None if loop is None else ref(loop)
        engine.__dict__[ATTRIBUTE] = record
        ledger.made(record)
        self.probes.tell("engine_made", record)

    @quietly
    def engine_disposed(self, engine: Engine) -> None:
        record: EngineRecord | None = engine.__dict__.get(ATTRIBUTE)
        if record is not None:
            self.probes.ledger.engines.pop(record.number, None)

    def checkout(self, connection: Any, entry: Any, proxy: Any) -> None:
        try:
            known = entry.record_info
            if HOLD in known:  # another listener refused the connection, and the pool has made a new one
                self.checkin(connection, entry)
            now = perf_counter()
            frames = self.grab() if self.sampling.takes(now) else ()
            known[HOLD] = hold = Hold(frames, actor(), ref(proxy._pool), now, EXPECTED.get())
            probes = self.probes
            probes.ledger.holds[hold.number] = hold
            if probes.watchdog is not None and probes.watchdog.is_resting:
                probes.watchdog.ensure()
            if probes.hooks["taken"]:
                probes.tell("taken", hold)
        except Exception as error:
            self.watch.swallowed(error)

    def checkin(self, connection: Any, entry: Any) -> None:
        try:
            hold: Hold | None = entry.record_info.pop(HOLD, None)
            if hold is None:
                return
            self.probes.ledger.holds.pop(hold.number, None)
            if self.probes.hooks["returned"]:
                self.probes.tell("returned", hold)
        except Exception as error:
            self.watch.swallowed(error)

    @quietly
    def pool_failed(self, pool: Pool, error: Exception) -> None:
        self.watch.pool_failed(pool, error)
