"""Recorded traces, as tests look at them: checked against the format, then asked by kind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from hermetic.sanitizer.detector import Mode
from hermetic.sanitizer.tracing import FIRST_POOL, Recorder
from hermetic.sanitizer.watch import Watch

PAUSE = 0.3  # seconds that tests wait in a transaction, much longer than what makes a wait

Event = dict[str, Any]

# The arguments of each kind of event; those of metadata differ.
ARGUMENTS: dict[tuple[str, str], set[str]] = {
    ("session", "X"): {"session", "opened", "closed", "task", "findings"},
    ("transaction", "X"): {"outcome", "ended"},
    ("statement", "X"): {"sql", "at", "failed"},
    ("wait", "X"): {"after", "before", "ms"},
    ("connection", "b"): {"session", "holder"},
    ("connection", "e"): {"session", "holder"},
    ("pool", "C"): {"in use", "size"},
    ("finding", "i"): {"message", "severity", "path", "line", "trace"},
}


class Trace:
    """A trace file that follows the format; a file that does not fails the test."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self.document = json.loads(self.text)
        self.events: list[Event] = self.document["traceEvents"]
        assert self.document["displayTimeUnit"] == "ms"
        assert {"tool", "version", "started", "command"} <= set(self.document["otherData"])
        for event in self.events:
            _check(event)
        lanes: dict[tuple[int, int], list[Event]] = defaultdict(list)
        for event in self.events:
            if event["ph"] == "X":
                lanes[event["pid"], event["tid"]].append(event)
        for lane in lanes.values():
            _check_nesting(lane)
        _check_holds(self.of("connection"))

    def of(self, kind: str) -> list[Event]:
        return sorted((event for event in self.events if event.get("cat") == kind), key=lambda event: event["ts"])

    def args(self, kind: str) -> list[Event]:
        return [event["args"] for event in self.of(kind)]

    def waits(self) -> list[Event]:
        """Those of a pause between two lines; on a busy machine there are others anywhere."""
        return [each for each in self.args("wait") if each["ms"] >= PAUSE * 1000 and each["after"] != each["before"]]

    def names(self) -> dict[int, str]:
        named = [event for event in self.events if event["name"] == "thread_name"]
        return {event["tid"]: event["args"]["name"] for event in named}

    def in_use(self) -> list[int]:
        return [count["in use"] for count in self.args("pool")]


@contextmanager
def recorded(path: Path, mode: Mode = Mode.TESTS) -> Iterator[Watch]:
    """Record what the block does. A mistake of hermetic's own fails the test."""
    recorder = Recorder(path, "tests")
    with Watch(mode, lambda report: None, observers=[recorder.observer]).start() as running:
        yield running
    assert recorder.close() == ""
    assert (running.errors, running.last_error) == (0, "")


def _check(event: Event) -> None:
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    if event["ph"] == "M":
        assert event["name"] in ("process_name", "thread_name")
        assert isinstance(event["args"]["name"], str)
        return
    given, wanted = set(event["args"]), ARGUMENTS[event["cat"], event["ph"]]
    assert given == wanted or (event["cat"] == "pool" and given == {"in use"})
    assert isinstance(event["ts"], int)
    assert (event["tid"] >= FIRST_POOL) == (event["cat"] in ("connection", "pool"))
    if event["ph"] == "X":
        assert event["dur"] >= 0
    if event["cat"] in ("connection", "pool"):
        assert isinstance(event["id"], int | str)


def _check_nesting(events: list[Event]) -> None:
    """Viewers draw complete events of a lane inside each other or beside each other, never across."""
    events.sort(key=lambda event: (event["ts"], -event["dur"]))
    for number, outer in enumerate(events):
        end = outer["ts"] + outer["dur"]
        for inner in events[number + 1 :]:
            assert inner["ts"] >= end or inner["ts"] + inner["dur"] <= end, (outer, inner)
    for kind in ("statement", "wait", "transaction"):
        same = [event for event in events if event["cat"] == kind]
        assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in pairwise(same))


def _check_holds(events: list[Event]) -> None:
    """Each end has its beginning before it; a connection that was still out has no end."""
    begun = {event["id"]: event for event in events if event["ph"] == "b"}
    ends = [event for event in events if event["ph"] == "e"]
    assert len(begun) == sum(event["ph"] == "b" for event in events)
    for end in ends:
        assert begun[end["id"]]["ts"] <= end["ts"]
        assert (begun[end["id"]]["name"], begun[end["id"]]["args"]) == (end["name"], end["args"])
