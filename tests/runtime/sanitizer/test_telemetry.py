"""OpenTelemetry: metrics and log records, read back from exporters in memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy import Engine, create_engine, exc, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

import hermetic
from hermetic.sanitizer import telemetry
from hermetic.sanitizer.watch import Watch, watch
from runtime.models import User


class Recorded:
    """What the exporters have got."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.meters = MeterProvider([self.reader])
        self.loggers = LoggerProvider()
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    def points(self, name: str) -> list[Any]:
        """The data points of a metric; none if it was never recorded."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        named = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in named for point in metric.data.data_points]

    def value(self, name: str, **attributes: str) -> Any:
        """The value of the only point with these attributes, whose dots are written as underscores."""
        (point,) = [
            point
            for point in self.points(name)
            if {key.replace(".", "_"): value for key, value in point.attributes.items()}.items() >= attributes.items()
        ]
        return point.value


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Exporters in the place of the global ones, which are set up once in a process."""
    recorded = Recorded()
    monkeypatch.setattr(metrics, "get_meter", recorded.meters.get_meter)
    monkeypatch.setattr(telemetry, "get_logger", recorded.loggers.get_logger)
    yield recorded
    recorded.meters.shutdown()
    recorded.loggers.shutdown()


@pytest.fixture
def running(recorded: Recorded) -> Iterator[Watch]:
    with watch("production", lambda finding: None, idle_ms=50, telemetry=True) as running:
        yield running
    assert (running.errors, running.last_error) == (0, "")


def test_how_long_a_connection_was_used(postgres_url: str, running: Watch, recorded: Recorded) -> None:
    engine = create_engine(postgres_url)
    with Session(engine) as session:
        session.scalars(select(User)).all()
        time.sleep(0.02)
    engine.dispose()

    (point,) = recorded.points("db.client.connection.use_time")
    assert (point.count, point.attributes) == (1, {telemetry.POOL: f"/{engine.url.database}"})
    assert 0.02 <= point.sum < 5


async def test_how_long_an_async_connection_was_used(
    async_engine: AsyncEngine, running: Watch, recorded: Recorded
) -> None:
    async with AsyncSession(async_engine) as session:
        await session.scalars(select(User))

    (point,) = recorded.points("db.client.connection.use_time")
    assert (point.count, point.attributes) == (1, {telemetry.POOL: f"/{async_engine.url.database}"})


def test_a_pool_with_a_name(sync_url: str, running: Watch, recorded: Recorded) -> None:
    engine = create_engine(sync_url, pool_logging_name="reports")
    with engine.connect():
        pass
    engine.dispose()

    (point,) = recorded.points("db.client.connection.use_time")
    assert point.attributes == {telemetry.POOL: "reports"}


def test_a_pool_from_before_the_watch_without_a_session(
    sync_engine: Engine, running: Watch, recorded: Recorded
) -> None:
    with sync_engine.connect():
        pass

    (point,) = recorded.points("db.client.connection.use_time")
    assert point.attributes == {telemetry.POOL: "unknown"}


def test_how_long_a_transaction_was_idle(sync_engine: Engine, running: Watch, recorded: Recorded) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        time.sleep(0.02)
        session.scalars(select(User)).all()
        time.sleep(0.02)

    (point,) = recorded.points("hermetic.transaction.idle_time")
    assert point.count == 1
    assert 0.04 <= point.sum < 5


def test_a_session_without_a_transaction_was_not_idle(sync_engine: Engine, running: Watch, recorded: Recorded) -> None:
    with Session(sync_engine):
        pass

    assert recorded.points("hermetic.transaction.idle_time") == []


def test_sessions_and_connections_that_are_open(sync_url: str, running: Watch, recorded: Recorded) -> None:
    engine = create_engine(sync_url)
    with engine.connect(), engine.connect():
        pass
    with Session(engine) as session:
        session.scalars(select(User)).all()
        during = {
            name: recorded.value("db.client.connection.count", db_client_connection_state=name) for name in STATES
        }
        sessions = recorded.value("hermetic.sessions.open")
    after = recorded.value("hermetic.sessions.open")
    engine.dispose()

    assert (during, sessions, after) == ({"used": 1, "idle": 1}, 1, 0)


STATES = ("used", "idle")


def test_a_pool_that_timed_out(sync_url: str, running: Watch, recorded: Recorded) -> None:
    engine = create_engine(sync_url, pool_size=1, max_overflow=0, pool_timeout=0.02)
    with engine.connect(), pytest.raises(exc.TimeoutError), engine.connect():
        pass
    engine.dispose()

    assert recorded.value("db.client.connection.timeouts") == 1


def test_a_finding_is_counted_and_logged(sync_engine: Engine, running: Watch, recorded: Recorded) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        give_up = time.monotonic() + 5
        while not running.findings and time.monotonic() < give_up:
            time.sleep(0.01)

    (finding,) = running.findings
    assert recorded.value("hermetic.findings", hermetic_rule="SES102", hermetic_severity="warning") == 1
    (logged,) = recorded.exporter.get_finished_logs()
    assert (logged.log_record.event_name, logged.log_record.severity_text) == ("hermetic.finding", "WARNING")
    assert logged.log_record.body == finding.message
    assert logged.log_record.attributes is not None
    assert logged.log_record.attributes["code.line.number"] == finding.at.line
    assert str(logged.log_record.attributes["code.function.name"]).startswith("test_a_finding_is_counted")


def test_mistakes_of_our_own_are_counted(recorded: Recorded) -> None:
    with watch("production", telemetry=True) as running:
        running.swallowed(LookupError())

        assert recorded.value("hermetic.errors") == 1


def test_nothing_is_observed_without_a_watch(recorded: Recorded) -> None:
    with watch("production", telemetry=True):
        pass

    assert recorded.points("hermetic.sessions.open") == []


def test_the_names_of_all_metrics(running: Watch, recorded: Recorded, sync_engine: Engine) -> None:
    with Session(sync_engine) as session:
        session.scalars(select(User)).all()
        data = recorded.reader.get_metrics_data()

    assert data is not None
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("hermetic", hermetic.__version__)
    assert {metric.name for metric in scope.metrics} >= {
        "hermetic.sessions.open",
        "db.client.connection.count",
        "hermetic.errors",
    }


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hermetic.sanitizer.telemetry")
    monkeypatch.delattr("hermetic.sanitizer.telemetry")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ImportError, match=r"pip install hermetic\[otel\]"):
        watch("production", telemetry=True)
