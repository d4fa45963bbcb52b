"""RQ: a real worker, whose work horses are forks of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from redis import Redis
from rq import Retry

from hermetic.toolkit.adapters.rq import job
from hermetic.toolkit.async_database import AsyncDatabase
from runtime.rows import count

TESTS = Path(__file__).parents[3]


def work(environment: dict[str, str]) -> None:
    """Runs all jobs in the queue, and those that they enqueue."""
    path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", environment["REDIS_URL"], "--quiet"]
    subprocess.run(command, env={**os.environ, **environment, "PYTHONPATH": path}, check=True, timeout=180)


@pytest.fixture
def environment(postgres_url: str, redis: Redis, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}


@pytest.fixture
def jobs(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with the jobs."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sys.modules.pop("runtime.toolkit.adapters.rq_jobs", None)
    from runtime.toolkit.adapters import rq_jobs

    with rq_jobs.db, rq_jobs.connection:
        yield rq_jobs


def test_a_worker(jobs: ModuleType, environment: dict[str, str], redis: Redis) -> None:
    """One worker for all, because it takes seconds to start."""
    made = [jobs.queue.enqueue(jobs.create, balance) for balance in (5, 6, 7)]
    failing = jobs.queue.enqueue(jobs.fails_twice, retry=Retry(max=3))
    unknown = jobs.queue.enqueue(jobs.may_be_done, retry=Retry(max=3))

    work(environment)

    assert [each.return_value() for each in made] == [1, 2, 3]
    seen: Any = redis.lrange("seen", 0, -1)
    assert sorted(map(int, seen)) == [5, 6, 7]
    assert failing.return_value() == 4, "failed attempts left nothing behind"
    assert (unknown.get_status(), redis.get("may_be_done")) == ("failed", b"1"), "CommitUnknown is not retried"
    assert count(environment["DATABASE_URL"]) == 4


def test_an_asynchronous_database_is_refused() -> None:
    with pytest.raises(TypeError, match="no event loop"):
        job(AsyncDatabase("sqlite+aiosqlite://"))  # type: ignore[arg-type]
