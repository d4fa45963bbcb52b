"""The file of a trace: whole whatever happens, and never larger than allowed."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hermetic.sanitizer import trace_file
from hermetic.sanitizer.trace_file import TraceFile


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def written(path: Path) -> list[int]:
    return [event["ts"] for event in read(path)["traceEvents"] if event["ph"] == "i"]


def test_without_events(tmp_path: Path) -> None:
    assert TraceFile(tmp_path / "trace.json", "app.py").close() == ""

    document = read(tmp_path / "trace.json")
    assert [event["args"] for event in document["traceEvents"]] == [{"name": "app.py"}]
    assert document["otherData"]["tool"] == "hermetic"


def test_events_are_on_the_disk_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "CHUNK", 1000)
    file = TraceFile(tmp_path / "trace.json", "app.py")
    for number in range(1000):
        file.write(ph="i", ts=number)

    assert len(file._waiting) < 50
    assert (tmp_path / "trace.json").stat().st_size > 20_000
    file.close()
    assert written(tmp_path / "trace.json") == list(range(1000))


def test_from_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "CHUNK", 1000)
    file = TraceFile(tmp_path / "trace.json", "app.py")

    def work(first: int) -> None:
        for number in range(first, first + 500):
            file.write(ph="i", ts=number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 500, 1000, 1500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()

    assert sorted(written(tmp_path / "trace.json")) == list(range(2000))


def test_what_is_too_much_is_counted_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "LARGEST", 2_000_000)
    file = TraceFile(tmp_path / "trace.json", "app.py")
    for number in range(30):
        file.write(ph="i", ts=number, name="x" * 100_000)

    assert file.close() == "11 events: it has 2 MB"
    assert len(written(tmp_path / "trace.json")) == 19
    assert read(tmp_path / "trace.json")["otherData"]["left out"] == "11 events: it has 2 MB"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "CHUNK", 0)
    file = TraceFile(tmp_path / "trace.json", "app.py")
    file.write(ph="i", ts=1)
    put = file._put

    def full(text: str) -> None:
        put(text[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(file, "_put", full)
    file.write(ph="i", ts=2)
    monkeypatch.setattr(file, "_put", put)
    file.write(ph="i", ts=3)

    assert file.close() == "2 events: No space left on device"
    assert written(tmp_path / "trace.json") == [1]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TraceFile(tmp_path / "nowhere" / "trace.json", "app.py")
