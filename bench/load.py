"""A FastAPI service with PostgreSQL through asyncpg under load, bare and watched.

Each way of running is a server process of its own, loaded in turns, and each round has new processes: one is faster
than the next by several per cent for as long as it lives, by the luck of its addresses and hashes. The load comes from
here, over the loopback interface. A request reads one user by a parameter, through a dependency that gives a session.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

CONNECTIONS = 16
PATIENCE = 30.0  # seconds for a server to start
REQUEST = b"GET /users/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(slots=True)
class Way:
    """A way of running and what was measured of it, a figure a round."""

    name: str
    rates: list[float] = field(default_factory=list)  # requests a second
    cpu: list[float] = field(default_factory=list)  # microseconds of the server a request


@dataclass(frozen=True, slots=True)
class Service:
    """A running server."""

    way: Way
    port: int
    process: psutil.Process


@contextmanager
def served(way: Way, url: str) -> Iterator[Service]:
    """The server of one way of running, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, __file__, way.name, url, str(port)], env=os.environ)
    try:
        _wait_for(port, process)
        yield Service(way, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError(f"no server on port {port}")


async def load(port: int, seconds: float) -> int:
    """Answers that came in this time, all of them right."""
    over = time.monotonic() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = 0
        while time.monotonic() < over:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200") or b'"user 0"' not in body:
                raise RuntimeError(f"wrong answer: {head!r} {body!r}")
            answers += 1
        writer.close()
        return answers

    return sum(await asyncio.gather(*(client() for _ in range(CONNECTIONS))))


def measure(names: Sequence[str], url: str, rounds: int, seconds: float) -> list[Way]:
    """Load each way of running in turns, each round with new servers."""
    ways = [Way(name) for name in names]
    for number in range(rounds):
        with ExitStack() as stack:
            services = [stack.enter_context(served(way, url)) for way in ways]
            for service in services:
                asyncio.run(load(service.port, 1.0))  # pools, caches of statements
            for service in services if number % 2 else services[::-1]:
                _measure_once(service, seconds)
    return ways


def _measure_once(service: Service, seconds: float) -> None:
    before = service.process.cpu_times()
    answers = asyncio.run(load(service.port, seconds))
    after = service.process.cpu_times()
    used = after.user + after.system - before.user - before.system
    service.way.rates.append(answers / seconds)
    service.way.cpu.append(used / answers * 1e6)


def table(ways: Sequence[Way]) -> Iterator[str]:
    """The figures of all ways; the first one is what the others are compared with."""
    bare = ways[0]
    yield "| FastAPI, asyncpg, PostgreSQL | requests/s | to bare | server CPU, µs a request | to bare |"
    yield "|---|---|---|---|---|"
    for way in ways:
        rate = median(one / other for one, other in zip(way.rates, bare.rates, strict=True))
        cpu = median(one / other for one, other in zip(way.cpu, bare.cpu, strict=True))
        cells = f"{median(way.rates):.0f} | {rate:.3f} | {median(way.cpu):.0f} | {cpu:.3f}"
        yield f"| {way.name} | {cells} |"


def serve(way: str, url: str, port: int) -> None:
    """In a process of its own: the service. An application's file is no library, so this one will do."""
    import uvicorn
    from fastapi import Depends, FastAPI
    from runtime.models import User
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

    from hermetic.sanitizer.watch import watch

    engine = create_async_engine(url, pool_size=CONNECTIONS)
    maker = async_sessionmaker(engine, expire_on_commit=False)
    app = FastAPI()

    async def session() -> AsyncIterator[AsyncSession]:
        async with maker() as given:
            yield given

    async def user(number: int, given: AsyncSession = Depends(session)) -> dict[str, str]:  # noqa: B008
        found = (await given.scalars(select(User).where(User.id == number))).one()
        return {"name": found.name}

    app.add_api_route("/users/{number}", user)
    if way != "bare":
        watch(way, lambda finding: None)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
