"""Where workers and schedulers begin a job: each is an operation of its own. `with_arq.py` has those of arq."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from queue import Queue
from threading import Barrier
from typing import Any

import dramatiq
import pytest
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors import asyncio as asyncio_executors, base, pool
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from dramatiq.brokers.stub import StubBroker
from redis import Redis
from rq import Queue as JobQueue, SimpleWorker
from rq.job import Job
from rq.timeouts import TimerDeathPenalty

from hermetic.sanitizer.operations import Kind, Operation, declared, operation
from hermetic.sanitizer.watch import watch

pytestmark = pytest.mark.usefixtures("found")

seen: list[Operation | None] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def note() -> None:
    seen.append(declared())


def fail() -> None:
    note()
    raise LookupError


def note_and_wait(done: Barrier) -> None:
    note()
    done.wait()
    raise LookupError


def are_two_tasks() -> bool:
    """Have two jobs been seen, each an operation of its own, and none that is left?"""
    first, second = seen
    assert first is not None
    assert second is not None
    return first is not second and {first.kind, second.kind} == {Kind.TASK} and declared() is None


class InThisThread(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # no signals


def test_jobs_of_rq(redis: Redis) -> None:
    queue = JobQueue(connection=redis)
    queue.enqueue(note)
    queue.enqueue(fail)

    InThisThread([queue], connection=redis).work(burst=True)

    assert are_two_tasks()


def test_a_synchronous_queue_of_rq(redis: Redis) -> None:
    queue = JobQueue(connection=redis, is_async=False)
    with operation("import"):
        queue.enqueue(note)
        note()

    assert [each.kind for each in seen if each is not None] == [Kind.TASK, Kind.BLOCK]


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    broker: StubBroker = StubBroker()
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    yield broker
    worker.stop()
    broker.close()


def test_jobs_of_dramatiq(broker: StubBroker) -> None:
    actor = dramatiq.actor(broker=broker)(note)
    failing = dramatiq.actor(broker=broker, max_retries=0)(fail)
    actor.send()
    failing.send()
    broker.join(actor.queue_name, fail_fast=False)

    assert are_two_tasks()


def test_an_actor_of_dramatiq_that_is_called(broker: StubBroker) -> None:
    actor = dramatiq.actor(broker=broker)(note)
    actor()
    with operation("import"):
        actor()

    assert [each.kind for each in seen if each is not None] == [Kind.TASK, Kind.BLOCK]


def test_jobs_of_apscheduler() -> None:
    done = Barrier(3, timeout=10)
    scheduler = BackgroundScheduler(timezone=UTC)
    for _ in range(2):
        scheduler.add_job(
            note_and_wait, "interval", args=[done], hours=1, next_run_time=datetime.now(UTC), misfire_grace_time=None
        )
    scheduler.start()
    done.wait()
    scheduler.shutdown()

    assert are_two_tasks()


async def test_jobs_of_apscheduler_in_asyncio() -> None:
    async def job() -> None:
        note()
        await asyncio.sleep(0)

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_job(job, misfire_grace_time=None)
    scheduler.add_job(note, misfire_grace_time=None)  # in a thread
    scheduler.start()
    await asyncio.wait_for(until(lambda: len(seen) == 2), 10)
    scheduler.shutdown()

    assert are_two_tasks()


def test_a_job_of_apscheduler_in_another_process() -> None:
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ProcessPoolExecutor(1)})
    results: Queue[int] = Queue()
    scheduler.add_listener(lambda event: results.put(event.retval), EVENT_JOB_EXECUTED)
    scheduler.add_job(os.getpid, misfire_grace_time=None)  # however late a busy machine comes to it
    scheduler.start()

    assert results.get(timeout=60) != os.getpid()
    scheduler.shutdown()


def test_workers_are_left_as_they_were() -> None:
    def places() -> tuple[Callable[..., Any] | Awaitable[Any], ...]:
        executors = base.run_job, pool.run_job, asyncio_executors.run_job, asyncio_executors.run_coroutine_job
        return (Job.perform, dramatiq.Actor.__call__, *executors)

    during = places()
    with watch("production"):
        before = places()
    with watch("tests"):
        again = places()

    assert not set(before) & set(during)
    assert not set(before) & set(again)
