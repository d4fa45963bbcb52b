"""A proxy on loopback in front of PostgreSQL's Unix socket, which now and then loses COMMIT or the answer to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from pathlib import Path
from typing import Self

# A simple query of the protocol; psycopg sends `COMMIT`, asyncpg `COMMIT;`.
COMMIT = b"COMMIT"


class LossyProxy:
    """Runs in a thread with a loop of its own. `port` is where it listens on 127.0.0.1.

    Parameters: the server's socket; the share of COMMITs whose answer is lost, and of those that are lost themselves,
    both with the connection; the seed that decides which.
    """

    port: int

    def __init__(self, socket: Path, *, lost_answers: float, lost_commits: float, seed: int) -> None:
        self._socket = socket
        self._lost_answers, self._lost_commits = lost_answers, lost_commits
        self._random = random.Random(seed)
        self.answers_lost = self.commits_lost = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(str(self._socket))
        lost = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._to_server(reader, server_writer, lost)),
            asyncio.ensure_future(_to_client(server_reader, writer, lost)),
        ]
        # asyncio's streams report a handler that is cancelled as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, server_writer):
            end.close()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if COMMIT in data:
                    chance = self._random.random()
                    if chance < self._lost_commits:
                        self.commits_lost += 1
                        return
                    if chance < self._lost_commits + self._lost_answers:
                        self.answers_lost += 1
                        lost.set()
                writer.write(data)
                await writer.drain()


async def _to_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            if lost.is_set():
                return
            writer.write(data)
            await writer.drain()
