"""What a watch sees, as OpenTelemetry metrics and log records; needs the extra `otel`.

Only the API is used: which SDK and exporter the figures go to is the application's choice. Names are those of the
semantic conventions where these have one (https://opentelemetry.io/docs/specs/semconv/database/database-metrics/ and
https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.metrics import CallbackOptions, Observation
from sqlalchemy.pool import QueuePool

import hermetic
from hermetic.finding import Finding, Severity
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import EVERYWHERE, Detector
from hermetic.sanitizer.ledger import Hold, SessionRecord
from hermetic.sanitizer.watch import Watch, current

POOL = "db.client.connection.pool.name"
STATE = "db.client.connection.state"
SEVERITIES = {Severity.ERROR: SeverityNumber.ERROR, Severity.WARNING: SeverityNumber.WARN}
UNKNOWN = "unknown"
IDLE = "telemetry"  # the key of a transaction's idle seconds in a record's `extra`


def observer() -> Detector:
    """What a `Watch` tells of, recorded with the meter and the logger that are set up globally."""
    meter = metrics.get_meter("hermetic", hermetic.__version__)
    logger = get_logger("hermetic", hermetic.__version__)
    use_time = meter.create_histogram(
        "db.client.connection.use_time", "s", "The time between borrowing a connection and returning it to the pool"
    )
    idle_time = meter.create_histogram(
        "hermetic.transaction.idle_time", "s", "The time of a transaction in which no statement ran"
    )
    timeouts = meter.create_counter(
        "db.client.connection.timeouts", "{timeout}", "The number of connection timeouts of the pool"
    )
    findings = meter.create_counter("hermetic.findings", "{finding}", "Findings, each place once")
    _observe(meter)
    names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # of pools

    def name(watch: Watch, pool: Any, record: SessionRecord | None) -> str:
        known = names.get(pool)
        if known is None:
            known = pool_name(watch, pool, record)
            if known != UNKNOWN:
                names[pool] = known
        return known

    def returned(watch: Watch, hold: Hold) -> None:
        pool = hold.pool()
        if pool is not None:
            record = hold.session() if hold.session is not None else None
            use_time.record(perf_counter() - hold.since, {POOL: name(watch, pool, record)})

    def before_statement(watch: Watch, connection: Any, record: SessionRecord | None, sql: str, context: Any) -> None:
        if record is not None:
            record.extra[IDLE] = record.extra.get(IDLE, 0.0) + perf_counter() - record.last_wall

    def ended(watch: Watch, record: SessionRecord) -> None:
        if record.is_open:
            idle_time.record(record.extra.pop(IDLE, 0.0) + perf_counter() - record.last_wall)

    def pool_timed_out(watch: Watch, pool: Any) -> None:
        timeouts.add(1, {POOL: name(watch, pool, None)})

    def reported(watch: Watch, finding: Finding, record: SessionRecord | None) -> None:
        findings.add(1, {"hermetic.rule": finding.rule, "hermetic.severity": finding.severity.label})
        logger.emit(_log_record(finding))

    return Detector(
        code="telemetry",
        modes=EVERYWHERE,
        returned=returned,
        before_statement=before_statement,
        ended=ended,
        pool_timed_out=pool_timed_out,
        reported=reported,
    )


def _observe(meter: metrics.Meter) -> None:
    """What is asked for when figures are collected, of the watch that is active then."""

    def sessions(_: CallbackOptions) -> Iterable[Observation]:
        watch = current()
        return [] if watch is None else [Observation(len(watch.ledger.open))]

    def connections(_: CallbackOptions) -> Iterable[Observation]:
        watch = current()
        return [] if watch is None else _connections(watch)

    def mistakes(_: CallbackOptions) -> Iterable[Observation]:
        watch = current()
        return [] if watch is None else [Observation(watch.errors)]

    meter.create_observable_up_down_counter(
        "hermetic.sessions.open", [sessions], "{session}", "Sessions with a transaction open"
    )
    meter.create_observable_up_down_counter(
        "db.client.connection.count", [connections], "{connection}", "The number of connections, by state"
    )
    meter.create_observable_counter("hermetic.errors", [mistakes], "{error}", "Mistakes of hermetic's own, swallowed")


def _connections(watch: Watch) -> list[Observation]:
    found: list[Observation] = []
    for name, pool in _pools(watch):
        if isinstance(pool, QueuePool):
            found.append(Observation(pool.checkedout(), {POOL: name, STATE: "used"}))
            found.append(Observation(pool.checkedin(), {POOL: name, STATE: "idle"}))
    return found


def pool_name(watch: Watch, pool: Any, record: SessionRecord | None) -> str:
    """`host:port/database`, as the conventions want it for a pool without a name. A pool from before the watch is
    known as soon as a session has used it."""
    if pool._orig_logging_name:
        return str(pool._orig_logging_name)
    engine = record.engine() if record is not None and record.engine is not None else None
    pools = [*_pools(watch), *([(_name(engine), engine.pool)] if engine is not None else [])]
    return next((name for name, known in pools if known is pool), UNKNOWN)


def _pools(watch: Watch) -> list[tuple[str, Any]]:
    engines = [each.engine for each in list(watch.ledger.engines.values())]
    engines += [each.engine for each in list(watch.ledger.open.values()) if each.engine is not None]
    alive = [engine for engine in (reference() for reference in engines) if engine is not None]
    return [(_name(engine), engine.pool) for engine in {id(engine): engine for engine in alive}.values()]


def _name(engine: Any) -> str:
    url = engine.url
    port = f":{url.port}" if url.port else ""
    return f"{url.host or ''}{port}/{url.database or ''}"


def _log_record(finding: Finding) -> LogRecord:
    return LogRecord(
        severity_number=SEVERITIES.get(finding.severity, SeverityNumber.INFO),
        severity_text=finding.severity.label.upper(),
        body=finding.message,
        event_name="hermetic.finding",
        attributes={
            "hermetic.rule": finding.rule,
            "hermetic.fingerprint": finding.fingerprint,
            "code.file.path": finding.at.path,
            "code.line.number": finding.at.line,
            "code.function.name": finding.function,
        },
    )
