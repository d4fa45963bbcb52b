"""Celery: in a real worker with two processes, and eagerly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery, group
from redis import Redis
from sqlalchemy import func, select

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.celery import task
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import CommitUnknown
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment
from runtime.rows import count

TESTS = Path(__file__).parents[3]
WAIT = 60  # seconds for the worker to start and answer, on a busy machine


@contextmanager
def worker(database: str, redis: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "PYTHONPATH": os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", ""))),
        "C_FORCE_ROOT": "1",
    }
    words = "worker --pool prefork --concurrency 2 --loglevel ERROR"
    command = [sys.executable, "-m", "celery", "-A", "runtime.toolkit.adapters.celery_tasks", *words.split()]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def tasks(postgres_url: str, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with the tasks, which a worker runs."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    sys.modules.pop("runtime.toolkit.adapters.celery_tasks", None)
    from runtime.toolkit.adapters import celery_tasks

    with worker(postgres_url, redis_url), celery_tasks.db:
        yield celery_tasks
    celery_tasks.app.close()


def test_a_worker(tasks: ModuleType, postgres_url: str, redis: Redis) -> None:
    """One worker for all, because it takes seconds to start."""
    made = group(tasks.create.s(balance) for balance in range(20)).apply_async().get(WAIT)
    assert sorted(made) == list(range(1, 21))
    seen = sorted(int(redis.blpop(["seen"], WAIT)[1]) for _ in range(20))  # type: ignore[index]
    assert seen == list(range(20)), "what follows a commit sees it"

    assert tasks.fails_twice.delay().get(WAIT) == 21, "failed attempts left nothing behind"
    assert tasks.retries_twice.delay().get(WAIT) == 22, "neither did `self.retry()`"

    with pytest.raises(CommitUnknown):
        tasks.may_be_done.delay().get(WAIT)
    assert redis.get("may_be_done") == b"1", "CommitUnknown is not retried"
    assert count(postgres_url) == 22


@pytest.fixture
def app() -> Celery:
    app = Celery("eager", broker="memory://")
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    return app


@pytest.fixture
def db(sqlite_url: str) -> Iterator[Database]:
    with Database(sqlite_url, pool_size=1, max_overflow=0, pool_timeout=1) as database:
        yield database


def test_a_task_that_returns_has_committed(app: Celery, db: Database, sqlite_url: str) -> None:
    @task(app, db)
    def create(session: Session, balance: int, times: int = 1) -> None:
        session.add_all([Account(balance=balance) for _ in range(times)])

    create.delay(5, times=2)

    assert count(sqlite_url) == 2


def test_a_commit_that_fails_is_a_failed_task(app: Celery, db: Database) -> None:
    app.conf.task_eager_propagates = False

    @task(app, db)
    def pay(session: Session) -> None:
        session.add(Payment(earlier=999))

    assert pay.delay().state == "FAILURE"


def test_celery_knows_the_arguments_without_the_session(app: Celery, db: Database) -> None:
    @task(app, db)
    def create(session: Session, balance: int) -> None: ...

    app.conf.task_always_eager = False
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'balance'"):
        create.apply_async(())


def test_a_task_that_follows_a_commit_runs_eagerly_after_it(app: Celery, db: Database) -> None:
    seen = []

    @task(app, db)
    def look(session: Session, account_id: int) -> None:
        seen.append(session.get_one(Account, account_id).balance)

    with db.transaction() as session:
        account = Account(balance=7)
        session.add(account)
        session.flush()
        session.on_commit(lambda: look.delay(account.id))

    assert seen == [7]


def test_a_task_that_runs_eagerly_inside_of_a_block_is_refused(app: Celery, db: Database) -> None:
    @task(app, db)
    def create(session: Session) -> None: ...

    with db.transaction(), pytest.raises(errors.NestedBlock):
        create.delay()


def test_attempts_of_autoretry_are_transactions_of_their_own(app: Celery, db: Database) -> None:
    @task(app, db, autoretry_for=(ValueError,), max_retries=3, default_retry_delay=0, bind=True)
    def fails_twice(self: Any, session: Session) -> int:
        session.add(Account())
        session.flush()
        if self.request.retries < 2:
            raise ValueError("not yet")
        return session.scalars(select(func.count(Account.id))).one()

    app.conf.task_eager_propagates = False
    assert fails_twice.delay().get() == 1


def test_attempts_by_hand_are_too(app: Celery, db: Database) -> None:
    @task(app, db, bind=True, max_retries=3)
    def retries_twice(self: Any, session: Session) -> int:
        session.add(Account())
        session.flush()
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return session.scalars(select(func.count(Account.id))).one()

    app.conf.task_eager_propagates = False
    assert retries_twice.delay().get() == 1


@pytest.mark.parametrize("bind", [True, False])
def test_self_goes_with_bind(app: Celery, db: Database, bind: bool) -> None:
    def with_self(self: Any, session: Session) -> None: ...
    def without(session: Session) -> None: ...

    with pytest.raises(TypeError, match="`self` belongs to `bind=True`"):
        task(app, db, bind=bind)(without if bind else with_self)


def test_an_asynchronous_database_is_refused(app: Celery) -> None:
    with pytest.raises(TypeError, match="no event loop"):
        task(app, AsyncDatabase("sqlite+aiosqlite://"))  # type: ignore[arg-type]
