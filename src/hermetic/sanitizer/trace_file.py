"""A file of Chrome trace events, written as they come, so that a long run takes no memory.

The format is the JSON object form of https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU;
chrome://tracing, https://ui.perfetto.dev and `hermetic trace` read it. Events stand in the order in which they ended,
and `otherData` last, because it says what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hermetic import __version__
from hermetic.sanitizer.children import Children

LARGEST = 250_000_000  # bytes of one process's events, about a million; `hermetic trace` reads no larger file
CHUNK = 64_000  # characters that are kept back until they are worth a system call


class TraceFile:
    """The events of a process and of its children, in one file.

    Written to by any thread. What does not fit into `LARGEST` bytes or on the disk is counted and left out.
    """

    def __init__(self, path: Path, command: str, children: Children | None = None) -> None:
        """Begin the file; a child has none of its own. Raises OSError."""
        self._about = {"tool": "hermetic", "version": __version__, "started": _now(), "command": command}
        is_child = children is not None and children.is_child
        if not is_child:
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - until `close`
        self._children = children or Children()
        self._workers: list[Children] = []
        self._lock = threading.RLock()  # the collector returns connections at any time, in here too
        self._waiting: list[str] = []
        self._waiting_size = 0
        self._size = 0
        self._left_out = 0
        self._failure = ""
        named = {"ph": "M", "name": "process_name", "tid": 0, "args": {"name": command}}
        if is_child:
            self.write(**named)
        else:
            self._put('{"displayTimeUnit": "ms", "traceEvents": [\n')
            self._put(_json({"pid": os.getpid(), **named}))

    def expect(self, workers: Children) -> None:
        """Children that are started anew leave their events, too."""
        self._workers.append(workers)

    def write(self, **event: Any) -> None:
        """Add an event of this process."""
        text = ",\n" + _json({"pid": os.getpid(), **event})
        with self._lock:
            if self._failure or self._size + len(text) > LARGEST:
                self._left_out += 1
                return
            self._size += len(text)
            if self._children.is_child:
                self._leave(text)
                return
            self._waiting.append(text)
            self._waiting_size += len(text)
            if self._waiting_size > CHUNK:
                self._flush()

    def unique(self, number: int) -> int | str:
        """The `id` of an event whose number is one of this process; viewers pair them by it in all processes."""
        return f"{os.getpid()}.{number}" if self._children.is_child else number

    def forked(self) -> None:
        """This is a forked child: another thread may hold the lock for ever, and what waits is the parent's."""
        self._lock = threading.RLock()
        self._waiting, self._waiting_size = [], 0

    def close(self) -> str:
        """End the file, with what the children have left. Returns why something is missing, or "". Raises OSError."""
        if self._children.is_child:
            return ""
        with self._lock, self._file:
            self._flush()
            for children in (self._children, *self._workers):
                self._take(children)
            if self._left_out:
                self._failure = self._failure or f"it has {LARGEST // 1_000_000} MB"
                self._about["left out"] = f"{self._left_out} events: {self._failure}"
            self._failure = "it is closed"
            self._put('\n], "otherData": ' + _json(self._about) + "}\n")
        return self._about.get("left out", "")

    def _take(self, children: Children) -> None:
        for part in children.files():
            with part.open("rb") as events:
                shutil.copyfileobj(events, self._file)
        children.remove()

    def _leave(self, text: str) -> None:
        try:
            self._children.leave(text)
        except OSError as error:  # the first process has ended, or the disk is full
            self._failed(error)

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        good = self._file.tell()
        try:
            self._put("".join(waiting))
        except OSError as error:
            self._file.truncate(good)
            self._file.seek(good)
            self._left_out += len(waiting)
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._failure = error.strerror or type(error).__name__

    def _put(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            data = data[self._file.write(data) :]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
