"""Jobs of arq, each an operation of its own. `scripts/arq` runs this: arq wants an older redis than Celery does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from arq import Worker, create_pool, func
from arq.connections import RedisSettings
from redis import Redis

from hermetic.sanitizer.operations import Kind, Operation, declared
from hermetic.sanitizer.watch import watch


@pytest.mark.usefixtures("found")
async def test_jobs(redis_url: str, redis: Redis) -> None:
    seen: list[Operation | None] = []

    async def job(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
        seen.append(declared())
        await asyncio.sleep(0)

    async def fail(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
        await job(ctx)
        raise LookupError

    connection = await create_pool(RedisSettings(unix_socket_path=redis_url.removeprefix("unix://")))
    await connection.enqueue_job("job")
    await connection.enqueue_job("fail")
    functions = [func(job, name="job"), func(fail, name="fail")]
    await Worker(functions, redis_pool=connection, burst=True, handle_signals=False, poll_delay=0.01).main()
    await connection.aclose(close_connection_pool=True)

    first, second = seen
    assert first is not None
    assert second is not None
    assert first is not second
    assert (first.kind, second.kind, declared()) == (Kind.TASK, Kind.TASK, None)


def test_it_is_left_as_it_was() -> None:
    before = Worker.run_job
    with watch("tests"):
        during = Worker.run_job

    assert Worker.run_job is before is not during
