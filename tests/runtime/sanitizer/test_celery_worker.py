"""A real worker process of Celery: what its tasks do is found there, each task for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import hermetic
from runtime.sanitizer.applications import load
from runtime.sanitizer.found import marks

TESTS = Path(__file__).parents[2]


@pytest.fixture
def worker(tmp_path: Path, sqlite_url: str) -> ModuleType:
    """The application of the worker; its database is that of `sqlite_url`."""
    assert sqlite_url.endswith(str(tmp_path / "test.db"))
    return load("worker", tmp_path)


@pytest.fixture(params=["solo", "prefork"])
def process(request: pytest.FixtureRequest, worker: ModuleType) -> Iterator[None]:
    """The worker, running in its own process, and for `prefork` in a child of that."""
    sources = Path(hermetic.__file__).parents[1]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(sources), str(TESTS)]))
    (worker.HERE / "watched.py").write_text("import worker\n\nworker.watch()\napp = worker.app\n")
    command = [sys.executable, "-m", "celery", "-A", "watched", "worker", "--pool", request.param]
    command += ["--concurrency", "1", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    with subprocess.Popen(command, cwd=worker.HERE, env=environment, stdout=subprocess.DEVNULL) as running:
        yield
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


@pytest.mark.usefixtures("process")
def test_tasks_in_a_worker(worker: ModuleType) -> None:
    for task in (worker.write.delay("Alan"), worker.write.delay("Edsger"), worker.publish.delay("Ada")):
        task.get(timeout=60)
    worker.lose.delay().get(timeout=60)

    places = {name: line for task in (worker.publish, worker.lose) for line, name in marks(task.run).items()}
    found = [line.split(" ", 3) for line in worker.FINDINGS.read_text().splitlines()]
    assert [(code, int(line)) for code, line, *_ in found] == [("SES006", places["second"]), ("SES101", places["lost"])]
    assert found[0][2:] == ["one", "task is committed in two parts; if the second fails, the first stays"]
