"""No secret of the program gets into anything that hermetic says.

Secrets are planted in bound parameters, rows, SQL literals and comments, passwords, the query of a URL and the texts of
exceptions. They are made up as the test runs, so no line of code that is quoted contains one. Every output is searched:
whoever adds an output adds it here.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from sqlalchemy import make_url

import hermetic
from hermetic.report import concise as concise_report, json as json_report, text as text_report
from hermetic.report.html import trace as page
from hermetic.report.results import Results, Summary
from hermetic.report.style import PLAIN
from hermetic.report.trace_reader import read
from hermetic.sanitizer.detector import Mode
from hermetic.sanitizer.tracing import Recorder
from hermetic.sanitizer.watch import Report, Watch
from runtime.sanitizer.applications import load
from runtime.sanitizer.applications.leaky import WAIT
from runtime.sanitizer.test_telemetry import Recorded, recorded

__all__ = ["recorded"]


class Secrets:
    """Secrets by the place they are planted in. `secret("row")` is the same one each time."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        return self.planted.setdefault(place, f"{place}-{uuid4().hex}")

    def found_in(self, output: str) -> set[str]:
        """The places whose secrets an output contains, whole or only their random part."""
        found = {place for place, secret in self.planted.items() if secret.rpartition("-")[2] in output}
        number = self.planted.get("number", "")
        if number and str(int.from_bytes(number.encode()[-6:], "big")) in output:
            found.add("number")
        return found


@dataclasses.dataclass(slots=True)
class Said:
    """What was planted, and everything that hermetic has said, by output."""

    secrets: Secrets
    outputs: dict[str, str]


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load("leaky", tmp_path_factory.mktemp("leaky"))


@pytest.fixture(params=list(Mode))
def said(
    request: pytest.FixtureRequest,
    application: ModuleType,
    postgres_url: str,
    tmp_path: Path,
    recorded: Recorded,
    caplog: pytest.LogCaptureFixture,
) -> Said:
    """A run of the application under a watch with every observer, in each mode. It says something in every output, and
    every detector of the mode has a finding."""
    from hermetic.sanitizer import telemetry

    secrets = Secrets()
    url = make_url(postgres_url).set(password=secrets("password"))
    async_url = url.set(drivername="postgresql+asyncpg")
    url = url.update_query_dict({"sslpassword": secrets("query")})  # asyncpg knows no parameter of that kind
    recorder = Recorder(tmp_path / "trace.json", "leaky")
    reports: list[Report] = []
    tables: list[object] = []

    def keep(report: Report) -> None:
        reports.append(report)
        tables.append((hermetic.sessions(), hermetic.sessions_text()))

    observers = (recorder.observer, telemetry.observer())
    with caplog.at_level(logging.DEBUG, "hermetic"):
        watch = Watch(request.param, keep, idle=WAIT / 2, held=WAIT / 2, observers=observers).start()
        try:
            caught = application.everything(
                url.render_as_string(hide_password=False), async_url.render_as_string(hide_password=False), secrets
            )
            watch.end_scope("")
        finally:
            watch.stop()
    assert (watch.errors, watch.last_error) == (0, "")
    recorder.close()
    findings = tuple(report.finding for report in reports)
    results = Results(findings, (), Summary(1, 1, 1, 0, len(findings), 0, 0.0))
    trace = (tmp_path / "trace.json").read_text()
    outputs = {
        # The error is what the application is about to see anyway.
        "findings": repr([dataclasses.replace(report, error=None) for report in reports]),
        "sessions": repr(tables),
        "JSON report": json_report.render(results),
        "text report": text_report.render_findings(findings, PLAIN),
        "concise report": concise_report.render(results),
        "logs": "\n".join(record.getMessage() for record in caplog.records if record.name == "hermetic"),
        "notes": "\n".join(note for error in caught for note in getattr(error, "__notes__", ())),
        "trace": trace,
        "page of the trace": page.render(read(trace.encode()), "trace.json"),
        "metrics": str(recorded.reader.get_metrics_data()),
        "log records": repr([each.log_record for each in recorded.exporter.get_finished_logs()]),
    }
    assert {detector.code for detector in watch.detectors} - {finding.rule for finding in findings} == set()
    assert {name for name, output in outputs.items() if len(output) < 100} == set()
    return Said(secrets, outputs)


def test_no_output_contains_a_secret(said: Said) -> None:
    found = {name: said.secrets.found_in(output) for name, output in said.outputs.items()}

    assert {name: places for name, places in found.items() if places} == {}
